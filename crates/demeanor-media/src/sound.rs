//! Sound files and raw samples, as a stream, to mono at the rate that models read.
//!
//! A recording is decoded packet by packet and handed on at once, so hours of it need no more memory than seconds.

use std::fs::File;
use std::io::{self, Cursor, Read, Seek};
use std::path::Path;
use std::str::FromStr;

use demeanor::speech::resample::{LARGEST_SAMPLE, Resampler};
use demeanor::{Audio, Error, ErrorKind, Hz, Result};
use symphonia::core::codecs::audio::AudioDecoderOptions;
use symphonia::core::errors::Error as DecodeError;
use symphonia::core::formats::probe::Hint;
use symphonia::core::formats::{FormatOptions, TrackType};
use symphonia::core::io::{MediaSource, MediaSourceStream, ReadOnlySource};
use symphonia::core::meta::MetadataOptions;

/// Endings of the files that are looked for in folders.
pub const EXTENSIONS: &[&str] = &["wav", "wave", "flac", "mp3", "ogg", "oga", "m4a", "aac"];

/// What can be read, for messages.
const KINDS: &str = "wav, flac, mp3, ogg (Vorbis), m4a and aac";

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
    source: Box<dyn MediaSource>,
    /// The first bytes.
    head: Vec<u8>,
    extension: Option<String>,
}

impl Recording {
    /// A file.
    ///
    /// # Errors
    /// [`ErrorKind::File`] when it cannot be opened or read. The message does not name the file.
    pub fn open(path: &Path) -> Result<Self> {
        let mut file = File::open(path).map_err(|e| failed("cannot open the file", e))?;
        let extension = path.extension().and_then(|e| e.to_str()).map(str::to_owned);
        let seekable = file.metadata().is_ok_and(|m| m.is_file());
        if !seekable {
            // A pipe with a name.
            return Ok(Recording { extension, ..Self::stream(file)? });
        }
        let mut head = Vec::new();
        (&mut file).take(HEAD).read_to_end(&mut head).map_err(|e| failed("cannot read the file", e))?;
        file.rewind().map_err(|e| failed("cannot read the file", e))?;
        Ok(Recording { source: Box::new(file), head, extension })
    }

    /// A stream that cannot be rewound, such as stdin.
    ///
    /// # Errors
    /// [`ErrorKind::File`] when it cannot be read.
    pub fn stream(mut stream: impl Read + Send + Sync + 'static) -> Result<Self> {
        let mut head = Vec::new();
        (&mut stream).take(HEAD).read_to_end(&mut head).map_err(|e| failed("cannot read the sound", e))?;
        let source = ReadOnlySource::new(Cursor::new(head.clone()).chain(stream));
        Ok(Recording { source: Box::new(source), head, extension: None })
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
        let mut hearing = Hearing { to, resampler: None, mono: Vec::new(), seconds: 0.0, odd: 0, each };
        let mut warnings = Vec::new();
        match raw {
            Some(raw) => hear_raw(self.source, raw, &mut hearing, &mut warnings, progress)?,
            None => hear_coded(self, &mut hearing, &mut warnings, progress)?,
        }
        hearing.finish()?;
        if hearing.odd > 0 {
            warnings.push(format!("{} samples are no numbers, or beyond all bounds; read as silence", hearing.odd));
        }
        Ok(Heard { seconds: hearing.seconds, warnings })
    }
}

/// What was heard of a recording.
#[derive(Debug)]
pub struct Heard {
    /// How long it is, as far as it could be decoded.
    pub seconds: f64,
    /// What is wrong with it, short of an error.
    pub warnings: Vec<String>,
}

