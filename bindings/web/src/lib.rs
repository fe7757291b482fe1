//! The library for JavaScript. What is told goes over as JSON, in the records of [`demeanor::estimate`]; nothing is decided
//! here. The classes that people use are in js/, which wraps these.

use std::time::Duration;

use demeanor::estimate::{EstimateRecord, MIN_SCORE, MIN_SCORE_LIVE, PictureRecord};
use demeanor::{
    Audio, BlazeFaceModel, Detector, FaceModel, Frame, Hz, PixelLayout, Scores, SpeechModel, VoiceEstimate,
};
use serde::Serialize;
use wasm_bindgen::prelude::*;

type Result<T> = std::result::Result<T, JsError>;

fn json(value: &impl Serialize) -> Result<String> {
    Ok(serde_json::to_string(value)?)
}

/// Pixels of one, three or four bytes: grey, RGB, RGBA.
fn frame(pixels: &[u8], width: usize, height: usize) -> Result<Frame<'_>> {
    let layout = match width.checked_mul(height).map(|count| (count, pixels.len())) {
        Some((count, bytes)) if bytes == count => PixelLayout::Grey8,
        Some((count, bytes)) if count.checked_mul(3) == Some(bytes) => PixelLayout::Rgb8,
        // says what does not fit
        _ => PixelLayout::Rgba8,
    };
    Ok(Frame::new(pixels, width, height, layout)?)
}

fn time(seconds: f64) -> Result<Duration> {
    Duration::try_from_secs_f64(seconds)
        .map_err(|_| JsError::new(&format!("a time is {seconds}; expected seconds from the start, 0 or more")))
}

/// Reads pictures.
#[wasm_bindgen]
pub struct FaceReader {
    reader: demeanor::FaceReader,
    detector: BlazeFaceModel,
}

#[wasm_bindgen]
impl FaceReader {
    #[wasm_bindgen(constructor)]
    pub fn new(model: &[u8], detector: &[u8]) -> Result<FaceReader> {
        let detector = BlazeFaceModel::load(detector)?;
        let reader = demeanor::FaceReader::new(FaceModel::load(model)?)?;
        Ok(FaceReader { reader: reader.with_detector(Detector::blazeface(&detector)), detector })
    }

    /// A pipeline that shares the weights of this reader.
    pub fn pipeline(&self, min_score: Option<f32>) -> Result<Pipeline> {
        Pipeline::of(Some(self), None, min_score)
    }

    /// A pipeline that shares the weights of this reader and of one for voices.
    #[wasm_bindgen(js_name = pipelineWith)]
    pub fn pipeline_with(&self, speech: &SpeechReader, min_score: Option<f32>) -> Result<Pipeline> {
        Pipeline::of(Some(self), Some(speech), min_score)
    }

    /// A `PictureRecord`.
    pub fn read(&mut self, pixels: &[u8], width: usize, height: usize, min_score: Option<f32>) -> Result<String> {
        let frame = frame(pixels, width, height)?;
        let faces = self.reader.read(&frame)?;
        json(&PictureRecord::new(&frame, &faces, 1, min_score.unwrap_or(MIN_SCORE)))
    }

    /// A `PictureRecord` of a picture that is a face already.
    #[wasm_bindgen(js_name = readWhole)]
    pub fn read_whole(&mut self, pixels: &[u8], width: usize, height: usize, min_score: Option<f32>) -> Result<String> {
        let frame = frame(pixels, width, height)?;
        let face = self.reader.read_whole(&frame)?;
        json(&PictureRecord::new(&frame, &[face], 1, min_score.unwrap_or(MIN_SCORE)))
    }

    #[wasm_bindgen(getter)]
    pub fn model(&self) -> String {
        self.reader.model().header().name.clone()
    }
}

/// Reads recordings.
#[wasm_bindgen]
pub struct SpeechReader(demeanor::SpeechReader);

#[wasm_bindgen]
impl SpeechReader {
    #[wasm_bindgen(constructor)]
    pub fn new(model: &[u8]) -> Result<SpeechReader> {
        Ok(SpeechReader(demeanor::SpeechReader::new(SpeechModel::load(model)?)?))
    }

