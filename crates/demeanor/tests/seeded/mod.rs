//! Model files with seeded weights, small and quick: what they read has no meaning, but is always the same.

use demeanor::face::prepare::{FaceRecipe, Scaling};
use demeanor::model::{self, Header, InputRecipe, Tensors};
use demeanor::nn::spec::{Conv, Dense, Layer, Norm};
use demeanor::speech::prepare::{Features, Level, SpeechRecipe};
use demeanor::{Emotion, Hz};

fn numbers(seed: u64, count: usize, size: f32) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    (0..count)
        .map(|_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            ((state >> 40) as f32 / (1u32 << 23) as f32 - 1.0) * size
        })
        .collect()
}

fn conv() -> Layer {
    Layer::Conv(Conv {
        out: 8,
        kernel: [3, 3],
        stride: [2, 2],
        norm: Norm::None,
        relu: true,
        pool: None,
        branches: false,
        causal: false,
    })
}

fn file(name: &str, input: InputRecipe, labels: &[Emotion], middle: Layer, rows: usize) -> Vec<u8> {
    let mut tensors = Tensors::new();
    tensors.insert("0.weight", &[8, 1, 3, 3], numbers(1, 72, 0.5)).expect("shapes agree");
    tensors.insert("0.bias", &[8], numbers(2, 8, 0.1)).expect("shapes agree");
    tensors
        .insert("2.weight", &[labels.len(), rows], numbers(3, labels.len() * rows, 12.0 / rows as f32))
        .expect("shapes agree");
    tensors.insert("2.bias", &[labels.len()], numbers(4, labels.len(), 0.2)).expect("shapes agree");
    let network = vec![conv(), middle, Layer::Dense(Dense { units: labels.len(), relu: false })];
    let header = Header::new(name, input, labels.to_vec(), network);
    model::write(&header, &tensors).expect("a sound model")
}

/// A face model.
pub fn face() -> Vec<u8> {
    let recipe = FaceRecipe { size: 48, scaling: Scaling::Standardise, margin: 0.0 };
    file("seeded-face", InputRecipe::Face(recipe), &Emotion::FER, Layer::GlobalAverage, 8)
}

/// A speech model.
pub fn speech() -> Vec<u8> {
    let recipe = SpeechRecipe {
        rate: Hz(16_000),
        high_pass_hz: None,
        trim_db: Some(30.0),
        level: Level::Peak,
        frame: 400,
        hop: 160,
        fft: 512,
        features: Features::LogMel { bands: 64, floor: 1e-4 },
        max_frames: 300,
        mean: Vec::new(),
        deviation: Vec::new(),
    };
    file("seeded-speech", InputRecipe::Speech(recipe), &Emotion::RAVDESS, Layer::MeanMax, 2 * 8 * 32)
}
