#![doc = include_str!("../README.md")]
#![deny(unsafe_code)]
#![warn(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout, clippy::print_stderr)]

pub mod emotion;
pub mod input;

pub mod face;
pub mod speech;

pub mod model;
pub mod nn;
#[allow(unsafe_code)]
pub mod simd;

pub mod baseline;
pub mod estimate;
pub mod fuse;
pub mod pipeline;
pub mod smooth;
pub mod table;

pub mod error;

#[doc(hidden)]
pub mod training;

pub use emotion::{Emotion, Reading, Scores};
pub use error::{Error, ErrorKind, Result};
pub use face::detect::{BlazeFaceModel, Detection, Detector, Landmarks};
pub use face::net::FaceModel;
pub use face::read::{Face, FaceReader};
pub use face::watch::FaceEstimate;
pub use fuse::Fused;
pub use input::{Audio, Frame, Hz, Picture, PixelLayout, Region};
pub use nn::Precision;
pub use pipeline::{Estimate, Pipeline, PipelineBuilder, Settings};
pub use speech::listen::{Utterance, VoiceEstimate};
pub use speech::net::SpeechModel;
pub use speech::read::SpeechReader;
