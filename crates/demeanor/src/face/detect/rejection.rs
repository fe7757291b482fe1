//! Whether a candidate is a face, by what the network saw in its looks at it.
//!
//! The network's score for a place answers what it was trained to answer, and it was trained on pictures with people. What it
//! saw on the way there, its last map of features, tells a face from a wall, a cloud or a car's front better: a linear reading of
//! it, learnt from candidates in pictures without people, halves again and again what the score alone lets through
//! (docs/detector.md). A model file may hold one; without it the mean of the scores decides.

use crate::simd::depthwise::PixelMap;

/// Looks at a candidate.
pub(super) const LOOKS: usize = 3;

/// Vectors of the last map that are read of each look: its middle, and of the first look four places around it too.
const VECTORS: [usize; LOOKS] = [5, 1, 1];

/// Adds to `to` what is read of a look: its score before the sigmoid, the mean of the four places in the middle of the last map,
/// and of the first look what stands half way between the middle and the four corners.
pub(super) fn features(look: usize, logit: f32, map: &PixelMap, channels: usize, to: &mut Vec<f32>) {
    let [high, wide] = [map.height(), map.width()];
    let [y, x] = [high / 2, wide / 2];
    let middle = [[y - 1, x - 1], [y - 1, x], [y, x - 1], [y, x]].map(|[y, x]| &map.pixel(y, x)[..channels]);
    to.push(logit);
    to.extend((0..channels).map(|c| middle.iter().map(|pixel| pixel[c]).sum::<f32>() / 4.0));
    if VECTORS[look] > 1 {
        let [near, far] = [high / 4, 3 * high / 4 - 1];
        let [left, right] = [wide / 4, 3 * wide / 4 - 1];
        for [y, x] in [[near, left], [near, right], [far, left], [far, right]] {
            to.extend_from_slice(&map.pixel(y, x)[..channels]);
        }
    }
}

/// How many numbers are read of the first look, and of all looks.
pub(super) fn counts(channels: usize) -> [usize; 2] {
    let of = |vectors: &usize| 1 + vectors * channels;
    [of(&VECTORS[0]), VECTORS.iter().map(of).sum()]
}

/// Weights of what is read. A sum of more than 0 is a face.
#[derive(Debug)]
pub(super) struct Rejection {
    /// Of the first look alone, and what is added: whether it is worth another one.
    first: (Vec<f32>, f32),
    looks: [Vec<f32>; LOOKS],
    pub bias: f32,
}

impl Rejection {
    /// From the weights and the bias of the first look alone, and those of all looks, one after another: [`counts`] of them.
    pub fn new(first: (Vec<f32>, f32), mut weights: &[f32], bias: f32, channels: usize) -> Rejection {
        let looks = VECTORS.map(|vectors| {
            let (own, rest) = weights.split_at(1 + vectors * channels);
            weights = rest;
            own.to_vec()
        });
        Rejection { first, looks, bias }
    }

    /// What a look adds, or nothing where the first look shows that no other could make a face of it; `room` is overwritten.
    pub fn weigh(&self, look: usize, logit: f32, map: &PixelMap, room: &mut Vec<f32>) -> Option<f32> {
        let weights = &self.looks[look];
        room.clear();
        features(look, logit, map, (weights.len() - 1) / VECTORS[look], room);
        let sum = |weights: &[f32]| room.iter().zip(weights).map(|(value, weight)| value * weight).sum::<f32>();
        let hopeless = look == 0 && sum(&self.first.0) + self.first.1 < 0.0;
        (!hopeless).then(|| sum(weights))
    }
}
