//! After warm-up, seeing a frame and hearing a window allocate nothing: neither detection nor preparation nor networks.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use demeanor::face::detect::{BlazeFaceModel, Detection, Detector, HaarDetector, HaarSettings, Search};
use demeanor::face::prepare::{FacePreparer, FaceRecipe, Scaling};
use demeanor::face::track::Window;
use demeanor::face::view::View;
use demeanor::model::{Header, InputRecipe, Tensors};
use demeanor::nn::{Layer, Network, Precision, Stream, spec};
use demeanor::speech::prepare::{Features, Level, SpeechPreparer, SpeechRecipe};
use demeanor::training::FaceNetwork;
use demeanor::{Audio, Emotion, Frame, Hz, PixelLayout, Region};

/// The system's allocator, counting what this thread asks of it.
struct Counting;

thread_local! {
    static COUNT: Cell<usize> = const { Cell::new(0) };
}

// SAFETY: everything is passed on to the system's allocator as it is.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        COUNT.with(|count| count.set(count.get() + 1));
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        COUNT.with(|count| count.set(count.get() + 1));
        // SAFETY: the caller's promise.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn allocations(work: impl FnOnce()) -> usize {
    let before = COUNT.with(Cell::get);
    work();
    COUNT.with(Cell::get) - before
}

fn layers(json: &str) -> Vec<Layer> {
    serde_json::from_str(json).unwrap()
}

fn weights(layers: &[Layer], input: [usize; 3]) -> Tensors {
    let mut tensors = Tensors::new();
    for (name, shape) in spec::tensors(layers, input).unwrap() {
        let count = shape.iter().product();
        let values: Vec<f32> = (0..count).map(|i| ((i * 7919) % 997) as f32 / 9970.0 - 0.05).collect();
        if shape.len() == 2 {
            tensors.insert_half(name, &shape, &values).unwrap();
        } else {
            tensors.insert(name, &shape, values).unwrap();
        }
    }
    tensors
}

const FACE: &str = r#"[
    {"layer": "conv", "out": 32, "kernel": [3, 3], "norm": "after_relu", "pool": [2, 2]},
    {"layer": "residual", "body": [
        {"layer": "conv", "out": 64, "kernel": [3, 3], "stride": [2, 2]},
        {"layer": "conv", "out": 64, "kernel": [3, 3], "relu": false},
        {"layer": "squeeze_excite", "hidden": 8}
    ], "shortcut": {"out": 64, "kernel": [1, 1], "stride": [2, 2], "relu": false}},
    {"layer": "conv", "out": 128, "kernel": [3, 3], "norm": "after_relu", "pool": [3, 3]},
    {"layer": "flatten"}, {"layer": "dense", "units": 256, "relu": true}, {"layer": "dense", "units": 7}
]"#;

const SPEECH: &str = r#"[
    {"layer": "conv", "out": 24, "kernel": [5, 5], "stride": [2, 2]},
    {"layer": "max_pool", "size": 2},
    {"layer": "gru", "units": 24, "bidirectional": true, "all_steps": true},
    {"layer": "attentive_statistics", "hidden": 16}, {"layer": "dense", "units": 8}
]"#;

const STREAM: &str = r#"[
    {"layer": "lstm", "units": 128, "all_steps": true}, {"layer": "dropout", "rate": 0.3},
    {"layer": "lstm", "units": 64}, {"layer": "dense", "units": 8}
]"#;

#[test]
fn a_run_allocates_nothing() {
    let (face, speech) = (layers(FACE), layers(SPEECH));
    let mut face = Network::new(&face, [1, 48, 48], &weights(&face, [1, 48, 48])).unwrap();
    let mut speech = Network::new(&speech, [1, 64, 300], &weights(&speech, [1, 64, 300])).unwrap();
    let input = vec![0.5; 64 * 300];
    face.run(&input[..48 * 48], 48).unwrap();
    speech.run_steps(&input, 300).unwrap();
    let count = allocations(|| {
        for _ in 0..3 {
            face.run(&input[..48 * 48], 48).unwrap();
            // stretches of another length too
            for width in [300, 120, 37] {
                speech.run_steps(&input[..64 * width], width).unwrap();
            }
        }
    });
    assert_eq!(count, 0);
}

const PICTURES: &str = r#"[
    {"layer": "conv", "out": 32, "kernel": [3, 3], "pool": [2, 2]},
    {"layer": "residual", "body": [
        {"layer": "conv", "out": 32, "kernel": [3, 3]}, {"layer": "conv", "out": 32, "kernel": [3, 3], "relu": false}
    ]},
    {"layer": "global_average"}, {"layer": "dense", "units": 7}
]"#;

#[test]
fn a_run_of_pictures_allocates_nothing() {
    let layers = layers(PICTURES);
    let tensors = weights(&layers, [1, 48, 48]);
    let input = vec![0.5; 2 * 48 * 48];
    for precision in [Precision::Single, Precision::Fast] {
        let mut network = Network::of_pictures(&layers, [48, 48], 2, &tensors, precision).unwrap();
        network.run_pictures(&input).unwrap();
        let count = allocations(|| {
            for _ in 0..3 {
                network.run_pictures(&input).unwrap();
                network.run_pictures(&input[..48 * 48]).unwrap();
            }
        });
        assert_eq!(count, 0, "{precision:?}");
    }
}

