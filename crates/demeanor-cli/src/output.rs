//! Files that a command writes while it works: whole in the end, or not there.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow};
use tempfile::{NamedTempFile, TempPath};

use crate::claim::resolved;
use crate::terminal;

/// A file under a temporary name until [`Output::finish`], or stdout.
pub struct Output {
    path: PathBuf,
    writer: Writer,
}

enum Writer {
    /// Stdout, a device or a pipe: written directly.
    Direct(BufWriter<Box<dyn Write + Send>>),
    /// A new file, and whether it may replace one.
    New(BufWriter<NamedTempFile>, bool),
}

impl Output {
    /// Begins a file; `-` is stdout. What is no plain file, such as a device or a pipe, is written directly.
    ///
    /// # Errors
    /// When it cannot be created.
    pub fn create(path: &Path, overwrite: bool) -> Result<Output> {
        let direct = |w: Box<dyn Write + Send>| Writer::Direct(BufWriter::new(w));
        let target = resolved(path);
        let writer = if path.as_os_str() == "-" {
            direct(Box::new(io::stdout()))
        } else if fs::metadata(&target).is_ok_and(|m| !m.is_file()) {
            direct(Box::new(File::options().write(true).open(&target).with_context(|| cannot(path))?))
        } else {
            Writer::New(BufWriter::new(temporary(&target).with_context(|| cannot(path))?), overwrite)
        };
        Ok(Output { path: path.to_owned(), writer })
    }

    /// Writes with `fill`, saying which file it was when that fails.
    ///
    /// # Errors
    /// As `fill`.
    pub fn write(&mut self, fill: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<()> {
        match &mut self.writer {
            Writer::Direct(writer) => fill(writer),
            Writer::New(writer, _) => fill(writer),
        }
        .with_context(|| cannot(&self.path))
    }

    /// Passes on what was written so far.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn flush(&mut self) -> Result<()> {
        self.write(|w| w.flush())
    }

    /// Ends the file and gives it its name.
    ///
    /// # Errors
    /// When the last of it cannot be written; then nothing is left.
    pub fn finish(mut self) -> Result<()> {
        self.flush()?;
        match self.writer {
            Writer::Direct(_) => Ok(()),
            Writer::New(writer, overwrite) => {
                let file =
                    writer.into_inner().map_err(|e| anyhow!(e.into_error())).with_context(|| cannot(&self.path))?;
                let synced = file.as_file().sync_all();
                let named = synced.and_then(|()| name(file.into_temp_path(), &resolved(&self.path), overwrite));
                named.with_context(|| cannot(&self.path))
            }
        }
    }
}

fn cannot(path: &Path) -> String {
    if path.as_os_str() == "-" {
        "cannot write to stdout".to_owned()
    } else {
        format!("cannot write {}", terminal::shown(path))
    }
}

/// An output beside others: when it fails that is said, and the others go on.
#[derive(Default)]
pub struct Sink {
    output: Option<Output>,
    failed: bool,
}

impl Sink {
    /// Begins a file, where one is wanted.
    ///
    /// # Errors
    /// As [`Output::create`].
    pub fn create(path: Option<&Path>, overwrite: bool) -> Result<Sink> {
        let output = path.map(|path| Output::create(path, overwrite)).transpose()?;
        Ok(Sink { output, failed: false })
    }

    /// Writes with `fill`, if anybody still reads it.
    pub fn write(&mut self, fill: impl FnOnce(&mut dyn Write) -> io::Result<()>) {
        if let Some(output) = &mut self.output
            && let Err(error) = output.write(fill)
        {
            self.fails(&error);
        }
    }

    /// Passes on what was written so far.
    pub fn flush(&mut self) {
        self.write(|w| w.flush());
    }

    /// Ends the file and gives it its name.
    pub fn finish(&mut self) {
        if let Some(output) = self.output.take()
            && let Err(error) = output.finish()
        {
            self.fails(&error);
        }
    }

    /// Whether it still takes something.
    pub fn is_open(&self) -> bool {
        self.output.is_some()
    }

    /// Whether it failed. A reader of stdout that has seen enough is no failure.
    pub fn has_failed(&self) -> bool {
        self.failed
    }

    fn fails(&mut self, error: &anyhow::Error) {
        self.output = None;
        if !terminal::is_closed_pipe(error) {
            terminal::problem(terminal::whole(error));
            self.failed = true;
        }
    }
}

/// What a command prints. Where nothing else is written an error ends the command; beside files they are completed.
pub struct Results {
    output: Option<Output>,
    alone: bool,
    failed: bool,
}

