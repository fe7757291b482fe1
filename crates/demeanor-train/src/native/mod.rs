//! The engine of training on a processor: convolutions as products of bfloat16 blocks, everything else in `f32`.
//!
//! Weights are kept in `f32` by the trainer; products take bfloat16 and sum in `f32`, as mixed-precision training does.
//! A batch is divided among the threads picture by picture; their sums are added in a fixed order, so that a run repeats
//! exactly on as many threads.

mod conv;
mod map;
mod rows;

use demeanor::error::{Error, ErrorKind, Result};
use demeanor::nn::spec::{Conv, Layer};
use demeanor::simd::{Aligned, Bf16, Isa, to_bf16};
use rayon::prelude::*;

use self::conv::{Convolution, Plan, Prepared, Sums, Workspace, padded};
use self::map::Geometry;
use self::rows::{RowLayer, Tape};
use crate::engine::{Batch, Engine, Mode};
use crate::layout::{Layout, NORM_MOMENTUM};

/// A network in training on the processor.
pub struct NativeEngine {
    convolutions: Vec<Convolution>,
    maps: usize,
    /// The layers after the last map, beginning with the one that makes rows of it.
    rows: Vec<RowLayer>,
    statistics: Vec<f32>,
    parameters: usize,
    plans: Vec<Plan>,
    geometry: Vec<Geometry>,
    planned_for: [usize; 2],
    prepared: Vec<Prepared>,
    parts: Vec<Part>,
    tape: Tape,
    count: usize,
}

/// One thread's share of a batch.
#[derive(Default)]
struct Part {
    /// True width of each picture, map by map.
    widths: Vec<Vec<usize>>,
    /// True width of each picture in the raw sums of each convolution.
    raw_widths: Vec<Vec<usize>>,
    maps: Vec<Aligned<Bf16>>,
    gradients: Vec<Aligned<Bf16>>,
    is_written: Vec<bool>,
    raws: Vec<Aligned<Bf16>>,
    dz: Aligned<Bf16>,
    weights: Aligned<f32>,
    biases: Vec<f32>,
    workspace: Workspace,
}

impl NativeEngine {
    /// An engine for layers and inputs `[1, height, width]`, with first running statistics.
    ///
    /// # Errors
    /// [`ErrorKind::Setting`] for a layer that this engine does not train (see the message), [`ErrorKind::Shape`] for
    /// layers that do not fit each other.
    pub fn new(layers: &[Layer], input: [usize; 3]) -> Result<Self> {
        Self::with_isa(layers, input, Isa::active())
    }

    /// As [`NativeEngine::new`], with the instruction set chosen.
    ///
    /// # Errors
    /// As [`NativeEngine::new`].
    pub fn with_isa(layers: &[Layer], input: [usize; 3], isa: Isa) -> Result<Self> {
        let layout = Layout::new(layers, input)?;
        let mut builder = Builder { isa, layout: &layout, convolutions: Vec::new(), maps: 1 };
        let is_map = |layer: &Layer| matches!(layer, Layer::Conv(_) | Layer::Residual { .. });
        let convolutional = layers.iter().take_while(|l| is_map(l)).count();
        let mut map = 0;
        let mut channels = input[0];
        for (i, layer) in layers[..convolutional].iter().enumerate() {
            (map, channels) = builder.layer(layer, &i.to_string(), map, channels)?;
        }
        let Builder { convolutions, maps, .. } = builder;
        let rows = rows::build(&layers[convolutional..], convolutional, &layout, convolutional > 0)?;
        Ok(NativeEngine {
            prepared: vec![Prepared::default(); convolutions.len()],
            plans: Vec::new(),
            geometry: Vec::new(),
            planned_for: [0, 0],
            convolutions,
            maps,
            rows,
            statistics: layout.initial_statistics(),
            parameters: layout.parameters,
            parts: Vec::new(),
            tape: Tape::new(isa),
            count: 0,
        })
    }

