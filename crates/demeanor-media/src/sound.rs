//! Sound files and raw samples, as a stream, to mono at the rate that models read.
//!
//! A recording is decoded packet by packet and handed on at once, so hours of it need no more memory than seconds. Packets
//! stand where their times say: gaps are silence, and edit lists are followed. What cannot be decoded in Rust alone is
//! handed to the program `ffmpeg`, where it is installed.

use std::cell::Cell;
use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, BufReader, Cursor, Read, Seek};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use demeanor::estimate::{RecordingRecord, thousandths};
use demeanor::speech::detect::{RATE, Utterance, VoiceDetector, VoiceSettings};
use demeanor::speech::resample::{LARGEST_SAMPLE, Resampler};
use demeanor::{Audio, Error, ErrorKind, Hz, Result, SpeechReader};
use symphonia::core::codecs::audio::{AudioDecoder, AudioDecoderOptions};
use symphonia::core::errors::Error as DecodeError;
use symphonia::core::formats::probe::Hint;
use symphonia::core::formats::{FormatOptions, FormatReader, Track, TrackFlags};
use symphonia::core::io::{MediaSource, MediaSourceStream, ReadOnlySource};
use symphonia::core::meta::MetadataOptions;
use symphonia::core::units::TimeBase;

use crate::capture::{self, Capture, Ended, Event, Feed, Inputs};
use crate::edits::{self, Edit};
use crate::wave;

/// Endings of the files that are looked for in folders.
pub const EXTENSIONS: &[&str] = &[
    "wav", "wave", "bwf", "rf64", "w64", "flac", "mp3", "mp2", "ogg", "oga", "opus", "m4a", "m4b", "aac", "aif",
    "aiff", "aifc", "caf", "au", "snd", "wma", "amr", "3gp", "mka", "weba",
];

/// What can be read, for messages.
const KINDS: &str = "wav, flac, mp3, ogg (Vorbis), m4a, aac, aiff and caf, or with ffmpeg any other sound";

/// Packets whose times leave a gap that is larger stand behind it, in seconds; a smaller one is the times' own inaccuracy.
const GAP_S: f64 = 0.1;

/// A larger gap is damage, in seconds.
const LARGEST_GAP_S: f64 = 12.0 * 3600.0;

/// An encoder fills up no more packets than this at the end of an MP3; what is behind them is another recording.
const MOST_FILLED: usize = 3;

/// How many bytes are looked at to say what a file is that cannot be read.
const HEAD: u64 = 64;

/// How a raw sample is written, by ffmpeg's names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    /// 8 bits, 128 is silence.
    U8,
    /// Whole numbers with a sign: bits, and whether the first byte is the lowest.
    Whole(u8, bool),
    /// Floating-point numbers: bits, and whether the first byte is the lowest.
    Float(u8, bool),
}

impl Encoding {
    fn bytes(self) -> usize {
        match self {
            Encoding::U8 => 1,
            Encoding::Whole(bits, _) | Encoding::Float(bits, _) => usize::from(bits) / 8,
        }
    }

    /// One sample, full scale at -1 and 1.
    fn sample(self, bytes: &[u8]) -> f32 {
        // Aligned at the top of 8 bytes, lowest first.
        let mut all = [0u8; 8];
        let top = 8 - bytes.len().min(8);
        all[top..].copy_from_slice(&bytes[..8 - top]);
        if matches!(self, Encoding::Whole(_, false) | Encoding::Float(_, false)) {
            all[top..].reverse();
        }
        match self {
            Encoding::U8 => (f32::from(bytes.first().copied().unwrap_or(128)) - 128.0) / 128.0,
            Encoding::Whole(..) => (i64::from_le_bytes(all) as f64 / -(i64::MIN as f64)) as f32,
            Encoding::Float(32, _) => f32::from_bits((u64::from_le_bytes(all) >> 32) as u32),
            Encoding::Float(..) => f64::from_le_bytes(all) as f32,
        }
    }
}

impl FromStr for Encoding {
    type Err = String;

    fn from_str(name: &str) -> std::result::Result<Self, String> {
        Ok(match name {
            "u8" => Encoding::U8,
            "s16le" => Encoding::Whole(16, true),
            "s16be" => Encoding::Whole(16, false),
            "s24le" => Encoding::Whole(24, true),
            "s24be" => Encoding::Whole(24, false),
            "s32le" => Encoding::Whole(32, true),
            "s32be" => Encoding::Whole(32, false),
            "f32le" => Encoding::Float(32, true),
            "f32be" => Encoding::Float(32, false),
            "f64le" => Encoding::Float(64, true),
            "f64be" => Encoding::Float(64, false),
            _ => return Err("expected u8, or s16, s24, s32, f32 or f64 followed by le or be, such as s16le".to_owned()),
        })
    }
}

