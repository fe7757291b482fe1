//! Live connections: frames and sound come in with their times, estimates go out. Of the frames only the newest waits.

use std::collections::VecDeque;
use std::io::Cursor;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use axum::extract::State;
use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade, close_code};
use axum::http::StatusCode;
use axum::response::Response;
use demeanor::estimate::EstimateRecord;
use demeanor::pipeline::Pipeline;
use demeanor::{Audio, Hz, Picture};
use demeanor_media::picture;
use serde::{Deserialize, Serialize};
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio::time::timeout;

use super::message::{Piece, parse};
use super::problem::Problem;
use super::watched::{Watched, watched};
use super::{App, Hub};

/// A client that says nothing for so long is gone.
const SILENT: Duration = Duration::from_secs(60);
/// A client that takes nothing for so long is gone.
pub const SLOW: Duration = Duration::from_secs(10);
/// A client that must show a token first does so within this time.
const FIRST: Duration = Duration::from_secs(10);
/// The most bytes of a message.
const LARGEST: usize = 16 << 20;
/// How much sound may wait; what is older is dropped.
const MOST_SOUND: usize = 64;

/// What a client may say: first where a token is asked for, and whoever watches another connection names it so.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hello {
    token: Option<String>,
    /// The key of the live connection to watch.
    pub key: Option<String>,
    /// The lowest score of a reading, 0 to 1, from now on.
    min_score: Option<f32>,
}

impl Hello {
    /// Sets what it asks for.
    fn set(&self, min_score: &AtomicU32) -> Result<(), String> {
        match self.min_score {
            Some(score) if !(0.0..=1.0).contains(&score) => {
                Err(format!("min_score is {score}; expected a number from 0 to 1"))
            }
            Some(score) => {
                min_score.store(score.to_bits(), Ordering::Relaxed);
                Ok(())
            }
            None => Ok(()),
        }
    }
}

/// The first message of the server.
#[derive(Debug, Serialize)]
struct Welcome<'a> {
    /// By which others may watch this connection.
    key: &'a str,
}

/// Something that went wrong and does not end the connection.
#[derive(Debug, Serialize)]
struct Wrong {
    error: String,
}

/// Where what comes waits for the thread that reads.
#[derive(Debug, Default)]
struct Waiting {
    frame: Option<(Duration, Piece)>,
    sound: VecDeque<(Duration, Piece)>,
    dropped: u64,
    closed: bool,
}

#[derive(Debug, Default)]
struct Inbox {
    waiting: Mutex<Waiting>,
    came: Condvar,
}

impl Inbox {
    fn put(&self, time: Duration, piece: Piece) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if let Piece::Sound(..) = piece {
            waiting.sound.push_back((time, piece));
            if waiting.sound.len() > MOST_SOUND {
                waiting.sound.pop_front();
            }
        } else if waiting.frame.replace((time, piece)).is_some() {
            waiting.dropped += 1;
        }
        self.came.notify_one();
    }

    fn close(&self) {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).closed = true;
        self.came.notify_one();
    }

    /// What waits: all sound, then the newest frame, and how many frames it replaced; none when it is closed.
    fn take(&self) -> Option<(Vec<(Duration, Piece)>, u64)> {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        while waiting.frame.is_none() && waiting.sound.is_empty() && !waiting.closed {
            waiting = self.came.wait(waiting).unwrap_or_else(PoisonError::into_inner);
        }
        if waiting.closed {
            return None;
        }
        let mut all: Vec<_> = waiting.sound.drain(..).collect();
        all.extend(waiting.frame.take());
        Some((all, std::mem::take(&mut waiting.dropped)))
    }
}