    /// Sets the geometry of every map for inputs of a height and width.
    fn plan(&mut self, height: usize, width: usize) {
        if self.planned_for == [height, width] {
            return;
        }
        self.planned_for = [height, width];
        let mut geometry = vec![Geometry::default(); self.maps];
        for conv in &self.convolutions {
            if conv.unfolded {
                let [h, w] = [height.div_ceil(conv.stride[0]), width.div_ceil(conv.stride[1])];
                geometry[conv.source] = Geometry {
                    channels: padded(conv.kernel[0] * conv.kernel[1] * conv.channels[0]),
                    height: h,
                    width: w,
                    above: 0,
                    before: 0,
                    pitch: w,
                };
            }
            let source = geometry[conv.source];
            let stride = if conv.unfolded { [1, 1] } else { conv.stride };
            let target = &mut geometry[conv.target];
            target.channels = padded(conv.channels[1]);
            target.height = source.height.div_ceil(stride[0]) / conv.pool[0];
            target.width = source.width.div_ceil(stride[1]) / conv.pool[1];
            for reader in self.convolutions.iter().filter(|c| c.source == conv.target) {
                let [above, before] = reader.reach();
                target.above = target.above.max(above);
                target.before = target.before.max(before);
            }
            target.pitch = target.width + target.before;
            for reader in self.convolutions.iter().filter(|c| c.source == conv.target) {
                while !(reader.stride[0] * target.pitch).is_multiple_of(reader.stride[1]) {
                    target.pitch += 1;
                }
            }
        }
        self.plans = self
            .convolutions
            .iter()
            .map(|c| {
                c.plan(geometry[c.source], geometry[c.target], c.added.map_or(Geometry::default(), |a| geometry[a]))
            })
            .collect();
        self.geometry = geometry;
        self.parts.clear();
    }

    /// Divides a batch among threads and unfolds its inputs.
    fn divide(&mut self, batch: &Batch) {
        let threads = rayon::current_num_threads().clamp(1, batch.count);
        let share = batch.count.div_ceil(threads);
        let threads = batch.count.div_ceil(share);
        self.parts.resize_with(threads, Part::default);
        self.count = batch.count;
        let (convolutions, plans, geometry) = (&self.convolutions, &self.plans, &self.geometry);
        self.parts.par_iter_mut().enumerate().for_each(|(p, part)| {
            let first = p * share;
            let count = share.min(batch.count - first);
            let widths: Vec<usize> = (first..first + count)
                .map(|i| batch.widths.get(i).copied().unwrap_or(batch.width).clamp(1, batch.width))
                .collect();
            part.maps.resize_with(geometry.len(), Aligned::default);
            part.gradients.resize_with(geometry.len(), Aligned::default);
            part.widths.resize_with(geometry.len(), Vec::new);
            part.raws.resize_with(plans.len(), Aligned::default);
            part.raw_widths.resize_with(plans.len(), Vec::new);
            part.is_written = vec![false; geometry.len()];
            for (map, geometry) in part.maps.iter_mut().zip(geometry) {
                fit(map, geometry.len(count));
            }
            for (raw, plan) in part.raws.iter_mut().zip(plans) {
                fit(raw, plan.raw.len(count));
            }
            for (c, conv) in convolutions.iter().enumerate() {
                if conv.unfolded {
                    part.widths[conv.source] = widths.iter().map(|w| w.div_ceil(conv.stride[1])).collect();
                    for i in 0..count {
                        let size = batch.height * batch.width;
                        let values = &batch.values[(first + i) * size..][..size];
                        let geometry = &geometry[conv.source];
                        unfold(values, batch.width, conv, geometry, &mut part.maps[conv.source][geometry.range(i)]);
                    }
                }
                let step = if conv.unfolded { 1 } else { conv.stride[1] };
                part.raw_widths[c] = part.widths[conv.source].iter().map(|w| w.div_ceil(step)).collect();
                part.widths[conv.target] = part.raw_widths[c].iter().map(|w| w / conv.pool[1]).collect();
            }
        });
    }