impl Results {
    /// Stdout, `alone` or beside files.
    ///
    /// # Errors
    /// As [`Output::create`].
    pub fn create(alone: bool) -> Result<Results> {
        Ok(Results { output: Some(Output::create(Path::new("-"), false)?), alone, failed: false })
    }

    /// Prints, at once.
    ///
    /// # Errors
    /// When stdout takes nothing more, and that was all.
    pub fn write(&mut self, bytes: &[u8]) -> Result<()> {
        let Some(output) = &mut self.output else { return Ok(()) };
        let written = output.write(|w| w.write_all(bytes)).and_then(|()| output.flush());
        let Err(error) = written else { return Ok(()) };
        self.output = None;
        if self.alone {
            return Err(error);
        }
        if !terminal::is_closed_pipe(&error) {
            terminal::problem(terminal::whole(&error));
            self.failed = true;
        }
        Ok(())
    }

    /// Whether something could not be printed.
    pub fn has_failed(&self) -> bool {
        self.failed
    }
}

/// A new file beside the one that it will be, with the same ending, which some programs go by.
///
/// # Errors
/// When it cannot be created.
pub fn temporary(target: &Path) -> io::Result<NamedTempFile> {
    let folder = target.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut ending = OsString::new();
    if let Some(extension) = target.extension().filter(|e| e.len() < 100) {
        ending.push(".");
        ending.push(extension);
    }
    let mut builder = tempfile::Builder::new();
    builder.prefix(".demeanor-").suffix(&ending);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        // what any other new file has; the mask of the process applies
        builder.permissions(fs::Permissions::from_mode(0o666));
    }
    builder.tempfile_in(folder)
}

/// Gives a finished file its name; one that has it already is replaced with `overwrite`, or when it is empty.
///
/// # Errors
/// When it cannot be named so; then it is removed.
pub fn name(file: TempPath, target: &Path, overwrite: bool) -> io::Result<()> {
    if overwrite || fs::metadata(target).is_ok_and(|m| m.is_file() && m.len() == 0) {
        file.persist(target).map_err(|e| e.error)
    } else {
        file.persist_noclobber(target).map_err(|e| e.error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_there_whole_or_not_at_all() {
        let folder = tempfile::tempdir().expect("a folder");
        let files = || fs::read_dir(folder.path()).expect("a folder").count();
        // the longest name that file systems take
        let path = folder.path().join("x".repeat(251) + ".csv");
        let mut output = Output::create(&path, false).expect("created");
        output.write(|w| w.write_all(b"1")).expect("written");
        assert!(!path.exists());
        drop(output);
        assert_eq!(files(), 0);
        let mut output = Output::create(&path, false).expect("created");
        output.write(|w| w.write_all(b"12")).expect("written");
        output.finish().expect("finished");
        assert_eq!(fs::read(&path).expect("a file"), b"12");
        assert_eq!(files(), 1);
        assert!(Output::create(&folder.path().join("none/x.csv"), false).is_err());
        // what came to be meanwhile is not replaced unasked
        let finished = Output::create(&path, false).expect("created").finish();
        assert!(finished.is_err() && files() == 1);
        assert_eq!(fs::read(&path).expect("a file"), b"12");
        Output::create(&path, true).expect("created").finish().expect("asked");
        assert_eq!(fs::read(&path).expect("a file"), b"");
    }

    #[cfg(unix)]
    #[test]
    fn a_link_stays_a_link() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().expect("a folder");
        let (link, target) = (folder.path().join("link.csv"), folder.path().join("target.csv"));
        std::os::unix::fs::symlink("target.csv", &link).expect("a link");
        for overwrite in [false, true] {
            let mut output = Output::create(&link, overwrite).expect("created");
            output.write(|w| w.write_all(b"1")).expect("written");
            output.finish().expect("finished");
            assert!(link.is_symlink() && target.is_file() && !target.is_symlink());
        }
        let mode = fs::metadata(&target).expect("a file").permissions().mode();
        let usual = folder.path().join("usual");
        fs::write(&usual, "").expect("written");
        assert_eq!(mode, fs::metadata(&usual).expect("a file").permissions().mode());
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_full_disk_is_an_error_and_stops_no_other_output() {
        let mut output = Output::create(Path::new("/dev/full"), false).expect("opened");
        output.write(|w| w.write_all(b"some text")).expect("buffered");
        let error = format!("{:#}", output.finish().expect_err("the disk is full"));
        assert!(error.contains("/dev/full") && error.contains("No space"), "{error}");
        let mut sink = Sink::create(Some(Path::new("/dev/full")), false).expect("opened");
        sink.write(|w| w.write_all(&[b' '; 100_000]));
        assert!(sink.has_failed() && !sink.is_open());
        sink.write(|w| w.write_all(b"more"));
        sink.finish();
    }
}
