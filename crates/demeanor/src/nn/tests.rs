//! Every layer in every form against the plain one.

use proptest::prelude::*;

use crate::error::ErrorKind;
use crate::model::Tensors;
use crate::nn::network::{Network, Precision};
use crate::nn::plain;
use crate::nn::recurrent::Stream;
use crate::nn::spec::{self, Conv, Dense, Layer, Norm, Recurrent};
use crate::nn::trunk::Trunk;
use crate::simd::Isa;

/// Numbers that look like chance, -1 to 1: the generator SplitMix64.
pub(crate) struct Chance(pub(crate) u64);

impl Chance {
    pub(crate) fn next(&mut self) -> f32 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 40) as f32 / (1u64 << 23) as f32 - 1.0
    }

    pub(crate) fn many(&mut self, count: usize) -> Vec<f32> {
        (0..count).map(|_| self.next()).collect()
    }
}

/// Weights of a size that keeps numbers near 1, for each tensor of a network.
pub(crate) fn weights(layers: &[Layer], input: [usize; 3], seed: u64, half: bool) -> Tensors {
    let mut chance = Chance(seed);
    let mut tensors = Tensors::new();
    for (name, shape) in spec::tensors(layers, input).unwrap() {
        let rows: usize = shape[1..].iter().product();
        let size = (3.0 / rows as f32).sqrt();
        let values: Vec<f32> = chance.many(shape.iter().product()).iter().map(|v| v * size.min(1.0)).collect();
        if half && shape.len() > 1 {
            tensors.insert_half(name, &shape, &values).unwrap();
        } else {
            tensors.insert(name, &shape, values).unwrap();
        }
    }
    tensors
}

pub(crate) fn conv(out: usize, kernel: [usize; 2]) -> Conv {
    Conv { out, kernel, stride: [1, 1], norm: Norm::BeforeRelu, relu: true, pool: None, branches: false, causal: false }
}

pub(crate) fn dense(units: usize) -> Layer {
    Layer::Dense(Dense { units, relu: false })
}

/// The network of the paper's first system.
pub(crate) fn paper_cnn() -> Vec<Layer> {
    let conv = |out, pool| Layer::Conv(Conv { norm: Norm::AfterRelu, pool, ..conv(out, [3, 3]) });
    vec![
        conv(32, Some([2, 2])),
        conv(64, Some([2, 2])),
        conv(128, None),
        Layer::Flatten,
        Layer::Dense(Dense { units: 256, relu: true }),
        Layer::Dropout { rate: 0.5 },
        dense(7),
    ]
}

/// The network of the paper's second system.
pub(crate) fn paper_lstm() -> Vec<Layer> {
    vec![
        Layer::Lstm(Recurrent { units: 128, bidirectional: false, all_steps: true }),
        Layer::Dropout { rate: 0.3 },
        Layer::Lstm(Recurrent { units: 64, bidirectional: false, all_steps: false }),
        dense(8),
    ]
}

fn close(found: &[f32], expected: &[f32], what: &str) {
    assert_eq!(found.len(), expected.len(), "{what}");
    let size = expected.iter().fold(1e-3f32, |most, v| most.max(v.abs()));
    for (i, (a, b)) in found.iter().zip(expected).enumerate() {
        assert!((a - b).abs() <= 1e-4 * size, "{what}: number {i} is {a}, expected {b} (of numbers up to {size})");
    }
}

/// Checks all forms at several widths, one after the other in the same network.
fn check(layers: &[Layer], input: [usize; 3], widths: &[usize], seed: u64, half: bool) {
    let tensors = weights(layers, input, seed, half);
    for isa in Isa::available() {
        let mut network = Network::with_isa(layers, input, &tensors, isa).unwrap();
        for (n, &width) in widths.iter().enumerate() {
            let sides = [input[0], input[1], width];
            let rows = input[0] * input[1];
            let numbers = Chance(seed + 1 + n as u64).many(rows * width);
            let expected = plain::run(layers, &tensors, &numbers, sides).unwrap();
            let what = format!("{isa}, {layers:?}, {sides:?}");
            close(network.run(&numbers, width).unwrap(), &expected, &what);
            let steps: Vec<f32> = (0..rows * width).map(|i| numbers[i % rows * width + i / rows]).collect();
            close(network.run_steps(&steps, width).unwrap(), &expected, &what);
        }
    }
}

