//! `demeanor bench`: how long each stage takes on this machine.

use std::f32::consts::TAU;
use std::hint::black_box;
use std::io::Write;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use demeanor::face::detect::{BlazeFaceModel, Detector, HaarDetector, HaarSettings, Search};
use demeanor::face::net::FaceModel;
use demeanor::face::prepare::FacePreparer;
use demeanor::face::track::Window;
use demeanor::nn::Precision;
use demeanor::simd::Isa;
use demeanor::speech::net::SpeechModel;
use demeanor::speech::prepare::SpeechPreparer;
use demeanor::{Audio, Hz, Region};
use demeanor_media::picture;
use demeanor_models::Sense;
use serde::Serialize;

use crate::terminal::{self, Outcome};

/// Times each stage on this machine
///
/// Each stage runs alone, on one thread, on a built-in sample: a portrait of 640 x 480 pixels and three seconds of sound.
/// Printed are the median and the 95th percentile of its runs, in milliseconds. With --json one object:
/// {"machine": {"processor", "isa", "threads"}, "stages": [{"stage", "median_ms", "p95_ms", "runs"}]}.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// One JSON object
    #[arg(long)]
    json: bool,
    /// How long each stage is repeated, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 1.0, value_parser = seconds)]
    time: f64,
    /// The face model: a file, or the name of a built-in model [default: the newest built-in face model]
    #[arg(long, value_name = "FILE")]
    face_model: Option<PathBuf>,
    /// The speech model: a file, or the name of a built-in model [default: the newest built-in speech model]
    #[arg(long, value_name = "FILE")]
    speech_model: Option<PathBuf>,
}

fn seconds(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(value) if (0.0..=3600.0).contains(&value) => Ok(value),
        _ => Err("expected a number from 0 to 3600".to_owned()),
    }
}

/// The portrait of testdata/, 640 x 480.
const PORTRAIT: &[u8] = include_bytes!("../../sample/portrait.jpg");

#[derive(Serialize)]
struct Report {
    machine: Machine,
    stages: Vec<Stage>,
}

#[derive(Serialize)]
struct Machine {
    processor: String,
    /// The instruction set of the kernels that ran.
    isa: &'static str,
    /// How many threads it can run at once; the stages use one.
    threads: usize,
}

#[derive(Serialize)]
struct Stage {
    stage: &'static str,
    median_ms: f64,
    p95_ms: f64,
    runs: usize,
}

pub fn run(args: Args) -> anyhow::Result<Outcome> {
    let time = Duration::from_secs_f64(args.time);
    let mut stages = Vec::new();
    let mut stage = |name: &'static str, run: &mut dyn FnMut() -> anyhow::Result<()>| -> anyhow::Result<()> {
        stages.push(measure(name, time, run)?);
        Ok(())
    };

    stage("decode a JPEG of 640x480", &mut || {
        black_box(picture::read(PORTRAIT)?);
        Ok(())
    })?;
    let picture = picture::read(PORTRAIT)?;
    let frame = picture.frame();
    let mut regions = Vec::new();
    let mut cascade = HaarDetector::frontal()?;
    stage("detect faces, stills, haar", &mut || Ok(cascade.detect(&frame, &HaarSettings::default(), &mut regions)?))?;
    stage("detect faces, live, haar", &mut || Ok(cascade.detect(&frame, &HaarSettings::live(), &mut regions)?))?;
    let mut found = Vec::new();
    if let Some(model) = demeanor_models::detector() {
        let mut detector = Detector::blazeface(&BlazeFaceModel::load(model.bytes)?);
        let search = Search::default();
        stage("detect faces, stills", &mut || {
            detector.detect(&frame, &search, &mut found)?;
            Ok(())
        })?;
        // most frames of a film are looked at where a face was
        let window = found.first().map_or_else(
            || Window { area: Region::whole(&frame), side: 100.0, roll: 0.0 },
            |face| Window { area: face.region, side: face.region.width, roll: 0.0 },
        );
        stage("detect faces, live", &mut || {
            detector.detect_around(&frame, &window, &search, &mut found)?;
            Ok(())
        })?;
    }
    match crate::model::bytes(args.face_model.as_deref(), Sense::Face) {
        Ok(bytes) => {
            stage("load the face model", &mut || {
                black_box(FaceModel::load(&bytes)?);
                Ok(())
            })?;
            let mut model = FaceModel::load(&bytes)?;
            let mut preparer = FacePreparer::new(model.recipe())?;
            let face = found.first();
            stage("prepare a face", &mut || {
                black_box(preparer.prepare(&frame, face)?);
                Ok(())
            })?;
            let input = preparer.prepare(&frame, face)?;
            stage("face network", &mut || {
                black_box(model.read(input)?);
                Ok(())
            })?;
            let mut single = FaceModel::load_as(&bytes, Precision::Single)?;
            stage("face network, f32", &mut || {
                black_box(single.read(input)?);
                Ok(())
            })?;
            #[cfg(feature = "train")]
            train_step(&mut stage, "train a step of 64 faces", &bytes, 64)?;
        }
        Err(error) if args.face_model.is_none() => terminal::note(format_args!("skipped: {}", terminal::whole(&error))),
        Err(error) => return Err(error),
    }
    match crate::model::bytes(args.speech_model.as_deref(), Sense::Speech) {
        Ok(bytes) => {
            let mut model = SpeechModel::load(&bytes)?;
            let Hz(rate) = model.recipe().rate;
            let samples = sound(rate);
            let audio = Audio::new(&samples, 1, Hz(rate))?;
            let mut preparer = SpeechPreparer::new(model.recipe())?;
            stage("prepare 3 s of speech", &mut || {
                black_box(preparer.prepare(&audio)?);
                Ok(())
            })?;
            let input = preparer.prepare(&audio)?;
            stage("speech network", &mut || {
                black_box(model.read(input)?);
                Ok(())
            })?;
            #[cfg(feature = "train")]
            train_step(&mut stage, "train a step of 32 clips", &bytes, 32)?;
        }
        Err(error) if args.speech_model.is_none() => {
            terminal::note(format_args!("skipped: {}", terminal::whole(&error)))
        }
        Err(error) => return Err(error),
    }

    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let report = Report { machine: Machine { processor: processor(), isa: Isa::active().name(), threads }, stages };
    let mut out = terminal::out();
    if args.json {
        serde_json::to_writer(&mut out, &report)?;
        writeln!(out)?;
    } else {
        let Machine { processor, isa, .. } = &report.machine;
        writeln!(out, "{processor}, {isa}, {threads} threads; each stage on one thread")?;
        writeln!(out, "{:<26} {:>11} {:>11} {:>8}", "stage", "median ms", "p95 ms", "runs")?;
        for Stage { stage, median_ms, p95_ms, runs } in &report.stages {
            writeln!(out, "{stage:<26} {median_ms:>11.3} {p95_ms:>11.3} {runs:>8}")?;
        }
    }
    out.flush()?;
    Ok(Outcome::Read)
}

