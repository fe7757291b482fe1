//! Films, cameras and microphones: the `ffmpeg` program as a child, its pictures and samples over one pipe.
//!
//! One child delivers grey pictures for reading, if asked the whole coloured pictures for drawing on, and sound, all on one
//! clock. Pictures larger than [`LONGEST_SIDE`] are made smaller for reading; a face needs no more.

use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use demeanor::{Error, ErrorKind, Result};

use crate::nut::{Kind, Nut};

/// Pictures are read at most this long, in pixels.
pub const LONGEST_SIDE: usize = 1280;

/// How many pictures may wait between the reading thread and the caller.
const WAITING: usize = 3;

/// What a picture holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Picture {
    /// Grey, for reading.
    Grey,
    /// RGB, in the film's own size, for drawing on. Follows the grey picture of the same time.
    Whole,
}

/// What came over the pipe.
#[derive(Debug)]
pub enum Event {
    /// A picture, and when the whole of it had arrived. Give the bytes back with [`Capture::recycle`].
    Picture {
        /// What it holds.
        what: Picture,
        /// Width in pixels.
        width: usize,
        /// Height in pixels.
        height: usize,
        /// Its bytes, without gaps.
        data: Vec<u8>,
        /// Its time from the start.
        time: Duration,
        /// When the whole of it had arrived.
        arrived: Instant,
    },
    /// Interleaved samples.
    Sound {
        /// Samples per second and channel.
        rate: u32,
        /// Channels.
        channels: usize,
        /// Full scale at -1 and 1.
        samples: Vec<f32>,
        /// The time of the first of them from the start.
        time: Duration,
    },
}

/// What `ffmpeg` said of the input before the first picture.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct About {
    /// How long it is, where that is known.
    pub duration: Option<Duration>,
    /// Where its own clock begins; times are counted from there.
    pub start: Duration,
    /// Pictures per second, where that is known.
    pub rate: Option<f64>,
    /// Width and height of the pictures as they are shown, with square pixels.
    pub size: Option<(usize, usize)>,
    /// The name of the sound's codec.
    pub sound: Option<String>,
}

/// Where pictures and sound come from: arguments of `ffmpeg` up to and with `-i`.
#[derive(Debug, Clone, Default)]
pub struct Inputs {
    /// Each input's arguments.
    pub list: Vec<Vec<OsString>>,
    /// Which of them gives pictures.
    pub picture: Option<usize>,
    /// Which of them gives sound.
    pub sound: Option<usize>,
    /// For messages.
    pub name: String,
    /// The film, where it is one.
    pub film: Option<OsString>,
    /// Which track of sound, counted from 1; the one that the film calls its default when absent.
    pub track: Option<usize>,
    /// Where in the film reading begins.
    pub start: Duration,
    /// Where in the film reading ends.
    pub to: Option<Duration>,
    /// The most pictures that are read of a second; all when absent.
    pub rate: Option<f64>,
    /// Devices rather than files: times are those of the clock, and a missing stream is an error of the device.
    pub live: bool,
}

impl Inputs {
    /// A file or URL, as fast as it can be read, or at its own pace.
    pub fn film(path: &OsStr, own_pace: bool) -> Inputs {
        let mut args = Vec::new();
        if own_pace {
            args.push("-re".into());
        }
        args.push("-i".into());
        args.push(protected(path));
        Inputs {
            list: vec![args],
            picture: Some(0),
            sound: Some(0),
            name: path.to_string_lossy().into_owned(),
            film: Some(path.to_owned()),
            ..Inputs::default()
        }
    }
}

/// A stream of bytes that `ffmpeg` is given to read.
pub type Feed = Box<dyn Read + Send + Sync>;

/// How to get the program.
pub const INSTALL: &str = "install it (Debian, Ubuntu: sudo apt install ffmpeg; Fedora: sudo dnf install ffmpeg-free; \
                           macOS: brew install ffmpeg; Windows: winget install ffmpeg), or name it in the variable \
                           DEMEANOR_FFMPEG";

