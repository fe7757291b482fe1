//! What stands after the last map: pooling over a map, attention, recurrent and dense layers; all in `f32`.

use demeanor::error::{Error, ErrorKind, Result};
use demeanor::nn::spec::{Layer, Recurrent};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

use super::map::Geometry;
use crate::engine::{Batch, Mode};
use crate::layout::Layout;
use demeanor::simd::matmul::{self, Matrix};
use demeanor::simd::{Bf16, Isa, from_bf16, to_bf16};
use demeanor::vectorized;

/// The least variance that [`Layer::AttentiveStatistics`] takes a root of.
const LEAST_VARIANCE: f32 = 1e-6;

/// A layer after the last map.
#[derive(Debug, Clone)]
pub enum RowLayer {
    /// A map to its means.
    Average,
    /// A map to all its numbers.
    Flatten,
    /// A map to means and maxima over time.
    MeanMax,
    /// A map to attention-weighted means and deviations over time.
    Attentive { hidden: Affine, score: Affine },
    /// The input itself as a sequence; stands before the first recurrent layer of a network without convolutions.
    Sequence,
    /// A long short-term memory; one or two directions.
    Lstm { directions: Vec<Cell>, units: usize, all_steps: bool },
    /// A dense layer.
    Dense { affine: Affine, relu: bool },
    /// Sets values to 0 in training.
    Dropout { rate: f32, stream: u64 },
}

/// Places of a weight `[units, rows]` and a bias in the parameters.
#[derive(Debug, Clone, Copy)]
pub struct Affine {
    weight: usize,
    bias: usize,
    rows: usize,
    units: usize,
}

/// Places of a recurrent direction's tensors.
#[derive(Debug, Clone, Copy)]
pub struct Cell {
    input: usize,
    recurrent: usize,
    bias: usize,
    rows: usize,
}

/// A part of a batch's last map.
pub struct Share<'a> {
    pub map: &'a [Bf16],
    pub geometry: Geometry,
    pub channels: usize,
    pub widths: &'a [usize],
}

/// A part of a batch's last map and its gradient.
pub struct ShareGradient<'a> {
    pub map: &'a [Bf16],
    pub gradient: &'a mut [Bf16],
    pub geometry: Geometry,
    pub channels: usize,
    pub widths: &'a [usize],
}

/// What the backward pass needs of the last forward pass.
pub struct Tape {
    isa: Isa,
    /// The input of each layer.
    inputs: Vec<Value>,
    kept: Vec<Kept>,
    output: Value,
    widths: Vec<usize>,
}

impl Tape {
    /// An empty tape of a network that computes with this instruction set.
    pub fn new(isa: Isa) -> Self {
        Tape { isa, inputs: Vec::new(), kept: Vec::new(), output: Value::default(), widths: Vec::new() }
    }
}

/// Rows of a batch: `[steps, count, rows]`; `steps` is 1 but for sequences.
#[derive(Default, Clone)]
struct Value {
    values: Vec<f32>,
    steps: usize,
    rows: usize,
}

/// What a layer keeps for its backward pass.
#[derive(Default)]
enum Kept {
    #[default]
    Nothing,
    /// Of a maximum: the time of each.
    Places(Vec<u32>),
    /// Of attention: per picture, hidden values and weights.
    Attention(Vec<(Vec<f32>, Vec<f32>)>),
    /// Factors of a dropout.
    Factors(Vec<f32>),
    /// Of an LSTM, per direction: gates, cells and outputs at each step.
    Memory(Vec<Memory>),
}

struct Memory {
    gates: Vec<f32>,
    cells: Vec<f32>,
    outputs: Vec<f32>,
}