/// Reads what comes until the connection is closed. Lines of JSON go to `out` and to those who watch.
fn read(
    inbox: &Inbox,
    mut pipeline: Pipeline,
    min_score: &AtomicU32,
    memory: u64,
    out: &mpsc::Sender<Arc<str>>,
    watch: &Watched,
    app: &App,
) {
    let (mut last, mut frames) = (Duration::ZERO, 0u64);
    let tell = |text: String| {
        let line: Arc<str> = text.into();
        let _ = watch.send(Arc::clone(&line));
        out.blocking_send(line).is_ok()
    };
    while let Some((pieces, dropped)) = inbox.take() {
        let mut seen = false;
        for (time, piece) in pieces {
            let read = match piece {
                Piece::Sound(rate, channels, samples) => {
                    Audio::new(&samples, channels, Hz(rate)).and_then(|audio| pipeline.hear(&audio, time))
                }
                frame => {
                    let picture = match frame {
                        Piece::File(bytes) => picture::read_within(Cursor::new(&bytes), memory).map(|o| o.picture),
                        Piece::Pixels(width, height, layout, pixels) => {
                            Picture::new(pixels.into(), width, height, layout)
                        }
                        Piece::Sound(..) => continue,
                    };
                    // a clock that goes back a little is a client's fault, not the end of the connection
                    last = last.max(time);
                    seen = true;
                    picture.and_then(|picture| pipeline.see(&picture.frame(), last))
                }
            };
            if let Err(error) = read {
                let wrong = Wrong { error: error.to_string() };
                if !tell(serde_json::to_string(&wrong).unwrap_or_default()) {
                    return;
                }
                seen = false;
            }
        }
        frames += u64::from(seen);
        app.hub.metrics.frames(u64::from(seen), dropped);
        pipeline.utterances().for_each(drop);
        let estimate = pipeline.estimate();
        let record = EstimateRecord::new(
            &estimate,
            estimate.time,
            seen.then_some(frames),
            1.0,
            f32::from_bits(min_score.load(Ordering::Relaxed)),
        );
        if !tell(serde_json::to_string(&record).unwrap_or_default()) {
            return;
        }
    }
}

/// The first message, where one is needed or comes at once.
pub async fn hello(socket: &mut WebSocket) -> Option<Hello> {
    match timeout(FIRST, socket.recv()).await {
        Ok(Some(Ok(Message::Text(text)))) => serde_json::from_str(&text).ok(),
        _ => None,
    }
}

pub async fn refuse(mut socket: WebSocket, code: u16, reason: &'static str) {
    let frame = CloseFrame { code, reason: reason.into() };
    let _ = timeout(SLOW, socket.send(Message::Close(Some(frame)))).await;
}

/// Whether the token was shown: in the header of the request, or in the first message.
pub async fn shown(hub: &Hub, by_header: bool, socket: &mut WebSocket) -> Result<Option<Hello>, ()> {
    if hub.guard.token.is_none() || by_header {
        return Ok(None);
    }
    let hello = hello(socket).await.ok_or(())?;
    if hub.guard.is_token(hello.token.as_deref().unwrap_or_default()) { Ok(Some(hello)) } else { Err(()) }
}

/// `WS /v1/live`.
pub async fn live(
    State(app): State<App>,
    headers: axum::http::HeaderMap,
    upgrade: WebSocketUpgrade,
) -> Result<Response, Problem> {
    let (by_header, room) = (app.hub.guard.token(&headers).is_ok(), room(&app.hub)?);
    let upgrade = upgrade.max_message_size(LARGEST).max_frame_size(LARGEST);
    Ok(upgrade.on_upgrade(move |socket| async move {
        serve(app, by_header, socket).await;
        drop(room);
    }))
}

/// Room for a WebSocket, which leaves that of its request when it begins.
pub fn room(hub: &Hub) -> Result<OwnedSemaphorePermit, Problem> {
    let none = |_| Problem::new(StatusCode::SERVICE_UNAVAILABLE, "as many are connected as may be; ask again later");
    Arc::clone(&hub.room).try_acquire_owned().map_err(none)
}

