//! The film with what was read drawn on it: a second `ffmpeg` that encodes pictures and takes the sound from the film.
//!
//! Pictures go out at a constant rate, so a picture of a film of varying rate is repeated or left out; times are kept to
//! within half a picture.

use std::ffi::OsStr;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use demeanor::estimate::fresh_voice;
use demeanor::pipeline::Estimate;
use demeanor_media::capture::{self, About};
use image::RgbImage;
use tempfile::TempPath;

use crate::claim::resolved;
use crate::draw::{Drawn, Pen};
use crate::output;
use crate::terminal;

/// What `ffmpeg` says when a file could not be written.
const UNWRITTEN: [&str; 5] =
    ["No space left", "rror writing", "rror closing", "rror muxing", "av_interleaved_write_frame"];

/// Encodes annotated pictures.
pub struct Annotator {
    child: Child,
    input: Option<ChildStdin>,
    errors: Option<JoinHandle<String>>,
    path: PathBuf,
    temporary: Option<TempPath>,
    size: (usize, usize),
    rate: f64,
    /// The picture of the next place, until it is known that no later one takes it.
    pending: Option<RgbImage>,
    written: u64,
    pen: Pen,
}

impl Annotator {
    /// Begins the file at `path` for pictures of a size, with the sound of `film`.
    ///
    /// # Errors
    /// When `ffmpeg` is not there or has no encoder.
    pub fn start(path: &Path, film: &OsStr, about: &About, width: usize, height: usize) -> Result<Annotator> {
        let rate = about.rate.unwrap_or(30.0).clamp(1.0, 120.0);
        let temporary = output::temporary(&resolved(path)).with_context(|| cannot(path))?.into_temp_path();
        let mut command = Command::new(capture::program());
        command.args(["-hide_banner", "-loglevel", "error", "-y", "-f", "rawvideo", "-pixel_format", "rgb24"]);
        command.args(["-video_size", &format!("{width}x{height}"), "-framerate", &rate.to_string(), "-i", "pipe:0"]);
        if about.sound.is_some() {
            command.arg("-i").arg(capture::protected(film));
            // silence after the end of a shorter sound, and the end of the pictures ends it
            command.args(["-map", "0:v:0", "-map", "1:a:0", "-c:a", "aac", "-b:a", "160k", "-af", "apad", "-shortest"]);
        }
        command.args(["-vf", "pad=ceil(iw/2)*2:ceil(ih/2)*2,format=yuv420p"]);
        match encoder()?.as_str() {
            "libx264" => command.args(["-c:v", "libx264", "-preset", "veryfast", "-crf", "22"]),
            other => command.args(["-c:v", other, "-b:v", "4M"]),
        };
        command.args(["-map_metadata", "-1", "-movflags", "+faststart", "-f", "mp4"]).arg(&*temporary);
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = capture::spawn(&mut command)?;
        let input = child.stdin.take();
        let errors = child.stderr.take().map(|mut pipe| {
            std::thread::spawn(move || {
                let mut text = Vec::new();
                // what is more than this is more of the same
                let _ = pipe.by_ref().take(1 << 16).read_to_end(&mut text);
                let _ = std::io::copy(&mut pipe, &mut std::io::sink());
                String::from_utf8_lossy(&text).into_owned()
            })
        });
        Ok(Annotator {
            child,
            input,
            errors,
            path: path.to_owned(),
            temporary: Some(temporary),
            size: (width, height),
            rate,
            pending: None,
            written: 0,
            pen: Pen::new()?,
        })
    }

