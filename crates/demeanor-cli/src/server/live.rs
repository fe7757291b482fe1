//! Live connections: frames and sound come in with their times, estimates go out. Of the frames only the newest waits.

use std::collections::VecDeque;
use std::io::Cursor;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::State;
use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade, close_code};
use axum::http::StatusCode;
use axum::response::Response;
use demeanor::estimate::EstimateRecord;
use demeanor::pipeline::Pipeline;
use demeanor::{Audio, Hz, Picture, PixelLayout};
use demeanor_media::picture;
use demeanor_media::sound::silence_damage;
use serde::{Deserialize, Serialize};
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio::time::timeout;

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

/// A frame or a piece of sound.
#[derive(Debug, Clone, PartialEq)]
pub enum Piece {
    /// A picture file.
    File(Bytes),
    /// Pixels.
    Pixels(usize, usize, PixelLayout, Bytes),
    /// Interleaved samples.
    Sound(u32, usize, Vec<f32>),
}

/// A message of a client, little-endian: the kind (1 byte), the time in seconds (f64), then for
/// 1, a picture file: its bytes; 2, 3, 4, pixels as grey, RGB, RGBA: width and height (u32 each), then rows from the top;
/// 16, 17, sound as f32 or s16: samples per second (u32), channels (u16), then interleaved samples.
pub fn parse(message: &Bytes) -> Result<(Duration, Piece), String> {
    let short = || format!("a message of {} bytes is too short for its kind", message.len());
    let u32_at = |at: usize| {
        let bytes = message.get(at..at + 4).and_then(|b| b.try_into().ok());
        bytes.map(u32::from_le_bytes).ok_or_else(short)
    };
    let kind = *message.first().ok_or_else(short)?;
    let time = f64::from_le_bytes(message.get(1..9).and_then(|b| b.try_into().ok()).ok_or_else(short)?);
    let time = Duration::try_from_secs_f64(time).ok().filter(|t| t.as_secs() < 1 << 32);
    let time = time.ok_or("the time is no number of seconds from 0 on")?;
    let piece = match kind {
        1 => Piece::File(message.slice(9..)),
        2..=4 => {
            let layout = [PixelLayout::Grey8, PixelLayout::Rgb8, PixelLayout::Rgba8][usize::from(kind) - 2];
            let (width, height) = (u32_at(9)? as usize, u32_at(13)? as usize);
            let pixels = message.slice(17..);
            let needed = width.checked_mul(height).and_then(|n| n.checked_mul(layout.bytes()));
            if needed != Some(pixels.len()) || pixels.is_empty() {
                return Err(format!("{width} x {height} pixels of {layout:?} do not fit {} bytes", pixels.len()));
            }
            Piece::Pixels(width, height, layout, pixels)
        }
        16 | 17 => {
            let channels =
                message.get(13..15).and_then(|b| b.try_into().ok()).map(u16::from_le_bytes).ok_or_else(short)?;
            let (rate, channels, data) = (u32_at(9)?, usize::from(channels), &message[15..]);
            let size = if kind == 16 { 4 } else { 2 };
            if !(1_000..=1_536_000).contains(&rate)
                || channels == 0
                || !data.len().is_multiple_of(size * channels.max(1))
            {
                return Err(format!("{} bytes are no sound of {channels} channels at {rate} Hz", data.len()));
            }
            let samples = data.chunks_exact(size).map(|s| match *s {
                [a, b] => f32::from(i16::from_le_bytes([a, b])) / 32768.0,
                [a, b, c, d] => f32::from_le_bytes([a, b, c, d]),
                _ => 0.0,
            });
            let mut samples: Vec<f32> = samples.collect();
            silence_damage(&mut samples);
            Piece::Sound(rate, channels, samples)
        }
        _ => return Err(format!("no kind {kind} of message; expected 1 to 4 (frames), 16 or 17 (sound)")),
    };
    Ok((time, piece))
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
    use super::*;

    fn message(kind: u8, time: f64, rest: &[u8]) -> Bytes {
        [&[kind][..], &time.to_le_bytes(), rest].concat().into()
    }

    #[test]
    fn messages_are_read() {
        let pixels = [&2u32.to_le_bytes()[..], &1u32.to_le_bytes(), &[1, 2, 3, 4, 5, 6]].concat();
        let (time, piece) = parse(&message(3, 1.5, &pixels)).unwrap();
        assert_eq!(time, Duration::from_millis(1500));
        assert_eq!(piece, Piece::Pixels(2, 1, PixelLayout::Rgb8, Bytes::from_static(&[1, 2, 3, 4, 5, 6])));
        let sound =
            [&16_000u32.to_le_bytes()[..], &2u16.to_le_bytes(), &i16::MIN.to_le_bytes(), &0i16.to_le_bytes()].concat();
        assert_eq!(parse(&message(17, 0.0, &sound)).unwrap().1, Piece::Sound(16_000, 2, vec![-1.0, 0.0]));
        let odd = [&16_000u32.to_le_bytes()[..], &1u16.to_le_bytes(), &f32::NAN.to_le_bytes()].concat();
        assert_eq!(parse(&message(16, 0.0, &odd)).unwrap().1, Piece::Sound(16_000, 1, vec![0.0]));
    }

    #[test]
    fn broken_messages_are_refused() {
        let large = [&u32::MAX.to_le_bytes()[..], &u32::MAX.to_le_bytes(), &[0; 8]].concat();
        for bad in [
            Bytes::new(),
            Bytes::from_static(&[1]),
            message(1, f64::NAN, &[]),
            message(1, -1.0, &[]),
            message(1, 1e300, &[]),
            message(9, 0.0, &[]),
            message(2, 0.0, &[0; 7]),
            message(2, 0.0, &[0; 8]),
            message(4, 0.0, &large),
            message(16, 0.0, &[0; 6]),
            message(17, 0.0, &[0; 3]),
        ] {
            assert!(parse(&bad).is_err(), "{bad:?}");
        }
    }

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