/// Whether the program `ffmpeg` is there.
pub fn is_there() -> bool {
    let mut command = Command::new(program());
    command.arg("-version").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|s| s.success())
}

/// Which of a film's tracks of sound are its default, in order.
fn sound_tracks(film: &OsStr) -> Result<Vec<bool>> {
    let mut command = Command::new(program());
    command.args(["-hide_banner", "-nostdin", "-i"]).arg(protected(film));
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    let said = spawn(&mut command)?.wait_with_output().map_err(|e| failed(format!("asking ffmpeg: {e}")))?;
    let said = String::from_utf8_lossy(&said.stderr);
    let streams = said.lines().map(str::trim_start).filter(|l| l.starts_with("Stream #"));
    Ok(streams.filter(|l| l.contains(": Audio: ")).map(|l| l.contains("(default)")).collect())
}

/// Which track of sound to hear, counted from 0.
fn choose_track(inputs: &Inputs) -> Result<usize> {
    let Some(film) = inputs.film.as_deref().filter(|f| Path::new(f).is_file()) else {
        return Ok(inputs.track.map_or(0, |number| number.saturating_sub(1)));
    };
    let tracks = sound_tracks(film)?;
    match inputs.track {
        // with none at all, what else is wrong with the film is said later
        Some(number) if number > tracks.len() && !tracks.is_empty() => {
            Err(failed(format!("{} has no track {number} of sound; it has {}", inputs.name, tracks.len())))
        }
        Some(number) => Ok(number.saturating_sub(1)),
        None => Ok(tracks.iter().position(|is_default| *is_default).unwrap_or(0)),
    }
}

/// A file name as ffmpeg takes it: a name with a colon or a leading dash is no URL and no option.
pub fn protected(path: &OsStr) -> OsString {
    let text = path.to_string_lossy();
    if text == "-" {
        return "pipe:0".into();
    }
    if is_url(&text) || !(text.contains(':') || text.starts_with('-')) || !Path::new(path).exists() {
        return path.to_owned();
    }
    let mut named = OsString::from("file:");
    named.push(path);
    named
}

/// Whether the text is a URL rather than a file name.
pub fn is_url(text: &str) -> bool {
    text.split_once("://").is_some_and(|(scheme, _)| {
        scheme.len() > 1 && scheme.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c))
    })
}

/// The `ffmpeg` program: `DEMEANOR_FFMPEG` where that is set, else the one on the path.
pub fn program() -> OsString {
    std::env::var_os("DEMEANOR_FFMPEG").filter(|p| !p.is_empty()).unwrap_or_else(|| "ffmpeg".into())
}

/// Starts `ffmpeg` so that a Ctrl-C in the terminal reaches this program alone, which then ends its child in order.
///
/// # Errors
/// [`ErrorKind::Device`] when it is not there; the message says how to install it.
pub fn spawn(command: &mut Command) -> Result<Child> {
    #[cfg(unix)]
    std::os::unix::process::CommandExt::process_group(command, 0);
    command.spawn().map_err(|e| match e.kind() {
        io::ErrorKind::NotFound => failed(format!(
            "the program ffmpeg is not there, and films, cameras and microphones need it; {INSTALL}. Pictures, most \
             recordings and `demeanor demo` do without"
        )),
        _ => failed(format!("starting {}: {e}", program().to_string_lossy())).with_source(e),
    })
}

/// The last lines that `ffmpeg` wrote, and what it said of its input.
#[derive(Debug, Default)]
struct Said {
    about: About,
    errors: VecDeque<String>,
}