/// The layers after the last map.
///
/// # Errors
/// [`ErrorKind::Setting`] for a layer that the native engine does not train.
pub fn build(layers: &[Layer], first: usize, layout: &Layout, has_map: bool) -> Result<Vec<RowLayer>> {
    let mut built = Vec::new();
    if !has_map {
        built.push(RowLayer::Sequence);
    }
    for (i, layer) in layers.iter().enumerate() {
        let path = (first + i).to_string();
        let affine = |name: &str| {
            let weight = layout.slot(&format!("{name}.weight"));
            let bias = layout.slot(&format!("{name}.bias"));
            match (weight, bias) {
                (Some(w), Some(b)) => {
                    Ok(Affine { weight: w.offset, bias: b.offset, rows: w.shape[1], units: w.shape[0] })
                }
                _ => Err(Error::new(ErrorKind::Shape, format!("layer {name} has no tensors in the layout"))),
            }
        };
        built.push(match layer {
            Layer::GlobalAverage => RowLayer::Average,
            Layer::Flatten => RowLayer::Flatten,
            Layer::MeanMax => RowLayer::MeanMax,
            Layer::AttentiveStatistics { .. } => RowLayer::Attentive {
                hidden: affine(&format!("{path}.hidden"))?,
                score: affine(&format!("{path}.score"))?,
            },
            Layer::Dense(dense) => RowLayer::Dense { affine: affine(&path)?, relu: dense.relu },
            &Layer::Dropout { rate } => RowLayer::Dropout { rate, stream: i as u64 },
            Layer::Lstm(recurrent) if !has_map => lstm(recurrent, &path, layout)?,
            _ => {
                return Err(Error::new(
                    ErrorKind::Setting,
                    format!(
                        "layer {path}: the native engine does not train {layer:?} here; train with `--device burn`"
                    ),
                ));
            }
        });
    }
    Ok(built)
}

fn lstm(recurrent: &Recurrent, path: &str, layout: &Layout) -> Result<RowLayer> {
    let names: &[&str] = if recurrent.bidirectional { &["", "backward."] } else { &[""] };
    let directions = names
        .iter()
        .map(|direction| {
            let slot = |name: &str| {
                layout
                    .slot(&format!("{path}.{direction}{name}"))
                    .ok_or_else(|| Error::new(ErrorKind::Shape, format!("layer {path} has no {name} in the layout")))
            };
            let input = slot("input.weight")?;
            Ok(Cell {
                input: input.offset,
                recurrent: slot("recurrent.weight")?.offset,
                bias: slot("bias")?.offset,
                rows: input.shape[1],
            })
        })
        .collect::<Result<_>>()?;
    Ok(RowLayer::Lstm { directions, units: recurrent.units, all_steps: recurrent.all_steps })
}

/// A matrix in a slice: start, distance between rows, distance between columns.
#[derive(Clone, Copy)]
struct Strides {
    row: usize,
    column: usize,
}

const fn by_rows(row: usize) -> Strides {
    Strides { row, column: 1 }
}

const fn by_columns(column: usize) -> Strides {
    Strides { row: 1, column }
}

/// `c (+)= a b`, `[m, n] (+)= [m, k] [k, n]`; `c` row by row, rows `n` apart. Large products are divided among the threads by
/// rows, which changes no sum.
#[allow(clippy::too_many_arguments)]
fn multiply(m: usize, n: usize, k: usize, a: &[f32], sa: Strides, b: &[f32], sb: Strides, c: &mut [f32], add: bool) {
    let isa = Isa::active();
    let right = Matrix { data: b, row: sb.row, column: sb.column };
    let rows = if m * n * k > 1 << 22 { m.div_ceil(rayon::current_num_threads()).next_multiple_of(8) } else { m };
    if rows >= m {
        let left = Matrix { data: a, row: sa.row, column: sa.column };
        return matmul::multiply(isa, [m, n, k], left, right, c, add);
    }
    c[..m * n].par_chunks_mut(rows * n).enumerate().for_each(|(part, c)| {
        let left = Matrix { data: &a[part * rows * sa.row..], row: sa.row, column: sa.column };
        matmul::multiply(isa, [c.len() / n, n, k], left, right, c, add);
    });
}

impl Affine {
    fn weight<'a>(&self, parameters: &'a [f32]) -> &'a [f32] {
        &parameters[self.weight..][..self.units * self.rows]
    }

    /// `[n, rows]` to `[n, units]`.
    fn forward(&self, parameters: &[f32], from: &[f32]) -> Vec<f32> {
        let n = from.len() / self.rows;
        let bias = &parameters[self.bias..][..self.units];
        let mut to: Vec<f32> = Vec::with_capacity(n * self.units);
        (0..n).for_each(|_| to.extend_from_slice(bias));
        multiply(
            n,
            self.units,
            self.rows,
            from,
            by_rows(self.rows),
            self.weight(parameters),
            by_columns(self.rows),
            &mut to,
            true,
        );
        to
    }

    /// Adds to the gradient of weight and bias, and gives that of the input.
    fn backward(&self, parameters: &[f32], from: &[f32], outputs: &[f32], gradient: &mut [f32]) -> Vec<f32> {
        let n = from.len() / self.rows;
        let (units, rows) = (self.units, self.rows);
        let weight = &mut gradient[self.weight..][..units * rows];
        multiply(units, rows, n, outputs, by_columns(units), from, by_rows(rows), weight, true);
        let bias = &mut gradient[self.bias..][..units];
        for row in outputs.chunks_exact(units) {
            bias.iter_mut().zip(row).for_each(|(b, r)| *b += r);
        }
        let mut to = vec![0.0; n * rows];
        multiply(n, rows, units, outputs, by_rows(units), self.weight(parameters), by_rows(rows), &mut to, false);
        to
    }
}

