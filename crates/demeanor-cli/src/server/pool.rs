//! The threads that read: one for each core, each with readers of its own over weights that all share, and a short queue before them.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Result;
use axum::http::StatusCode;
use demeanor::{FaceReader, SpeechReader};
use tokio::sync::oneshot;

use super::problem::Problem;
use crate::senses::Models;

/// What a thread reads with.
pub struct Readers {
    face: Option<FaceReader>,
    speech: Option<SpeechReader>,
}

impl Readers {
    fn new(models: &Models) -> demeanor::Result<Readers> {
        let face = match &models.face {
            Some(model) => Some(FaceReader::new(model.clone())?.with_detector(models.stills()?)),
            None => None,
        };
        let speech = models.speech.clone().map(SpeechReader::new).transpose()?;
        Ok(Readers { face, speech })
    }

    /// Reads faces.
    pub fn face(&mut self) -> Result<&mut FaceReader, Problem> {
        self.face.as_mut().ok_or_else(|| Problem::new(StatusCode::NOT_IMPLEMENTED, "this server has no face model"))
    }

    /// Reads voices.
    pub fn speech(&mut self) -> Result<&mut SpeechReader, Problem> {
        self.speech.as_mut().ok_or_else(|| Problem::new(StatusCode::NOT_IMPLEMENTED, "this server has no speech model"))
    }
}

type Work = Box<dyn FnOnce(&mut Readers) + Send>;

/// Threads and their queue.
#[derive(Debug)]
pub struct Pool {
    queue: SyncSender<Work>,
}

impl Pool {
    /// As many threads, with a queue of twice as many.
    ///
    /// # Errors
    /// When a reader cannot be made of the models.
    pub fn new(models: &Models, threads: usize) -> Result<Pool> {
        let (queue, waiting) = sync_channel::<Work>(2 * threads);
        let waiting = Arc::new(Mutex::new(waiting));
        for _ in 0..threads {
            let (models, waiting) = (models.clone(), Arc::clone(&waiting));
            let mut readers = Readers::new(&models)?;
            std::thread::spawn(move || {
                while let Some(work) = next(&waiting) {
                    // a reader that failed in the middle is not used again
                    if catch_unwind(AssertUnwindSafe(|| work(&mut readers))).is_err() {
                        match Readers::new(&models) {
                            Ok(new) => readers = new,
                            Err(_) => return,
                        }
                    }
                }
            });
        }
        Ok(Pool { queue })
    }

    /// Has a thread do this, and waits for it.
    ///
    /// # Errors
    /// 429 when the queue is full; what `work` gives.
    pub async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Readers) -> Result<T, Problem> + Send + 'static,
    ) -> Result<T, Problem> {
        let (done, wait) = oneshot::channel();
        let work: Work = Box::new(move |readers| {
            // whoever asked may be gone, and then nothing needs to be read
            if !done.is_closed() {
                let _ = done.send(work(readers));
            }
        });
        match self.queue.try_send(work) {
            Ok(()) => {}
            Err(TrySendError::Full(_)) => {
                return Err(Problem::new(
                    StatusCode::TOO_MANY_REQUESTS,
                    "all threads are busy and the queue is full; ask again in a second",
                ));
            }
            Err(TrySendError::Disconnected(_)) => return Err(failed()),
        }
        wait.await.map_err(|_| failed())?
    }
}

fn failed() -> Problem {
    Problem::new(
        StatusCode::INTERNAL_SERVER_ERROR,
        "reading failed for a reason that is a fault of this program; please report it",
    )
}

fn next(waiting: &Mutex<Receiver<Work>>) -> Option<Work> {
    waiting.lock().unwrap_or_else(PoisonError::into_inner).recv().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_full_queue_refuses_and_a_panic_ends_nothing() {
        let pool = Pool::new(&Models::default(), 1).unwrap();
        let problem = pool.read(|_| -> Result<(), Problem> { panic!("on purpose") }).await.unwrap_err();
        assert_eq!(problem.status, StatusCode::INTERNAL_SERVER_ERROR);
        assert_eq!(pool.read(|_| Ok(7)).await.unwrap(), 7);
        let (open, gate) = std::sync::mpsc::channel::<()>();
        let gate = Mutex::new(gate);
        let slow = pool.read(move |_| {
            let _ = gate.lock().unwrap().recv();
            Ok(1)
        });
        tokio::pin!(slow);
        let begun = tokio::time::timeout(std::time::Duration::from_millis(50), &mut slow).await;
        assert!(begun.is_err(), "it waits for the gate");
        let queued: Vec<_> = (0..2).map(|i| Box::pin(pool.read(move |_| Ok(i)))).collect();
        let mut queued = queued;
        for waiting in &mut queued {
            assert!(tokio::time::timeout(std::time::Duration::from_millis(5), waiting).await.is_err());
        }
        assert_eq!(pool.read(|_| Ok(())).await.unwrap_err().status, StatusCode::TOO_MANY_REQUESTS);
        open.send(()).unwrap();
        assert_eq!(slow.await.unwrap(), 1);
        for (i, waiting) in queued.into_iter().enumerate() {
            assert_eq!(waiting.await.unwrap(), i);
        }
    }
}
