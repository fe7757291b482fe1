//! The paths of a command line to files: folders are walked, patterns are matched.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use serde::Serialize;

use crate::terminal;

/// A file to read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// `-`.
    Stdin,
    /// A file, and the part of its path below the folder that was named (its name when the file itself was named).
    File { path: PathBuf, below: PathBuf },
}

impl Source {
    /// Its path; `-` for stdin.
    pub fn path(&self) -> &Path {
        match self {
            Source::Stdin => Path::new("-"),
            Source::File { path, .. } => path,
        }
    }

    /// What the user knows it by, fit for a terminal.
    pub fn shown(&self) -> String {
        terminal::shown(self.path())
    }
}

/// The files that arguments name, and what was wrong with some of them.
#[derive(Debug, Default)]
pub struct Found {
    /// The files, in a fixed order.
    pub sources: Vec<Source>,
    /// Folders that cannot be read.
    problems: Vec<anyhow::Error>,
    /// How many files folders hold that have other endings, by ending.
    left_out: BTreeMap<String, usize>,
}

/// The sources that the arguments name. What cannot be found is reported and does not stop the others; files that a folder
/// holds and that are left out are counted in a note.
pub fn search(arguments: &[PathBuf], extensions: &[&str], things: &str) -> Search {
    let (mut sources, mut failed) = (Vec::new(), false);
    for argument in arguments {
        match find(argument, extensions, things) {
            Ok(found) => {
                for problem in &found.problems {
                    terminal::problem(terminal::whole(problem));
                    failed = true;
                }
                found.say_left_out(argument, things);
                sources.extend(found.sources);
            }
            Err(error) => {
                terminal::problem(terminal::whole(&error));
                failed = true;
            }
        }
    }
    Search { sources, failed }
}

/// What a search gave.
#[derive(Debug, Default)]
pub struct Search {
    /// The files, in a fixed order.
    pub sources: Vec<Source>,
    /// Whether something that was named could not be found or read.
    pub failed: bool,
}

impl Search {
    /// Adds what another search gave.
    pub fn add(&mut self, other: Search) {
        self.sources.extend(other.sources);
        self.failed |= other.failed;
    }
}

impl Found {
    /// Counts a file with another ending; hidden ones are nobody's pictures or recordings.
    fn leave_out(&mut self, path: &Path) {
        if path.file_name().is_some_and(|n| n.as_encoded_bytes().starts_with(b".")) {
            return;
        }
        let ending = path
            .extension()
            .map_or_else(|| "without an ending".to_owned(), |e| format!(".{}", terminal::shown(e).to_lowercase()));
        *self.left_out.entry(ending).or_default() += 1;
    }

    fn say_left_out(&self, folder: &Path, things: &str) {
        let count: usize = self.left_out.values().sum();
        if count == 0 {
            return;
        }
        let mut kinds: Vec<_> = self.left_out.iter().collect();
        kinds.sort_by_key(|(_, n)| std::cmp::Reverse(**n));
        let named: Vec<_> = kinds.iter().take(5).map(|(kind, n)| format!("{n} {kind}")).collect();
        let more = if kinds.len() > 5 { ", ..." } else { "" };
        let files = if count == 1 { "file" } else { "files" };
        terminal::note(format_args!(
            "{}: left out {count} {files} ({}{more}), which are no {things} by their endings",
            terminal::shown(folder),
            named.join(", ")
        ));
    }
}