    /// Draws the estimate on an RGB picture and takes it as the one of `time`. Gives back the bytes of a picture that is no
    /// longer needed.
    ///
    /// # Errors
    /// When the encoder fails.
    pub fn add(
        &mut self,
        data: Vec<u8>,
        time: Duration,
        estimate: &Estimate<'_>,
        scale: f32,
        min_score: f32,
    ) -> Result<Option<Vec<u8>>> {
        let (width, height) = self.size;
        let Some(mut picture) = RgbImage::from_raw(width as u32, height as u32, data) else {
            bail!("the size of the film's pictures changes midway, which --annotate cannot follow");
        };
        let faces = estimate.faces.iter().filter_map(|face| {
            let scores = face.scores.as_ref()?;
            let (region, reading) = (face.region.scaled(scale), scores.reading(min_score));
            Some(Drawn { region, number: Some(face.id), reading, scores })
        });
        let voice = estimate.voice.and_then(|v| fresh_voice(&v, time)).map(|scores| {
            let reading = scores.reading(min_score);
            (format!("voice: {reading} {:.0}%", 100.0 * scores.top().1), reading)
        });
        let note = voice.as_ref().map(|(text, reading)| (text.as_str(), *reading));
        self.pen.faces(&mut picture, &faces.collect::<Vec<_>>(), note);
        let place = (time.as_secs_f64() * self.rate).round() as u64;
        let spare = match self.pending.take() {
            Some(before) => {
                while self.written < place {
                    self.write(&before)?;
                }
                Some(before.into_raw())
            }
            None => {
                while self.written < place {
                    self.write(&picture)?;
                }
                None
            }
        };
        self.pending = Some(picture);
        Ok(spare)
    }

    /// Completes the file and gives it its name.
    ///
    /// # Errors
    /// When the encoder fails, such as on a full disk; then nothing is left.
    pub fn finish(mut self, overwrite: bool) -> Result<()> {
        if let Some(last) = self.pending.take() {
            self.write(&last)?;
        }
        drop(self.input.take());
        let status = self.child.wait().context("waiting for ffmpeg")?;
        let said = self.said();
        // some versions end with 0 when the disk is full
        if !status.success() || said.lines().any(|line| UNWRITTEN.iter().any(|sign| line.contains(sign))) {
            return Err(self.failed(&said));
        }
        match self.temporary.take() {
            Some(file) => output::name(file, &resolved(&self.path), overwrite).with_context(|| cannot(&self.path)),
            None => Ok(()),
        }
    }

    fn write(&mut self, picture: &RgbImage) -> Result<()> {
        self.written += 1;
        let written = self.input.as_mut().map_or(Ok(()), |input| input.write_all(picture.as_raw()));
        written.map_err(|_| {
            drop(self.input.take());
            let _ = self.child.wait();
            let said = self.said();
            self.failed(&said)
        })
    }

    /// What the encoder said, once it has ended.
    fn said(&mut self) -> String {
        self.errors.take().and_then(|e| e.join().ok()).unwrap_or_default()
    }

    /// Why the encoder ended.
    fn failed(&self, said: &str) -> anyhow::Error {
        let last = said.lines().rev().find(|l| !l.trim().is_empty()).unwrap_or("it gave no reason");
        anyhow!("{}: ffmpeg ended with: {last}", cannot(&self.path))
    }
}

impl Drop for Annotator {
    fn drop(&mut self) {
        drop(self.input.take());
        let _ = self.child.kill();
        let _ = self.child.wait();
        // what is not finished goes with its temporary name
    }
}

fn cannot(path: &Path) -> String {
    format!("cannot write {}", terminal::shown(path))
}

/// The best encoder that this `ffmpeg` has.
fn encoder() -> Result<String> {
    let mut command = Command::new(capture::program());
    command.args(["-hide_banner", "-loglevel", "error", "-encoders"]);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let listed = capture::spawn(&mut command)?.wait_with_output().context("asking ffmpeg for its encoders")?;
    let listed = String::from_utf8_lossy(&listed.stdout);
    for name in ["libx264", "h264_videotoolbox", "h264_mf", "libopenh264", "mpeg4"] {
        if listed.split_whitespace().any(|word| word == name) {
            return Ok(name.to_owned());
        }
    }
    bail!(
        "this ffmpeg has no encoder for MP4 (libx264, h264_videotoolbox, h264_mf, libopenh264, mpeg4); install a full one"
    )
}
