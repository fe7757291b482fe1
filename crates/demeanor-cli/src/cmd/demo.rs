//! `demeanor demo`: the live pipeline on a built-in clip; no camera, no ffmpeg.

use std::io::{Cursor, IsTerminal};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use image::RgbImage;

use crate::claim::{Claims, OverwriteArgs};
use crate::cmd::live;
use crate::dashboard;
use crate::interrupt;
use crate::output::Output;
use crate::record::Record;
use crate::senses::SenseArgs;
use crate::session::{Inbox, Lines, Session};
use crate::terminal::{self, Outcome};

/// The portrait of the astronaut Eileen Collins, NASA, in the public domain.
const PORTRAIT: &[u8] = include_bytes!("../../sample/portrait-square.jpg");
/// A voice made by espeak-ng: 16 kHz, mono, 16 bit.
const VOICE: &[u8] = include_bytes!("../../sample/voice.wav");

const WIDTH: usize = 640;
const HEIGHT: usize = 480;
const FRAMES_PER_SECOND: u32 = 30;
/// A piece of sound, in samples.
const PIECE: usize = 1600;

const NOTICE: &str = "demeanor demo: the live pipeline on a built-in clip, a public-domain NASA portrait that moves and a \
                      made voice. Nothing leaves this machine, and no picture or sound is stored.";

/// Try it: the live pipeline on a built-in clip, without camera or ffmpeg
///
/// A portrait in the public domain moves before the camera while a made voice speaks, as fast as it would in front of you.
/// On a terminal the live dashboard is shown, else a line a second.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Print a line of JSON for each estimate instead of the dashboard
    #[arg(long)]
    json: bool,
    /// Save the estimates, as lines of JSON
    #[arg(long, value_name = "FILE")]
    record: Option<PathBuf>,
    /// Say at the end how many frames were read and dropped, and the latency of each stage
    #[arg(long)]
    stats: bool,
    /// Play the clip again and again, until q is pressed
    #[arg(long)]
    again: bool,
    #[command(flatten)]
    overwrite: OverwriteArgs,
    #[command(flatten)]
    senses: SenseArgs,
}

/// Plays the clip.
pub fn run(args: Args) -> Result<Outcome> {
    live::record_claims(&mut Claims::new(args.overwrite), &args.senses, args.record.as_deref())?;
    let clip = Clip::new()?;
    let pipeline = args.senses.pipeline(true, true)?;
    interrupt::listen();
    terminal::note(NOTICE);
    let json = args.json.then(|| Output::create("-".as_ref(), false)).transpose()?;
    let record = args.record.as_deref().map(Record::create).transpose()?;
    let shows = !args.json && std::io::stdout().is_terminal();
    let rest = args.senses.baseline.map_or(Duration::from_secs(5), |(from, until)| until - from);
    let session = Session::new(pipeline, args.senses.min_score, json, record, Lines::of(args.json, shows), None);
    let inbox = session.inbox();
    let player = std::thread::spawn(move || clip.play(&inbox, args.again));
    let report = if shows { dashboard::run(session, NOTICE, rest)? } else { session.run_plain()? };
    // it ends when the session has
    let _ = player.join();
    live::end(report, args.stats || shows, shows, args.json)
}

/// Pictures and sound of the clip.
struct Clip {
    portrait: RgbImage,
    voice: Vec<f32>,
    rate: u32,
}

impl Clip {
    fn new() -> Result<Clip> {
        let portrait = image::load_from_memory_with_format(PORTRAIT, image::ImageFormat::Jpeg);
        let portrait = portrait.context("the built-in portrait")?.into_rgb8();
        let (voice, rate) = samples(VOICE).context("the built-in voice")?;
        Ok(Clip { portrait, voice, rate })
    }

    /// How long it is: as long as the voice.
    fn length(&self) -> Duration {
        Duration::from_secs_f64(self.voice.len() as f64 / f64::from(self.rate))
    }