/// A running `ffmpeg`.
pub struct Capture {
    child: Child,
    name: String,
    live: bool,
    /// Where in the film reading began.
    start: Duration,
    events: Option<Receiver<Event>>,
    spare: Sender<Vec<u8>>,
    said: Arc<Mutex<Said>>,
    reader: Option<JoinHandle<io::Result<()>>>,
    listener: Option<JoinHandle<()>>,
    any: bool,
    ended: bool,
}

impl Capture {
    /// Starts reading. `whole` asks for the coloured pictures too.
    ///
    /// # Errors
    /// [`ErrorKind::Device`] when `ffmpeg` is not there.
    pub fn start(inputs: &Inputs, whole: bool) -> Result<Capture> {
        Self::start_fed(inputs, whole, None)
    }

    /// The same, with `feed` in the place of stdin.
    ///
    /// # Errors
    /// As [`Capture::start`].
    pub fn start_fed(inputs: &Inputs, whole: bool, feed: Option<Feed>) -> Result<Capture> {
        let track = if inputs.sound.is_some() { choose_track(inputs)? } else { 0 };
        let mut command = Command::new(program());
        command.args(["-hide_banner", "-loglevel", "repeat+level+info", "-nostats", "-nostdin"]);
        for input in &inputs.list {
            if !inputs.start.is_zero() {
                command.args(["-ss", &inputs.start.as_secs_f64().to_string()]);
            }
            if let Some(to) = inputs.to {
                command.args(["-to", &to.as_secs_f64().to_string()]);
            }
            command.args(input);
        }
        command.args(["-max_interleave_delta", if inputs.live { "150000" } else { "5000000" }]);
        let side = LONGEST_SIDE;
        // square pixels, the longer side at most `side`, even where it shrinks
        let wide = "iw*if(sar,sar,1)";
        let shrink = format!("min(1,{side}/max({wide},ih))");
        // pictures keep their own times
        let some = inputs.rate.map_or(String::new(), |rate| {
            let step = 1.0 / rate - 0.001;
            format!("select='isnan(prev_selected_t)+gte(t-prev_selected_t,{step:.6})',")
        });
        let read = format!(
            "{some}scale=w='max(1,round({wide}*{shrink}))':h='max(1,round(ih*{shrink}))':flags=area:out_range=pc,format=gray"
        );
        if let Some(picture) = inputs.picture {
            let stream = format!("{picture}:V:0?");
            command.args(["-map", &stream]);
            if whole {
                command.args(["-map", &stream]);
            }
            command.args(["-filter:v:0", &read]);
            if whole {
                let draw =
                    format!("{some}scale=w='max(1,round({wide}))':h=ih:flags=bilinear:out_range=pc,format=rgb24");
                command.args(["-filter:v:1", &draw]);
            }
            command.args(["-c:v", "rawvideo", "-enc_time_base:v", "1:1000000"]);
        }
        if let Some(sound) = inputs.sound {
            command.args(["-map", &format!("{sound}:a:{track}?"), "-c:a", "pcm_f32le"]);
        }
        command.args(["-sn", "-dn", "-map_metadata", "-1", "-flush_packets", "1", "-f", "nut", "pipe:1"]);
        command.stdin(match (&feed, inputs.name.as_str()) {
            (Some(_), _) => Stdio::piped(),
            (None, "-") => Stdio::inherit(),
            (None, _) => Stdio::null(),
        });
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = spawn(&mut command)?;
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        let (stdout, stderr) = stdout.zip(stderr).ok_or_else(|| failed("ffmpeg has no pipes"))?;
        if let Some((mut feed, mut stdin)) = feed.zip(child.stdin.take()) {
            // it ends with either of the two; a child that has seen enough is no failure
            std::thread::spawn(move || io::copy(&mut feed, &mut stdin));
        }
        let said = Arc::new(Mutex::new(Said::default()));
        let listener = std::thread::spawn({
            let said = said.clone();
            move || listen(stderr, &said)
        });
        let (send, events) = sync_channel(2 * WAITING);
        let (spare, spares) = channel();
        let reader = std::thread::spawn(move || read_events(stdout, &send, &spares));
        Ok(Capture {
            child,
            name: inputs.name.clone(),
            live: inputs.live,
            start: inputs.start,
            events: Some(events),
            spare,
            said,
            reader: Some(reader),
            listener: Some(listener),
            any: false,
            ended: false,
        })
    }

