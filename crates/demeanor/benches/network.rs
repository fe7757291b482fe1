//! Forward passes of the networks that matter, one input (or a face and its mirror image), one thread. `cargo bench -p demeanor --bench network`

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use demeanor::model::Tensors;
use demeanor::nn::{Layer, Network, Precision, Stream, spec};

const FACE_PAPER: &str = r#"[
    {"layer": "conv", "out": 32, "kernel": [3, 3], "norm": "after_relu", "pool": [2, 2]},
    {"layer": "conv", "out": 64, "kernel": [3, 3], "norm": "after_relu", "pool": [2, 2]},
    {"layer": "conv", "out": 128, "kernel": [3, 3], "norm": "after_relu"},
    {"layer": "flatten"}, {"layer": "dense", "units": 256, "relu": true},
    {"layer": "dropout", "rate": 0.5}, {"layer": "dense", "units": 7}
]"#;

/// 117 million multiplications.
const FACE_DEEP: &str = r#"[
    {"layer": "conv", "out": 32, "kernel": [3, 3]},
    {"layer": "conv", "out": 32, "kernel": [3, 3], "pool": [2, 2]},
    {"layer": "conv", "out": 64, "kernel": [3, 3]},
    {"layer": "conv", "out": 64, "kernel": [3, 3], "pool": [2, 2]},
    {"layer": "conv", "out": 128, "kernel": [3, 3]},
    {"layer": "conv", "out": 128, "kernel": [3, 3], "pool": [2, 2]},
    {"layer": "conv", "out": 256, "kernel": [3, 3]},
    {"layer": "conv", "out": 256, "kernel": [3, 3]},
    {"layer": "global_average"}, {"layer": "dense", "units": 7}
]"#;

const SPEECH_STATISTICS: &str = r#"[
    {"layer": "conv", "out": 24, "kernel": [5, 5], "stride": [2, 2]},
    {"layer": "conv", "out": 48, "kernel": [3, 3], "stride": [2, 2]},
    {"layer": "conv", "out": 96, "kernel": [3, 3], "stride": [2, 1]},
    {"layer": "conv", "out": 128, "kernel": [3, 3], "stride": [2, 1]},
    {"layer": "attentive_statistics", "hidden": 128}, {"layer": "dense", "units": 8}
]"#;

const SPEECH_PAPER: &str = r#"[
    {"layer": "lstm", "units": 128, "all_steps": true}, {"layer": "dropout", "rate": 0.3},
    {"layer": "lstm", "units": 64}, {"layer": "dense", "units": 8}
]"#;

/// Numbers that look like chance, -1 to 1, always the same ones: the generator SplitMix64.
fn numbers(seed: u64, count: usize) -> Vec<f32> {
    (0..count as u64)
        .map(|n| {
            let mut z = (seed + n + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            ((z ^ (z >> 31)) >> 40) as f32 / (1u64 << 23) as f32 - 1.0
        })
        .collect()
}

/// Layers with weights that keep numbers near 1; dense layers in half precision, as in the models that ship.
fn drawn(json: &str, input: [usize; 3]) -> (Vec<Layer>, Tensors) {
    let layers: Vec<Layer> = serde_json::from_str(json).unwrap();
    let mut tensors = Tensors::new();
    for (seed, (name, shape)) in spec::tensors(&layers, input).unwrap().into_iter().enumerate() {
        let rows: usize = shape[1..].iter().product();
        let size = (3.0 / rows as f32).sqrt().min(1.0);
        let values: Vec<f32> =
            numbers(seed as u64 * 1_000_003, shape.iter().product()).iter().map(|v| v * size).collect();
        if shape.len() == 2 && name.ends_with(".weight") && !name.contains("input") && !name.contains("recurrent") {
            tensors.insert_half(name, &shape, &values).unwrap();
        } else {
            tensors.insert(name, &shape, values).unwrap();
        }
    }
    (layers, tensors)
}

fn networks(criterion: &mut Criterion) {
    for (name, json, input) in [
        ("face-paper", FACE_PAPER, [1, 48, 48]),
        ("face-deep", FACE_DEEP, [1, 48, 48]),
        ("speech-statistics, 300 frames", SPEECH_STATISTICS, [1, 64, 300]),
        ("speech-paper, 300 frames", SPEECH_PAPER, [1, 13, 300]),
    ] {
        let (layers, tensors) = drawn(json, input);
        let mut network = Network::new(&layers, input, &tensors).unwrap();
        let values = numbers(7, input.iter().product());
        criterion.bench_function(name, |bencher| {
            bencher.iter(|| network.run_steps(black_box(&values), input[2]).unwrap()[0]);
        });
    }
    let (layers, tensors) = drawn(FACE_DEEP, [1, 48, 48]);
    for (count, precision) in [(1, Precision::Fast), (2, Precision::Fast), (2, Precision::Single)] {
        let mut network = Network::of_pictures(&layers, [48, 48], count, &tensors, precision).unwrap();
        let pictures = numbers(7, count * 48 * 48);
        criterion.bench_function(&format!("face-deep, {count} pictures, {precision:?}"), |bencher| {
            bencher.iter(|| network.run_pictures(black_box(&pictures)).unwrap()[0]);
        });
    }
    let (layers, tensors) = drawn(SPEECH_PAPER, [1, 13, 1]);
    let mut stream = Stream::new(&layers, 13, &tensors).unwrap();
    let values = numbers(7, 13);
    criterion.bench_function("speech-paper, one step of a stream", |bencher| {
        bencher.iter(|| stream.step(black_box(&values)).unwrap()[0]);
    });
}

criterion_group!(benches, networks);
criterion_main!(benches);