/// What raw samples are.
#[derive(Debug, Clone, Copy)]
pub struct Raw {
    /// Samples per second and channel.
    pub rate: Hz,
    /// Channels, interleaved; at least 1.
    pub channels: usize,
    /// How a sample is written.
    pub encoding: Encoding,
}

/// Bytes of a recording that can be read from the start.
pub struct Recording {
    source: Source,
    /// The first bytes.
    head: Vec<u8>,
    extension: Option<String>,
    track: Option<usize>,
    longest_s: Option<f64>,
}

enum Source {
    File(PathBuf, File),
    Stream(Feed),
}

impl Recording {
    /// A file.
    ///
    /// # Errors
    /// [`ErrorKind::File`] when it cannot be opened or read. The message does not name the file.
    pub fn open(path: &Path) -> Result<Self> {
        let mut file = File::open(path).map_err(|e| failed("cannot open the file", e))?;
        let extension = path.extension().and_then(|e| e.to_str()).map(str::to_lowercase);
        let seekable = file.metadata().is_ok_and(|m| m.is_file());
        if !seekable {
            // A pipe with a name.
            return Ok(Recording { extension, ..Self::stream(file)? });
        }
        let mut head = Vec::new();
        (&mut file).take(HEAD).read_to_end(&mut head).map_err(|e| failed("cannot read the file", e))?;
        file.rewind().map_err(|e| failed("cannot read the file", e))?;
        Ok(Recording { source: Source::File(path.to_owned(), file), head, extension, track: None, longest_s: None })
    }

    /// A stream that cannot be rewound, such as stdin.
    ///
    /// # Errors
    /// [`ErrorKind::File`] when it cannot be read.
    pub fn stream(mut stream: impl Read + Send + Sync + 'static) -> Result<Self> {
        let mut head = Vec::new();
        (&mut stream).take(HEAD).read_to_end(&mut head).map_err(|e| failed("cannot read the sound", e))?;
        let stream = Box::new(Cursor::new(head.clone()).chain(stream));
        Ok(Recording { source: Source::Stream(stream), head, extension: None, track: None, longest_s: None })
    }

    /// The same, of whose tracks of sound this one is heard, counted from 1; without it the one that the file calls its
    /// default, else the first.
    pub fn with_track(self, track: Option<usize>) -> Self {
        Recording { track, ..self }
    }

    /// The same, which [`Recording::record`] refuses once it has heard more than so many seconds of it.
    pub fn with_longest(self, seconds: f64) -> Self {
        Recording { longest_s: Some(seconds), ..self }
    }

    /// What is told of it: its utterances are found, and each is read; and what is wrong with it, short of an error. An
    /// utterance reads as unsure where its highest score is under `min_score`.
    ///
    /// # Errors
    /// [`ErrorKind::File`] when there is no sound in it that can be decoded.
    pub fn record(self, reader: &mut SpeechReader, min_score: f32) -> Result<(RecordingRecord, Vec<String>)> {
        self.record_while::<Error>(reader, min_score, &mut |_, _| Ok(()))
    }

    /// As [`Recording::record`]; `going` is told how many seconds are done, and of how many where that is known, and ends it
    /// with an error.
    ///
    /// # Errors
    /// As [`Recording::record`], and what `going` gives.
    pub fn record_while<E: From<Error>>(
        self,
        reader: &mut SpeechReader,
        min_score: f32,
        going: &mut dyn FnMut(f64, Option<f64>) -> std::result::Result<(), E>,
    ) -> std::result::Result<(RecordingRecord, Vec<String>), E> {
        let mut detector = VoiceDetector::new(VoiceSettings::default())?;
        let mut segments = Vec::new();
        let mut each = |utterance: Utterance<'_>| -> std::result::Result<(), E> {
            segments.extend(reader.segment(&utterance, min_score)?);
            Ok(())
        };
        let (mut heard_s, longest_s) = (0.0, self.longest_s);
        let done = Cell::new((0.0, None));
        let heard = self.hear::<E>(None, RATE, &mut |now, of| done.set((now, of)), &mut |piece| {
            heard_s += piece.seconds();
            if let Some(longest_s) = longest_s.filter(|longest| heard_s > *longest) {
                return Err(unheard(format!("is longer than {longest_s} s, the most that is read here")).into());
            }
            detector.push(piece, &mut each)?;
            let (now, of) = done.get();
            going(now, of)
        })?;
        detector.finish::<E>(&mut each)?;
        let model = reader.model().header().name.clone();
        Ok((RecordingRecord { duration_s: thousandths(heard.seconds), model, segments }, heard.warnings))
    }

    /// Decodes it, and hands it on to `each` as it comes, mono at the rate `to`. `progress` is told how many seconds are done,
    /// and of how many where that is known.
    ///
    /// # Errors
    /// [`ErrorKind::File`] when there is no sound in it that can be decoded, and what `each` gives. Damage behind the first
    /// samples is a warning in [`Heard`].
    pub fn hear<E: From<Error>>(
        self,
        raw: Option<Raw>,
        to: Hz,
        progress: &mut dyn FnMut(f64, Option<f64>),
        each: &mut dyn FnMut(&Audio<'_>) -> std::result::Result<(), E>,
    ) -> std::result::Result<Heard, E> {
        if self.head.is_empty() {
            return Err(unheard("it is empty; expected sound").into());
        }
        let mut hearing = Hearing { to, resampler: None, mono: Vec::new(), seconds: 0.0, silence: 0.0, odd: 0, each };
        let mut warnings = Vec::new();
        let with_ffmpeg = match raw {
            Some(raw) => {
                hear_raw(self.source, raw, &mut hearing, &mut warnings, progress)?;
                false
            }
            None => hear_any(self, &mut hearing, &mut warnings, progress)?,
        };
        hearing.finish()?;
        if hearing.odd > 0 {
            warnings.push(format!("{} samples are no numbers, or beyond all bounds; read as silence", hearing.odd));
        }
        Ok(Heard { seconds: hearing.seconds, warnings, with_ffmpeg })
    }
}