    /// The next picture or sound; `Ok(None)` when nothing came for so long.
    ///
    /// # Errors
    /// [`Ended`] at the end.
    pub fn next_within(&mut self, wait: Duration) -> std::result::Result<Option<Event>, Ended> {
        use std::sync::mpsc::RecvTimeoutError;
        match self.events.as_ref().map(|e| e.recv_timeout(wait)) {
            Some(Ok(mut event)) => {
                self.any = true;
                match &mut event {
                    Event::Picture { time, .. } | Event::Sound { time, .. } => *time += self.start,
                }
                Ok(Some(event))
            }
            Some(Err(RecvTimeoutError::Timeout)) => Ok(None),
            Some(Err(RecvTimeoutError::Disconnected)) | None => {
                self.ended = true;
                Err(Ended)
            }
        }
    }

    /// Gives the bytes of a picture back, to be filled again.
    pub fn recycle(&self, data: Vec<u8>) {
        let _ = self.spare.send(data);
    }

    /// What `ffmpeg` said of the input; complete once the first event came.
    pub fn about(&self) -> About {
        self.said.lock().map(|s| s.about.clone()).unwrap_or_default()
    }

    /// Width and height of the film's pictures as they are shown; waits a little for `ffmpeg` to say it.
    pub fn size_of_film(&self) -> Option<(usize, usize)> {
        let asked = Instant::now();
        loop {
            let size = self.about().size;
            if size.is_some() || asked.elapsed() > Duration::from_millis(300) {
                return size;
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// Ends the child. `Ok` holds a warning when the input was damaged, but something of it came.
    ///
    /// # Errors
    /// [`ErrorKind::Device`]: why nothing came and what to do, or, where something came, that the child or the device is
    /// gone, with its last words.
    pub fn finish(mut self) -> Result<Option<String>> {
        // a reader that is blocked ends once nobody listens
        drop(self.events.take());
        if !self.ended {
            let _ = self.child.kill();
        }
        let read = self.reader.take().map(JoinHandle::join);
        let status = self.child.wait().map_err(|e| failed(format!("waiting for ffmpeg: {e}")).with_source(e))?;
        if let Some(listener) = self.listener.take() {
            let _ = listener.join();
        }
        let said = self.said.lock().map_err(|_| failed("the thread that listens to ffmpeg failed"))?;
        let lines: Vec<&str> = said.errors.iter().map(String::as_str).collect();
        if self.any && self.ended {
            let last = lines.last().map_or(String::new(), |l| format!("; its last words: {l}"));
            if let Some(how) = death(status) {
                return Err(failed(format!("ffmpeg, which reads {}, {how}{last}", self.name)));
            }
            if self.live {
                return Err(failed(format!("{} is gone{last}", self.name)));
            }
        }
        match read {
            Some(Ok(Err(e))) => return Err(failed(format!("reading from ffmpeg: {e}")).with_source(e)),
            Some(Err(_)) => return Err(failed("the thread that reads from ffmpeg failed")),
            Some(Ok(Ok(()))) | None => {}
        }
        if self.any {
            let damaged = !lines.is_empty() && lines.iter().any(|l| is_damage(l));
            return Ok(damaged.then(|| {
                format!(
                    "{} is damaged or cut off; what could be read of it was ({})",
                    self.name,
                    lines[lines.len() - 1]
                )
            }));
        }
        let why = explain(&self.name, self.live, &lines, status.code());
        Err(if self.live { failed(why) } else { Error::new(ErrorKind::File, why) })
    }
}

impl Drop for Capture {
    fn drop(&mut self) {
        drop(self.events.take());
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The input has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ended;

/// How a child died that was not ended by this program; none when it came to its own end.
fn death(status: ExitStatus) -> Option<String> {
    #[cfg(unix)]
    if let Some(signal) = std::os::unix::process::ExitStatusExt::signal(&status) {
        let why = if signal == 9 { ", perhaps for want of memory" } else { "" };
        return Some(format!("was killed by signal {signal}{why}"));
    }
    match status.code() {
        Some(0) => None,
        Some(code) => Some(format!("ended with status {code}")),
        None => Some("was killed".to_owned()),
    }
}

fn failed(why: impl Into<String>) -> Error {
    Error::new(ErrorKind::Device, why)
}

fn is_damage(line: &str) -> bool {
    const SIGNS: [&str; 7] = [
        "Invalid data",
        "error while decoding",
        "Error while decoding",
        "truncat",
        "corrupt",
        "partial file",
        "Input/output",
    ];
    SIGNS.iter().any(|sign| line.contains(sign))
}

/// Why nothing came, and what to do.
fn explain(name: &str, live: bool, lines: &[&str], code: Option<i32>) -> String {
    let has = |text: &str| lines.iter().any(|l| l.contains(text));
    let last = lines.last().copied().unwrap_or("it gave no reason");
    let choose =
        "`demeanor live --list` lists devices; choose with --camera NAME and --mic NAME, or leave one out with none";
    if has("Permission denied") || has("Operation not permitted") || has("not authorized") {
        return if live {
            format!(
                "no permission to use {name}; Linux: sudo usermod -aG video,audio $USER, then log in again; macOS: System \
                 Settings, Privacy & Security, Camera and Microphone, allow the terminal; Windows: Settings, Privacy, Camera"
            )
        } else {
            format!("no permission to read {name}")
        };
    }
    if has("Device or resource busy") || has("already in use") {
        return format!("another program is using {name}; close it, or choose another device ({choose})");
    }
    if has("Unknown input format") {
        return format!(
            "this ffmpeg was built without support for {name} ({last}); install a full ffmpeg, or {choose}"
        );
    }
    if live
        && (has("No such file")
            || has("No such device")
            || has("Cannot open")
            || has("not found")
            || has("Could not find"))
    {
        return format!("no device {name} ({last}); {choose}");
    }
    if has("No such file or directory") {
        return format!("{name}: no such file");
    }
    if has("Protocol not found") || has("Server returned") || has("Failed to resolve") || has("Connection refused") {
        return format!("{name} cannot be reached ({last})");
    }
    if has("Decoder") && has("not found") || has("Unknown decoder") || has("Unsupported codec") || has("no decoder") {
        return format!(
            "this ffmpeg has no decoder for {name} ({last}); install a full ffmpeg, or convert the film (ffmpeg -i IN OUT.mp4)"
        );
    }
    if has("does not contain any stream") || has("matches no streams") {
        return format!("{name} holds neither pictures nor sound");
    }
    if live {
        return format!("{name} gave nothing: {last}; {choose}");
    }
    if has("Invalid data found") || has("moov atom not found") || has("End of file") || has("Error opening input") {
        return format!("{name} is no film or recording that ffmpeg can read, or it is cut off at the start ({last})");
    }
    match code {
        Some(0) => format!("{name} holds no pictures and no sound"),
        Some(code) => format!("ffmpeg could not read {name} (status {code}): {last}"),
        None => format!("ffmpeg was ended before it read anything of {name}"),
    }
}

/// Keeps the last errors of `ffmpeg`, and what it says of its input.
fn listen(stderr: impl Read, said: &Mutex<Said>) {
    let mut input_seen = false;
    let mut lines = BufReader::new(stderr);
    let mut bytes = Vec::new();
    loop {
        bytes.clear();
        match lines.read_until(b'\n', &mut bytes) {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
        let line = String::from_utf8_lossy(&bytes);
        let line = line.trim_end();
        let Ok(mut said) = said.lock() else { return };
        if let Some((_, text)) = line.split_once("[error] ").or_else(|| line.split_once("[fatal] ")) {
            if said.errors.len() == 20 {
                said.errors.pop_front();
            }
            said.errors.push_back(text.to_owned());
            continue;
        }
        let text = line.split_once("[info] ").map_or(line, |(_, text)| text).trim_start();
        if text.starts_with("Output #") {
            input_seen = true;
        }
        if !input_seen {
            describe(text, &mut said.about);
        }
    }
}

/// Reads `Duration: 00:00:10.00, ...` and `Stream #0:0: Video: h264 ..., 640x480 [SAR ...], ..., 30 fps, ...`.
fn describe(text: &str, about: &mut About) {
    if let Some(rest) = text.strip_prefix("Duration: ") {
        let start = rest.split_once("start: ").map(|(_, s)| s.split(',').next().unwrap_or_default());
        let start = start.and_then(|s| s.trim().parse().ok()).and_then(|s| Duration::try_from_secs_f64(s).ok());
        about.start = start.unwrap_or_default();
        let clock = rest.split(',').next().unwrap_or_default();
        let mut parts = clock.split(':').map(str::parse::<f64>);
        if let (Some(Ok(h)), Some(Ok(m)), Some(Ok(s))) = (parts.next(), parts.next(), parts.next()) {
            let seconds = h * 3600.0 + m * 60.0 + s;
            if seconds > 0.0 {
                about.duration = Duration::try_from_secs_f64(seconds).ok();
            }
        }
    } else if text.starts_with("Stream #") {
        if let Some((_, video)) = text.split_once("Video: ")
            && about.size.is_none()
        {
            for field in video.split(", ") {
                let mut words = field.split_whitespace();
                let first = words.next().unwrap_or_default();
                if let Some((w, h)) = first.split_once('x')
                    && let (Ok(w), Ok(h)) = (w.parse(), h.parse())
                    && w > 0
                    && h > 0
                {
                    about.size = Some((shown_width(w, video), h));
                }
                if words.next() == Some("fps") {
                    about.rate = first.parse().ok().filter(|r: &f64| r.is_finite() && *r > 0.0);
                }
            }
        } else if let Some((_, sound)) = text.split_once("Audio: ")
            && about.sound.is_none()
        {
            about.sound = sound.split([' ', ',']).next().map(str::to_owned);
        }
    }
}

/// How wide a picture is shown: `[SAR 8:9 DAR 4:3]` says how wide a pixel is beside its height.
fn shown_width(coded: usize, video: &str) -> usize {
    let aspect = video.split_once("SAR ").and_then(|(_, rest)| {
        let (wide, rest) = rest.split_once(':')?;
        let high = rest.split(|c: char| !c.is_ascii_digit()).next()?;
        Some((wide.parse::<f64>().ok()?, high.parse::<f64>().ok()?))
    });
    match aspect {
        Some((wide, high)) if wide > 0.0 && high > 0.0 => ((coded as f64 * wide / high).round() as usize).max(1),
        _ => coded,
    }
}

fn read_events(stdout: impl Read, send: &SyncSender<Event>, spares: &Receiver<Vec<u8>>) -> io::Result<()> {
    let Some(mut nut) = Nut::open(BufReader::with_capacity(1 << 16, stdout))? else { return Ok(()) };
    let kinds = nut.kinds();
    let first_picture = kinds.iter().position(|k| matches!(k, Kind::Picture { .. }));
    let mut data = Vec::new();
    while let Some(packet) = nut.next(&mut data)? {
        let event = match kinds.get(packet.stream) {
            Some(&Kind::Picture { width, height }) => {
                let what = if Some(packet.stream) == first_picture { Picture::Grey } else { Picture::Whole };
                let expected = match what {
                    Picture::Grey => width.saturating_mul(height),
                    Picture::Whole => width.saturating_mul(height).saturating_mul(3),
                };
                // a film whose picture size changes midway, or ends inside a picture
                if data.len() != expected {
                    continue;
                }
                let mut next = spares.try_iter().find(|spare| spare.capacity() >= expected).unwrap_or_default();
                std::mem::swap(&mut data, &mut next);
                Event::Picture { what, width, height, data: next, time: packet.time, arrived: Instant::now() }
            }
            Some(&Kind::Sound { rate, channels }) => {
                let samples = data.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect();
                Event::Sound { rate, channels, samples, time: packet.time }
            }
            _ => continue,
        };
        if send.send(event).is_err() {
            return Ok(());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_ffmpeg_says_of_its_input_is_understood() {
        let mut about = About::default();
        for line in [
            "Duration: 00:01:02.50, start: 0.000000, bitrate: 1205 kb/s",
            "Stream #0:0[0x1](und): Video: h264 (High) (avc1 / 0x31637661), yuv420p(tv, bt709, progressive), 3840x2160 [SAR 1:1 DAR 16:9], 1100 kb/s, 29.97 fps, 30 tbr, 90k tbn (default)",
            "Stream #0:1[0x2](eng): Audio: aac (LC) (mp4a / 0x6134706D), 48000 Hz, stereo, fltp, 128 kb/s (default)",
        ] {
            describe(line, &mut about);
        }
        assert_eq!(about.duration, Some(Duration::from_millis(62_500)));
        assert_eq!(about.size, Some((3840, 2160)));
        assert_eq!(about.rate, Some(29.97));
        assert_eq!(about.sound.as_deref(), Some("aac"));
        let mut live = About::default();
        describe("Duration: N/A, start: 1.0, bitrate: N/A", &mut live);
        assert_eq!(live, About { start: Duration::from_secs(1), ..About::default() });
        for (stream, size) in [
            ("h264, yuv420p, 720x480 [SAR 8:9 DAR 4:3], 30 fps", (640, 480)),
            ("h264, yuv420p, 1440x1080 [SAR 4:3 DAR 16:9], 30 fps", (1920, 1080)),
            ("dvvideo, yuv411p, 720x480, SAR 10:11 DAR 15:11, 30 fps", (655, 480)),
            ("h264, yuv420p, 720x480 [SAR 0:1 DAR 0:1], 30 fps", (720, 480)),
        ] {
            let mut about = About::default();
            describe(&format!("Stream #0:0: Video: {stream}"), &mut about);
            assert_eq!(about.size, Some(size), "{stream}");
        }
    }

    #[test]
    fn names_are_told_from_urls() {
        for (text, url) in [
            ("rtsp://cam/1", true),
            ("https://a.b/c.mp4", true),
            ("film.mp4", false),
            ("C:\\film.mp4", false),
            ("a:b.mp4", false),
        ] {
            assert_eq!(is_url(text), url, "{text}");
        }
        assert_eq!(protected(OsStr::new("-")), "pipe:0");
    }

    #[test]
    fn failures_say_what_to_do() {
        for (live, line, expected) in [
            (true, "/dev/video0: Permission denied", "usermod"),
            (true, "/dev/video0: Device or resource busy", "another program"),
            (true, "/dev/video9: No such file or directory", "--list"),
            (true, "Unknown input format: 'v4l2'", "full ffmpeg"),
            (false, "x.mp4: No such file or directory", "no such file"),
            (false, "x.mp4: Invalid data found when processing input", "no film"),
            (false, "Decoder (codec av1) not found for input stream #0:0", "no decoder"),
            (false, "Output file #0 does not contain any stream", "neither pictures nor sound"),
        ] {
            let text = explain("it", live, &[line], Some(1));
            assert!(text.contains(expected), "{line}: {text}");
        }
    }
}
