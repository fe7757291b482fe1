//! What a command reads and what it writes: no output is an input, or another output, by whatever names.
//!
//! All inputs are claimed, then all outputs, before anything is read. Files are told by device and inode, so that links
//! are seen through; a file that is not there yet by its folder and its name.

use std::collections::HashMap;
use std::fs::{self, Metadata};
use std::path::{Path, PathBuf};

use anyhow::{Result, bail};

use crate::terminal;

/// The option of every command that writes files.
#[derive(Debug, Clone, Copy, Default, clap::Args)]
pub struct OverwriteArgs {
    /// Replace files that are there already
    #[arg(long, short = 'y')]
    pub overwrite: bool,
}

/// The inputs and outputs of a command.
#[derive(Debug, Default)]
pub struct Claims {
    inputs: HashMap<Place, PathBuf>,
    outputs: HashMap<Place, PathBuf>,
    overwrite: bool,
}

impl Claims {
    /// None yet. With `overwrite`, an output may replace a file that is there already, an input still never.
    pub fn new(args: OverwriteArgs) -> Claims {
        Claims { overwrite: args.overwrite, ..Claims::default() }
    }

    /// Claims an input. What is not there (a URL, a device by its number, a built-in model) claims nothing.
    pub fn reads(&mut self, path: &Path) {
        if path.as_os_str() != "-"
            && let Ok(about) = fs::metadata(path)
        {
            self.inputs.insert(Place::of(path, &about), path.to_owned());
        }
    }

    /// Whether a path is one of the inputs, by whatever name.
    pub fn is_read(&self, path: &Path) -> bool {
        let path = resolved(path);
        let place = fs::metadata(&path).map(|about| Place::of(&path, &about));
        place.is_ok_and(|place| self.inputs.contains_key(&place))
    }

    /// Claims an output; `-` is stdout.
    ///
    /// # Errors
    /// When it is an input, or another output, or a folder, or there already and may not be replaced.
    pub fn writes(&mut self, path: &Path) -> Result<()> {
        let shown = || terminal::shown(path);
        let (place, about) = if path.as_os_str() == "-" {
            let Some(about) = stdout() else { return Ok(()) };
            (Place::of(path, &about), Some(about))
        } else {
            let path = resolved(path);
            match fs::metadata(&path) {
                Ok(about) => (Place::of(&path, &about), Some(about)),
                Err(_) => (Place::free(&path), None),
            }
        };
        let plain = about.as_ref().is_none_or(Metadata::is_file);
        if let Some(input) = self.inputs.get(&place) {
            bail!("{} would be written over {}, which is read; name another file", shown(), terminal::shown(input));
        }
        // a terminal or /dev/null takes any number
        if let Some(other) = self.outputs.get(&place)
            && (plain || path.as_os_str() == "-" || other.as_os_str() == "-")
        {
            if path == other {
                bail!("two outputs have one name, {}; give each a file of its own", shown());
            }
            bail!("two outputs are one file, {} and {}; give each a file of its own", terminal::shown(other), shown());
        }
        if path.as_os_str() != "-" {
            match about {
                Some(about) if about.is_dir() => bail!("{} is a folder; name a file", shown()),
                // an empty file holds nothing that could be lost
                Some(about) if about.is_file() && about.len() > 0 && !self.overwrite => {
                    bail!("{} is there already; replace it with -y (--overwrite), or name another file", shown())
                }
                _ => {}
            }
        }
        self.outputs.insert(place, path.to_owned());
        Ok(())
    }

    /// Whether files may be replaced.
    pub fn overwrite(&self) -> bool {
        self.overwrite
    }
}

/// Which file it is, by whatever name.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Place {
    #[cfg(unix)]
    Inode(u64, u64),
    #[cfg_attr(unix, allow(dead_code, reason = "where files have no inodes"))]
    Path(PathBuf),
    /// Not there yet: its folder, and its name in it.
    Free(Box<Place>, std::ffi::OsString),
}

impl Place {
    #[cfg(unix)]
    fn of(_: &Path, about: &Metadata) -> Place {
        use std::os::unix::fs::MetadataExt;
        Place::Inode(about.dev(), about.ino())
    }

