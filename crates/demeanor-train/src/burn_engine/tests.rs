use demeanor::nn::Network;
use rand::RngExt;

use super::*;
use crate::export::{Trained, tensors};
use crate::recipe::{Recipe, Storage};

fn conv(out: usize, kernel: [usize; 2], stride: [usize; 2]) -> Conv {
    Conv { out, kernel, stride, norm: Norm::BeforeRelu, relu: true, pool: None, branches: false, causal: false }
}

fn dense(units: usize, relu: bool) -> Layer {
    Layer::Dense(Dense { units, relu })
}

fn recurrent(units: usize, bidirectional: bool, all_steps: bool) -> Recurrent {
    Recurrent { units, bidirectional, all_steps }
}

/// Parameters and statistics as they might be after some training: nothing is 0 or 1 by chance.
fn numbers(layout: &Layout) -> (Vec<f32>, Vec<f32>) {
    let mut rng = stream(11, 0, 0);
    let mut parameters = layout.initial(5);
    parameters.iter_mut().for_each(|p| *p += rng.random_range(-0.1..0.1f32));
    let mut statistics = layout.initial_statistics();
    for norm in &layout.norms {
        let (means, variances) = statistics[norm.offset..][..2 * norm.channels].split_at_mut(norm.channels);
        means.iter_mut().for_each(|m| *m = rng.random_range(-0.3..0.3));
        variances.iter_mut().for_each(|v| *v = rng.random_range(0.5..2.0));
    }
    (parameters, statistics)
}

fn batch(count: usize, [channels, height, width]: [usize; 3], widths: Vec<usize>) -> Batch {
    assert_eq!(channels, 1);
    let mut rng = stream(12, 0, 0);
    let mut values: Vec<f32> = (0..count * height * width).map(|_| rng.random_range(-1.0..1.0)).collect();
    for (plane, &own) in values.chunks_mut(height * width).zip(&widths) {
        plane.chunks_mut(width).for_each(|row| row[own..].fill(0.0));
    }
    Batch { count, height, width, values, widths }
}