    /// A pipeline that shares the weights of this reader.
    pub fn pipeline(&self, min_score: Option<f32>) -> Result<Pipeline> {
        Pipeline::of(None, Some(self), min_score)
    }

    /// The scores of one utterance; `null` where it is silent.
    pub fn read(&mut self, samples: &[f32], channels: usize, rate: u32) -> Result<String> {
        let scores: Option<Scores> = self.0.read(&Audio::new(samples, channels, Hz(rate))?)?;
        json(&scores)
    }

    /// A `RecordingRecord`: the utterances that are found.
    pub fn record(&mut self, samples: &[f32], channels: usize, rate: u32, min_score: Option<f32>) -> Result<String> {
        let audio = Audio::new(samples, channels, Hz(rate))?;
        json(&self.0.record(&audio, min_score.unwrap_or(MIN_SCORE))?)
    }

    #[wasm_bindgen(getter)]
    pub fn model(&self) -> String {
        self.0.model().header().name.clone()
    }
}

/// Follows faces and a voice in time.
#[wasm_bindgen]
pub struct Pipeline {
    pipeline: demeanor::Pipeline,
    frames: u64,
    min_score: f32,
}

impl Pipeline {
    fn of(face: Option<&FaceReader>, speech: Option<&SpeechReader>, min_score: Option<f32>) -> Result<Pipeline> {
        let mut builder = demeanor::Pipeline::builder();
        if let Some(face) = face {
            builder = builder.face(face.reader.model().clone()).detector(Detector::blazeface(&face.detector));
        }
        if let Some(speech) = speech {
            builder = builder.speech(speech.0.model().clone());
        }
        Ok(Pipeline { pipeline: builder.build()?, frames: 0, min_score: min_score.unwrap_or(MIN_SCORE_LIVE) })
    }
}

#[wasm_bindgen]
impl Pipeline {
    pub fn see(&mut self, pixels: &[u8], width: usize, height: usize, time_s: f64) -> Result<()> {
        self.pipeline.see(&frame(pixels, width, height)?, time(time_s)?)?;
        self.frames += 1;
        Ok(())
    }

    pub fn hear(&mut self, samples: &[f32], channels: usize, rate: u32, time_s: f64) -> Result<()> {
        Ok(self.pipeline.hear(&Audio::new(samples, channels, Hz(rate))?, time(time_s)?)?)
    }

    #[wasm_bindgen(js_name = endOfSound)]
    pub fn end_of_sound(&mut self) -> Result<()> {
        Ok(self.pipeline.end_of_sound()?)
    }

    pub fn rest(&mut self, from_s: f64, until_s: f64) -> Result<()> {
        self.pipeline.rest(time(from_s)?, time(until_s)?);
        Ok(())
    }

    /// An `EstimateRecord`.
    pub fn estimate(&self) -> Result<String> {
        let estimate = self.pipeline.estimate();
        let frame = (self.frames > 0).then_some(self.frames);
        json(&EstimateRecord::new(&estimate, estimate.time, frame, 1.0, self.min_score))
    }

    /// The voice as another pipeline takes it; `null` before any sound.
    #[wasm_bindgen(getter)]
    pub fn voice(&self) -> Result<String> {
        json(&self.pipeline.estimate().voice)
    }

    /// The voice that another pipeline heard, from its `voice`.
    #[wasm_bindgen(js_name = takeVoice)]
    pub fn take_voice(&mut self, voice: &str) -> Result<()> {
        let voice: Option<VoiceEstimate> = serde_json::from_str(voice)?;
        self.pipeline.take_voice(voice);
        Ok(())
    }

    /// Whether a baseline corrects what is told of the faces, and of the voice.
    #[wasm_bindgen(getter, js_name = hasBaseline)]
    pub fn has_baseline(&self) -> bool {
        self.pipeline.faces().iter().any(|face| face.has_baseline)
            || self.pipeline.estimate().voice.is_some_and(|voice| voice.has_baseline)
    }
}

/// The instruction set of the kernels in this file.
#[wasm_bindgen]
pub fn instructions() -> String {
    let relaxed = if cfg!(target_feature = "relaxed-simd") { "relaxed" } else { "simd128" };
    format!("{} {relaxed}", demeanor::simd::Isa::active())
}