/// A sample of a film or a microphone beyond this is damage.
const LARGEST_LIVE: f32 = 100.0;

/// Takes samples that are no numbers, or far beyond full scale, for silence; how many there were.
pub fn silence_damage(samples: &mut [f32]) -> u64 {
    let mut count = 0;
    for sample in samples.iter_mut().filter(|s| !s.is_finite() || s.abs() > LARGEST_LIVE) {
        *sample = 0.0;
        count += 1;
    }
    count
}

/// What was heard of a recording.
#[derive(Debug)]
pub struct Heard {
    /// How long it is, as far as it could be decoded, gaps included.
    pub seconds: f64,
    /// What is wrong with it, short of an error.
    pub warnings: Vec<String>,
    /// Whether the program `ffmpeg` decoded it, rather than this one alone.
    pub with_ffmpeg: bool,
}

/// Decoded samples on their way to mono at one rate.
struct Hearing<'a, E> {
    to: Hz,
    resampler: Option<(Hz, usize, Resampler)>,
    mono: Vec<f32>,
    /// How far it is heard, gaps included.
    seconds: f64,
    /// How much of that are gaps.
    silence: f64,
    /// How many samples were no numbers.
    odd: u64,
    each: &'a mut dyn FnMut(&Audio<'_>) -> std::result::Result<(), E>,
}

impl<E: From<Error>> Hearing<'_, E> {
    /// Takes interleaved samples; their rate and channels may differ from the last ones'.
    fn take(&mut self, samples: &mut [f32], channels: usize, rate: Hz) -> std::result::Result<(), E> {
        for sample in samples.iter_mut() {
            if sample.is_nan() || sample.abs() > LARGEST_SAMPLE {
                *sample = 0.0;
                self.odd += 1;
            }
        }
        let audio = Audio::new(samples, channels, rate)?;
        if self.resampler.as_ref().is_none_or(|(r, c, _)| (*r, *c) != (rate, channels)) {
            self.finish()?;
            self.resampler = Some((rate, channels, Resampler::new(rate, channels, self.to)?));
        }
        let Some((_, _, resampler)) = &mut self.resampler else { return Ok(()) };
        // In pieces: a packet may be a whole file.
        for piece in audio.samples().chunks(channels << 14) {
            self.mono.clear();
            resampler.push(&Audio::new(piece, channels, rate)?, &mut self.mono)?;
            (self.each)(&Audio::new(&self.mono, 1, self.to)?)?;
        }
        self.seconds += (samples.len() / channels) as f64 / f64::from(rate.0);
        Ok(())
    }

    /// Silence until a time, if that is behind what was heard; whether it could be believed.
    fn wait_until(&mut self, time_s: f64) -> std::result::Result<bool, E> {
        let gap = time_s - self.seconds;
        if gap < GAP_S {
            return Ok(true);
        }
        if gap > LARGEST_GAP_S || !gap.is_finite() {
            return Ok(false);
        }
        self.finish()?;
        let silence = [0.0; 16_000];
        let mut left = (gap * f64::from(self.to.0)).round() as u64;
        while left > 0 {
            let piece = left.min(silence.len() as u64);
            (self.each)(&Audio::new(&silence[..piece as usize], 1, self.to)?)?;
            left -= piece;
        }
        self.seconds += gap;
        self.silence += gap;
        Ok(true)
    }

    /// Whether no samples came.
    fn is_empty(&self) -> bool {
        self.seconds <= self.silence
    }

    fn finish(&mut self) -> std::result::Result<(), E> {
        if let Some((_, _, mut resampler)) = self.resampler.take() {
            self.mono.clear();
            resampler.finish(&mut self.mono)?;
            (self.each)(&Audio::new(&self.mono, 1, self.to)?)?;
        }
        Ok(())
    }
}

