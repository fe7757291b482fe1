//! Times the way of a voice from 48 kHz samples to scores, side by side with librosa and PyTorch:
//! `testdata/speech/compare_speed.py` runs it.
//!
//! `time_speech SAMPLES`: the file holds mono samples at 48 kHz (f32, little-endian). The model is the paper's LSTM with
//! weights drawn from a fixed sequence. For each line `COUNT` on stdin it goes the way that often and prints, for each
//! part (resampling, features, network) and the whole, the median time in milliseconds, then the best of the whole.

use std::error::Error;
use std::hint::black_box;
use std::io::BufRead;
use std::time::Instant;

use demeanor::model::{self, Header, InputRecipe, Tensors};
use demeanor::nn::{Dense, Layer, Recurrent, spec};
use demeanor::speech::net::SpeechModel;
use demeanor::speech::prepare::{Features, Level, Preparer, SpeechInput, SpeechRecipe};
use demeanor::speech::resample::Resampler;
use demeanor::{Audio, Emotion, Hz};

fn paper() -> Result<SpeechModel, Box<dyn Error>> {
    let input = InputRecipe::Speech(SpeechRecipe {
        rate: Hz(16_000),
        trim_db: Some(30.0),
        level: Level::Peak,
        frame: 400,
        hop: 160,
        fft: 512,
        features: Features::Mfcc { bands: 40, coefficients: 13, deltas: 0 },
        max_frames: 500,
        mean: vec![0.0; 13],
        deviation: vec![10.0; 13],
    });
    let network = vec![
        Layer::Lstm(Recurrent { units: 128, bidirectional: false, all_steps: true }),
        Layer::Dropout { rate: 0.3 },
        Layer::Lstm(Recurrent { units: 64, bidirectional: false, all_steps: false }),
        Layer::Dense(Dense { units: 8, relu: false }),
    ];
    let mut tensors = Tensors::new();
    let mut state = 1u32;
    for (name, shape) in spec::tensors(&network, input.shape())? {
        let values: Vec<f32> = std::iter::repeat_with(|| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) as f32 / (1u32 << 24) as f32 * 0.2 - 0.1
        })
        .take(shape.iter().product())
        .collect();
        if name.ends_with("weight") {
            tensors.insert_half(name, &shape, &values)?;
        } else {
            tensors.insert(name, &shape, values)?;
        }
    }
    let header = Header {
        format: model::FORMAT,
        name: "paper-drawn".to_owned(),
        input,
        labels: Emotion::RAVDESS.to_vec(),
        network,
        temperature: 1.0,
        licence: "CC0-1.0".to_owned(),
        recipe: String::new(),
        sha256: String::new(),
    };
    Ok(SpeechModel::load(&model::write(&header, &tensors)?)?)
}

fn main() -> Result<(), Box<dyn Error>> {
    let path = std::env::args().nth(1).ok_or("time_speech SAMPLES")?;
    let bytes = std::fs::read(path)?;
    let samples: Vec<f32> = bytes.as_chunks().0.iter().map(|&b| f32::from_le_bytes(b)).collect();
    let audio = Audio::new(&samples, 1, Hz(48_000))?;
    let mut model = paper()?;
    let mut resampler = Resampler::new(Hz(48_000), 1, Hz(16_000))?;
    let mut preparer = Preparer::new(model.recipe())?;
    let mut input = SpeechInput::new(model.recipe());
    let mut mono = Vec::new();
    for line in std::io::stdin().lock().lines() {
        let count: usize = line?.trim().parse()?;
        let mut times = [const { Vec::new() }; 4];
        for _ in 0..count {
            let start = Instant::now();
            mono.clear();
            resampler.push(black_box(&audio), &mut mono)?;
            resampler.finish(&mut mono)?;
            let resampled = Instant::now();
            preparer.prepare_into(&mono, &mut input)?;
            let prepared = Instant::now();
            black_box(model.read(&input)?);
            let end = Instant::now();
            for (times, time) in
                times.iter_mut().zip([resampled - start, prepared - resampled, end - prepared, end - start])
            {
                times.push(time.as_secs_f64() * 1e3);
            }
        }
        let mut medians = Vec::new();
        for times in &mut times {
            times.sort_by(f64::total_cmp);
            medians.push(format!("{:.4}", times[count / 2]));
        }
        println!("{} {:.4} {}", medians.join(" "), times[3][0], input.frames());
    }
    Ok(())
}