/// Outputs `[count, labels]`.
pub fn forward(
    layers: &[RowLayer],
    parameters: &[f32],
    batch: &Batch,
    shares: &[Share<'_>],
    mode: Mode,
    tape: &mut Tape,
) -> Vec<f32> {
    tape.inputs.clear();
    tape.kept.clear();
    tape.widths = (0..batch.count).map(|i| batch.widths.get(i).copied().unwrap_or(batch.width)).collect();
    let pictures: Vec<(&Share<'_>, usize)> =
        shares.iter().flat_map(|share| (0..share.widths.len()).map(move |i| (share, i))).collect();
    let mut value = Value::default();
    for layer in layers {
        let input = std::mem::take(&mut value);
        let (output, kept) = match layer {
            RowLayer::Sequence => (sequence(batch), Kept::Nothing),
            RowLayer::Average | RowLayer::Flatten | RowLayer::MeanMax => pool(layer, &pictures),
            RowLayer::Attentive { hidden, score } => attend(hidden, score, parameters, &pictures),
            RowLayer::Dense { affine, relu } => {
                let mut values = affine.forward(parameters, &input.values);
                if *relu {
                    values.iter_mut().for_each(|v| *v = v.max(0.0));
                }
                (Value { values, steps: input.steps, rows: affine.units }, Kept::Nothing)
            }
            RowLayer::Dropout { rate, stream } => match mode {
                Mode::Train { seed } if *rate > 0.0 => {
                    let mut rng = ChaCha8Rng::seed_from_u64(seed);
                    rng.set_stream(*stream);
                    let keep = 1.0 / (1.0 - rate);
                    let factors: Vec<f32> =
                        input.values.iter().map(|_| if rng.random::<f32>() < *rate { 0.0 } else { keep }).collect();
                    let values = input.values.iter().zip(&factors).map(|(v, f)| v * f).collect();
                    (Value { values, ..input }, Kept::Factors(factors))
                }
                _ => (input.clone(), Kept::Nothing),
            },
            RowLayer::Lstm { directions, units, all_steps } => {
                remember(tape.isa, directions, *units, *all_steps, parameters, &input, &tape.widths)
            }
        };
        tape.inputs.push(input);
        tape.kept.push(kept);
        value = output;
    }
    tape.output = value;
    tape.output.values.clone()
}

/// Adds to the gradient of the parameters, and writes that of the last map.
pub fn backward(
    layers: &[RowLayer],
    parameters: &[f32],
    outputs: &[f32],
    shares: Vec<ShareGradient<'_>>,
    tape: &mut Tape,
    gradient: &mut [f32],
) {
    let mut current = outputs.to_vec();
    let mut shares = Some(shares);
    for (i, layer) in layers.iter().enumerate().rev() {
        let input = &tape.inputs[i];
        let output = tape.inputs.get(i + 1).unwrap_or(&tape.output);
        current = match (layer, &tape.kept[i]) {
            (RowLayer::Dense { affine, relu }, _) => {
                if *relu {
                    current.iter_mut().zip(&output.values).for_each(|(g, &v)| *g = if v > 0.0 { *g } else { 0.0 });
                }
                affine.backward(parameters, &input.values, &current, gradient)
            }
            (RowLayer::Dropout { .. }, Kept::Factors(factors)) => {
                current.iter().zip(factors).map(|(g, f)| g * f).collect()
            }
            (RowLayer::Lstm { directions, units, all_steps }, Kept::Memory(memories)) => recall(
                tape.isa,
                directions,
                *units,
                *all_steps,
                parameters,
                input,
                memories,
                &current,
                &tape.widths,
                gradient,
            ),
            (RowLayer::Average | RowLayer::Flatten | RowLayer::MeanMax, kept) => {
                unpool(layer, kept, &current, output.rows, shares.take().unwrap_or_default());
                return;
            }
            (RowLayer::Attentive { hidden, score }, Kept::Attention(kept)) => {
                let shares = shares.take().unwrap_or_default();
                unattend(hidden, score, parameters, kept, &output.values, &current, shares, gradient);
                return;
            }
            _ => current,
        };
    }
}

/// The batch's inputs as `[width, count, height]`.
fn sequence(batch: &Batch) -> Value {
    let (rows, steps, count) = (batch.height, batch.width, batch.count);
    let mut values = vec![0.0; steps * count * rows];
    for (i, input) in batch.values.chunks_exact(rows * steps).enumerate() {
        for (r, row) in input.chunks_exact(steps).enumerate() {
            for (t, &value) in row.iter().enumerate() {
                values[(t * count + i) * rows + r] = value;
            }
        }
    }
    Value { values, steps, rows }
}

/// The row of a channel's value in a height, as [`Layer::MeanMax`] and attention number them.
fn rows_of(geometry: &Geometry, channels: usize) -> impl Fn(usize, usize) -> usize {
    let height = geometry.height;
    move |channel, y| {
        debug_assert!(channel < channels);
        channel * height + y
    }
}

fn pool(layer: &RowLayer, pictures: &[(&Share<'_>, usize)]) -> (Value, Kept) {
    let Some((first, _)) = pictures.first() else { return (Value::default(), Kept::Nothing) };
    let (geometry, channels) = (first.geometry, first.channels);
    let (h, w) = (geometry.height, geometry.width);
    let rows = match layer {
        RowLayer::Average => channels,
        RowLayer::Flatten => channels * h * w,
        _ => 2 * channels * h,
    };
    let mut values = vec![0.0; pictures.len() * rows];
    let mut places = vec![0u32; if matches!(layer, RowLayer::MeanMax) { pictures.len() * channels * h } else { 0 }];
    let at_row = rows_of(&geometry, channels);
    for (n, (share, i)) in pictures.iter().enumerate() {
        let to = &mut values[n * rows..][..rows];
        let map = &share.map[geometry.range(*i)];
        let width = share.widths[*i];
        for y in 0..h {
            for x in 0..width {
                let pixel = &map[geometry.at(y, x) * geometry.channels..][..channels];
                match layer {
                    RowLayer::Average => {
                        for (t, &p) in to.iter_mut().zip(pixel) {
                            *t += from_bf16(p) / (h * width) as f32;
                        }
                    }
                    RowLayer::Flatten => {
                        for (c, &p) in pixel.iter().enumerate() {
                            to[(c * h + y) * w + x] = from_bf16(p);
                        }
                    }
                    _ => {
                        for (c, &p) in pixel.iter().enumerate() {
                            let (row, p) = (at_row(c, y), from_bf16(p));
                            to[row] += p / width as f32;
                            let top = &mut to[channels * h + row];
                            if x == 0 || p > *top {
                                *top = p;
                                places[n * channels * h + row] = x as u32;
                            }
                        }
                    }
                }
            }
        }
    }
    let kept = if places.is_empty() { Kept::Nothing } else { Kept::Places(places) };
    (Value { values, steps: 1, rows }, kept)
}

fn unpool(layer: &RowLayer, kept: &Kept, gradient: &[f32], rows: usize, shares: Vec<ShareGradient<'_>>) {
    let mut n = 0;
    for share in shares {
        let (geometry, channels) = (share.geometry, share.channels);
        let (h, w) = (geometry.height, geometry.width);
        let at_row = rows_of(&geometry, channels);
        for (i, &width) in share.widths.iter().enumerate() {
            let from = &gradient[n * rows..][..rows];
            let to = &mut share.gradient[geometry.range(i)];
            for y in 0..h {
                for x in 0..width {
                    let pixel = &mut to[geometry.at(y, x) * geometry.channels..][..geometry.channels];
                    pixel[channels..].fill(0);
                    for (c, pixel) in pixel[..channels].iter_mut().enumerate() {
                        *pixel = to_bf16(match layer {
                            RowLayer::Average => from[c] / (h * width) as f32,
                            RowLayer::Flatten => from[(c * h + y) * w + x],
                            _ => {
                                let row = at_row(c, y);
                                let is_top = match kept {
                                    Kept::Places(places) => places[n * channels * h + row] as usize == x,
                                    _ => false,
                                };
                                from[row] / width as f32 + if is_top { from[channels * h + row] } else { 0.0 }
                            }
                        });
                    }
                }
            }
            n += 1;
        }
    }
}

/// A picture of a map as `[width][channels * height]`.
fn frames(map: &[Bf16], geometry: &Geometry, channels: usize, width: usize) -> Vec<f32> {
    let rows = channels * geometry.height;
    let at_row = rows_of(geometry, channels);
    let mut values = vec![0.0; width * rows];
    for y in 0..geometry.height {
        for x in 0..width {
            let pixel = &map[geometry.at(y, x) * geometry.channels..][..channels];
            for (c, &p) in pixel.iter().enumerate() {
                values[x * rows + at_row(c, y)] = from_bf16(p);
            }
        }
    }
    values
}

fn attend(hidden: &Affine, score: &Affine, parameters: &[f32], pictures: &[(&Share<'_>, usize)]) -> (Value, Kept) {
    let rows = hidden.rows;
    let results: Vec<(Vec<f32>, Vec<f32>, Vec<f32>)> = pictures
        .par_iter()
        .map(|(share, i)| {
            let map = &share.map[share.geometry.range(*i)];
            let x = frames(map, &share.geometry, share.channels, share.widths[*i]);
            let mut h = hidden.forward(parameters, &x);
            h.iter_mut().for_each(|v| *v = v.tanh());
            let mut weights = score.forward(parameters, &h);
            let top = weights.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            weights.iter_mut().for_each(|w| *w = (*w - top).exp());
            let sum: f32 = weights.iter().sum();
            weights.iter_mut().for_each(|w| *w /= sum);
            let mut out = vec![0.0; 2 * rows];
            let (mean, deviation) = out.split_at_mut(rows);
            for (x, &a) in x.chunks_exact(rows).zip(&weights) {
                for r in 0..rows {
                    mean[r] += a * x[r];
                    deviation[r] += a * x[r] * x[r];
                }
            }
            for (d, m) in deviation.iter_mut().zip(mean.iter()) {
                *d = (*d - m * m).max(LEAST_VARIANCE).sqrt();
            }
            (out, h, weights)
        })
        .collect();
    let mut values = Vec::with_capacity(pictures.len() * 2 * rows);
    let mut kept = Vec::with_capacity(pictures.len());
    for (out, h, weights) in results {
        values.extend(out);
        kept.push((h, weights));
    }
    (Value { values, steps: 1, rows: 2 * rows }, Kept::Attention(kept))
}

#[allow(clippy::too_many_arguments)]
fn unattend(
    hidden: &Affine,
    score: &Affine,
    parameters: &[f32],
    kept: &[(Vec<f32>, Vec<f32>)],
    outputs: &[f32],
    gradient_out: &[f32],
    shares: Vec<ShareGradient<'_>>,
    gradient: &mut [f32],
) {
    let rows = hidden.rows;
    let mut n = 0;
    let mut jobs = Vec::new();
    for share in shares {
        let first = n;
        n += share.widths.len();
        jobs.push((first, share));
    }
    let sums: Vec<Vec<f32>> = jobs
        .into_par_iter()
        .map(|(first, share)| {
            // this thread's gradient of the four tensors, which follow each other in the parameters
            let start = hidden.weight;
            let mut own = vec![0.0; score.bias + score.units - start];
            let shifted = |a: &Affine| Affine { weight: a.weight - start, bias: a.bias - start, ..*a };
            for (i, &width) in share.widths.iter().enumerate() {
                let n = first + i;
                let range = share.geometry.range(i);
                let x = frames(&share.map[range.clone()], &share.geometry, share.channels, width);
                let (h, weights) = &kept[n];
                let (mean, deviation) = outputs[n * 2 * rows..][..2 * rows].split_at(rows);
                let (d_mean, d_deviation) = gradient_out[n * 2 * rows..][..2 * rows].split_at(rows);
                let mut first_order = vec![0.0; rows];
                let mut second_order = vec![0.0; rows];
                for r in 0..rows {
                    let variance = deviation[r] * deviation[r];
                    let d =
                        if variance > LEAST_VARIANCE * 1.000_01 { d_deviation[r] / (2.0 * deviation[r]) } else { 0.0 };
                    first_order[r] = d_mean[r] - 2.0 * mean[r] * d;
                    second_order[r] = d;
                }
                let d_weights: Vec<f32> = x
                    .chunks_exact(rows)
                    .map(|x| (0..rows).map(|r| x[r] * first_order[r] + x[r] * x[r] * second_order[r]).sum())
                    .collect();
                let centre: f32 = d_weights.iter().zip(weights).map(|(d, a)| d * a).sum();
                let d_scores: Vec<f32> = d_weights.iter().zip(weights).map(|(d, a)| a * (d - centre)).collect();
                let mut d_hidden = affine_back(&shifted(score), score, parameters, h, &d_scores, &mut own);
                d_hidden.iter_mut().zip(h).for_each(|(d, h)| *d *= 1.0 - h * h);
                let mut d_x = affine_back(&shifted(hidden), hidden, parameters, &x, &d_hidden, &mut own);
                for ((d_x, x), &a) in d_x.chunks_exact_mut(rows).zip(x.chunks_exact(rows)).zip(weights) {
                    for r in 0..rows {
                        d_x[r] += a * (first_order[r] + 2.0 * x[r] * second_order[r]);
                    }
                }
                let to = &mut share.gradient[range];
                let at_row = rows_of(&share.geometry, share.channels);
                for y in 0..share.geometry.height {
                    for t in 0..width {
                        let pixel =
                            &mut to[share.geometry.at(y, t) * share.geometry.channels..][..share.geometry.channels];
                        pixel[share.channels..].fill(0);
                        for (c, pixel) in pixel[..share.channels].iter_mut().enumerate() {
                            *pixel = to_bf16(d_x[t * rows + at_row(c, y)]);
                        }
                    }
                }
            }
            own
        })
        .collect();
    for own in sums {
        gradient[hidden.weight..].iter_mut().zip(own).for_each(|(g, o)| *g += o);
    }
}

/// [`Affine::backward`] with the gradient in another place than the parameters.
fn affine_back(
    to: &Affine,
    affine: &Affine,
    parameters: &[f32],
    from: &[f32],
    outputs: &[f32],
    gradient: &mut [f32],
) -> Vec<f32> {
    let (n, units, rows) = (from.len() / affine.rows, affine.units, affine.rows);
    multiply(
        units,
        rows,
        n,
        outputs,
        by_columns(units),
        from,
        by_rows(rows),
        &mut gradient[to.weight..][..units * rows],
        true,
    );
    for row in outputs.chunks_exact(units) {
        gradient[to.bias..][..units].iter_mut().zip(row).for_each(|(b, r)| *b += r);
    }
    let mut input = vec![0.0; n * rows];
    multiply(n, rows, units, outputs, by_rows(units), affine.weight(parameters), by_rows(rows), &mut input, false);
    input
}

/// `e^x` to about 2e-7 of its value, in operations that a compiler takes many at a time.
#[inline(always)]
fn exponential(x: f32) -> f32 {
    // Cephes' expf: x = n ln 2 + r with |r| <= ln 2 / 2, and a polynomial in r
    let x = x.clamp(-87.0, 88.0);
    // adding 1.5 * 2^23 leaves the nearest whole number in the last bits
    let shifted = x * std::f32::consts::LOG2_E + 12_582_912.0;
    let n = shifted - 12_582_912.0;
    let r = x - n * 0.693_359_4 + n * 2.121_944_4e-4;
    let mut p = 1.987_569_1e-4;
    for factor in [1.398_199_9e-3, 8.333_452e-3, 4.166_579_6e-2, 1.666_666_5e-1, 0.5] {
        p = p * r + factor;
    }
    let power = f32::from_bits((shifted.to_bits() << 23).wrapping_add(127 << 23));
    (p * r * r + r + 1.0) * power
}

#[inline(always)]
fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + exponential(-x))
}

#[inline(always)]
fn hyperbolic_tangent(x: f32) -> f32 {
    1.0 - 2.0 / (1.0 + exponential(2.0 * x))
}

vectorized! {
    /// One step of an LSTM's direction for one clip: `gates` (input, forget, cell, output) before their functions to
    /// after, and the cell before to the cell and output.
    pub fn remember_step<'a>(gates: &'a mut [f32], before: &'a [f32], cells: &'a mut [f32], outputs: &'a mut [f32]) {
        let units = before.len();
        let (i, rest) = gates.split_at_mut(units);
        let (f, rest) = rest.split_at_mut(units);
        let (g, o) = rest.split_at_mut(units);
        let (o, cells, outputs) = (&mut o[..units], &mut cells[..units], &mut outputs[..units]);
        for u in 0..units {
            i[u] = sigmoid(i[u]);
            f[u] = sigmoid(f[u]);
            g[u] = hyperbolic_tangent(g[u]);
            o[u] = sigmoid(o[u]);
            cells[u] = f[u] * before[u] + i[u] * g[u];
            outputs[u] = o[u] * hyperbolic_tangent(cells[u]);
        }
    }
}

vectorized! {
    /// The gradient of one step: of the output (from the layer above and from the next step) and of the cell, to that of
    /// the gates and of the cell before (in place).
    pub fn recall_step<'a>(
        gates: &'a [f32],
        cells: &'a [f32],
        before: &'a [f32],
        above: &'a [f32],
        next: &'a [f32],
        d_c: &'a mut [f32],
        d_gates: &'a mut [f32],
    ) {
        let units = before.len();
        let (i, rest) = gates.split_at(units);
        let (f, rest) = rest.split_at(units);
        let (g, o) = rest.split_at(units);
        let (d_i, rest) = d_gates.split_at_mut(units);
        let (d_f, rest) = rest.split_at_mut(units);
        let (d_g, d_o) = rest.split_at_mut(units);
        let (o, d_o, cells, d_c) = (&o[..units], &mut d_o[..units], &cells[..units], &mut d_c[..units]);
        let (above, next) = (&above[..units], &next[..units]);
        for u in 0..units {
            let tangent = hyperbolic_tangent(cells[u]);
            let dh = next[u] + above[u];
            let dc = d_c[u] + dh * o[u] * (1.0 - tangent * tangent);
            d_i[u] = dc * g[u] * i[u] * (1.0 - i[u]);
            d_f[u] = dc * before[u] * f[u] * (1.0 - f[u]);
            d_g[u] = dc * i[u] * (1.0 - g[u] * g[u]);
            d_o[u] = dh * tangent * o[u] * (1.0 - o[u]);
            d_c[u] = dc * f[u];
        }
    }
}

/// The order of the steps of a direction.
fn order(direction: usize, steps: usize) -> Box<dyn DoubleEndedIterator<Item = usize>> {
    if direction == 0 { Box::new(0..steps) } else { Box::new((0..steps).rev()) }
}

fn remember(
    isa: Isa,
    directions: &[Cell],
    units: usize,
    all_steps: bool,
    parameters: &[f32],
    input: &Value,
    widths: &[usize],
) -> (Value, Kept) {
    let (count, steps) = (widths.len(), input.steps);
    let rows_out = units * directions.len();
    let mut out = vec![0.0; if all_steps { steps * count * rows_out } else { count * rows_out }];
    let mut memories = Vec::new();
    for (d, cell) in directions.iter().enumerate() {
        let gates_len = 4 * units;
        let bias = &parameters[cell.bias..][..gates_len];
        let mut gates: Vec<f32> = Vec::with_capacity(steps * count * gates_len);
        (0..steps * count).for_each(|_| gates.extend_from_slice(bias));
        let weight = &parameters[cell.input..][..gates_len * cell.rows];
        multiply(
            steps * count,
            gates_len,
            cell.rows,
            &input.values,
            by_rows(cell.rows),
            weight,
            by_columns(cell.rows),
            &mut gates,
            true,
        );
        let recurrent = &parameters[cell.recurrent..][..gates_len * units];
        let mut cells = vec![0.0; steps * count * units];
        let mut outputs = vec![0.0; steps * count * units];
        let mut previous: Option<usize> = None;
        let mut before = vec![0.0; units];
        for t in order(d, steps) {
            let now = &mut gates[t * count * gates_len..][..count * gates_len];
            if let Some(p) = previous {
                let h = &outputs[p * count * units..][..count * units];
                multiply(count, gates_len, units, h, by_rows(units), recurrent, by_columns(units), now, true);
            }
            for b in 0..count {
                let gates = &mut now[b * gates_len..][..gates_len];
                if t >= widths[b] {
                    gates.fill(0.0);
                    continue;
                }
                match previous {
                    Some(p) => before.copy_from_slice(&cells[(p * count + b) * units..][..units]),
                    None => before.fill(0.0),
                }
                let at = (t * count + b) * units;
                remember_step(isa, gates, &before, &mut cells[at..][..units], &mut outputs[at..][..units]);
            }
            previous = Some(t);
        }
        for b in 0..count {
            if all_steps {
                for t in 0..steps {
                    out[(t * count + b) * rows_out + d * units..][..units]
                        .copy_from_slice(&outputs[(t * count + b) * units..][..units]);
                }
            } else {
                let last = if d == 0 { widths[b].max(1) - 1 } else { 0 };
                out[b * rows_out + d * units..][..units]
                    .copy_from_slice(&outputs[(last * count + b) * units..][..units]);
            }
        }
        memories.push(Memory { gates, cells, outputs });
    }
    let value = Value { values: out, steps: if all_steps { steps } else { 1 }, rows: rows_out };
    (value, Kept::Memory(memories))
}

#[allow(clippy::too_many_arguments)]
fn recall(
    isa: Isa,
    directions: &[Cell],
    units: usize,
    all_steps: bool,
    parameters: &[f32],
    input: &Value,
    memories: &[Memory],
    gradient_out: &[f32],
    widths: &[usize],
    gradient: &mut [f32],
) -> Vec<f32> {
    let (count, steps) = (widths.len(), input.steps);
    let rows_out = units * directions.len();
    let gates_len = 4 * units;
    let mut d_input = vec![0.0; input.values.len()];
    for (d, (cell, memory)) in directions.iter().zip(memories).enumerate() {
        let recurrent = &parameters[cell.recurrent..][..gates_len * units];
        let mut d_gates = vec![0.0; steps * count * gates_len];
        let mut d_h = vec![0.0; count * units];
        let mut d_c = vec![0.0; count * units];
        let (mut from, none) = (vec![0.0; units], vec![0.0; units]);
        let times: Vec<usize> = order(d, steps).collect();
        for (k, &t) in times.iter().enumerate().rev() {
            let before = k.checked_sub(1).map(|k| times[k]);
            let d_now = &mut d_gates[t * count * gates_len..][..count * gates_len];
            for b in 0..count {
                if t >= widths[b] {
                    d_h[b * units..][..units].fill(0.0);
                    d_c[b * units..][..units].fill(0.0);
                    continue;
                }
                let at = (t * count + b) * units;
                if all_steps {
                    from.copy_from_slice(&gradient_out[(t * count + b) * rows_out + d * units..][..units]);
                } else if t == if d == 0 { widths[b].max(1) - 1 } else { 0 } {
                    from.copy_from_slice(&gradient_out[b * rows_out + d * units..][..units]);
                } else {
                    from.fill(0.0);
                }
                recall_step(
                    isa,
                    &memory.gates[(t * count + b) * gates_len..][..gates_len],
                    &memory.cells[at..][..units],
                    before.map_or(&none, |p| &memory.cells[(p * count + b) * units..][..units]),
                    &from,
                    &d_h[b * units..][..units],
                    &mut d_c[b * units..][..units],
                    &mut d_now[b * gates_len..][..gates_len],
                );
            }
            multiply(count, units, gates_len, d_now, by_rows(gates_len), recurrent, by_rows(units), &mut d_h, false);
            if let Some(p) = before {
                let h = &memory.outputs[p * count * units..][..count * units];
                let d_now = &d_gates[t * count * gates_len..][..count * gates_len];
                let to = &mut gradient[cell.recurrent..][..gates_len * units];
                multiply(gates_len, units, count, d_now, by_columns(gates_len), h, by_rows(units), to, true);
            }
        }
        let rows = cell.rows;
        let to = &mut gradient[cell.input..][..gates_len * rows];
        let n = steps * count;
        multiply(gates_len, rows, n, &d_gates, by_columns(gates_len), &input.values, by_rows(rows), to, true);
        let to = &mut gradient[cell.bias..][..gates_len];
        for row in d_gates.chunks_exact(gates_len) {
            to.iter_mut().zip(row).for_each(|(t, r)| *t += r);
        }
        let weight = &parameters[cell.input..][..gates_len * rows];
        multiply(n, rows, gates_len, &d_gates, by_rows(gates_len), weight, by_rows(rows), &mut d_input, true);
    }
    d_input
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn functions_of_gates_are_near_the_true_ones() {
        for k in -4000..=4000 {
            let x = k as f32 * 0.01;
            let (e, s, t) = (f64::from(x).exp(), 1.0 / (1.0 + (-f64::from(x)).exp()), f64::from(x).tanh());
            assert!((f64::from(exponential(x)) / e - 1.0).abs() < 1e-6, "exp {x}");
            assert!((f64::from(sigmoid(x)) - s).abs() < 3e-7, "sigmoid {x}");
            assert!((f64::from(hyperbolic_tangent(x)) - t).abs() < 5e-7, "tanh {x}");
        }
        assert_eq!((sigmoid(1e9), hyperbolic_tangent(-1e9)), (1.0, -1.0));
    }
}