#[test]
fn convolutions_of_all_kinds() {
    let plain = conv(32, [3, 3]);
    let cases: Vec<(Conv, [usize; 3])> = vec![
        (plain.clone(), [1, 48, 48]),
        (plain.clone(), [3, 13, 17]),
        (Conv { out: 7, ..plain.clone() }, [1, 5, 5]),
        (Conv { relu: false, norm: Norm::None, ..plain.clone() }, [1, 9, 11]),
        (Conv { norm: Norm::AfterRelu, ..plain.clone() }, [1, 12, 14]),
        (Conv { norm: Norm::AfterRelu, pool: Some([2, 2]), ..plain.clone() }, [1, 13, 15]),
        (Conv { pool: Some([2, 2]), ..plain.clone() }, [1, 2, 2]),
        (Conv { pool: Some([2, 1]), ..plain.clone() }, [1, 9, 7]),
        (Conv { pool: Some([3, 3]), ..plain.clone() }, [1, 9, 10]),
        (Conv { kernel: [5, 5], stride: [2, 2], ..plain.clone() }, [1, 64, 75]),
        (Conv { kernel: [3, 3], stride: [2, 2], pool: Some([2, 2]), ..plain.clone() }, [1, 21, 27]),
        (Conv { kernel: [3, 3], stride: [3, 3], pool: Some([2, 2]), ..plain.clone() }, [1, 21, 27]),
        (Conv { kernel: [1, 7], stride: [1, 3], ..plain.clone() }, [2, 4, 40]),
        (Conv { kernel: [1, 5], causal: true, ..plain.clone() }, [1, 6, 20]),
        (Conv { kernel: [3, 5], stride: [1, 2], causal: true, ..plain.clone() }, [1, 6, 21]),
        (Conv { kernel: [1, 1], ..plain }, [1, 3, 3]),
    ];
    for (n, (first, input)) in cases.into_iter().enumerate() {
        // alone, and behind another one, whose channels stand in blocks
        check(&[Layer::Conv(first.clone())], input, &[input[2]], n as u64, false);
        for channels in [8, 16, 24, 48] {
            let layers = [Layer::Conv(conv(channels, [3, 3])), Layer::Conv(first.clone())];
            check(&layers, input, &[input[2]], n as u64 + 100, n % 2 == 0);
        }
    }
}

#[test]
fn maps_of_every_width_and_height() {
    for side in 1..30 {
        let layers = [Layer::Conv(conv(32, [3, 3])), Layer::Conv(conv(48, [3, 3]))];
        check(&layers, [1, side, 31 - side], &[31 - side], side as u64, false);
    }
}

#[test]
fn residual_layers_with_and_without_shortcut() {
    let inner = |out, stride| Conv { stride, ..conv(out, [3, 3]) };
    let bare = |out| Conv { relu: false, ..conv(out, [3, 3]) };
    let same = Layer::Residual {
        body: vec![Layer::Conv(inner(32, [1, 1])), Layer::Dropout { rate: 0.1 }, Layer::Conv(bare(32))],
        shortcut: None,
    };
    let down = Layer::Residual {
        body: vec![Layer::Conv(inner(64, [2, 2])), Layer::Conv(bare(64)), Layer::SqueezeExcite { hidden: 5 }],
        shortcut: Some(Conv { kernel: [1, 1], stride: [2, 2], relu: false, ..conv(64, [1, 1]) }),
    };
    let nested = Layer::Residual { body: vec![same.clone(), Layer::Conv(bare(32))], shortcut: None };
    let pooled = Layer::Residual {
        body: vec![Layer::Conv(Conv { pool: Some([2, 2]), ..bare(32) })],
        shortcut: Some(Conv { pool: Some([2, 2]), ..bare(32) }),
    };
    let first = Layer::Conv(conv(32, [3, 3]));
    for side in [6, 13, 24] {
        let input = [1, side, side];
        check(&[first.clone(), same.clone(), same.clone(), Layer::GlobalAverage, dense(7)], input, &[side], 1, false);
        check(&[first.clone(), down.clone(), Layer::GlobalAverage, dense(7)], input, &[side], 2, true);
        check(&[first.clone(), nested.clone(), down.clone()], input, &[side], 3, false);
        check(&[first.clone(), pooled.clone(), same.clone()], input, &[side], 4, false);
        // at the very beginning, where the input itself is the shortcut
        let body = vec![Layer::Conv(Conv { relu: false, ..conv(1, [3, 3]) })];
        check(&[Layer::Residual { body, shortcut: None }], input, &[side], 5, false);
        let body = vec![Layer::SqueezeExcite { hidden: 3 }];
        check(&[first.clone(), Layer::Residual { body, shortcut: None }], input, &[side], 6, false);
    }
}