    fn forward_maps(&mut self, parameters: &[f32], mode: Mode) {
        let train = mode != Mode::Evaluate;
        self.convolutions
            .par_iter()
            .zip(self.prepared.par_iter_mut())
            .for_each(|(conv, prepared)| conv.prepare(parameters, train, prepared));
        for (c, conv) in self.convolutions.iter().enumerate() {
            let plan = &self.plans[c];
            let prepared = &mut self.prepared[c];
            let sums: Vec<Sums> = self
                .parts
                .par_iter_mut()
                .map(|part| {
                    let widths = &part.raw_widths[c];
                    conv.convolve(
                        plan,
                        prepared,
                        &part.maps[conv.source],
                        &mut part.raws[c],
                        widths.len(),
                        &mut part.workspace,
                    );
                    if train && conv.statistics.is_some() {
                        conv.statistics(plan, prepared, &part.raws[c], widths, &mut part.workspace)
                    } else {
                        Sums::default()
                    }
                })
                .collect();
            if let Some(place) = conv.statistics {
                let channels = conv.channels[1];
                let statistics = &mut self.statistics[place..place + 2 * channels];
                if train {
                    let (means, variances, n) = conv.set_batch_norm(prepared, &Sums::total(&sums));
                    let unbiased = if n > 1.0 { (n / (n - 1.0)) as f32 } else { 1.0 };
                    for i in 0..channels {
                        statistics[i] += NORM_MOMENTUM * (means[i] - statistics[i]);
                        statistics[channels + i] +=
                            NORM_MOMENTUM * (variances[i] * unbiased - statistics[channels + i]);
                    }
                } else {
                    conv.set_norm(prepared, |i| statistics[i], |i| statistics[channels + i]);
                }
            }
            let prepared = &*prepared;
            self.parts.par_iter_mut().for_each(|part| {
                let mut target = std::mem::take(&mut part.maps[conv.target]);
                let added = conv.added.map(|a| &part.maps[a][..]);
                let widths = &part.raw_widths[c];
                conv.pass(plan, prepared, &part.raws[c], added, &mut target, widths, &mut part.workspace);
                part.maps[conv.target] = target;
            });
        }
    }

    fn backward_maps(&mut self, gradient: &mut [f32]) {
        for (c, conv) in self.convolutions.iter().enumerate().rev() {
            let plan = &self.plans[c];
            let prepared = &mut self.prepared[c];
            let sums: Vec<Sums> = self
                .parts
                .par_iter_mut()
                .map(|part| {
                    part.dz.set_len(plan.raw.len(part.raw_widths[c].len())); // every number that is read is written first
                    let mut other = conv.added.map(|a| {
                        fit(&mut part.gradients[a], part.maps[a].len());
                        (std::mem::take(&mut part.gradients[a]), part.is_written[a])
                    });
                    let sums = conv.gradient_sums(
                        plan,
                        prepared,
                        &part.raws[c],
                        conv.added.map(|a| &part.maps[a][..]),
                        &part.gradients[conv.target],
                        &mut part.dz,
                        other.as_mut().map(|(gradient, is_written)| (&mut gradient[..], *is_written)),
                        &part.raw_widths[c],
                        &mut part.workspace,
                    );
                    if let (Some(a), Some((gradient, _))) = (conv.added, other) {
                        part.gradients[a] = gradient;
                        part.is_written[a] = true;
                    }
                    sums
                })
                .collect();
            conv.set_gradient(prepared, &Sums::total(&sums), gradient);
            let prepared = &*prepared;
            self.parts.par_iter_mut().for_each(|part| {
                part.weights.clear_to(conv.gradient_len());
                part.biases.clear();
                part.biases.resize(padded(conv.channels[1]), 0.0);
                let mut to = std::mem::take(&mut part.gradients[conv.source]);
                let mut is_written = part.is_written[conv.source];
                if !conv.unfolded {
                    fit(&mut to, part.maps[conv.source].len());
                }
                conv.back(
                    plan,
                    prepared,
                    &part.maps[conv.source],
                    &part.raws[c],
                    &part.dz,
                    (!conv.unfolded).then_some((&mut to[..], is_written)),
                    &mut part.weights,
                    &mut part.biases,
                    &part.raw_widths[c],
                    &mut part.workspace,
                );
                is_written = true;
                part.is_written[conv.source] = is_written;
                part.gradients[conv.source] = to;
            });
            for part in &self.parts {
                conv.add_gradient(&part.weights, &part.biases, gradient);
            }
        }
    }
}

