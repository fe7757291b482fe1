//! The paths of a command line to files: folders are walked, patterns are matched.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

use crate::terminal::{self, Outcome};

/// A file to read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// `-`.
    Stdin,
    /// A file, and the part of its path below the folder that was named (its name when the file itself was named).
    File { path: PathBuf, below: PathBuf },
}

impl Source {
    /// What the user knows it by.
    pub fn name(&self) -> String {
        match self {
            Source::Stdin => "-".to_owned(),
            Source::File { path, .. } => path.display().to_string(),
        }
    }
}

/// Reads each source that the arguments name. `work` says whether something was read in it; what it could not read is
/// reported and does not stop the others, while its outer error ends the command.
///
/// # Errors
/// The outer ones of `work`.
pub fn each(
    arguments: &[PathBuf],
    extensions: &[&str],
    things: &str,
    mut work: impl FnMut(&Source) -> anyhow::Result<anyhow::Result<bool>>,
) -> anyhow::Result<Outcome> {
    let (mut read, mut failed) = (false, false);
    for argument in arguments {
        let found = match find(argument, extensions, things) {
            Ok(found) => found,
            Err(error) => {
                terminal::problem(terminal::whole(&error));
                failed = true;
                continue;
            }
        };
        for source in found {
            match work(&source)? {
                Ok(any) => read |= any,
                Err(error) => {
                    terminal::problem(format_args!("{}: {}", source.name(), terminal::whole(&error)));
                    failed = true;
                }
            }
        }
    }
    Ok(match (failed, read) {
        (true, _) => Outcome::Failed,
        (false, true) => Outcome::Read,
        (false, false) => Outcome::Nothing,
    })
}

/// The sources that one argument names, in a fixed order. `-` is stdin; a folder is walked (links to folders are not
/// followed), and gives the files with one of the `extensions`; a name that is no file is taken for a pattern (`*`, `?`,
/// `[a-z]`, `**`), for shells that do not match themselves; any other file is taken as it is. `things` is what the files
/// hold, for messages.
///
/// # Errors
/// When nothing is there, when a folder or pattern holds no such file, or when a folder cannot be read.
pub fn find(argument: &Path, extensions: &[&str], things: &str) -> anyhow::Result<Vec<Source>> {
    if argument.as_os_str() == "-" {
        return Ok(vec![Source::Stdin]);
    }
    let kinds = || extensions.join(", ");
    if argument.is_dir() {
        let mut found = Vec::new();
        walk(argument, argument, extensions, &mut found)?;
        if found.is_empty() {
            bail!("no {things} ({}) in the folder {} or below", kinds(), argument.display());
        }
        return Ok(found);
    }
    if argument.symlink_metadata().is_err()
        && let Some(pattern) = argument.to_str().filter(|p| p.contains(['*', '?', '[']))
    {
        let mut found = Vec::new();
        let paths = glob::glob(pattern).with_context(|| format!("{pattern} is no file, and no pattern either"))?;
        for path in paths {
            let path = path.with_context(|| format!("cannot look for {pattern}"))?;
            if path.is_dir() {
                walk(&path, &path, extensions, &mut found)?;
            } else {
                found.push(file(&path));
            }
        }
        if found.is_empty() {
            bail!("no file matches {pattern}");
        }
        return Ok(found);
    }
    if argument.symlink_metadata().is_err() {
        bail!("{}: no such file or folder", argument.display());
    }
    Ok(vec![file(argument)])
}

fn file(path: &Path) -> Source {
    let below = path.file_name().map_or_else(|| path.to_owned(), PathBuf::from);
    Source::File { path: path.to_owned(), below }
}

fn walk(root: &Path, folder: &Path, extensions: &[&str], found: &mut Vec<Source>) -> anyhow::Result<()> {
    let cannot = || format!("cannot read the folder {}", folder.display());
    let mut entries =
        std::fs::read_dir(folder).with_context(cannot)?.collect::<Result<Vec<_>, _>>().with_context(cannot)?;
    entries.sort_by_key(std::fs::DirEntry::file_name);
    for entry in entries {
        let path = entry.path();
        let kind = entry.file_type().with_context(cannot)?;
        if kind.is_dir() {
            walk(root, &path, extensions, found)?;
        } else if has_extension(&path, extensions) && path.is_file() {
            let below = path.strip_prefix(root).unwrap_or(&path).to_owned();
            found.push(Source::File { path, below });
        }
    }
    Ok(())
}

fn has_extension(path: &Path, extensions: &[&str]) -> bool {
    path.extension().and_then(OsStr::to_str).is_some_and(|e| extensions.iter().any(|x| x.eq_ignore_ascii_case(e)))
}
