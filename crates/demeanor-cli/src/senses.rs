//! The models and settings of the commands that see and hear at once.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
#[cfg(feature = "serve")]
use demeanor::face::detect::Detector;
use demeanor::face::detect::{BlazeFaceModel, HaarSettings};
use demeanor::face::net::FaceModel;
use demeanor::face::watch::WatchSettings;
use demeanor::pipeline::{Pipeline, Settings};
use demeanor::speech::net::SpeechModel;
use demeanor_models::Sense;

use crate::detector::{self, DetectorArgs, Name};
use crate::{model, terminal};

/// Options of `live`, `video` and `demo`.
#[derive(Debug, Clone, clap::Args)]
pub struct SenseArgs {
    /// Read faces with this model file, or built-in model of that name
    #[arg(long, value_name = "FILE")]
    pub face_model: Option<PathBuf>,
    /// Read voices with this model file, or built-in model of that name
    #[arg(long, value_name = "FILE")]
    pub speech_model: Option<PathBuf>,
    /// Below this score the answer is "unsure"
    #[arg(long, value_name = "P", default_value_t = demeanor::estimate::MIN_SCORE_LIVE, value_parser = share)]
    pub min_score: f32,
    /// Side of the smallest face, in pixels of a picture with 480 rows; less finds more and takes longer [default: 60; 32 for
    /// films, but not with --detector haar]
    #[arg(long, value_name = "PX", value_parser = clap::value_parser!(u32).range(24..))]
    pub min_face: Option<u32>,
    #[command(flatten)]
    pub detector: DetectorArgs,
    /// Time constant of the smoothing in milliseconds: a lasting change of a face is followed to 63 % after it, of a voice after twice that; 0 for none
    #[arg(long, value_name = "MS", default_value_t = 400, value_parser = up_to_a_minute)]
    pub smooth: u64,
    /// While a voice speaks, it is read this often, in milliseconds
    #[arg(long, value_name = "MS", default_value_t = 500, value_parser = pause)]
    pub read_every: u64,
    /// The person is at rest in the first seconds, or FROM-TO: later scores are corrected for how the resting face and voice
    /// read
    #[arg(long, value_name = "SECONDS", value_parser = stretch)]
    pub baseline: Option<(Duration, Duration)>,
}

/// The models that a command reads with, loaded once; copies share their weights.
#[derive(Debug, Clone, Default)]
pub struct Models {
    /// Reads faces.
    pub face: Option<FaceModel>,
    /// Reads voices.
    pub speech: Option<SpeechModel>,
    /// Finds faces; without it the cascade does.
    pub detector: Option<BlazeFaceModel>,
}

impl Models {
    /// A detector for pictures that have nothing to do with each other.
    ///
    /// # Errors
    /// When the built-in cascade is damaged.
    #[cfg(feature = "serve")]
    pub fn stills(&self) -> demeanor::Result<Detector> {
        detector::of(self.detector.as_ref(), HaarSettings::default())
    }
}

impl SenseArgs {
    /// The models that were named.
    pub fn models(&self) -> impl Iterator<Item = &Path> {
        [&self.face_model, &self.speech_model].into_iter().flatten().map(PathBuf::as_path)
    }

    /// The pipeline with the models that were named or are built in.
    ///
    /// # Errors
    /// When a named model cannot be used, or there is none at all.
    pub fn pipeline(&self, with_face: bool, with_voice: bool) -> Result<Pipeline> {
        self.pipeline_of(self.load(with_face, with_voice)?)
    }

    /// The same for films: nobody waits for a frame, so small faces, as in a meeting's gallery, are worth the time.
    #[must_use]
    pub fn film(&self) -> SenseArgs {
        let mut senses = self.clone();
        if senses.detector.name() == Name::Blazeface {
            senses.min_face.get_or_insert(32);
        }
        senses
    }

    /// The models that were named or are built in.
    ///
    /// # Errors
    /// When a named model cannot be used, or there is none at all.
    pub fn load(&self, with_face: bool, with_voice: bool) -> Result<Models> {
        let face = if with_face { load(self.face_model.as_deref(), Sense::Face, FaceModel::load)? } else { None };
        let speech =
            if with_voice { load(self.speech_model.as_deref(), Sense::Speech, SpeechModel::load)? } else { None };
        if face.is_none() && speech.is_none() {
            bail!(
                "no model to read with: none is built into this program; name one with --face-model or --speech-model"
            );
        }
        let detector = if with_face { self.detector.model()? } else { None };
        Ok(Models { face, speech, detector })
    }