impl Engine for NativeEngine {
    fn forward(&mut self, parameters: &[f32], batch: &Batch, mode: Mode) -> Vec<f32> {
        assert_eq!(parameters.len(), self.parameters);
        if !self.convolutions.is_empty() {
            self.plan(batch.height, batch.width);
            self.divide(batch);
            self.forward_maps(parameters, mode);
        }
        let last = self.maps - 1;
        let shares: Vec<rows::Share<'_>> = match self.geometry.get(last) {
            Some(&geometry) if !self.convolutions.is_empty() => self
                .parts
                .iter()
                .map(|part| rows::Share {
                    map: &part.maps[last],
                    geometry,
                    channels: self.convolutions.last().map_or(0, |c| c.channels[1]),
                    widths: &part.widths[last],
                })
                .collect(),
            _ => Vec::new(),
        };
        rows::forward(&self.rows, parameters, batch, &shares, mode, &mut self.tape)
    }

    fn backward(&mut self, parameters: &[f32], outputs: &[f32], gradient: &mut [f32]) {
        let last = self.maps - 1;
        let mut parts = std::mem::take(&mut self.parts);
        let targets: Vec<rows::ShareGradient<'_>> = if self.convolutions.is_empty() {
            Vec::new()
        } else {
            let geometry = self.geometry[last];
            let channels = self.convolutions.last().map_or(0, |c| c.channels[1]);
            parts
                .iter_mut()
                .map(|part| {
                    part.is_written.fill(false);
                    let mut to = std::mem::take(&mut part.gradients[last]);
                    fit(&mut to, part.maps[last].len());
                    part.gradients[last] = to;
                    rows::ShareGradient {
                        map: &part.maps[last],
                        gradient: &mut part.gradients[last],
                        geometry,
                        channels,
                        widths: &part.widths[last],
                    }
                })
                .collect()
        };
        rows::backward(&self.rows, parameters, outputs, targets, &mut self.tape, gradient);
        parts.iter_mut().for_each(|part| {
            if let Some(is_written) = part.is_written.get_mut(last) {
                *is_written = true;
            }
        });
        self.parts = parts;
        self.backward_maps(gradient);
    }

    fn statistics(&self) -> &[f32] {
        &self.statistics
    }

    fn set_statistics(&mut self, statistics: &[f32]) {
        self.statistics.copy_from_slice(statistics);
    }
}

/// A buffer of exactly this length; zeros where it had to be made anew.
fn fit(buffer: &mut Aligned<Bf16>, length: usize) {
    if buffer.len() != length {
        buffer.clear_to(length);
    }
}

/// Each output pixel's kernel window of a one-channel input, as the channels of that pixel.
fn unfold(values: &[f32], width: usize, conv: &Convolution, geometry: &Geometry, to: &mut [Bf16]) {
    let height = values.len() / width;
    let [kh, kw] = conv.kernel;
    let left = if conv.causal { kw - 1 } else { kw / 2 };
    let rounded: Vec<Bf16> = values.iter().map(|&v| to_bf16(v)).collect();
    for y in 0..geometry.height {
        for x in 0..geometry.width {
            let pixel = &mut to[geometry.at(y, x) * geometry.channels..][..kh * kw];
            for ky in 0..kh {
                let from_y = (y * conv.stride[0] + ky).wrapping_sub(kh / 2);
                for kx in 0..kw {
                    let from_x = (x * conv.stride[1] + kx).wrapping_sub(left);
                    pixel[ky * kw + kx] =
                        if from_y < height && from_x < width { rounded[from_y * width + from_x] } else { 0 };
                }
            }
        }
    }
}

/// Turns layers into a list of convolutions between maps.
struct Builder<'a> {
    isa: Isa,
    layout: &'a Layout,
    convolutions: Vec<Convolution>,
    maps: usize,
}