#[test]
fn what_stands_between_convolutions_and_the_end() {
    let first = Layer::Conv(conv(24, [3, 3]));
    let input = [1, 8, 21];
    let widths = [21, 9, 21, 10];
    for layers in [
        vec![Layer::GlobalAverage],
        vec![Layer::MeanMax, dense(5)],
        vec![Layer::AttentiveStatistics { hidden: 20 }, dense(5)],
        vec![Layer::MaxPool { size: 2 }, Layer::AttentiveStatistics { hidden: 16 }],
        vec![Layer::SqueezeExcite { hidden: 6 }, Layer::MaxPool { size: 3 }],
    ] {
        let all: Vec<Layer> = std::iter::once(first.clone()).chain(layers.clone()).collect();
        check(&all, input, &widths, 7, false);
        check(&layers, input, &widths, 8, true);
    }
    check(&[first.clone(), Layer::Flatten, dense(9)], input, &[21], 9, true);
    check(&[Layer::Flatten, dense(300)], input, &[21], 10, true);
    check(&[Layer::Flatten], [2, 3, 5], &[5, 2], 11, false);
    check(&[first, Layer::MaxPool { size: 2 }, Layer::Flatten, dense(530), dense(3)], input, &[21], 12, false);
}

#[test]
fn norms_after_the_relu_before_a_dense_layer() {
    let conv = |pool| Layer::Conv(Conv { norm: Norm::AfterRelu, pool, ..conv(20, [3, 3]) });
    for layers in [
        vec![conv(None), Layer::Flatten, dense(33)],
        vec![conv(Some([2, 2])), Layer::Dropout { rate: 0.5 }, Layer::Flatten, dense(33)],
        vec![conv(None), Layer::MaxPool { size: 3 }, Layer::Flatten, dense(33)],
        vec![conv(Some([3, 3])), conv(None), Layer::GlobalAverage, dense(3)],
    ] {
        for half in [false, true] {
            check(&layers, [1, 9, 12], &[12], 13, half);
        }
    }
}

#[test]
fn recurrent_layers_of_all_kinds() {
    for units in [5, 16, 40] {
        for bidirectional in [false, true] {
            for all_steps in [false, true] {
                let recurrent = Recurrent { units, bidirectional, all_steps };
                for layer in [Layer::Lstm(recurrent.clone()), Layer::Gru(recurrent.clone())] {
                    let widths = [30, 1, 7];
                    check(std::slice::from_ref(&layer), [1, 13, 30], &widths, 14, false);
                    let conv = Conv { stride: [2, 1], ..conv(20, [3, 3]) };
                    check(&[Layer::Conv(conv), layer.clone()], [1, 7, 30], &widths, 15, false);
                    let second = Layer::Gru(Recurrent { units: 9, bidirectional, all_steps: false });
                    if all_steps {
                        check(&[layer, second, dense(4)], [1, 13, 30], &widths, 16, true);
                    }
                }
            }
        }
    }
}

#[test]
fn the_networks_of_the_paper() {
    for half in [false, true] {
        check(&paper_cnn(), [1, 48, 48], &[48], 17, half);
        check(&paper_lstm(), [1, 13, 60], &[60, 33], 18, half);
    }
}

#[test]
fn a_stream_gives_what_the_whole_sequence_gives() {
    let gru = Layer::Gru(Recurrent { units: 20, bidirectional: false, all_steps: true });
    let last = Layer::Lstm(Recurrent { units: 24, bidirectional: false, all_steps: false });
    for layers in [paper_lstm(), vec![gru, last, Layer::Dense(Dense { units: 30, relu: true }), dense(3)]] {
        let tensors = weights(&layers, [1, 13, 40], 19, false);
        let steps = Chance(20).many(13 * 40);
        for isa in Isa::available() {
            let mut stream = Stream::with_isa(&layers, 13, &tensors, isa).unwrap();
            let mut network = Network::with_isa(&layers, [1, 13, 40], &tensors, isa).unwrap();
            for _ in 0..2 {
                for (n, step) in steps.chunks(13).enumerate() {
                    let expected = network.run_steps(&steps[..13 * (n + 1)], n + 1).unwrap();
                    close(stream.step(step).unwrap(), expected, "stream");
                }
                stream.reset();
            }
            assert!(stream.step(&[0.0; 12]).is_err());
        }
    }
    let bidirectional = Layer::Lstm(Recurrent { units: 4, bidirectional: true, all_steps: false });
    let tensors = weights(std::slice::from_ref(&bidirectional), [1, 3, 1], 1, false);
    assert!(Stream::new(&[bidirectional], 3, &tensors).is_err());
}

