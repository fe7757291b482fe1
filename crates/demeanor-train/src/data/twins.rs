//! Twins: pairs of pictures that show the same photograph, perhaps mirrored or edited.

use rayon::prelude::*;

use super::pixels::{PIXELS, SIDE, Thumbnail};

/// Two pictures are twins when their grey values, or those of one and the mirror image of the other, correlate by more
/// than this. What lies just above is the same photograph with another crop or contrast; below, other people in a like
/// pose begin to turn up.
pub const CORRELATION: f32 = 0.9;

/// A pair of pictures that show the same photograph.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Twin {
    /// Index of the first picture.
    pub a: usize,
    /// Index of the second; more than `a`.
    pub b: usize,
    /// Correlation of their grey values, -1 to 1.
    pub correlation: f32,
    /// Whether one is the mirror image of the other.
    pub mirrored: bool,
}

/// Frequencies per axis of the first and second comparison.
const COARSE: usize = 8;
const FINE: usize = 16;

/// Finds all pairs whose correlation is more than `threshold`, by `a` then `b`. Blank pictures have no twins.
///
/// No pair is missed. Each picture is brought to mean 0 and length 1, so that a correlation is a scalar product, and to
/// its cosine transform, which keeps scalar products. The product of the low frequencies plus the product of the lengths
/// of the rest bounds the whole, and most pairs fall at the first bound (64 numbers) or the second (256). Mirroring a
/// picture only changes the sign of the odd horizontal frequencies, so one pass gives the bounds of both.
pub fn search(pictures: &[Thumbnail], threshold: f32) -> Vec<Twin> {
    let basis = cosines();
    let all: Vec<Transformed> = pictures.par_iter().map(|p| transform(p, &basis)).collect();
    let first: Vec<[f32; COARSE * COARSE]> = all.iter().map(|t| t.coarse).collect();
    let rest: Vec<f32> = all.iter().map(|t| t.coarse_rest).collect();
    // Blocks of `b` stay in cache while rows of `a` pass by.
    const TILE: usize = 256;
    let tiles = all.len().div_ceil(TILE);
    let jobs: Vec<(usize, usize)> = (0..tiles).flat_map(|i| (i..tiles).map(move |j| (i, j))).collect();
    let mut twins: Vec<Twin> = jobs
        .into_par_iter()
        .flat_map_iter(|(i, j)| {
            let mut found = Vec::new();
            let (rows, columns) =
                (i * TILE..((i + 1) * TILE).min(all.len()), j * TILE..((j + 1) * TILE).min(all.len()));
            for a in rows {
                let begin = columns.start.max(a + 1).min(columns.end);
                for b in begin..columns.end {
                    let (even, odd) = products::<{ COARSE * COARSE }>(&first[a], &first[b]);
                    if even + odd.abs() + rest[a] * rest[b] > threshold {
                        found.extend(all[a].compare(&all[b], a, b, threshold));
                    }
                }
            }
            found
        })
        .collect();
    twins.sort_by_key(|t| (t.a, t.b));
    twins
}

/// A picture as its bounds need it.
struct Transformed {
    /// Low frequencies: those even across first, then the odd ones.
    coarse: [f32; COARSE * COARSE],
    /// Length of what `coarse` leaves out.
    coarse_rest: f32,
    fine: [f32; FINE * FINE],
    fine_rest: f32,
    /// The picture itself with mean 0 and length 1; all 0 when blank.
    values: Box<[f32; PIXELS]>,
}

impl Transformed {
    fn compare(&self, other: &Self, a: usize, b: usize, threshold: f32) -> Option<Twin> {
        let (even, odd) = products::<{ FINE * FINE }>(&self.fine, &other.fine);
        if even + odd.abs() + self.fine_rest * other.fine_rest <= threshold {
            return None;
        }
        let (mut straight, mut mirror) = (0.0, 0.0);
        for (x, y) in self.values.chunks_exact(SIDE).zip(other.values.chunks_exact(SIDE)) {
            straight += x.iter().zip(y).map(|(x, y)| x * y).sum::<f32>();
            mirror += x.iter().zip(y.iter().rev()).map(|(x, y)| x * y).sum::<f32>();
        }
        let (correlation, mirrored) = if straight >= mirror { (straight, false) } else { (mirror, true) };
        (correlation > threshold).then_some(Twin { a, b, correlation, mirrored })
    }
}

/// Scalar products of the first and of the second half.
fn products<const N: usize>(x: &[f32; N], y: &[f32; N]) -> (f32, f32) {
    let half = |x: &[f32], y: &[f32]| {
        let mut sums = [0.0_f32; 8];
        for (x, y) in x.chunks_exact(8).zip(y.chunks_exact(8)) {
            for ((sum, x), y) in sums.iter_mut().zip(x).zip(y) {
                *sum += x * y;
            }
        }
        sums.iter().sum::<f32>()
    };
    (half(&x[..N / 2], &y[..N / 2]), half(&x[N / 2..], &y[N / 2..]))
}

/// The first `FINE` rows of the orthonormal cosine transform (DCT-II).
fn cosines() -> [[f32; SIDE]; FINE] {
    let mut basis = [[0.0; SIDE]; FINE];
    for (k, row) in basis.iter_mut().enumerate() {
        let norm = (if k == 0 { 1.0 } else { 2.0 } / SIDE as f64).sqrt();
        for (n, value) in row.iter_mut().enumerate() {
            let angle = std::f64::consts::PI * (n as f64 + 0.5) * k as f64 / SIDE as f64;
            *value = (norm * angle.cos()) as f32;
        }
    }
    basis
}

fn transform(pixels: &[u8; PIXELS], basis: &[[f32; SIDE]; FINE]) -> Transformed {
    let mean = pixels.iter().map(|&p| f64::from(p)).sum::<f64>() / PIXELS as f64;
    let length = pixels.iter().map(|&p| (f64::from(p) - mean).powi(2)).sum::<f64>().sqrt();
    let mut values = Box::new([0.0_f32; PIXELS]);
    if length > 0.0 {
        for (value, &pixel) in values.iter_mut().zip(pixels) {
            *value = ((f64::from(pixel) - mean) / length) as f32;
        }
    }
    // Across, then down.
    let mut across = [[0.0_f32; SIDE]; FINE];
    for (y, row) in values.chunks_exact(SIDE).enumerate() {
        for (k, wave) in basis.iter().enumerate() {
            across[k][y] = row.iter().zip(wave).map(|(v, c)| v * c).sum();
        }
    }
    let mut fine = [0.0; FINE * FINE];
    let mut coarse = [0.0; COARSE * COARSE];
    for (kx, column) in across.iter().enumerate() {
        for (ky, wave) in basis.iter().enumerate() {
            let value: f32 = column.iter().zip(wave).map(|(v, c)| v * c).sum();
            // Frequencies that are even across go to the first half.
            let place = |n: usize| (kx % 2) * n * n / 2 + (kx / 2) * n + ky;
            fine[place(FINE)] = value;
            if kx < COARSE && ky < COARSE {
                coarse[place(COARSE)] = value;
            }
        }
    }
    // A little more than the true length, so that rounding never hides a pair.
    let whole = if length > 0.0 { 1.0 } else { 0.0 };
    let rest = |low: &[f32]| (whole - low.iter().map(|v| v * v).sum::<f32>()).max(0.0).sqrt() + 1e-4 * whole;
    Transformed { coarse, coarse_rest: rest(&coarse), fine, fine_rest: rest(&fine), values }
}