    #[cfg(not(unix))]
    fn of(path: &Path, _: &Metadata) -> Place {
        Place::Path(path.canonicalize().unwrap_or_else(|_| path.to_owned()))
    }

    fn free(path: &Path) -> Place {
        let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let place = match fs::metadata(folder) {
            Ok(about) => Place::of(folder, &about),
            // said when it is written
            Err(_) => Place::Path(folder.to_owned()),
        };
        Place::Free(Box::new(place), path.file_name().unwrap_or_default().to_owned())
    }
}

/// Where a path leads: through links, also those to files that are not there yet.
pub fn resolved(path: &Path) -> PathBuf {
    let mut path = path.to_owned();
    // as many as Linux follows
    for _ in 0..40 {
        let Ok(target) = fs::read_link(&path) else { break };
        path = match path.parent() {
            Some(folder) => folder.join(target),
            None => target,
        };
    }
    path
}

#[cfg(unix)]
fn stdout() -> Option<Metadata> {
    use std::os::fd::AsFd;
    let copy = std::io::stdout().as_fd().try_clone_to_owned().ok()?;
    fs::File::from(copy).metadata().ok()
}

#[cfg(not(unix))]
fn stdout() -> Option<Metadata> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An empty folder.
    fn folder(name: &str) -> PathBuf {
        let folder = std::env::temp_dir().join(format!("demeanor-claim-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).expect("a folder");
        folder
    }

    #[test]
    fn no_output_is_an_input_or_another_output() {
        let folder = folder("law");
        let film = folder.join("film.mp4");
        fs::write(&film, "a film").expect("written");
        fs::create_dir(folder.join("sub")).expect("a folder");
        let mut names = vec![film.clone(), folder.join("sub/../film.mp4")];
        #[cfg(unix)]
        {
            std::os::unix::fs::symlink("film.mp4", folder.join("soft")).expect("a link");
            std::os::unix::fs::symlink(folder.join("soft"), folder.join("twice")).expect("a link");
            fs::hard_link(&film, folder.join("hard")).expect("a link");
            names.extend(["soft", "twice", "hard"].map(|n| folder.join(n)));
        }
        for overwrite in [false, true] {
            for (read, written) in names.iter().flat_map(|a| names.iter().map(move |b| (a, b))) {
                let mut claims = Claims::new(OverwriteArgs { overwrite });
                claims.reads(read);
                let error = claims.writes(written).expect_err("the input").to_string();
                assert!(error.contains("which is read"), "{error}");
            }
        }
        let mut claims = Claims::new(OverwriteArgs { overwrite: false });
        claims.writes(&folder.join("x.csv")).expect("free");
        let mut again = vec![folder.join("x.csv"), folder.join("sub/../x.csv")];
        #[cfg(unix)]
        {
            std::os::unix::fs::symlink("x.csv", folder.join("to-x")).expect("a link to nothing yet");
            again.push(folder.join("to-x"));
        }
        for path in again {
            assert!(claims.writes(&path).expect_err("twice").to_string().contains("two outputs"), "{path:?}");
        }
        claims.writes(&folder.join("y.csv")).expect("free");
        assert!(claims.writes(&folder).is_err(), "a folder");
        fs::remove_dir_all(&folder).expect("removed");
    }

    #[test]
    fn what_is_there_is_replaced_only_when_asked() {
        let folder = folder("there");
        let (full, empty) = (folder.join("full.csv"), folder.join("empty.csv"));
        fs::write(&full, "1").expect("written");
        fs::write(&empty, "").expect("written");
        let mut claims = Claims::new(OverwriteArgs { overwrite: false });
        assert!(claims.writes(&full).expect_err("there").to_string().contains("--overwrite"));
        claims.writes(&empty).expect("nothing is lost");
        Claims::new(OverwriteArgs { overwrite: true }).writes(&full).expect("asked");
        fs::remove_dir_all(&folder).expect("removed");
    }

    #[cfg(unix)]
    #[test]
    fn nothing_is_lost_in_dev_null() {
        let mut claims = Claims::default();
        claims.writes(Path::new("/dev/null")).expect("takes all");
        claims.writes(Path::new("/dev/null")).expect("takes all");
    }
}