#[test]
fn inputs_of_a_wrong_size_are_refused() {
    let layers = [Layer::Conv(Conv { pool: Some([2, 2]), ..conv(8, [3, 3]) }), Layer::GlobalAverage];
    let tensors = weights(&layers, [1, 6, 9], 1, false);
    let mut network = Network::new(&layers, [1, 6, 9], &tensors).unwrap();
    for (count, width) in [(0, 0), (54, 8), (6 * 10, 10), (6, 1), (5, 1), (usize::MAX >> (usize::BITS - 4), usize::MAX)]
    {
        let error = network.run(&vec![0.0; count], width).unwrap_err();
        assert_eq!(error.kind(), crate::ErrorKind::Shape, "{error}");
    }
    // and it still runs afterwards
    network.run(&[0.5; 54], 9).unwrap();
    assert!(Network::new(&layers, [2, 6, 9], &tensors).is_err());
}

/// Any layer that takes a feature map and gives one.
fn some_layer() -> impl Strategy<Value = Layer> {
    let odd = || prop_oneof![Just(1usize), Just(3), Just(5)];
    let pool = prop_oneof![3 => Just(None), 2 => Just(Some([2, 2])), 1 => Just(Some([1, 2]))];
    let norm = prop_oneof![Just(Norm::None), Just(Norm::BeforeRelu), Just(Norm::AfterRelu)];
    prop_oneof![
        5 => (1usize..40, odd(), odd(), 1usize..4, 1usize..4, norm, pool, any::<[bool; 2]>()).prop_map(
            |(out, kh, kw, sh, sw, norm, pool, [relu, causal])| Layer::Conv(Conv {
                out, kernel: [kh, kw], stride: [sh, sw], norm, relu, pool, branches: false, causal
            })
        ),
        1 => Just(Layer::SqueezeExcite { hidden: 3 }),
        1 => (1usize..3).prop_map(|size| Layer::MaxPool { size }),
        1 => Just(Layer::Residual { body: vec![Layer::SqueezeExcite { hidden: 2 }], shortcut: None }),
        1 => (1usize..20, any::<bool>(), any::<bool>()).prop_map(|(units, bidirectional, gru)| {
            let recurrent = Recurrent { units, bidirectional, all_steps: true };
            if gru { Layer::Gru(recurrent) } else { Layer::Lstm(recurrent) }
        }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_network_gives_what_the_plain_one_gives(
        body in proptest::collection::vec(some_layer(), 1..4),
        end in prop_oneof![
            Just(vec![]), Just(vec![Layer::GlobalAverage]), Just(vec![Layer::Flatten, dense(9)]),
            Just(vec![Layer::MeanMax]), Just(vec![Layer::AttentiveStatistics { hidden: 7 }, dense(3)]),
        ],
        sides in (1usize..3, 1usize..12, 1usize..20),
        seed in any::<u64>(),
        half in any::<bool>(),
    ) {
        let layers: Vec<Layer> = body.into_iter().chain(end).collect();
        let input = [sides.0, sides.1, sides.2];
        if spec::shapes(&layers, input).is_ok() {
            check(&layers, input, &[sides.2], seed >> 1, half);
        }
    }

    #[test]
    fn finite_numbers_give_finite_numbers(seed in any::<u64>(), size in 0.0f32..1e4) {
        let layers = [
            Layer::Conv(Conv { norm: Norm::AfterRelu, ..conv(16, [3, 3]) }),
            Layer::Lstm(Recurrent { units: 8, bidirectional: true, all_steps: true }),
            Layer::AttentiveStatistics { hidden: 8 },
            dense(5),
        ];
        let tensors = weights(&layers, [1, 6, 12], seed >> 1, false);
        let mut network = Network::new(&layers, [1, 6, 12], &tensors).unwrap();
        let numbers: Vec<f32> = Chance(seed).many(72).iter().map(|v| v * size).collect();
        prop_assert!(network.run(&numbers, 12).unwrap().iter().all(|v| v.is_finite()));
    }
}

fn block(out: usize) -> Layer {
    let body = vec![Layer::Conv(conv(out, [3, 3])), Layer::Conv(Conv { relu: false, ..conv(out, [3, 3]) })];
    Layer::Residual { body, shortcut: None }
}

#[test]
fn networks_of_pictures_in_blocks_of_half_numbers() {
    let pooled = |out| Layer::Conv(Conv { pool: Some([2, 2]), ..conv(out, [3, 3]) });
    let cases = [
        (vec![Layer::Conv(conv(32, [3, 3]))], [12, 12]),
        (vec![Layer::Conv(conv(7, [5, 5])), Layer::Conv(conv(40, [1, 3]))], [5, 9]),
        (vec![pooled(20), block(20), pooled(70), block(70), Layer::GlobalAverage, dense(7)], [21, 26]),
        (
            vec![pooled(32), Layer::Conv(conv(64, [3, 3])), Layer::MaxPool { size: 2 }, Layer::Flatten, dense(5)],
            [16, 16],
        ),
        (vec![Layer::Conv(conv(16, [3, 3])), Layer::Conv(Conv { stride: [2, 2], ..conv(16, [3, 3]) })], [11, 10]),
    ];
    for (n, (layers, side)) in cases.iter().enumerate() {
        let input = [1, side[0], side[1]];
        let size = side[0] * side[1];
        let tensors = weights(layers, input, n as u64, false);
        let pictures = Chance(n as u64 + 50).many(3 * size);
        for isa in Isa::available() {
            let mut network = Network::with_trunk(layers, *side, 3, &tensors, Some(isa)).unwrap();
            let together = network.run_pictures(&pictures).unwrap().to_vec();
            for (picture, found) in pictures.chunks(size).zip(together.chunks(together.len() / 3)) {
                let expected = plain::run(layers, &tensors, picture, input).unwrap();
                let scale = expected.iter().fold(1e-3f32, |most, v| most.max(v.abs()));
                for (a, b) in found.iter().zip(&expected) {
                    assert!((a - b).abs() <= 0.02 * scale, "{isa}, {layers:?}: {a}, expected {b} (of up to {scale})");
                }
                // alone, after another picture in the same memory, to the last bit
                assert_eq!(network.run_pictures(picture).unwrap(), found);
            }
        }
        let mut single = Network::of_pictures(layers, *side, 1, &tensors, Precision::Single).unwrap();
        let expected = plain::run(layers, &tensors, &pictures[..size], input).unwrap();
        close(single.run_pictures(&pictures[..size]).unwrap(), &expected, "single precision");
    }
}

#[test]
fn blocks_of_half_numbers_lose_nothing_of_small_whole_numbers() {
    let layers = [Layer::Conv(conv(48, [3, 3])), Layer::Conv(Conv { relu: false, ..conv(33, [3, 3]) })];
    let input = [1, 13, 14];
    let mut chance = Chance(3);
    let mut tensors = Tensors::new();
    for (name, shape) in spec::tensors(&layers, input).unwrap() {
        // few of them are not 0, so that every sum is below 256 and every number one of bfloat16
        let values = chance.many(shape.iter().product());
        let values = values.iter().map(|v| if v.abs() > 0.97 { v.signum() } else { 0.0 });
        tensors.insert(name, &shape, values.collect()).unwrap();
    }
    let picture: Vec<f32> = chance.many(13 * 14).iter().map(|v| (v * 8.0).round()).collect();
    let expected = plain::run(&layers, &tensors, &picture, input).unwrap();
    assert!(expected.iter().any(|v| *v > 3.0) && expected.iter().all(|v| v.abs() < 256.0));
    for isa in Isa::available() {
        let mut network = Network::with_trunk(&layers, [13, 14], 1, &tensors, Some(isa)).unwrap();
        assert_eq!(network.run_pictures(&picture).unwrap(), expected, "{isa}");
    }
}

#[test]
fn a_network_of_too_many_large_maps_is_for_other_kernels() {
    let layers: Vec<Layer> = (0..40).map(|_| Layer::Conv(conv(32, [3, 3]))).collect();
    assert!(Trunk::fits(&layers, [48, 48], 2));
    assert!(Trunk::fits(&layers[..2], [512, 512], 2));
    assert!(!Trunk::fits(&layers, [512, 512], 2));
    assert!(!Trunk::fits(&layers[..1], [1024, 1024], usize::MAX));
}

#[test]
fn what_is_no_picture_is_refused() {
    let layers = [Layer::Conv(conv(8, [3, 3])), Layer::GlobalAverage, dense(2)];
    let tensors = weights(&layers, [1, 6, 6], 1, false);
    let mut network = Network::with_trunk(&layers, [6, 6], 2, &tensors, Some(Isa::Portable)).unwrap();
    for count in [0, 35, 37, 3 * 36] {
        assert_eq!(network.run_pictures(&vec![0.0; count]).unwrap_err().kind(), ErrorKind::Shape);
    }
    assert_eq!(network.run(&[0.0; 36], 6).unwrap_err().kind(), ErrorKind::Shape);
    assert_eq!(network.run_pictures(&[0.0; 72]).unwrap().len(), 4);
}