/// Decoded samples on their way to mono at one rate.
struct Hearing<'a, E> {
    to: Hz,
    resampler: Option<(Hz, usize, Resampler)>,
    mono: Vec<f32>,
    seconds: f64,
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
    mut source: Box<dyn MediaSource>,
    raw: Raw,
    hearing: &mut Hearing<'_, E>,
    warnings: &mut Vec<String>,
    progress: &mut dyn FnMut(f64, Option<f64>),
) -> std::result::Result<(), E> {
    let size = raw.encoding.bytes();
    let group = size * raw.channels;
    let whole = source.byte_len().map(|b| (b / group as u64) as f64 / f64::from(raw.rate.0.max(1)));
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

fn hear_coded<E: From<Error>>(
    recording: Recording,
    hearing: &mut Hearing<'_, E>,
    warnings: &mut Vec<String>,
    progress: &mut dyn FnMut(f64, Option<f64>),
) -> std::result::Result<(), E> {
    let mut hint = Hint::new();
    if let Some(extension) = &recording.extension {
        hint.with_extension(extension);
    }
    let stream = MediaSourceStream::new(recording.source, Default::default());
    let mut format = symphonia::default::get_probe()
        .probe(&hint, stream, FormatOptions::default(), MetadataOptions::default())
        .map_err(|e| unknown(&recording.head, &e))?;
    let track = format.default_track(TrackType::Audio).ok_or_else(|| unheard("it has no track of sound"))?;
    let parameters = track
        .codec_params
        .as_ref()
        .and_then(|p| p.audio())
        .ok_or_else(|| unheard(format!("its sound is coded in a way that is not known; {}", convert())))?;
    let frames = track.num_frames;
    let whole = frames.zip(parameters.sample_rate).map(|(n, rate)| n as f64 / f64::from(rate.max(1)));
    let track = track.id;
    let mut decoder = symphonia::default::get_codecs()
        .make_audio_decoder(parameters, &AudioDecoderOptions::default())
        .map_err(|e| {
            unheard(format!(
                "its sound is coded in a way that cannot be decoded here ({e}), such as Opus; {}",
                convert()
            ))
        })?;

    let (mut samples, mut broken, mut ended) = (Vec::new(), 0u64, None);
    loop {
        let packet = match format.next_packet() {
            Ok(Some(packet)) => packet,
            Ok(None) => break,
            Err(DecodeError::IoError(e)) if e.kind() == io::ErrorKind::UnexpectedEof => {
                ended = Some("it ends early".to_owned());
                break;
            }
            // A chained stream: what follows has other tracks.
            Err(DecodeError::ResetRequired) => {
                ended = Some("what follows is another stream".to_owned());
                break;
            }
            Err(e) => {
                ended = Some(format!("it cannot be read any further ({e})"));
                break;
            }
        };
        if packet.track_id != track {
            continue;
        }
        match decoder.decode(&packet) {
            Ok(audio) => {
                let (channels, rate) = (audio.spec().channels().count(), Hz(audio.spec().rate()));
                audio.copy_to_vec_interleaved(&mut samples);
                if !samples.is_empty() {
                    hearing.take(&mut samples, channels, rate)?;
                }
            }
            Err(DecodeError::DecodeError(_) | DecodeError::IoError(_)) => broken += 1,
            Err(e) => {
                ended = Some(format!("it cannot be decoded any further ({e})"));
                break;
            }
        }
        progress(hearing.seconds, whole);
    }
    if hearing.seconds == 0.0 {
        let why = match ended {
            Some(why) => why,
            None if broken > 0 => format!("all of its {broken} packets are damaged"),
            None => "there is a header, and no sound behind it".to_owned(),
        };
        return Err(unheard(format!("it holds no samples: {why}")).into());
    }
    if ended.is_none() && whole.is_some_and(|w| hearing.seconds < 0.98 * w - 0.1) {
        ended = Some("it ends early".to_owned());
    }
    if let Some(why) = ended {
        let of = whole.map_or(String::new(), |w| format!(" of {w:.1} s"));
        warnings.push(format!("{why}; {:.1} s{of} were read", hearing.seconds));
    }
    if broken > 0 {
        warnings.push(format!("{broken} packets are damaged and were left out"));
    }
    Ok(())
}

fn convert() -> &'static str {
    "convert it first: ffmpeg -i RECORDING recording.wav"
}

/// Says what a file is that is no sound.
fn unknown(head: &[u8], error: &DecodeError) -> Error {
    let is_text =
        || std::str::from_utf8(head).is_ok_and(|t| !t.contains(|c: char| c.is_control() && !c.is_whitespace()));
    unheard(if head.starts_with(&[0x1a, 0x45, 0xdf, 0xa3]) {
        format!("it is a WebM or Matroska file; {}", convert())
    } else if head.starts_with(b"RIFF") || head.starts_with(b"fLaC") || head.starts_with(b"OggS") {
        format!("its header is damaged or incomplete ({error})")
    } else if is_text() {
        format!("it is text, not sound; expected {KINDS}")
    } else {
        format!(
            "it is no sound that is known here ({error}); expected {KINDS}, or raw samples with --rate and --format"
        )
    })
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