fn failed(what: &str, error: io::Error) -> Error {
    Error::new(ErrorKind::File, format!("{what}: {error}")).with_source(error)
}

fn unheard(why: impl Into<String>) -> Error {
    Error::new(ErrorKind::File, why)
}

fn hear_raw<E: From<Error>>(
    source: Source,
    raw: Raw,
    hearing: &mut Hearing<'_, E>,
    warnings: &mut Vec<String>,
    progress: &mut dyn FnMut(f64, Option<f64>),
) -> std::result::Result<(), E> {
    let size = raw.encoding.bytes();
    let group = size * raw.channels;
    let (mut source, length): (Box<dyn Read>, _) = match source {
        Source::File(_, file) => {
            let length = file.metadata().map(|m| m.len()).ok();
            (Box::new(file), length)
        }
        Source::Stream(stream) => (stream, None),
    };
    let whole = length.map(|b| (b / group as u64) as f64 / f64::from(raw.rate.0.max(1)));
    let mut bytes = vec![0u8; (1 << 16) + group];
    let mut there = 0;
    let mut samples = Vec::new();
    loop {
        let read = match source.read(&mut bytes[there..]) {
            Ok(0) => break,
            Ok(read) => read,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
            Err(e) => return Err(failed("cannot read the samples", e).into()),
        };
        there += read;
        let used = there - there % group;
        samples.clear();
        samples.extend(bytes[..used].chunks_exact(size).map(|b| raw.encoding.sample(b)));
        if !samples.is_empty() {
            hearing.take(&mut samples, raw.channels, raw.rate)?;
        }
        bytes.copy_within(used..there, 0);
        there -= used;
        progress(hearing.seconds, whole);
    }
    if there > 0 {
        warnings.push(format!("it ends in the middle of a sample; the last {there} bytes are left out"));
    }
    if hearing.seconds == 0.0 {
        return Err(unheard(format!("it holds no whole sample of {group} bytes")).into());
    }
    Ok(())
}

/// Hears a recording of any kind: in Rust alone, else with `ffmpeg`; whether it was the latter.
fn hear_any<E: From<Error>>(
    recording: Recording,
    hearing: &mut Hearing<'_, E>,
    warnings: &mut Vec<String>,
    progress: &mut dyn FnMut(f64, Option<f64>),
) -> std::result::Result<bool, E> {
    let track = recording.track;
    let mut path = match &recording.source {
        Source::File(path, _) => Some(path.clone()),
        // what a second try needs of a stream is gone
        Source::Stream(_) => None,
    };
    let mut feed = None;
    let why = match Known::of(&recording.head, recording.extension.as_deref()) {
        Known::Text => return Err(unheard(format!("it is text, not sound; expected {KINDS}")).into()),
        Known::Here => match hear_coded(recording, hearing, warnings, progress)? {
            Coded::Heard => return Ok(false),
            Coded::NotHere(why) => why,
        },
        Known::Elsewhere(name) => {
            if let Source::Stream(stream) = recording.source {
                feed = Some(stream);
                path = Some(PathBuf::from("-"));
            }
            format!("it is {name}")
        }
    };
    let Some(path) = path else { return Err(unheard(format!("{why}; expected {KINDS}")).into()) };
    match hear_elsewhere(path.as_os_str(), feed, track, hearing, warnings, progress)? {
        Elsewhere::Heard => Ok(true),
        Elsewhere::Missing => {
            let text = format!("{why}, which is read with the help of the program ffmpeg; {}", capture::INSTALL);
            Err(unheard(text).into())
        }
        Elsewhere::Failed(error) if error.to_string().contains("track") => Err(error.into()),
        Elsewhere::Failed(_) => {
            Err(unheard(format!("{why}, and ffmpeg cannot read it either; expected {KINDS}")).into())
        }
    }
}