/// Networks that together have every layer in every form, with their largest input and the true widths of a batch.
/// Name, layers, input, and true widths of a batch.
type Case = (&'static str, Vec<Layer>, [usize; 3], Vec<usize>);

fn networks() -> Vec<Case> {
    let paper_face = Recipe::parse(include_str!("../../recipes/face-paper.toml")).unwrap().network;
    let v1_face = Recipe::parse(include_str!("../../recipes/face-v1.toml")).unwrap().network;
    let paper_speech = Recipe::parse(include_str!("../../recipes/speech-paper.toml")).unwrap().network;
    let v1_speech = Recipe::parse(include_str!("../../recipes/speech-v1.toml")).unwrap().network;
    let residual = vec![
        Layer::Conv(Conv { norm: Norm::None, pool: Some([2, 2]), ..conv(8, [5, 3], [1, 1]) }),
        Layer::Residual {
            body: vec![
                Layer::Conv(Conv { branches: true, ..conv(8, [3, 3], [1, 1]) }),
                Layer::Conv(Conv { branches: true, relu: false, ..conv(12, [3, 3], [2, 2]) }),
                Layer::SqueezeExcite { hidden: 4 },
            ],
            shortcut: Some(Conv { relu: false, ..conv(12, [1, 1], [2, 2]) }),
        },
        Layer::SqueezeExcite { hidden: 3 },
        Layer::MaxPool { size: 2 },
        Layer::GlobalAverage,
        dense(9, true),
        Layer::Dropout { rate: 0.5 },
        dense(7, false),
    ];
    let mean_max = vec![
        Layer::Conv(Conv { causal: true, branches: true, ..conv(6, [1, 5], [1, 1]) }),
        Layer::Conv(Conv { norm: Norm::AfterRelu, pool: Some([1, 2]), ..conv(6, [3, 3], [1, 2]) }),
        Layer::MeanMax,
        dense(8, false),
    ];
    let both_ways = vec![
        Layer::Lstm(recurrent(10, true, true)),
        Layer::Dropout { rate: 0.3 },
        Layer::Lstm(recurrent(6, true, false)),
        dense(8, false),
    ];
    let gru = vec![
        Layer::Gru(recurrent(10, true, true)),
        Layer::Gru(recurrent(6, false, true)),
        Layer::AttentiveStatistics { hidden: 5 },
        dense(8, false),
    ];
    let gru_end = vec![Layer::Gru(recurrent(9, false, false)), dense(8, false)];
    vec![
        ("paper CNN", paper_face, [1, 48, 48], vec![]),
        ("face-v1", v1_face, [1, 48, 48], vec![]),
        ("branches, squeeze and excitation", residual, [1, 32, 32], vec![]),
        ("paper LSTM", paper_speech, [1, 13, 40], vec![40, 7, 23]),
        ("speech-v1", v1_speech, [1, 64, 60], vec![60, 21, 44]),
        ("mean and maximum, causal", mean_max, [1, 9, 31], vec![17, 31, 8]),
        ("both ways", both_ways, [1, 13, 20], vec![20, 3, 11]),
        ("GRU", gru, [1, 13, 20], vec![9, 20, 1]),
        ("last step of a GRU", gru_end, [1, 13, 20], vec![20, 6, 1]),
    ]
}

/// Burn's outputs in a batch equal those of the exported network for each input alone, at its true width.
#[test]
fn the_exported_network_gives_what_burn_gives() {
    for (name, layers, input, widths) in networks() {
        let layout = Layout::new(&layers, input).unwrap();
        let (parameters, statistics) = numbers(&layout);
        let mut engine = BurnEngine::flex(&layers, input).unwrap();
        engine.set_statistics(&statistics);
        let count = widths.len().max(2);
        let batch = batch(count, input, widths);
        let outputs = engine.forward(&parameters, &batch, Mode::Evaluate);
        assert_eq!(outputs.len(), count * layout.outputs);

        let trained = Trained { layout: &layout, parameters: &parameters, statistics: &statistics };
        let tensors = tensors(&layers, input, trained, Storage::F32, Storage::F32).unwrap();
        let mut network = Network::new(&layers, input, &tensors).unwrap();
        for (i, expected) in outputs.chunks(layout.outputs).enumerate() {
            let width = batch.widths.get(i).copied().unwrap_or(batch.width);
            let plane = &batch.values[i * batch.height * batch.width..][..batch.height * batch.width];
            let own: Vec<f32> = plane.chunks(batch.width).flat_map(|row| row[..width].to_vec()).collect();
            let scale = expected.iter().fold(1.0f32, |m, v| m.max(v.abs()));
            for (a, b) in network.run(&own, width).unwrap().iter().zip(expected) {
                assert!((a - b).abs() < 1e-4 * scale, "{name}, input {i}: {a}, Burn gives {b}");
            }
        }
    }
}

/// The gradient that comes back is that of `sum(outputs * pull)`.
#[test]
fn gradients_are_those_of_the_outputs() {
    let small = vec![
        Layer::Conv(Conv { branches: true, relu: false, ..conv(2, [3, 3], [1, 1]) }),
        Layer::Conv(Conv { norm: Norm::AfterRelu, ..conv(3, [3, 3], [2, 2]) }),
        Layer::AttentiveStatistics { hidden: 3 },
        dense(2, false),
    ];
    let steps = vec![Layer::Lstm(recurrent(3, true, true)), Layer::Gru(recurrent(3, false, false)), dense(2, false)];
    for (layers, input) in [(small, [1, 4, 6]), (steps, [1, 3, 6])] {
        let layout = Layout::new(&layers, input).unwrap();
        let (mut parameters, _) = numbers(&layout);
        let mut engine = BurnEngine::flex(&layers, input).unwrap();
        let batch = batch(3, input, vec![6, 4, 5]);
        let pull = [0.5, -1.0, 0.25, 0.75, -0.5, 1.0];
        let mode = Mode::Train { seed: 1 };
        engine.forward(&parameters, &batch, mode);
        let mut gradient = vec![1.0; layout.parameters];
        engine.backward(&parameters, &pull, &mut gradient);
        gradient.iter_mut().for_each(|g| *g -= 1.0);
        let mut value = |parameters: &[f32]| -> f64 {
            let outputs = engine.forward(parameters, &batch, mode);
            outputs.iter().zip(&pull).map(|(o, p)| f64::from(o * p)).sum()
        };
        for slot in &layout.slots {
            for place in [slot.offset, slot.offset + slot.len() / 2] {
                let kept = parameters[place];
                let h = 5e-3;
                parameters[place] = kept + h;
                let up = value(&parameters);
                parameters[place] = kept - h;
                let down = value(&parameters);
                parameters[place] = kept;
                let numeric = (up - down) / f64::from(2.0 * h);
                let analytic = f64::from(gradient[place]);
                assert!(
                    (numeric - analytic).abs() < 5e-3 + 0.03 * analytic.abs(),
                    "{} at {place}: {analytic}, by differences {numeric}",
                    slot.name
                );
            }
        }
    }
}

/// In training, what lies beyond the end of a clip changes neither outputs nor statistics.
#[test]
fn padding_changes_nothing_in_training() {
    for (name, layers, input, widths) in networks() {
        let layout = Layout::new(&layers, input).unwrap();
        if widths.is_empty() || layers.iter().any(|l| matches!(l, Layer::Dropout { .. })) {
            continue;
        }
        let (parameters, statistics) = numbers(&layout);
        let mut engine = BurnEngine::flex(&layers, input).unwrap();
        let mut run = |extra: usize| {
            engine.set_statistics(&statistics);
            let mut batch = batch(widths.len(), input, widths.clone());
            let wider = batch.values.chunks(batch.width).flat_map(|row| {
                let mut row = row.to_vec();
                row.resize(row.len() + extra, 0.0);
                row
            });
            batch.values = wider.collect();
            batch.width += extra;
            let outputs = engine.forward(&parameters, &batch, Mode::Train { seed: 2 });
            (outputs, engine.statistics().to_vec())
        };
        let (plain, wide) = (run(0), run(9));
        for (a, b) in plain.0.iter().zip(&wide.0).chain(plain.1.iter().zip(&wide.1)) {
            assert!((a - b).abs() < 1e-4, "{name}: {a}, {b} with padding");
        }
    }
}
