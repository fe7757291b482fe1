//! Many sources on many threads: what is said of them comes back in their order, as if they were read one after the other.
//!
//! The first source that is not finished is told of at once; what is said of later ones waits. Threads run only so far ahead.

use std::collections::VecDeque;
use std::num::NonZero;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Condvar, Mutex, PoisonError};
use std::thread::available_parallelism;
use std::time::Duration;

use anyhow::{Result, anyhow};

use crate::interrupt;
use crate::terminal::{self, Interrupted, Outcome};

/// The option of the commands that read many files.
#[derive(Debug, Clone, Copy, Default, clap::Args)]
pub struct ThreadArgs {
    /// Read so many files at once [default: as many as there are cores]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: Option<u16>,
}

impl ThreadArgs {
    /// How many threads so many sources get.
    pub fn count(self, sources: usize) -> usize {
        let cores = || available_parallelism().map_or(1, NonZero::get);
        self.threads.map_or_else(cores, usize::from).min(sources).max(1)
    }
}

/// How many messages may wait for the one who tells.
const WAITING: usize = 64;

/// How many sources for each thread are read before the first one is finished.
const AHEAD: usize = 32;

/// What is said of a source.
#[derive(Debug)]
pub enum Said<T> {
    /// Results.
    Told(T),
    /// Something beside them.
    Note(String),
    /// Something that is not right.
    Warning(String),
    /// Something that failed, while the source goes on.
    Problem(String),
}

enum Message<T> {
    Said(Said<T>),
    /// The share of it that is read, 0 to 1.
    Read(f64),
    /// Whether something was read in it.
    Ended(Result<bool>),
}

/// How a reader of a source says something of it.
pub struct Teller<'a, T> {
    number: usize,
    sender: &'a SyncSender<(usize, Message<T>)>,
    stopped: &'a AtomicBool,
}

impl<T> Teller<'_, T> {
    /// Says something.
    ///
    /// # Errors
    /// When nobody listens any more.
    pub fn say(&self, said: Said<T>) -> Result<()> {
        self.sender.send((self.number, Message::Said(said))).map_err(|_| anyhow!("nobody listens"))
    }

    /// Says how much of the source is read, 0 to 1.
    pub fn read(&self, share: f64) {
        // it is only progress: when many wait to be heard it can be left out
        let _ = self.sender.try_send((self.number, Message::Read(share)));
    }

    /// Whether all is to end.
    pub fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Relaxed) || interrupt::asked()
    }
}

/// Who hears what is said, in the order of the sources.
pub trait Tell<T> {
    /// Something is said of a source.
    ///
    /// # Errors
    /// What ends the command, such as a closed pipe.
    fn tell(&mut self, source: usize, told: T) -> Result<()>;

    /// A source failed.
    ///
    /// # Errors
    /// As [`Tell::tell`].
    fn failed(&mut self, source: usize, error: &anyhow::Error) -> Result<()>;

    /// So many of all sources are read, in whole and parts; called a few times a second.
    fn progress(&mut self, read: f64, ended: usize);

    /// Something else is about to be said on stderr.
    fn clear(&mut self);
}

/// What came of all of them.
#[derive(Debug, Clone, Copy, Default)]
pub struct Came {
    /// Whether something was read in any.
    pub any: bool,
    /// Whether any failed.
    pub failed: bool,
    /// How many were read, with what was found or not.
    pub ended: usize,
}

impl Came {
    /// How the command ends, where something else failed or not; `what` says what became of those of `count` that were read.
    ///
    /// # Errors
    /// [`Interrupted`] when somebody asked for the end before all were read.
    pub fn end(self, count: usize, what: &str, failed: bool) -> Result<Outcome> {
        if interrupt::asked() && self.ended < count {
            return Err(Interrupted(format!("interrupted: {} of {count} {what}", self.ended)).into());
        }
        Ok(self.outcome(failed))
    }

    fn outcome(self, failed: bool) -> Outcome {
        match (self.failed || failed, self.any) {
            (true, _) => Outcome::Failed,
            (false, true) => Outcome::Read,
            (false, false) => Outcome::Nothing,
        }
    }
}

/// Reads `count` sources on so many threads. `make` gives each thread what it reads with, and `work` reads a source with it,
/// and says whether there was something; what cannot be read does not stop the others. Ends early when Ctrl-C asks for it.
///
/// # Errors
/// Those of `make` and of `teller`.
pub fn spread<W: Send, T: Send>(
    count: usize,
    threads: usize,
    make: impl Fn() -> Result<W> + Sync,
    work: impl Fn(&mut W, usize, &Teller<'_, T>) -> Result<bool> + Sync,
    teller: &mut impl Tell<T>,
) -> Result<Came> {
    let (sender, receiver) = sync_channel::<(usize, Message<T>)>(WAITING);
    let next = AtomicUsize::new(0);
    let stopped = AtomicBool::new(false);
    let finished = (Mutex::new(0usize), Condvar::new());
    let lock = || finished.0.lock().unwrap_or_else(PoisonError::into_inner);
    // made before anything is read, so that what is wrong with all is said once
    let mut workers = (0..threads).map(|_| make()).collect::<Result<Vec<W>>>()?;
    std::thread::scope(|scope| {
        for worker in workers.drain(..) {
            let sender = sender.clone();
            let (next, stopped, finished, work) = (&next, &stopped, &finished, &work);
            let mut worker = worker;
            scope.spawn(move || {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    let teller = Teller { number, sender: &sender, stopped };
                    if number >= count {
                        return;
                    }
                    let mut done = finished.0.lock().unwrap_or_else(PoisonError::into_inner);
                    while number >= *done + threads * AHEAD && !teller.is_stopped() {
                        let wait = finished.1.wait_timeout(done, Duration::from_millis(200));
                        done = wait.unwrap_or_else(PoisonError::into_inner).0;
                    }
                    drop(done);
                    if teller.is_stopped() {
                        return;
                    }
                    let ended = work(&mut worker, number, &teller);
                    if sender.send((number, Message::Ended(ended))).is_err() {
                        return;
                    }
                }
            });
        }
        drop(sender);
        let told = hear(count, &receiver, teller, |ended| {
            *lock() = ended;
            finished.1.notify_all();
        });
        stopped.store(true, Ordering::Relaxed);
        // whoever still has something to say finds nobody
        drop(receiver);
        finished.1.notify_all();
        told
    })
}

