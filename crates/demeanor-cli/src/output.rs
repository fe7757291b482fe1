//! Files that a command writes while it works: whole in the end, or not there.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// A file under a temporary name until [`Output::finish`], or stdout.
pub struct Output {
    path: PathBuf,
    temporary: Option<PathBuf>,
    writer: Option<BufWriter<Box<dyn Write + Send>>>,
}

impl Output {
    /// Begins a file; `-` is stdout. What is no plain file, such as a device or a pipe, is written directly.
    ///
    /// # Errors
    /// When it cannot be created.
    pub fn create(path: &Path) -> Result<Output> {
        let cannot = || format!("cannot write {}", path.display());
        if path.as_os_str() == "-" {
            let stdout: Box<dyn Write + Send> = Box::new(io::stdout());
            return Ok(Output { path: path.to_owned(), temporary: None, writer: Some(BufWriter::new(stdout)) });
        }
        let direct = fs::metadata(path).is_ok_and(|m| !m.is_file());
        let temporary = if direct { None } else { Some(temporary(path)) };
        let target = temporary.as_deref().unwrap_or(path);
        let file = if direct { File::options().write(true).open(target) } else { File::create(target) };
        let writer: Box<dyn Write + Send> = Box::new(file.with_context(cannot)?);
        Ok(Output { path: path.to_owned(), temporary, writer: Some(BufWriter::new(writer)) })
    }

    /// Writes with `fill`, saying which file it was when that fails.
    ///
    /// # Errors
    /// As `fill`.
    pub fn write(&mut self, fill: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<()> {
        let Some(writer) = &mut self.writer else { return Ok(()) };
        fill(writer).with_context(|| format!("cannot write {}", self.path.display()))
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
        drop(self.writer.take());
        if let Some(temporary) = self.temporary.take() {
            fs::rename(&temporary, &self.path)
                .inspect_err(|_| {
                    let _ = fs::remove_file(&temporary);
                })
                .with_context(|| format!("cannot write {}", self.path.display()))?;
        }
        Ok(())
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        if let Some(temporary) = self.temporary.take() {
            drop(self.writer.take());
            let _ = fs::remove_file(temporary);
        }
    }
}

/// The temporary name of a file: beside it, with the same extension, which some programs go by.
pub fn temporary(path: &Path) -> PathBuf {
    let mut name = std::ffi::OsString::from(format!(".{}-", std::process::id()));
    name.push(path.file_name().unwrap_or_default());
    path.with_file_name(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_there_whole_or_not_at_all() {
        let folder = std::env::temp_dir().join(format!("demeanor-output-{}", std::process::id()));
        fs::create_dir_all(&folder).expect("a folder");
        let path = folder.join("x.csv");
        let mut output = Output::create(&path).expect("created");
        output.write(|w| w.write_all(b"1")).expect("written");
        assert!(!path.exists());
        drop(output);
        assert_eq!(fs::read_dir(&folder).expect("a folder").count(), 0);
        let mut output = Output::create(&path).expect("created");
        output.write(|w| w.write_all(b"12")).expect("written");
        output.finish().expect("finished");
        assert_eq!(fs::read(&path).expect("a file"), b"12");
        assert_eq!(fs::read_dir(&folder).expect("a folder").count(), 1);
        assert!(Output::create(&folder.join("none/x.csv")).is_err());
        fs::remove_dir_all(&folder).expect("removed");
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_full_disk_is_an_error() {
        let mut output = Output::create(Path::new("/dev/full")).expect("opened");
        output.write(|w| w.write_all(b"some text")).expect("buffered");
        let error = format!("{:#}", output.finish().expect_err("the disk is full"));
        assert!(error.contains("/dev/full") && error.contains("No space"), "{error}");
    }
}
