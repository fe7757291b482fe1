//! Recordings through MP3 and back: the encoder is that of the program `ffmpeg`, the decoder the one of use.

use std::io::{Cursor, Write};
use std::process::{Command, Stdio};
use std::thread;

use demeanor::{Error, ErrorKind, Result};
use demeanor_media::Recording;
use demeanor_media::capture::{program, spawn};

use crate::data::speech::RATE;

/// What is left of mono samples at [`RATE`] after MP3 of so many kbit/s. The silence that the encoder puts before them stays,
/// as in any such file.
///
/// # Errors
/// [`ErrorKind::Device`] when `ffmpeg` is not there, [`ErrorKind::Sound`] when it was built without an MP3 encoder or what it
/// wrote cannot be read.
pub(super) fn through(samples: &[f32], kbit: u32) -> Result<Vec<f32>> {
    let failed = |why: String| Error::new(ErrorKind::Sound, format!("a recording cannot be made an MP3: {why}"));
    let mut command = Command::new(program());
    command.args(["-hide_banner", "-loglevel", "error", "-f", "f32le", "-ar", &RATE.0.to_string(), "-ac", "1"]);
    command.args(["-i", "pipe:0", "-c:a", "libmp3lame", "-b:a", &format!("{kbit}k"), "-write_xing", "0"]);
    command.args(["-f", "mp3", "pipe:1"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = spawn(&mut command)?;
    let bytes: Vec<u8> = samples.iter().flat_map(|s| s.to_le_bytes()).collect();
    let input = child.stdin.take();
    let said = thread::scope(|scope| {
        // a closed pipe is told by the status
        scope.spawn(move || input.map(|mut pipe| pipe.write_all(&bytes)));
        child.wait_with_output()
    })
    .map_err(|e| failed(e.to_string()))?;
    if !said.status.success() {
        let why = String::from_utf8_lossy(&said.stderr);
        return Err(failed(why.lines().next().unwrap_or("ffmpeg failed").to_owned()));
    }
    let mut decoded = Vec::with_capacity(samples.len());
    let mut take = |piece: &demeanor::Audio<'_>| {
        decoded.extend_from_slice(piece.samples());
        Ok::<(), Error>(())
    };
    Recording::stream(Cursor::new(said.stdout))?.hear(None, RATE, &mut |_, _| {}, &mut take)?;
    Ok(decoded)
}