    /// The pipeline with these models.
    ///
    /// # Errors
    /// When a setting is out of its range.
    pub fn pipeline_of(&self, models: Models) -> Result<Pipeline> {
        let mut settings = Settings::default();
        settings.baseline = self.baseline;
        if self.detector.name() == Name::Blazeface {
            settings.watch = WatchSettings::blazeface();
        } else {
            settings.watch.search.min_face_px = 60;
        }
        if let Some(px) = self.min_face {
            settings.watch.search.min_face_px = px;
        }
        settings.watch.search.any_rotation = self.detector.any_rotation;
        settings.watch.smoothing = Duration::from_millis(self.smooth);
        settings.listen.read_every = Duration::from_millis(self.read_every);
        settings.listen.smoothing = Duration::from_millis(2 * self.smooth);
        let detector = detector::of(models.detector.as_ref(), HaarSettings::live())?;
        let mut pipeline = Pipeline::new(models.face, models.speech, settings).context("cannot begin")?;
        pipeline.set_detector(detector);
        Ok(pipeline)
    }
}

fn load<M>(named: Option<&Path>, sense: Sense, load: impl Fn(&[u8]) -> demeanor::Result<M>) -> Result<Option<M>> {
    if named.is_none() && demeanor_models::newest(sense).is_none() {
        let name = sense.name();
        terminal::warn(format_args!(
            "no {name} model is built in, so that sense is left out; name one with --{name}-model FILE"
        ));
        return Ok(None);
    }
    let bytes = model::bytes(named, sense)?;
    let model = load(&bytes).with_context(|| match named {
        Some(path) => format!("cannot use the model {}", path.display()),
        None => format!("cannot use the built-in {} model", sense.name()),
    })?;
    Ok(Some(model))
}

/// A score, 0 to 1.
fn share(text: &str) -> Result<f32, String> {
    match text.parse::<f32>() {
        Ok(value) if (0.0..=1.0).contains(&value) => Ok(value),
        _ => Err("expected a number from 0 to 1".to_owned()),
    }
}

fn up_to_a_minute(text: &str) -> Result<u64, String> {
    milliseconds(text, 0)
}

fn pause(text: &str) -> Result<u64, String> {
    milliseconds(text, 50)
}

/// Milliseconds, up to a minute of them.
fn milliseconds(text: &str, least: u64) -> Result<u64, String> {
    const MOST: u64 = 60_000;
    match text.trim().parse::<f64>() {
        Ok(ms) if (least as f64..=MOST as f64).contains(&ms) => Ok(ms.round() as u64),
        _ => Err(format!("expected {least} to {MOST} milliseconds")),
    }
}

/// `5`: the first five seconds; `10-15`: from the tenth to the fifteenth.
fn stretch(text: &str) -> Result<(Duration, Duration), String> {
    let seconds = |t: &str| {
        t.trim()
            .parse()
            .ok()
            .and_then(|s| Duration::try_from_secs_f64(s).ok())
            .ok_or("expected SECONDS or FROM-TO, in seconds")
    };
    let (from, until) = match text.split_once('-') {
        Some((from, until)) => (seconds(from)?, seconds(until)?),
        None => (Duration::ZERO, seconds(text)?),
    };
    if until <= from {
        return Err("the stretch at rest must last some time".to_owned());
    }
    Ok((from, until))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn milliseconds_are_read_or_the_range_is_said() {
        assert_eq!((up_to_a_minute("0"), up_to_a_minute("4e2"), pause("50")), (Ok(0), Ok(400), Ok(50)));
        for (text, read) in
            [("1e9", up_to_a_minute as fn(&str) -> _), ("-1", up_to_a_minute), ("x", pause), ("49", pause)]
        {
            assert!(read(text).is_err_and(|e| e.contains("to 60000 milliseconds")), "{text}");
        }
    }

    #[test]
    fn stretches_are_read() {
        let s = Duration::from_secs;
        for (text, expected) in
            [("5", Some((s(0), s(5)))), ("10-15", Some((s(10), s(15)))), ("2 - 4", Some((s(2), s(4))))]
        {
            assert_eq!(stretch(text).ok(), expected, "{text}");
        }
        for text in ["", "x", "-1", "5-2", "0", "1-", "nan"] {
            assert!(stretch(text).is_err(), "{text}");
        }
    }
}