impl Builder<'_> {
    fn layer(&mut self, layer: &Layer, path: &str, map: usize, channels: usize) -> Result<(usize, usize)> {
        match layer {
            Layer::Conv(conv) => self.conv(conv, path, map, channels, None),
            Layer::Residual { body, shortcut } => {
                let (short, _) = match shortcut {
                    Some(conv) => self.conv(conv, &format!("{path}.shortcut"), map, channels, None)?,
                    None => (map, channels),
                };
                let (mut at, mut width) = (map, channels);
                for (i, layer) in body.iter().enumerate() {
                    let path = format!("{path}.body.{i}");
                    (at, width) = match layer {
                        Layer::Conv(conv) if i + 1 == body.len() => {
                            if conv.relu || conv.pool.is_some() || conv.norm == demeanor::nn::Norm::AfterRelu {
                                return Err(unsupported(
                                    &path,
                                    "the last layer of a residual body has a ReLU or pooling",
                                ));
                            }
                            let conv = Conv { relu: true, ..conv.clone() };
                            self.conv(&conv, &path, at, width, Some(short))?
                        }
                        Layer::Conv(conv) => self.conv(conv, &path, at, width, None)?,
                        _ => return Err(unsupported(&path, "a residual body holds something else than convolutions")),
                    };
                }
                Ok((at, width))
            }
            _ => Err(unsupported(path, "this layer cannot stand between maps")),
        }
    }

    fn conv(
        &mut self,
        conv: &Conv,
        path: &str,
        source: usize,
        channels: usize,
        added: Option<usize>,
    ) -> Result<(usize, usize)> {
        if conv.branches {
            return Err(unsupported(path, "parallel branches"));
        }
        let unfolded = source == 0;
        if unfolded && channels != 1 {
            return Err(unsupported(path, "an input of more than one channel"));
        }
        let place = |name: &str| self.layout.slot(&format!("{path}.{name}")).map(|s| s.offset);
        let weight = place("weight")
            .ok_or_else(|| Error::new(ErrorKind::Shape, format!("layer {path} has no weight in the layout")))?;
        self.convolutions.push(Convolution {
            isa: self.isa,
            source,
            unfolded,
            target: self.maps,
            added,
            channels: [channels, conv.out],
            kernel: conv.kernel,
            stride: conv.stride,
            causal: conv.causal,
            norm: conv.norm,
            relu: conv.relu,
            pool: conv.pool.unwrap_or([1, 1]),
            weight,
            bias: place("bias"),
            gain: place("gain"),
            shift: place("shift"),
            statistics: self.layout.norm(path).map(|n| n.offset),
        });
        self.maps += 1;
        Ok((self.maps - 1, conv.out))
    }
}