/// What hears a recording, by its first bytes.
enum Known {
    /// This program alone.
    Here,
    /// `ffmpeg`: what it is called.
    Elsewhere(&'static str),
    /// Nothing: it is text.
    Text,
}

/// What begins so is read by `ffmpeg`.
const ELSEWHERE: [(&[u8], &str); 18] = [
    (&[0x1a, 0x45, 0xdf, 0xa3], "a WebM or Matroska file"),
    (b".snd", "an AU file"),
    (&[0x30, 0x26, 0xb2, 0x75, 0x8e, 0x66, 0xcf, 0x11], "a Windows Media file"),
    (b"#!AMR", "an AMR file"),
    (b"RIFF", "a RIFF file that is no WAVE"),
    (b"RIFX", "a WAVE file of the old Macintosh"),
    (b"FLV", "a Flash film"),
    (b"MAC ", "a Monkey's Audio file"),
    (b"wvpk", "a WavPack file"),
    (b"DSD ", "a DSD file"),
    (b"TTA1", "a True Audio file"),
    (b"MPCK", "a Musepack file"),
    (b"MP+", "a Musepack file"),
    (b"\x0b\x77", "an AC-3 file"),
    (b"NIST_1A", "a NIST SPHERE file"),
    (b"Creative Voice File", "a Creative Voice file"),
    (&[0, 0, 1, 0xba], "an MPEG program stream"),
    (b"FORM", "an IFF file that is no AIFF"),
];

impl Known {
    fn of(head: &[u8], extension: Option<&str>) -> Known {
        let at = |from: usize, text: &[u8]| head.get(from..from + text.len()) == Some(text);
        let is_aiff = at(0, b"FORM") && (at(8, b"AIFF") || at(8, b"AIFC"));
        if wave::is_wave(head) || at(0, b"fLaC") || at(0, b"caff") || is_aiff {
            return Known::Here;
        }
        if at(0, b"OggS") {
            // the first packet of the first page says what it is
            return match head.get(28..) {
                Some(packet) if packet.starts_with(b"\x01vorbis") || packet.starts_with(b"\x7fFLAC") => Known::Here,
                Some(packet) if packet.starts_with(b"OpusHead") => Known::Elsewhere("Ogg Opus"),
                Some(packet) if packet.starts_with(b"Speex") => Known::Elsewhere("Ogg Speex"),
                _ => Known::Elsewhere("an Ogg file of another kind than Vorbis and FLAC"),
            };
        }
        if [b"ftyp", b"moov", b"mdat", b"free", b"wide", b"skip"].iter().any(|name| at(4, *name)) {
            return Known::Here;
        }
        if let Some((_, name)) = ELSEWHERE.iter().find(|(magic, _)| at(0, magic)) {
            return Known::Elsewhere(name);
        }
        // streams of frames, which have no head: MPEG audio and ADTS
        let is_framed = at(0, b"ID3") || head.first() == Some(&0xff) && head.get(1).is_some_and(|b| b & 0xe0 == 0xe0);
        if is_framed || matches!(extension, Some("mp3" | "mp2" | "aac")) {
            return Known::Here;
        }
        let is_text =
            std::str::from_utf8(head).is_ok_and(|t| !t.contains(|c: char| c.is_control() && !c.is_whitespace()));
        if is_text { Known::Text } else { Known::Elsewhere("no sound that is known here") }
    }
}

/// Whether a recording was heard in Rust alone.
enum Coded {
    Heard,
    /// Why it was not; nothing of it was heard.
    NotHere(String),
}

/// Where packets stand in time.
struct Clock {
    /// What is added to the times of packets; none until there is one.
    shift: Option<f64>,
    /// Whether times begin where the file says, rather than with the first packet.
    from_file: bool,
    edits: Vec<Edit>,
}

impl Clock {
    /// Hears the samples of a packet that begin at a time of its track.
    fn hear<E: From<Error>>(
        &mut self,
        start_s: f64,
        samples: &mut [f32],
        (channels, rate): (usize, Hz),
        hearing: &mut Hearing<'_, E>,
    ) -> std::result::Result<(), E> {
        if self.edits.is_empty() {
            return self.hear_at(start_s, samples, (channels, rate), hearing);
        }
        let per_s = f64::from(rate.0);
        let frames = samples.len() / channels;
        let end_s = start_s + frames as f64 / per_s;
        let frame = |time: f64| (((time - start_s) * per_s).round().max(0.0) as usize).min(frames);
        let parts: Vec<(f64, usize, usize)> = self
            .edits
            .iter()
            .map(|edit| (edit, start_s.max(edit.from_s), end_s.min(edit.until_s)))
            .filter(|(_, from, until)| from < until)
            .map(|(edit, from, until)| (edit.plays_s + from - edit.from_s, frame(from), frame(until)))
            .collect();
        for (plays_s, first, last) in parts {
            if first < last {
                self.hear_at(plays_s, &mut samples[first * channels..last * channels], (channels, rate), hearing)?;
            }
        }
        Ok(())
    }