async fn serve(app: App, by_header: bool, mut socket: WebSocket) {
    let Ok(first) = shown(&app.hub, by_header, &mut socket).await else {
        return refuse(socket, close_code::POLICY, "expected the server's token first: {\"token\": \"...\"}").await;
    };
    let _counted = Counted::new(&app.hub);
    let Ok(pipeline) = app.senses.pipeline_of(app.models.clone()) else {
        return refuse(socket, close_code::ERROR, "the pipeline cannot begin").await;
    };
    let min_score = Arc::new(AtomicU32::new(app.senses.min_score.to_bits()));
    let mut wrong = first.and_then(|hello| hello.set(&min_score).err());
    let (key, watch) = (super::random_name(16), watched());
    app.hub.live().insert(key.clone(), watch.clone());
    let inbox = Arc::new(Inbox::default());
    let (out, mut lines) = mpsc::channel::<Arc<str>>(4);
    let reader = {
        let (inbox, app, memory) = (Arc::clone(&inbox), app.clone(), app.limits.memory);
        let min_score = Arc::clone(&min_score);
        std::thread::spawn(move || read(&inbox, pipeline, &min_score, memory, &out, &watch, &app))
    };
    let welcome = serde_json::to_string(&Welcome { key: &key }).unwrap_or_default();
    let mut open = send(&mut socket, welcome.into()).await;
    let mut stop = app.hub.stop.subscribe();
    while open {
        if let Some(error) = wrong.take() {
            let text = serde_json::to_string(&Wrong { error }).unwrap_or_default();
            open = send(&mut socket, text.into()).await;
            continue;
        }
        tokio::select! {
            line = lines.recv() => match line {
                Some(line) => open = send(&mut socket, Message::Text((&*line).into())).await,
                None => open = false,
            },
            came = timeout(SILENT, socket.recv()) => match came {
                Ok(Some(Ok(Message::Binary(bytes)))) => match parse(&bytes) {
                    Ok((time, piece)) => inbox.put(time, piece),
                    Err(error) => wrong = Some(error),
                },
                // a token that nobody asked for is no fault
                Ok(Some(Ok(Message::Text(text)))) => wrong = match serde_json::from_str::<Hello>(&text) {
                    Ok(hello) => hello.set(&min_score).err(),
                    Err(error) => Some(format!(
                        "a text message is JSON with token or min_score, frames and sound are binary messages: {error}"
                    )),
                },
                Ok(Some(Ok(Message::Close(_)))) | Ok(Some(Err(_))) | Ok(None) | Err(_) => open = false,
                Ok(Some(Ok(_))) => {}
            },
            _ = stop.changed() => open = false,
        }
    }
    inbox.close();
    drop(lines);
    app.hub.live().remove(&key);
    let _ = timeout(SLOW, socket.send(Message::Close(None))).await;
    let _ = tokio::task::spawn_blocking(move || reader.join()).await;
}

pub async fn send(socket: &mut WebSocket, message: Message) -> bool {
    matches!(timeout(SLOW, socket.send(message)).await, Ok(Ok(())))
}

/// A live connection that is counted as long as it is there.
struct Counted(Arc<Hub>);

impl Counted {
    fn new(hub: &Arc<Hub>) -> Counted {
        hub.metrics.live.fetch_add(1, Ordering::Relaxed);
        Counted(Arc::clone(hub))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.metrics.live.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use axum::body::Bytes;

    use super::*;

    #[test]
    fn the_newest_frame_waits_and_all_sound() {
        let inbox = Inbox::default();
        for i in 0..3u8 {
            inbox.put(Duration::from_millis(i.into()), Piece::File(Bytes::copy_from_slice(&[i])));
            inbox.put(Duration::from_millis(i.into()), Piece::Sound(16_000, 1, vec![0.0]));
        }
        let (pieces, dropped) = inbox.take().unwrap();
        assert_eq!((pieces.len(), dropped), (4, 2));
        assert_eq!(pieces[3].1, Piece::File(Bytes::from_static(&[2])));
        inbox.close();
        assert!(inbox.take().is_none());
    }
}