/// The sources that one argument names, in a fixed order. `-` is stdin; a folder is walked (links to folders are not
/// followed), and gives the files with one of the `extensions`; a name that is no file is taken for a pattern (`*`, `?`,
/// `[a-z]`, `**`), for shells that do not match themselves; any other file is taken as it is. `things` is what the files
/// hold, for messages.
///
/// # Errors
/// When nothing is there, or when a folder or pattern holds no such file.
pub fn find(argument: &Path, extensions: &[&str], things: &str) -> anyhow::Result<Found> {
    if argument.as_os_str() == "-" {
        return Ok(Found { sources: vec![Source::Stdin], ..Found::default() });
    }
    let kinds = || extensions.join(", ");
    if argument.is_dir() {
        let mut found = Found::default();
        walk(argument, argument, extensions, &mut found);
        if found.sources.is_empty() && found.problems.is_empty() {
            bail!("no {things} ({}) in the folder {} or below", kinds(), terminal::shown(argument));
        }
        return Ok(found);
    }
    if argument.symlink_metadata().is_err()
        && let Some(pattern) = argument.to_str().filter(|p| p.contains(['*', '?', '[']))
    {
        let mut found = Found::default();
        let paths = glob::glob(pattern).with_context(|| format!("{pattern} is no file, and no pattern either"))?;
        for path in paths {
            let path = match path {
                Ok(path) => path,
                Err(error) => {
                    found.problems.push(anyhow::Error::new(error).context(format!("cannot look for {pattern}")));
                    continue;
                }
            };
            if path.is_dir() {
                walk(&path, &path, extensions, &mut found);
            } else {
                found.sources.push(file(&path));
            }
        }
        if found.sources.is_empty() && found.problems.is_empty() {
            bail!("no file matches {pattern}");
        }
        return Ok(found);
    }
    if argument.symlink_metadata().is_err() {
        bail!("{}: no such file or folder", terminal::shown(argument));
    }
    Ok(Found { sources: vec![file(argument)], ..Found::default() })
}

fn file(path: &Path) -> Source {
    let below = path.file_name().map_or_else(|| path.to_owned(), PathBuf::from);
    Source::File { path: path.to_owned(), below }
}

/// What cannot be read on the way is kept in `found.problems`.
fn walk(root: &Path, folder: &Path, extensions: &[&str], found: &mut Found) {
    let cannot = || format!("cannot read the folder {}", terminal::shown(folder));
    let mut paths = Vec::new();
    match std::fs::read_dir(folder).with_context(cannot) {
        Ok(entries) => {
            for entry in entries {
                match entry.and_then(|e| Ok((e.path(), e.file_type()?))).with_context(cannot) {
                    Ok(entry) => paths.push(entry),
                    Err(error) => found.problems.push(error),
                }
            }
        }
        Err(error) => found.problems.push(error),
    }
    paths.sort_by(|a, b| a.0.cmp(&b.0));
    for (path, kind) in paths {
        if kind.is_dir() {
            walk(root, &path, extensions, found);
        } else if has_extension(&path, extensions) && path.is_file() {
            let below = path.strip_prefix(root).unwrap_or(&path).to_owned();
            found.sources.push(Source::File { path, below });
        } else if path.is_file() {
            found.leave_out(&path);
        }
    }
}

fn has_extension(path: &Path, extensions: &[&str]) -> bool {
    path.extension().and_then(OsStr::to_str).is_some_and(|e| extensions.iter().any(|x| x.eq_ignore_ascii_case(e)))
}

/// A path in JSON: its text, and, where it is no text and that would not find the file again, its bytes.
#[derive(Debug, Serialize)]
pub struct FileName {
    file: String,
    /// The path's bytes in hexadecimal, only where they are no UTF-8.
    #[serde(skip_serializing_if = "Option::is_none")]
    file_hex: Option<String>,
}

impl FileName {
    /// The name of a path.
    pub fn of(path: &Path) -> FileName {
        let file = path.to_string_lossy().into_owned();
        let bytes = path.as_os_str().as_encoded_bytes();
        let file_hex =
            path.to_str().is_none().then(|| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>());
        FileName { file, file_hex }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_folder_counts_what_it_leaves_out() {
        let folder = tempfile::tempdir().expect("a folder");
        fs::create_dir(folder.path().join("sub")).expect("a folder");
        for name in ["a.png", "b.HEIC", "sub/c.heic", "sub/d.PNG", "notes", ".DS_Store"] {
            fs::write(folder.path().join(name), "").expect("written");
        }
        let found = find(folder.path(), &["png"], "pictures").expect("some");
        assert_eq!(found.sources.len(), 2);
        let left_out: Vec<_> = found.left_out.iter().map(|(kind, n)| (kind.as_str(), *n)).collect();
        assert_eq!(left_out, [(".heic", 2), ("without an ending", 1)]);
    }

    #[cfg(unix)]
    #[test]
    fn names_that_are_no_text_can_be_found_again() {
        use std::os::unix::ffi::OsStrExt;
        let name = FileName::of(Path::new(OsStr::from_bytes(b"a\xff")));
        assert_eq!(name.file_hex.as_deref(), Some("61ff"));
        assert_eq!(FileName::of(Path::new("a")).file_hex, None);
    }
}
