//! The record of a live session, which cannot be had again: it stands under its own name from the first line, each line is
//! written whole and at once, and once a second it is brought to the disk.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};

use crate::claim::resolved;
use crate::terminal;

/// The most that a power cut loses.
const SYNC_EVERY: Duration = Duration::from_secs(1);

/// A file of lines, followed while it grows.
pub struct Record {
    path: PathBuf,
    file: Option<File>,
    /// Bytes of whole lines.
    length: u64,
    lines: u64,
    /// Kept open as long as something is to be brought to the disk.
    stop: Option<Sender<()>>,
    syncer: Option<JoinHandle<()>>,
    /// Why the disk did not take it.
    problem: Arc<Mutex<Option<io::Error>>>,
}

impl Record {
    /// Begins a record; it has been claimed, so that a file which is there may be replaced.
    ///
    /// # Errors
    /// When the file cannot be created.
    pub fn create(path: &Path) -> Result<Record> {
        let cannot = || format!("cannot write {}", terminal::shown(path));
        let target = resolved(path);
        let plain = target.metadata().is_ok_and(|m| m.is_file()) || !target.exists();
        let file = if plain { File::create(&target) } else { File::options().write(true).open(&target) };
        let file = file.with_context(cannot)?;
        let problem: Arc<Mutex<Option<io::Error>>> = Arc::default();
        let (mut stop, mut syncer) = (None, None);
        if plain {
            let copy = file.try_clone().with_context(cannot)?;
            let (send, stopped) = channel();
            let problem = Arc::clone(&problem);
            syncer = Some(std::thread::spawn(move || {
                loop {
                    let wait = stopped.recv_timeout(SYNC_EVERY);
                    if let Err(error) = copy.sync_data() {
                        *problem.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
                        return;
                    }
                    if wait != Err(RecvTimeoutError::Timeout) {
                        return;
                    }
                }
            }));
            stop = Some(send);
        }
        Ok(Record { path: path.to_owned(), file: Some(file), length: 0, lines: 0, stop, syncer, problem })
    }

    /// Adds a line, which ends with its line feed.
    ///
    /// # Errors
    /// When it cannot be written. The record is closed then and holds all lines before this one; later ones are not taken.
    pub fn line(&mut self, line: &[u8]) -> Result<()> {
        let Some(file) = &mut self.file else { return Ok(()) };
        let late = self.problem.lock().unwrap_or_else(PoisonError::into_inner).take();
        match late.map_or_else(|| file.write_all(line), Err) {
            Ok(()) => {
                self.length += line.len() as u64;
                self.lines += 1;
                Ok(())
            }
            Err(error) => {
                // half a line is none
                let _ = file.set_len(self.length);
                Err(self.ended(error))
            }
        }
    }

    /// Ends the record.
    ///
    /// # Errors
    /// When the last of it does not come to the disk.
    pub fn finish(mut self) -> Result<()> {
        self.close();
        let late = self.problem.lock().unwrap_or_else(PoisonError::into_inner).take();
        late.map_or(Ok(()), |error| Err(self.ended(error)))
    }

    /// Whether it still takes lines.
    pub fn is_open(&self) -> bool {
        self.file.is_some()
    }

    fn ended(&mut self, error: io::Error) -> anyhow::Error {
        self.close();
        let kept = format!("the {} lines until then are kept, and reading goes on", self.lines);
        anyhow!(error).context(format!("{} takes no more; {kept}", terminal::shown(&self.path)))
    }

    fn close(&mut self) {
        self.file = None;
        drop(self.stop.take());
        if let Some(syncer) = self.syncer.take() {
            let _ = syncer.join();
        }
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        self.close();
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn lines_are_there_as_soon_as_they_are_written() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("r.jsonl");
        let mut record = Record::create(&path).expect("created");
        for i in 0..3 {
            record.line(format!("{i}\n").as_bytes()).expect("written");
            assert_eq!(fs::read_to_string(&path).expect("a file").lines().count(), i + 1);
        }
        record.finish().expect("finished");
        assert_eq!(fs::read_to_string(&path).expect("a file"), "0\n1\n2\n");
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_full_device_is_said_once() {
        let mut record = Record::create(Path::new("/dev/full")).expect("opened");
        let error = terminal::whole(&record.line(b"1\n").expect_err("full"));
        assert!(error.contains("/dev/full takes no more; the 0 lines") && error.contains("No space"), "{error}");
        record.line(b"2\n").expect("not taken");
        assert!(!record.is_open());
    }
}