    fn hear_at<E: From<Error>>(
        &mut self,
        start_s: f64,
        samples: &mut [f32],
        (channels, rate): (usize, Hz),
        hearing: &mut Hearing<'_, E>,
    ) -> std::result::Result<(), E> {
        let heard_s = hearing.seconds;
        let follows = if self.from_file && heard_s == 0.0 { 0.0 } else { heard_s - start_s };
        let shift = *self.shift.get_or_insert(follows);
        // times that go back are another recording behind the first; those that cannot be are damage
        if start_s + shift < heard_s - GAP_S || !hearing.wait_until(start_s + shift)? {
            self.shift = Some(heard_s - start_s);
        }
        hearing.take(samples, channels, rate)
    }
}

/// A source that can be decoded here, and what its head says.
struct Opened {
    source: Box<dyn MediaSource>,
    /// The edit lists of its tracks of sound.
    edits: Vec<Vec<Edit>>,
    /// What is to be said of it.
    said: Option<&'static str>,
    /// Whether it just ends where its bytes do.
    is_endless: bool,
}

/// Opens a source; an error of the inner kind says why it cannot be decoded here.
fn open(source: Source, head: &[u8]) -> Result<std::result::Result<Opened, String>> {
    let damaged = |e: io::Error| format!("its header is damaged or incomplete ({e})");
    let opened = |source| Opened { source, edits: Vec::new(), said: None, is_endless: false };
    Ok(match source {
        Source::File(_, file) if wave::is_wave(head) => {
            let length = file.metadata().map(|m| m.len()).ok();
            let mut file = BufReader::new(file);
            match wave::open(&mut file) {
                Ok(wave) => {
                    let there = length.zip(file.stream_position().ok()).map(|(length, at)| length.saturating_sub(at));
                    let said = match (there, wave.length) {
                        (Some(there), _) if wave.is_unfinished && there > 0 => Some(
                            "its header says that it is empty, as when a recorder was cut off; it was read to its end",
                        ),
                        (Some(there), Some(length)) if length > there => Some("it ends early"),
                        _ => None,
                    };
                    let source = Box::new(ReadOnlySource::new(wave.plain(file)));
                    Ok(Opened { said, is_endless: true, ..opened(source) })
                }
                Err(e) => Err(damaged(e)),
            }
        }
        Source::Stream(mut stream) if wave::is_wave(head) => match wave::open(&mut stream) {
            Ok(wave) => Ok(Opened { is_endless: true, ..opened(Box::new(ReadOnlySource::new(wave.plain(stream)))) }),
            Err(e) => Err(damaged(e)),
        },
        Source::File(_, mut file) => {
            // what is damaged in a film's structure is found and told when it is decoded
            let edits = if is_mp4(head) { edits::of_sound_tracks(&mut file).unwrap_or_default() } else { Vec::new() };
            file.rewind().map_err(|e| failed("cannot read the file", e))?;
            Ok(Opened { edits, ..opened(Box::new(file)) })
        }
        Source::Stream(stream) => Ok(opened(Box::new(ReadOnlySource::new(stream)))),
    })
}

fn is_mp4(head: &[u8]) -> bool {
    head.get(4..8) == Some(b"ftyp")
}

/// Hears what can be decoded in Rust alone.
fn hear_coded<E: From<Error>>(
    recording: Recording,
    hearing: &mut Hearing<'_, E>,
    warnings: &mut Vec<String>,
    progress: &mut dyn FnMut(f64, Option<f64>),
) -> std::result::Result<Coded, E> {
    let mut hint = Hint::new();
    if let Some(extension) = &recording.extension {
        hint.with_extension(extension);
    }
    let Opened { source, edits, said, is_endless } = match open(recording.source, &recording.head)? {
        Ok(opened) => opened,
        Err(why) => return Ok(Coded::NotHere(why)),
    };
    let stream = MediaSourceStream::new(source, Default::default());
    let probed =
        symphonia::default::get_probe().probe(&hint, stream, FormatOptions::default(), MetadataOptions::default());
    let mut format = match probed {
        Ok(format) => format,
        Err(e) => return Ok(Coded::NotHere(unknown(&recording.head, &e))),
    };
    let mut played = Played { ended: None, broken: 0, reached_s: 0.0, whole_s: None };
    // one stream after the other, where they are chained
    for link in 0.. {
        let chosen = match choose(&*format, recording.track) {
            Ok(chosen) => chosen,
            Err(why) if link > 0 => {
                played.ended = Some(format!("what follows is another stream: {}", why.text));
                break;
            }
            Err(why) if why.is_final => return Err(unheard(why.text).into()),
            Err(why) => return Ok(Coded::NotHere(why.text)),
        };
        let edits = edits.get(chosen.place).filter(|_| link == 0).cloned().unwrap_or_default();
        let from_file = is_mp4(&recording.head) && format.tracks().len() > 1;
        if link == 0 {
            played.whole_s = chosen.whole_s;
        }
        let clock = Clock { shift: None, from_file, edits };
        if !play(&mut *format, chosen, clock, is_endless, &mut played, hearing, progress)? {
            break;
        }
    }
    let Played { mut ended, broken, reached_s, whole_s } = played;
    if hearing.is_empty() {
        let why = match ended {
            Some(why) => why,
            None if broken > 0 => format!("all of its {broken} packets are damaged"),
            None => "there is a header, and no sound behind it".to_owned(),
        };
        return Ok(Coded::NotHere(format!("it holds no samples: {why}")));
    }
    if ended.is_none() {
        let early = whole_s.is_some_and(|w| reached_s < 0.98 * w - 0.1).then_some("it ends early");
        ended = said.or(early).map(str::to_owned);
    }
    if let Some(why) = ended {
        let of = whole_s.map_or(String::new(), |w| format!(" of {w:.1} s"));
        warnings.push(format!("{why}; {:.1} s{of} were read", hearing.seconds));
    }
    if broken > 0 {
        warnings.push(format!("{broken} packets are damaged and were left out"));
    }
    Ok(Coded::Heard)
}

/// What became of a recording.
struct Played {
    /// Why it ended before its time.
    ended: Option<String>,
    /// Damaged packets.
    broken: u64,
    /// How far the times of the track reached.
    reached_s: f64,
    /// How far they should reach.
    whole_s: Option<f64>,
}

/// Plays a track to its end; whether another stream follows.
fn play<E: From<Error>>(
    format: &mut dyn FormatReader,
    mut chosen: Chosen,
    mut clock: Clock,
    is_endless: bool,
    played: &mut Played,
    hearing: &mut Hearing<'_, E>,
    progress: &mut dyn FnMut(f64, Option<f64>),
) -> std::result::Result<bool, E> {
    let mut samples = Vec::new();
    // packets that an encoder filled up, or the beginning of what was joined on
    let (mut waiting, mut joined) = (Vec::new(), false);
    loop {
        let packet = match format.next_packet() {
            Ok(Some(packet)) => packet,
            Ok(None) => return Ok(false),
            Err(DecodeError::IoError(e)) if e.kind() == io::ErrorKind::UnexpectedEof => {
                played.ended = (!is_endless).then(|| "it ends early".to_owned());
                return Ok(false);
            }
            // a chained stream: what follows has other tracks
            Err(DecodeError::ResetRequired) => return Ok(true),
            Err(e) => {
                played.ended = Some(format!("it cannot be read any further ({e})"));
                return Ok(false);
            }
        };
        if packet.track_id != chosen.id {
            continue;
        }
        let is_filled = packet.trim_end.get() > 0 && packet.trim_end >= packet.dur;
        waiting.push(packet);
        if is_filled && !joined {
            if waiting.len() <= MOST_FILLED {
                continue;
            }
            (joined, played.whole_s) = (true, None);
        }
        for mut packet in waiting.drain(..) {
            if joined {
                packet.trim_end = symphonia::core::units::Duration::ZERO;
            }
            let audio = match chosen.decoder.decode(&packet) {
                Ok(audio) => audio,
                Err(DecodeError::DecodeError(_) | DecodeError::IoError(_)) => {
                    played.broken += 1;
                    continue;
                }
                Err(DecodeError::ResetRequired) => {
                    chosen.decoder.reset();
                    continue;
                }
                Err(e) => {
                    played.ended = Some(format!("it cannot be decoded any further ({e})"));
                    return Ok(false);
                }
            };
            let (channels, rate) = (audio.spec().channels().count(), Hz(audio.spec().rate()));
            audio.copy_to_vec_interleaved(&mut samples);
            if samples.is_empty() || channels == 0 {
                continue;
            }
            let first = packet.pts.checked_add(packet.trim_start).unwrap_or(packet.pts);
            let time = chosen.time_base.map(|base| base.calc_time_saturating(first).as_secs_f64());
            let start_s = time.unwrap_or(hearing.seconds);
            let length_s = (samples.len() / channels) as f64 / f64::from(rate.0.max(1));
            played.reached_s = played.reached_s.max(start_s + length_s);
            clock.hear(start_s, &mut samples, (channels, rate), hearing)?;
        }
        progress(hearing.seconds, played.whole_s);
    }
}

/// A track that is heard.
struct Chosen {
    id: u32,
    /// Its place among the tracks of sound.
    place: usize,
    time_base: Option<TimeBase>,
    whole_s: Option<f64>,
    decoder: Box<dyn AudioDecoder>,
}

/// Why no track is heard.
struct Unheard {
    text: String,
    /// Whether another program would say the same.
    is_final: bool,
}

/// The track to hear: that of a number from 1, or the default one, else the first.
fn choose(format: &dyn FormatReader, number: Option<usize>) -> std::result::Result<Chosen, Unheard> {
    let unheard = |text: &str| Unheard { text: text.to_owned(), is_final: false };
    // one that is coded in an unknown way may be any
    let is_sound = |t: &&Track| t.codec_params.as_ref().is_some_and(|p| p.audio().is_some());
    let tracks: Vec<&Track> = format.tracks().iter().filter(is_sound).collect();
    let place = match number {
        Some(number) => number.saturating_sub(1),
        None => tracks.iter().position(|t| t.flags.contains(TrackFlags::DEFAULT)).unwrap_or(0),
    };
    let Some(track) = tracks.get(place) else {
        let text = format!("it has no track {} of sound; it has {}", place + 1, tracks.len());
        let is_final = number.is_some() && tracks.len() == format.tracks().len();
        return Err(if tracks.is_empty() { unheard("it has no track of sound") } else { Unheard { text, is_final } });
    };
    let Some(parameters) = track.codec_params.as_ref().and_then(|p| p.audio()) else {
        return Err(unheard("its sound is coded in a way that is not known here"));
    };
    let decoder = symphonia::default::get_codecs()
        .make_audio_decoder(parameters, &AudioDecoderOptions::default())
        .map_err(|e| unheard(&format!("its sound is coded in a way that cannot be decoded here ({e})")))?;
    let whole_s = track.num_frames.zip(parameters.sample_rate).map(|(n, rate)| n as f64 / f64::from(rate.max(1)));
    Ok(Chosen { id: track.id, place, time_base: track.time_base, whole_s, decoder })
}

/// What `ffmpeg` made of a recording.
enum Elsewhere {
    Heard,
    /// It is not installed.
    Missing,
    /// It could not read it.
    Failed(Error),
}

/// Hears a recording with the program `ffmpeg`.
fn hear_elsewhere<E: From<Error>>(
    path: &OsStr,
    feed: Option<Feed>,
    track: Option<usize>,
    hearing: &mut Hearing<'_, E>,
    warnings: &mut Vec<String>,
    progress: &mut dyn FnMut(f64, Option<f64>),
) -> std::result::Result<Elsewhere, E> {
    if !capture::is_there() {
        return Ok(Elsewhere::Missing);
    }
    let inputs = Inputs { picture: None, track, ..Inputs::film(path, false) };
    let mut capture = match Capture::start_fed(&inputs, false, feed) {
        Ok(capture) => capture,
        Err(error) => return Ok(Elsewhere::Failed(error)),
    };
    let mut clock = Clock { shift: None, from_file: true, edits: Vec::new() };
    loop {
        match capture.next_within(Duration::from_millis(200)) {
            Ok(Some(Event::Sound { rate, channels, mut samples, time })) => {
                if !samples.is_empty() && channels > 0 && rate > 0 {
                    clock.hear(time.as_secs_f64(), &mut samples, (channels, Hz(rate)), hearing)?;
                    progress(hearing.seconds, capture.about().duration.map(|d| d.as_secs_f64()));
                }
            }
            Ok(_) => {}
            Err(Ended) => break,
        }
    }
    match capture.finish() {
        Ok(warning) => warnings.extend(warning),
        Err(error) if hearing.is_empty() => return Ok(Elsewhere::Failed(error)),
        Err(error) => return Err(error.into()),
    }
    if hearing.is_empty() {
        return Ok(Elsewhere::Failed(unheard("it holds no samples")));
    }
    Ok(Elsewhere::Heard)
}

/// Says what a file is that is no sound.
fn unknown(head: &[u8], error: &DecodeError) -> String {
    if head.starts_with(b"fLaC") || head.starts_with(b"OggS") || is_mp4(head) {
        format!("its header is damaged or incomplete ({error})")
    } else {
        format!("it is no sound that is known here ({error})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_of_every_encoding() {
        for (name, bytes, value) in [
            ("u8", vec![192u8], 0.5f32),
            ("u8", vec![0], -1.0),
            ("s16le", vec![0x00, 0x40], 0.5),
            ("s16be", vec![0x40, 0x00], 0.5),
            ("s16le", vec![0x00, 0x80], -1.0),
            ("s24le", vec![0x00, 0x00, 0xc0], -0.5),
            ("s24be", vec![0xc0, 0x00, 0x00], -0.5),
            ("s32le", vec![0, 0, 0, 0x20], 0.25),
            ("s32be", vec![0x20, 0, 0, 0], 0.25),
            ("f32le", 0.3f32.to_le_bytes().to_vec(), 0.3),
            ("f32be", 0.3f32.to_be_bytes().to_vec(), 0.3),
            ("f64le", 0.3f64.to_le_bytes().to_vec(), 0.3),
            ("f64be", 0.3f64.to_be_bytes().to_vec(), 0.3),
        ] {
            let encoding: Encoding = name.parse().unwrap();
            assert_eq!(encoding.bytes(), bytes.len(), "{name}");
            assert_eq!(encoding.sample(&bytes), value, "{name}");
        }
        assert!("s8".parse::<Encoding>().is_err());
    }
}