fn hear<T>(
    count: usize,
    receiver: &std::sync::mpsc::Receiver<(usize, Message<T>)>,
    teller: &mut impl Tell<T>,
    mut ended: impl FnMut(usize),
) -> Result<Came> {
    let mut came = Came::default();
    // of the first source that is not finished, and of those behind it
    let mut waiting: VecDeque<VecDeque<Message<T>>> = VecDeque::new();
    let (mut first, mut over) = (0, 0);
    let mut shares = vec![0.0f64; count];
    loop {
        match receiver.recv_timeout(Duration::from_millis(200)) {
            Ok((number, Message::Read(share))) => shares[number] = share.clamp(0.0, 1.0),
            Ok((number, message)) => {
                if matches!(message, Message::Ended(_)) {
                    shares[number] = 1.0;
                    over += 1;
                }
                let place = number - first;
                if waiting.len() <= place {
                    waiting.resize_with(place + 1, VecDeque::new);
                }
                waiting[place].push_back(message);
                while let Some(message) = waiting.front_mut().and_then(VecDeque::pop_front) {
                    if say(first, message, &mut came, teller)? {
                        waiting.pop_front();
                        first += 1;
                        ended(first);
                    }
                }
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => break,
        }
        teller.progress(shares.iter().sum(), over);
    }
    teller.clear();
    // after Ctrl-C: those behind one that was not begun any more
    for (number, messages) in (first..).zip(waiting) {
        for message in messages {
            say(number, message, &mut came, teller)?;
        }
    }
    Ok(came)
}

/// Says something of a source; whether that finishes it.
fn say<T>(source: usize, message: Message<T>, came: &mut Came, teller: &mut impl Tell<T>) -> Result<bool> {
    teller.clear();
    match message {
        Message::Said(Said::Told(told)) => teller.tell(source, told)?,
        Message::Said(Said::Note(text)) => terminal::note(text),
        Message::Said(Said::Warning(text)) => terminal::warn(text),
        Message::Said(Said::Problem(text)) => {
            terminal::problem(text);
            came.failed = true;
        }
        Message::Read(_) => {}
        Message::Ended(Ok(any)) => {
            came.any |= any;
            came.ended += 1;
            return Ok(true);
        }
        Message::Ended(Err(error)) => {
            teller.failed(source, &error)?;
            came.failed = true;
            came.ended += 1;
            return Ok(true);
        }
    }
    Ok(false)
}

#[cfg(test)]
mod tests {
    use anyhow::bail;

    use super::*;

    #[derive(Default)]
    struct Heard {
        told: Vec<(usize, usize)>,
        failed: Vec<usize>,
        stop_at: Option<usize>,
    }

    impl Tell<usize> for Heard {
        fn tell(&mut self, source: usize, told: usize) -> Result<()> {
            self.told.push((source, told));
            if self.stop_at == Some(self.told.len()) {
                bail!("enough");
            }
            Ok(())
        }

        fn failed(&mut self, source: usize, _: &anyhow::Error) -> Result<()> {
            self.failed.push(source);
            Ok(())
        }

        fn progress(&mut self, read: f64, ended: usize) {
            assert!(read >= ended as f64 - 1e-9);
        }

        fn clear(&mut self) {}
    }

    fn work(pace: &mut u64, number: usize, teller: &Teller<'_, usize>) -> Result<bool> {
        // some take longer than others
        std::thread::sleep(Duration::from_micros((number as u64 * 7919 + *pace * 31) % 400));
        for i in 0..3 {
            teller.say(Said::Told(i))?;
            teller.read(i as f64 / 3.0);
        }
        if number % 10 == 3 {
            bail!("broken");
        }
        Ok(number == 50)
    }

    #[test]
    fn what_is_said_comes_in_the_order_of_the_sources() {
        for threads in [1, 2, 7] {
            let mut heard = Heard::default();
            let came = spread(101, threads, || Ok(threads as u64), work, &mut heard).expect("none stops it");
            assert_eq!(heard.told, (0..101).flat_map(|i| (0..3).map(move |k| (i, k))).collect::<Vec<_>>());
            assert_eq!(heard.failed, (0..101).filter(|i| i % 10 == 3).collect::<Vec<_>>());
            assert!(came.any && came.failed && came.ended == 101);
            assert_eq!(came.outcome(false), Outcome::Failed);
        }
    }

    #[test]
    fn it_ends_when_nobody_listens() {
        let mut heard = Heard { stop_at: Some(20), ..Heard::default() };
        let error = spread(10_000, 4, || Ok(1), work, &mut heard).expect_err("it was stopped");
        assert_eq!(error.to_string(), "enough");
        assert_eq!(heard.told.len(), 20);
    }
}