#[test]
fn reading_two_views_of_a_face_allocates_nothing() {
    let network = layers(PICTURES);
    let tensors = weights(&network, [1, 48, 48]);
    let input = InputRecipe::Face(FaceRecipe { size: 48, scaling: Scaling::Standardise, margin: 0.0 });
    let views = vec![View::WHOLE, View { part: 0.9, mirror: true }];
    let header = Header { views, ..Header::new("face-test", input, Emotion::FER.to_vec(), network) };
    let mut face = FaceNetwork::new(&header, &tensors, Precision::default()).unwrap();
    let values: Vec<f32> = (0..48 * 48).map(|i| (i % 7) as f32 - 3.0).collect();
    let first = face.logits(&values).unwrap().to_vec();
    let mut again = first.clone();
    assert_eq!(allocations(|| again.copy_from_slice(face.logits(&values).unwrap())), 0);
    assert_eq!(again, first);
}

#[test]
fn a_step_of_a_stream_allocates_nothing() {
    let layers = layers(STREAM);
    let mut stream = Stream::new(&layers, 13, &weights(&layers, [1, 13, 1])).unwrap();
    let count = allocations(|| {
        for _ in 0..10 {
            stream.step(&[0.5; 13]).unwrap();
        }
        stream.reset();
    });
    assert_eq!(count, 0);
}

/// Noise of a seed in blocks of a few pixels: plenty of windows that pass some stages.
fn noise(seed: u32, width: usize, height: usize) -> Vec<u8> {
    (0..width * height * 3)
        .map(|i| {
            let (x, y) = ((i / 3 % width / 7) as u32, (i / 3 / width / 5) as u32);
            let mut v = seed ^ x.wrapping_mul(0x9E37_79B9) ^ y.wrapping_mul(0x85EB_CA6B);
            v ^= v >> 15;
            v = v.wrapping_mul(0x2C1B_3C6D);
            (v >> 13) as u8
        })
        .collect()
}

#[test]
fn a_warm_detector_allocates_nothing() {
    for settings in [HaarSettings::default(), HaarSettings::live()] {
        let mut detector = HaarDetector::frontal().unwrap();
        let (mut regions, mut detections) = (Vec::with_capacity(1024), Vec::with_capacity(1024));
        let area = Region { x: 100.0, y: 50.0, width: 300.0, height: 250.0 };
        for seed in 0..4 {
            let pixels = noise(seed, 640, 480);
            let frame = Frame::new(&pixels, 640, 480, PixelLayout::Rgb8).unwrap();
            let count = allocations(|| {
                detector.detect(&frame, &settings, &mut regions).unwrap();
                detector.detections(&frame, &settings, &mut detections).unwrap();
                detector.detect_within(&frame, &area, &settings, &mut regions).unwrap();
            });
            assert!(seed == 0 || count == 0, "{count} allocations at frame {seed}");
        }
    }
}

#[test]
fn a_warm_network_that_detects_allocates_nothing() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../demeanor-models/blazeface-v1.1/model.safetensors");
    let model = BlazeFaceModel::load(&std::fs::read(file).unwrap()).unwrap();
    let mut detector = Detector::blazeface(&model);
    let mut found = Vec::with_capacity(256);
    // little confidence is asked for, so that noise is looked at again
    let search = Search { min_confidence: 0.0, any_rotation: true, ..Search::default() };
    let window = Window { area: Region { x: 100.0, y: 50.0, width: 200.0, height: 200.0 }, side: 110.0, roll: 0.5 };
    for seed in 0..4 {
        let pixels = noise(seed, 640, 480);
        let frame = Frame::new(&pixels, 640, 480, PixelLayout::Rgb8).unwrap();
        let count = allocations(|| {
            detector.detect(&frame, &search, &mut found).unwrap();
            detector.detect_around(&frame, &window, &search, &mut found).unwrap();
        });
        assert!(seed == 0 || count == 0, "{count} allocations at frame {seed}");
    }
}

#[test]
fn preparing_a_face_allocates_nothing() {
    let pixels = noise(1, 640, 480);
    for (scaling, size) in [(Scaling::Standardise, 48), (Scaling::Unit, 32), (Scaling::MinMax, 64)] {
        let recipe = FaceRecipe { size, scaling, margin: 0.1 };
        let mut preparer = FacePreparer::new(&recipe).unwrap();
        let frame = Frame::new(&pixels, 640, 480, PixelLayout::Rgb8).unwrap();
        let count = allocations(|| {
            for side in [200.0, 30.0, 470.0] {
                let region = Region { x: 5.0, y: 7.0, width: side, height: side };
                preparer.prepare(&frame, Some(&Detection::of_region(region))).unwrap();
            }
            preparer.prepare(&frame, None).unwrap();
        });
        assert_eq!(count, 0, "{recipe:?}");
    }
}

#[test]
fn preparing_speech_allocates_nothing() {
    let samples: Vec<f32> = (0..64_000).map(|i| (i as f32 * 0.05).sin() * (i as f32 * 3e-4).sin()).collect();
    let mfcc = Features::Mfcc { bands: 40, coefficients: 13, deltas: 2 };
    for features in [mfcc, Features::LogMel { bands: 64, floor: 1e-4 }] {
        let recipe = SpeechRecipe {
            rate: Hz(16_000),
            high_pass_hz: None,
            trim_db: Some(30.0),
            level: Level::Peak,
            frame: 400,
            hop: 160,
            fft: 512,
            features,
            max_frames: 300,
            mean: vec![],
            deviation: vec![],
        };
        let mut preparer = SpeechPreparer::new(&recipe).unwrap();
        let audio = |length: usize| Audio::new(&samples[..length], 1, Hz(16_000)).unwrap();
        preparer.prepare(&audio(samples.len())).unwrap();
        let count = allocations(|| {
            // stretches of another length too
            for length in [64_000, 16_000, 300] {
                preparer.prepare(&audio(length)).unwrap();
            }
        });
        assert_eq!(count, 0, "{features:?}");
    }
}

#[test]
fn the_counter_counts() {
    assert!(allocations(|| drop(std::hint::black_box(vec![0u8; 100]))) > 0);
}