    /// The picture at a time: the portrait seen through a window that moves and zooms slowly.
    fn picture(&self, time: Duration, data: &mut Vec<u8>) {
        let t = time.as_secs_f32();
        let (width, height) = (self.portrait.width() as f32, self.portrait.height() as f32);
        let wide = width * (0.78 + 0.14 * (0.5 * t).sin());
        let tall = wide * HEIGHT as f32 / WIDTH as f32;
        // the face is a little left of the middle and above it
        let cx = width * (0.46 + 0.07 * (0.9 * t).sin());
        let cy = height * (0.31 + 0.03 * (1.3 * t).cos());
        let left = (cx - wide / 2.0).clamp(0.0, width - wide);
        let top = (cy - tall / 2.0).clamp(0.0, height - tall);
        let pixels = self.portrait.as_raw();
        let row_bytes = self.portrait.width() as usize * 3;
        let step = wide / WIDTH as f32;
        let axis = |at: f32, last: f32| {
            let at = at.clamp(0.0, last);
            (at as usize, ((at - at.floor()) * 256.0) as u32)
        };
        data.clear();
        for y in 0..HEIGHT {
            let (y0, fy) = axis(top + (y as f32 + 0.5) * step - 0.5, height - 1.001);
            for x in 0..WIDTH {
                let (x0, fx) = axis(left + (x as f32 + 0.5) * step - 0.5, width - 1.001);
                let at = y0 * row_bytes + x0 * 3;
                for c in 0..3 {
                    let pixel = |offset: usize| u32::from(pixels[at + offset + c]);
                    let above = pixel(0) * (256 - fx) + pixel(3) * fx;
                    let below = pixel(row_bytes) * (256 - fx) + pixel(row_bytes + 3) * fx;
                    data.push(((above * (256 - fy) + below * fy) >> 16) as u8);
                }
            }
        }
    }

    /// Brings pictures and sound at their times to the inbox, until the end or until nobody wants more.
    fn play(&self, inbox: &Inbox, again: bool) {
        let began = Instant::now();
        let mut spare = Vec::new();
        let mut round = Duration::ZERO;
        loop {
            let frames = (self.length().as_secs_f64() * f64::from(FRAMES_PER_SECOND)) as u32;
            let mut heard = 0;
            for frame in 0..frames {
                let time = Duration::from_secs(u64::from(frame)) / FRAMES_PER_SECOND;
                while !inbox.is_closed() && began.elapsed() < round + time {
                    let left = (round + time).saturating_sub(began.elapsed());
                    std::thread::sleep(left.min(Duration::from_millis(50)));
                }
                if inbox.is_closed() {
                    return;
                }
                // sound comes when it has been spoken
                while (heard + PIECE) as f64 / f64::from(self.rate) <= time.as_secs_f64() {
                    let start = Duration::from_secs_f64(heard as f64 / f64::from(self.rate));
                    inbox.sound(self.rate, 1, self.voice[heard..heard + PIECE].to_vec(), round + start);
                    heard += PIECE;
                }
                let mut data = std::mem::take(&mut spare);
                self.picture(time, &mut data);
                spare = inbox.picture(WIDTH, HEIGHT, data, round + time, Instant::now()).unwrap_or_default();
            }
            if !again {
                let start = Duration::from_secs_f64(heard as f64 / f64::from(self.rate));
                inbox.sound(self.rate, 1, self.voice[heard..].to_vec(), round + start);
                inbox.close();
                return;
            }
            round += self.length();
        }
    }
}

/// Samples and rate of a WAV file of 16-bit mono.
fn samples(wav: &[u8]) -> Result<(Vec<f32>, u32)> {
    let mut chunks = Cursor::new(wav);
    chunks.set_position(12);
    let mut rate = 0;
    loop {
        let at = chunks.position() as usize;
        let Some(head) = wav.get(at..at + 8) else { bail!("no samples") };
        let size = u32::from_le_bytes([head[4], head[5], head[6], head[7]]) as usize;
        let content = wav.get(at + 8..at + 8 + size).context("cut off")?;
        match &head[..4] {
            b"fmt " if size >= 16 => rate = u32::from_le_bytes([content[4], content[5], content[6], content[7]]),
            b"data" => {
                let samples = content.chunks_exact(2).map(|b| f32::from(i16::from_le_bytes([b[0], b[1]])) / 32768.0);
                return Ok((samples.collect(), rate));
            }
            _ => {}
        }
        chunks.set_position((at + 8 + size + size % 2) as u64);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clip_is_whole_and_its_pictures_stay_inside_the_portrait() {
        let clip = Clip::new().expect("the built-in clip");
        assert_eq!(clip.rate, 16_000);
        assert!(clip.length() > Duration::from_secs(8) && clip.length() < Duration::from_secs(20));
        let mut data = Vec::new();
        for tenth in 0..125 {
            clip.picture(Duration::from_millis(100 * tenth), &mut data);
            assert_eq!(data.len(), WIDTH * HEIGHT * 3);
        }
        assert!(samples(b"RIFF....WAVE").is_err());
    }
}