fn unsupported(path: &str, what: &str) -> Error {
    Error::new(
        ErrorKind::Setting,
        format!("layer {path}: {what}: the native engine does not train this; train with `--device burn` or `vulkan`"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use demeanor::nn::spec::{Dense, Norm, Recurrent};
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    fn conv(out: usize, kernel: [usize; 2], stride: [usize; 2], norm: Norm, pool: Option<[usize; 2]>) -> Conv {
        Conv { out, kernel, stride, norm, relu: true, pool, branches: false, causal: false }
    }

    fn dense(units: usize, relu: bool) -> Layer {
        Layer::Dense(Dense { units, relu })
    }

    fn batch(count: usize, height: usize, width: usize, widths: Vec<usize>) -> Batch {
        let mut rng = ChaCha8Rng::seed_from_u64(5);
        let mut values: Vec<f32> = (0..count * height * width).map(|_| rng.random_range(-1.0..1.0)).collect();
        for (i, &true_width) in widths.iter().enumerate() {
            for y in 0..height {
                values[(i * height + y) * width + true_width..(i * height + y + 1) * width].fill(0.0);
            }
        }
        Batch { count, height, width, values, widths }
    }

    /// Along each tensor's own gradient, the loss must change as the gradient says.
    fn check(layers: &[Layer], batch: &Batch, isa: Isa, tolerance: f32) {
        let layout = Layout::new(layers, [1, batch.height, batch.width]).unwrap();
        let mut engine = NativeEngine::with_isa(layers, [1, batch.height, batch.width], isa).unwrap();
        let mut parameters = layout.initial(3);
        let mut rng = ChaCha8Rng::seed_from_u64(9);
        for slot in &layout.slots {
            for p in &mut parameters[slot.offset..][..slot.len()] {
                *p += rng.random_range(-0.05..0.05);
            }
        }
        let mode = Mode::Train { seed: 1 };
        // other batches before this one: what they leave behind must not be seen
        for count in [batch.count + 3, batch.count] {
            let other = Batch {
                count,
                values: vec![0.5; count * batch.height * batch.width],
                widths: vec![],
                height: batch.height,
                width: batch.width,
            };
            let outputs = engine.forward(&parameters, &other, mode);
            engine.backward(&parameters, &vec![1.0; outputs.len()], &mut vec![0.0; layout.parameters]);
        }
        let outputs = engine.forward(&parameters, batch, mode);
        let weights: Vec<f32> = (0..outputs.len()).map(|_| rng.random_range(-1.0..1.0)).collect();
        let mut gradient = vec![0.0; layout.parameters];
        engine.backward(&parameters, &weights, &mut gradient);
        let mut loss = |parameters: &[f32]| -> f64 {
            let outputs = engine.forward(parameters, batch, mode);
            outputs.iter().zip(&weights).map(|(&o, &w)| f64::from(o) * f64::from(w)).sum()
        };
        for slot in &layout.slots {
            let range = slot.offset..slot.offset + slot.len();
            let size: f64 = gradient[range.clone()].iter().map(|&g| f64::from(g) * f64::from(g)).sum::<f64>().sqrt();
            let scale: f64 = parameters[range.clone()].iter().map(|&g| f64::from(g) * f64::from(g)).sum::<f64>().sqrt();
            if slot.name.ends_with("score.bias") {
                // a softmax does not see what is added to all its inputs
                assert!(size < 1e-4, "{}: gradient {size}", slot.name);
                continue;
            }
            assert!(size > 1e-3, "{}: no gradient", slot.name);
            // a long step bends over kinks, a short one drowns in rounding: the best counts
            // (what is added needs longer ones than what multiplies)
            let parts = [1.5, 0.5, 0.15, 0.04, 0.01, 0.003];
            let slopes = parts.map(|part| {
                let step = part * scale.max(0.1) / size;
                let moved = |sign: f64| {
                    let mut moved = parameters.clone();
                    for i in range.clone() {
                        moved[i] += (sign * step * f64::from(gradient[i])) as f32;
                    }
                    moved
                };
                (loss(&moved(1.0)) - loss(&moved(-1.0))) / (2.0 * step * size)
            });
            let error = slopes.iter().map(|s| (s - size).abs() / size).fold(f64::INFINITY, f64::min);
            assert!(error < f64::from(tolerance), "{isa} {}: slopes {slopes:?}, gradient {size}", slot.name);
        }
    }

    #[test]
    fn gradients_of_a_residual_network() {
        let none_after = |c: Conv| Conv { relu: false, ..c };
        let c = |out, stride| conv(out, [3, 3], stride, Norm::BeforeRelu, None);
        let layers = [
            Layer::Conv(c(24, [1, 1])),
            Layer::Conv(conv(40, [3, 3], [1, 1], Norm::BeforeRelu, Some([2, 2]))),
            Layer::Residual {
                body: vec![Layer::Conv(c(40, [1, 1])), Layer::Conv(none_after(c(40, [1, 1])))],
                shortcut: None,
            },
            Layer::Residual {
                body: vec![Layer::Conv(c(48, [2, 2])), Layer::Conv(none_after(c(48, [1, 1])))],
                shortcut: Some(none_after(conv(48, [1, 1], [2, 2], Norm::BeforeRelu, None))),
            },
            Layer::GlobalAverage,
            dense(5, false),
        ];
        for isa in Isa::available() {
            check(&layers, &batch(6, 12, 12, vec![]), isa, 0.08);
        }
    }

    #[test]
    fn gradients_over_several_groups_of_pictures() {
        let c = |pool| Layer::Conv(conv(40, [3, 3], [1, 1], Norm::BeforeRelu, pool));
        let layers = [c(None), c(Some([2, 2])), c(Some([2, 2])), Layer::GlobalAverage, dense(5, false)];
        check(&layers, &batch(5, 48, 48, vec![]), Isa::active(), 0.08);
    }

    #[test]
    fn gradients_of_the_papers_order() {
        let layers = [
            Layer::Conv(conv(16, [3, 3], [1, 1], Norm::AfterRelu, Some([2, 2]))),
            Layer::Conv(conv(32, [3, 3], [1, 1], Norm::AfterRelu, None)),
            Layer::Conv(conv(16, [3, 3], [1, 1], Norm::None, None)),
            Layer::Flatten,
            dense(24, true),
            Layer::Dropout { rate: 0.3 },
            dense(7, false),
        ];
        for isa in Isa::available() {
            check(&layers, &batch(7, 10, 10, vec![]), isa, 0.2);
        }
    }

    #[test]
    fn gradients_of_the_papers_network() {
        let layers = [
            Layer::Conv(conv(32, [3, 3], [1, 1], Norm::AfterRelu, Some([2, 2]))),
            Layer::Conv(conv(64, [3, 3], [1, 1], Norm::AfterRelu, Some([2, 2]))),
            Layer::Conv(conv(128, [3, 3], [1, 1], Norm::AfterRelu, None)),
            Layer::Flatten,
            dense(32, true),
            Layer::Dropout { rate: 0.5 },
            dense(7, false),
        ];
        check(&layers, &batch(5, 48, 48, vec![]), Isa::active(), 0.2);
        check(&layers, &batch(64, 48, 48, vec![]), Isa::active(), 0.2);
    }

    #[test]
    fn gradients_with_clips_of_several_lengths() {
        let causal = Conv { causal: true, ..conv(40, [3, 3], [1, 1], Norm::BeforeRelu, None) };
        for last in [Layer::AttentiveStatistics { hidden: 12 }, Layer::MeanMax] {
            let layers = [
                Layer::Conv(conv(24, [5, 5], [2, 2], Norm::BeforeRelu, None)),
                Layer::Conv(conv(40, [3, 3], [2, 1], Norm::BeforeRelu, None)),
                Layer::Conv(causal.clone()),
                last,
                dense(8, false),
            ];
            for isa in Isa::available() {
                check(&layers, &batch(5, 16, 30, vec![30, 17, 22, 9, 28]), isa, 0.08);
            }
        }
    }

    #[test]
    fn gradients_of_recurrent_layers() {
        for bidirectional in [false, true] {
            let layers = [
                Layer::Lstm(Recurrent { units: 12, bidirectional, all_steps: true }),
                Layer::Dropout { rate: 0.3 },
                Layer::Lstm(Recurrent { units: 8, bidirectional, all_steps: false }),
                dense(8, false),
            ];
            check(&layers, &batch(4, 13, 11, vec![11, 5, 8, 3]), Isa::Portable, 0.02);
        }
    }

    #[test]
    fn a_clip_reads_the_same_alone_and_in_a_batch() {
        let layers = [
            Layer::Conv(conv(24, [5, 5], [2, 2], Norm::BeforeRelu, None)),
            Layer::Conv(conv(40, [3, 3], [2, 1], Norm::BeforeRelu, Some([1, 2]))),
            Layer::AttentiveStatistics { hidden: 12 },
            dense(8, false),
        ];
        let together = batch(3, 16, 30, vec![30, 17, 22]);
        let parameters = Layout::new(&layers, [1, 16, 30]).unwrap().initial(3);
        let mut engine = NativeEngine::new(&layers, [1, 16, 30]).unwrap();
        let all = engine.forward(&parameters, &together, Mode::Evaluate);
        for (i, &width) in together.widths.iter().enumerate() {
            let rows = &together.values[i * 16 * 30..][..16 * 30];
            let values = rows.chunks_exact(30).flat_map(|row| row[..width].to_vec()).collect();
            let alone = Batch { count: 1, height: 16, width, values, widths: vec![] };
            let own = engine.forward(&parameters, &alone, Mode::Evaluate);
            for (a, b) in own.iter().zip(&all[i * 8..]) {
                assert!((a - b).abs() < 1e-5, "{a} against {b}");
            }
        }
    }
}