/// What runs a stage.
#[cfg(feature = "train")]
type RunStage<'a> = dyn FnMut(&'static str, &mut dyn FnMut() -> anyhow::Result<()>) -> anyhow::Result<()> + 'a;

/// A training step of a model's network, on one thread, without the preparation of its inputs.
#[cfg(feature = "train")]
fn train_step(stage: &mut RunStage<'_>, name: &'static str, bytes: &[u8], count: usize) -> anyhow::Result<()> {
    let (header, _) = demeanor::model::read(bytes)?;
    let mut step = demeanor_train::trial::TrialStep::new(&header.network, header.input.shape(), count)?;
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build()?;
    stage(name, &mut || {
        black_box(pool.install(|| step.run()));
        Ok(())
    })
}

/// Runs a stage for a while, at least five times after one to warm up.
fn measure(stage: &'static str, time: Duration, run: &mut dyn FnMut() -> anyhow::Result<()>) -> anyhow::Result<Stage> {
    run()?;
    let mut times = Vec::new();
    let start = Instant::now();
    while times.len() < 5 || start.elapsed() < time {
        let begin = Instant::now();
        run()?;
        times.push(begin.elapsed().as_secs_f64() * 1e3);
    }
    times.sort_by(f64::total_cmp);
    // the nearest rank: of five runs the 95th percentile is the slowest
    let at = |part: f64| times[((times.len() as f64 * part).ceil() as usize).clamp(1, times.len()) - 1];
    Ok(Stage { stage, median_ms: at(0.5), p95_ms: at(0.95), runs: times.len() })
}

/// Three seconds that are as busy as a voice: a gliding tone with harmonics, louder and softer four times a second.
fn sound(rate: u32) -> Vec<f32> {
    let mut phase = 0.0f32;
    (0..3 * rate)
        .map(|i| {
            let t = i as f32 / rate as f32;
            phase = (phase + (140.0 + 40.0 * (TAU * 0.7 * t).sin()) / rate as f32).fract();
            let tone: f32 = (1..=12).map(|h| (TAU * phase * h as f32).sin() / h as f32).sum();
            0.2 * tone * (0.6 + 0.4 * (TAU * 4.0 * t).sin())
        })
        .collect()
}

/// The processor's name, where the system tells it.
fn processor() -> String {
    std::fs::read_to_string("/proc/cpuinfo")
        .ok()
        .and_then(|text| {
            let line = text.lines().find(|line| line.starts_with("model name"))?;
            Some(line.split_once(':')?.1.trim().to_owned())
        })
        .unwrap_or_else(|| format!("{} processor", std::env::consts::ARCH))
}
