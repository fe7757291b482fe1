//! Sound files of a data set to samples: wav, flac, mp3, ogg and m4a.

use std::fs::File;
use std::path::Path;

use demeanor::speech::resample::resample;
use demeanor::{Audio, Error, ErrorKind, Hz, Result};
use symphonia::core::codecs::audio::AudioDecoderOptions;
use symphonia::core::errors::Error as DecodeError;
use symphonia::core::formats::probe::Hint;
use symphonia::core::formats::{FormatOptions, TrackType};
use symphonia::core::io::MediaSourceStream;
use symphonia::core::meta::MetadataOptions;

/// Longest recording that a data set may hold, in seconds: an hour would be a recording still to be cut into utterances.
const LONGEST_S: u64 = 600;

/// Whether a file's ending is that of a sound file that [`read`] knows.
pub fn is_sound(path: &Path) -> bool {
    let ending = path.extension().and_then(|e| e.to_str()).unwrap_or_default().to_ascii_lowercase();
    matches!(ending.as_str(), "wav" | "wave" | "flac" | "mp3" | "ogg" | "oga" | "m4a" | "aac")
}

/// Reads a sound file: mono samples at `rate`, full scale at -1 and 1.
///
/// # Errors
/// [`ErrorKind::File`] when it cannot be opened or decoded; [`ErrorKind::Sound`] when it holds no sound, or more than ten
/// minutes.
pub fn read(path: &Path, rate: Hz) -> Result<Vec<f32>> {
    let named = |e: Error| Error::new(e.kind(), format!("{}: {e}", path.display()));
    let (samples, channels, from) = decode(path).map_err(named)?;
    let mono = resample(&Audio::new(&samples, channels, from).map_err(named)?, rate).map_err(named)?;
    if mono.is_empty() {
        return Err(named(Error::new(ErrorKind::Sound, "it holds no sound")));
    }
    Ok(mono)
}

/// Interleaved samples, channels and rate.
fn decode(path: &Path) -> Result<(Vec<f32>, usize, Hz)> {
    let failed = |e: &dyn std::fmt::Display| Error::new(ErrorKind::File, format!("it cannot be read as sound: {e}"));
    let file = File::open(path).map_err(|e| failed(&e))?;
    let stream = MediaSourceStream::new(Box::new(file), Default::default());
    let mut hint = Hint::new();
    if let Some(ending) = path.extension().and_then(|e| e.to_str()) {
        hint.with_extension(ending);
    }
    let mut format = symphonia::default::get_probe()
        .probe(&hint, stream, FormatOptions::default(), MetadataOptions::default())
        .map_err(|e| failed(&e))?;
    let track = format.default_track(TrackType::Audio).ok_or_else(|| failed(&"it has no track of sound"))?;
    let parameters =
        track.codec_params.as_ref().and_then(|p| p.audio()).ok_or_else(|| failed(&"its coding is not known"))?;
    let track = track.id;
    let mut decoder = symphonia::default::get_codecs()
        .make_audio_decoder(parameters, &AudioDecoderOptions::default())
        .map_err(|e| failed(&e))?;
    let (mut samples, mut piece) = (Vec::new(), Vec::new());
    let mut shape: Option<(usize, Hz)> = None;
    loop {
        let packet = match format.next_packet() {
            Ok(Some(packet)) => packet,
            Ok(None) => break,
            // A file that ends early still has what came before.
            Err(DecodeError::IoError(e)) if e.kind() == std::io::ErrorKind::UnexpectedEof => break,
            Err(e) => return Err(failed(&e)),
        };
        if packet.track_id != track {
            continue;
        }
        let audio = match decoder.decode(&packet) {
            Ok(audio) => audio,
            Err(DecodeError::DecodeError(_)) => continue,
            Err(e) => return Err(failed(&e)),
        };
        let now = (audio.spec().channels().count(), Hz(audio.spec().rate()));
        if *shape.get_or_insert(now) != now {
            return Err(failed(&"its rate or channels change on the way"));
        }
        audio.copy_to_vec_interleaved(&mut piece);
        samples.extend_from_slice(&piece);
        if samples.len() as u64 > LONGEST_S * u64::from(now.1.0) * now.0.max(1) as u64 {
            return Err(Error::new(
                ErrorKind::Sound,
                format!("it is longer than {LONGEST_S} s: cut it into utterances first"),
            ));
        }
    }
    let (channels, rate) = shape.ok_or_else(|| Error::new(ErrorKind::Sound, "it holds no sound"))?;
    Ok((samples, channels, rate))
}
