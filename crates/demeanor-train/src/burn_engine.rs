//! Training by Burn's automatic gradients, on any of its devices: the reference that the native engine is tested
//! against, and the way to a GPU.

use burn::Tensor;
use burn::tensor::activation::{relu, sigmoid, softmax};
use burn::tensor::module::{conv2d, max_pool2d};
use burn::tensor::ops::{ConvOptions, MaxPoolOptions};
use burn::tensor::{Device, TensorData};
use demeanor::nn::spec::{Conv, Dense, Layer, Norm, Recurrent};
use demeanor::{Error, ErrorKind, Result};
use rand::RngExt;

use crate::data::stream;
use crate::engine::{Batch, Engine, Mode};
use crate::layout::{Layout, NORM_EPSILON, NORM_MOMENTUM};

/// What is added to a score or value beyond the end of a clip, so that no maximum and no attention falls on it.
const FAR_BELOW: f32 = 1e9;

/// A network in training on a device of Burn.
pub struct BurnEngine {
    device: Device,
    layers: Vec<Layer>,
    layout: Layout,
    statistics: Vec<f32>,
    tape: Option<Tape>,
}

/// What a training pass leaves for the way back.
struct Tape {
    outputs: Tensor<2>,
    leaves: Vec<Tensor<1>>,
}

impl BurnEngine {
    /// An engine on the processor, by Burn's `flex` backend, for inputs `[channels, height, width]`.
    ///
    /// # Errors
    /// [`ErrorKind::Shape`] when the layers do not fit each other.
    pub fn flex(layers: &[Layer], input: [usize; 3]) -> Result<Self> {
        Self::on(Device::flex(), layers, input)
    }

    /// An engine on the best GPU, by Burn's Vulkan backend.
    ///
    /// # Errors
    /// [`ErrorKind::Shape`] when the layers do not fit each other.
    #[cfg(feature = "vulkan")]
    pub fn vulkan(layers: &[Layer], input: [usize; 3]) -> Result<Self> {
        Self::on(Device::vulkan(burn::tensor::DeviceKind::DefaultDevice), layers, input)
    }

    /// An engine on a device of Burn.
    ///
    /// # Errors
    /// [`ErrorKind::Shape`] when the layers do not fit each other.
    pub fn on(device: Device, layers: &[Layer], input: [usize; 3]) -> Result<Self> {
        let layout = Layout::new(layers, input)?;
        let statistics = layout.initial_statistics();
        Ok(BurnEngine { device, layers: layers.to_vec(), layout, statistics, tape: None })
    }

    fn pass(&mut self, parameters: &[f32], batch: &Batch, mode: Mode) -> Result<(Vec<f32>, Option<Tape>)> {
        let device = match mode {
            Mode::Train { .. } => self.device.clone().autodiff(),
            Mode::Evaluate => self.device.clone(),
        };
        let leaves: Vec<Tensor<1>> = self
            .layout
            .slots
            .iter()
            .map(|slot| {
                let values = parameters[slot.offset..][..slot.len()].to_vec();
                let leaf = Tensor::<1>::from_data(TensorData::new(values, [slot.len()]), &device);
                if let Mode::Train { .. } = mode { leaf.require_grad() } else { leaf }
            })
            .collect();
        let channels = batch.values.len() / (batch.count * batch.height * batch.width).max(1);
        let shape = [batch.count, channels, batch.height, batch.width];
        let values = Tensor::<4>::from_data(TensorData::new(batch.values.clone(), shape), &device);
        let widths = (!batch.widths.is_empty()).then(|| batch.widths.clone());
        let mut walk = Walk {
            layout: &self.layout,
            leaves: &leaves,
            statistics: &mut self.statistics,
            device: &device,
            mode,
            dropouts: 0,
        };
        let mut value = Value::Map(Map { values, widths });
        value = walk.layers(&self.layers, "", value)?;
        let Value::Rows(outputs) = value else {
            return Err(Error::new(ErrorKind::Shape, "the network ends in a map, not in scores"));
        };
        let numbers = host(outputs.clone())?;
        let tape = matches!(mode, Mode::Train { .. }).then_some(Tape { outputs, leaves });
        Ok((numbers, tape))
    }

    fn back(&mut self, outputs: &[f32], gradient: &mut [f32]) -> Result<()> {
        let Some(tape) = self.tape.take() else { return Ok(()) };
        let pull = TensorData::new(outputs.to_vec(), tape.outputs.dims());
        let pull = Tensor::<2>::from_data(pull, &self.device.clone().autodiff());
        let gradients = (tape.outputs * pull).sum().backward();
        for (slot, leaf) in self.layout.slots.iter().zip(&tape.leaves) {
            // a leaf that no output depends on has no gradient
            if let Some(own) = leaf.grad(&gradients) {
                for (g, o) in gradient[slot.offset..][..slot.len()].iter_mut().zip(host(own)?) {
                    *g += o;
                }
            }
        }
        Ok(())
    }
}

impl Engine for BurnEngine {
    fn forward(&mut self, parameters: &[f32], batch: &Batch, mode: Mode) -> Vec<f32> {
        self.tape = None;
        match self.pass(parameters, batch, mode) {
            Ok((outputs, tape)) => {
                self.tape = tape;
                outputs
            }
            // the trainer stops at a loss that is no number
            Err(_) => vec![f32::NAN; batch.count * self.layout.outputs],
        }
    }

    fn backward(&mut self, _: &[f32], outputs: &[f32], gradient: &mut [f32]) {
        if self.back(outputs, gradient).is_err() {
            gradient.fill(f32::NAN);
        }
    }

    fn statistics(&self) -> &[f32] {
        &self.statistics
    }

    fn set_statistics(&mut self, statistics: &[f32]) {
        self.statistics.copy_from_slice(statistics);
    }
}

/// The numbers of a tensor, on the host.
fn host<const D: usize>(tensor: Tensor<D>) -> Result<Vec<f32>> {
    let failed = |e: String| Error::new(ErrorKind::Setting, format!("the device failed: {e}"));
    let data = tensor.try_into_data().map_err(|e| failed(format!("{e:?}")))?;
    data.try_into_vec::<f32>().map_err(|e| failed(format!("{e:?}")))
}

/// A feature map `[count, channels, height, width]` with the true width of each example, if they differ.
#[derive(Clone)]
struct Map {
    values: Tensor<4>,
    widths: Option<Vec<usize>>,
}

#[derive(Clone)]
enum Value {
    Map(Map),
    Rows(Tensor<2>),
}

impl Map {
    /// 1 for what is there and 0 beyond the end, `[count, 1, 1, width]`; none when all examples are whole.
    fn mask(&self, device: &Device) -> Option<Tensor<4>> {
        let widths = self.widths.as_ref()?;
        let [count, _, _, width] = self.values.dims();
        let there = widths.iter().flat_map(|&own| (0..width).map(move |x| f32::from(u8::from(x < own)))).collect();
        Some(Tensor::from_data(TensorData::new(there, [count, 1, 1, width]), device))
    }

    fn masked(self, device: &Device) -> Map {
        match self.mask(device) {
            Some(mask) => Map { values: self.values * mask, widths: self.widths },
            None => self,
        }
    }

    /// The true widths, `[count, 1, 1, 1]`.
    fn lengths(&self, device: &Device) -> Tensor<4> {
        let [count, _, _, width] = self.values.dims();
        let lengths: Vec<f32> = match &self.widths {
            Some(widths) => widths.iter().map(|&w| w as f32).collect(),
            None => vec![width as f32; count],
        };
        Tensor::from_data(TensorData::new(lengths, [count, 1, 1, 1]), device)
    }

    /// Mean over height and true width, `[count, channels]`.
    fn mean(self, device: &Device) -> Tensor<2> {
        let [count, channels, height, _] = self.values.dims();
        let places = self.lengths(device) * height as f32;
        (self.masked(device).values.sum_dim(3).sum_dim(2) / places).reshape([count, channels])
    }

    /// Mean over the true width and maximum over it, `[count, channels * height]` each.
    fn mean_and_max(self, device: &Device) -> [Tensor<2>; 2] {
        let [count, channels, height, _] = self.values.dims();
        let rows = [count, channels * height];
        let lengths = self.lengths(device);
        let mask = self.mask(device);
        let map = self.masked(device);
        let mean = (map.values.clone().sum_dim(3) / lengths).reshape(rows);
        let reachable = match mask {
            Some(mask) => map.values + (mask - 1.0) * FAR_BELOW,
            None => map.values,
        };
        [mean, reachable.max_dim(3).reshape(rows)]
    }
}

/// A pass through the layers.
struct Walk<'a> {
    layout: &'a Layout,
    leaves: &'a [Tensor<1>],
    statistics: &'a mut [f32],
    device: &'a Device,
    mode: Mode,
    dropouts: u64,
}

impl Walk<'_> {
    fn leaf<const D: usize>(&self, name: &str) -> Result<Tensor<D>> {
        let place = self.layout.slots.iter().position(|s| s.name == name);
        let (slot, leaf) = place
            .map(|i| (&self.layout.slots[i], &self.leaves[i]))
            .ok_or_else(|| Error::new(ErrorKind::Shape, format!("the layout has no {name}")))?;
        let shape: [usize; D] = slot.shape[..]
            .try_into()
            .map_err(|_| Error::new(ErrorKind::Shape, format!("{name} is {:?}; expected {D} sides", slot.shape)))?;
        Ok(leaf.clone().reshape(shape))
    }

    fn layers(&mut self, layers: &[Layer], path: &str, mut value: Value) -> Result<Value> {
        for (i, layer) in layers.iter().enumerate() {
            value = self.layer(layer, &format!("{path}{i}"), value)?;
        }
        Ok(value)
    }

    fn layer(&mut self, layer: &Layer, path: &str, value: Value) -> Result<Value> {
        let device = self.device;
        Ok(match (layer, value) {
            (Layer::Conv(conv), Value::Map(map)) => Value::Map(self.conv(conv, path, map)?),
            (Layer::Residual { body, shortcut }, Value::Map(map)) => {
                let short = match shortcut {
                    Some(conv) => self.conv(conv, &format!("{path}.shortcut"), map.clone())?,
                    None => map.clone(),
                };
                match self.layers(body, &format!("{path}.body."), Value::Map(map))? {
                    Value::Map(long) => {
                        Value::Map(Map { values: relu(long.values + short.values), widths: long.widths }.masked(device))
                    }
                    rows => rows,
                }
            }
            (Layer::SqueezeExcite { .. }, Value::Map(map)) => {
                let [count, channels, ..] = map.values.dims();
                let small = relu(self.dense(&format!("{path}.squeeze"), map.clone().mean(device))?);
                let factors = sigmoid(self.dense(&format!("{path}.expand"), small)?);
                Value::Map(Map { values: map.values * factors.reshape([count, channels, 1, 1]), widths: map.widths })
            }
            (&Layer::MaxPool { size }, Value::Map(map)) => Value::Map(pool(map, [size, size], device)),
            (Layer::GlobalAverage, Value::Map(map)) => Value::Rows(map.mean(device)),
            (Layer::MeanMax, Value::Map(map)) => Value::Rows(Tensor::cat(map.mean_and_max(device).to_vec(), 1)),
            (Layer::AttentiveStatistics { .. }, Value::Map(map)) => Value::Rows(self.attentive(path, map)?),
            (Layer::Flatten, Value::Map(map)) => {
                let [count, channels, height, width] = map.values.dims();
                Value::Rows(map.values.reshape([count, channels * height * width]))
            }
            (Layer::Dense(Dense { relu: is_relu, .. }), Value::Rows(rows)) => {
                let y = self.dense(path, rows)?;
                Value::Rows(if *is_relu { relu(y) } else { y })
            }
            (Layer::Lstm(layer), Value::Map(map)) => self.recurrent(layer, true, path, map)?,
            (Layer::Gru(layer), Value::Map(map)) => self.recurrent(layer, false, path, map)?,
            (&Layer::Dropout { rate }, value) => match self.mode {
                Mode::Evaluate => value,
                Mode::Train { seed } => {
                    let number = self.dropouts;
                    self.dropouts += 1;
                    let kept = |count: usize| -> Vec<f32> {
                        let mut rng = stream(seed, number, 0);
                        let scale = 1.0 / (1.0 - rate);
                        (0..count).map(|_| if rng.random_bool(f64::from(rate)) { 0.0 } else { scale }).collect()
                    };
                    match value {
                        Value::Map(Map { values, widths }) => {
                            let shape = values.dims();
                            let kept = TensorData::new(kept(shape.iter().product()), shape);
                            Value::Map(Map { values: values * Tensor::from_data(kept, device), widths })
                        }
                        Value::Rows(rows) => {
                            let shape = rows.dims();
                            let kept = TensorData::new(kept(shape.iter().product()), shape);
                            Value::Rows(rows * Tensor::from_data(kept, device))
                        }
                    }
                }
            },
            (layer, Value::Map(_)) => {
                return Err(Error::new(ErrorKind::Shape, format!("layer {path}: {layer:?} cannot follow a map")));
            }
            (layer, Value::Rows(_)) => {
                return Err(Error::new(ErrorKind::Shape, format!("layer {path}: {layer:?} cannot follow rows")));
            }
        })
    }

    fn dense(&self, path: &str, rows: Tensor<2>) -> Result<Tensor<2>> {
        let (weight, bias) = (self.leaf::<2>(&format!("{path}.weight"))?, self.leaf::<1>(&format!("{path}.bias"))?);
        Ok(rows.matmul(weight.transpose()) + bias.unsqueeze::<2>())
    }

    fn conv(&mut self, conv: &Conv, path: &str, map: Map) -> Result<Map> {
        let [high, wide] = conv.kernel;
        let half = |side: usize| ((side - 1) / 2, (side - 1) / 2);
        let across = if conv.causal { (wide - 1, 0) } else { half(wide) };
        let options = ConvOptions::new_with_padding(conv.stride, [half(high), across], [1, 1], 1);
        let weight = self.leaf::<4>(&format!("{path}.weight"))?;
        let bias = match conv.norm {
            Norm::BeforeRelu => None,
            _ => Some(self.leaf::<1>(&format!("{path}.bias"))?),
        };
        let widths = map.widths.as_ref().map(|w| w.iter().map(|w| w.div_ceil(conv.stride[1])).collect::<Vec<_>>());
        let mut y = Map { values: conv2d(map.values.clone(), weight, bias, options), widths: widths.clone() };
        if conv.norm == Norm::BeforeRelu {
            y = self.norm(path, y)?;
            if conv.branches {
                let options = ConvOptions::new(conv.stride, [0, 0], [1, 1], 1);
                let point = self.leaf::<4>(&format!("{path}.point.weight"))?;
                let point = Map { values: conv2d(map.values.clone(), point, None, options), widths };
                y.values = y.values + self.norm(&format!("{path}.point"), point)?.values;
                let identity = format!("{path}.identity");
                if self.layout.norm(&identity).is_some() {
                    y.values = y.values + self.norm(&identity, map)?.values;
                }
            }
        }
        if conv.relu {
            y.values = relu(y.values);
        }
        if conv.norm == Norm::AfterRelu {
            y = self.norm(path, y)?;
        }
        y = y.masked(self.device);
        if let Some(size) = conv.pool {
            y = pool(y, size, self.device);
        }
        Ok(y)
    }

    /// Batch normalisation; in training by the batch's own statistics, of which the running ones learn.
    fn norm(&mut self, path: &str, map: Map) -> Result<Map> {
        let [count, channels, height, width] = map.values.dims();
        let row = [1, channels, 1, 1];
        let gain = self.leaf::<1>(&format!("{path}.gain"))?.reshape(row);
        let shift = self.leaf::<1>(&format!("{path}.shift"))?.reshape(row);
        let offset = self
            .layout
            .norm(path)
            .map(|norm| norm.offset)
            .ok_or_else(|| Error::new(ErrorKind::Shape, format!("the layout has no norm {path}")))?;
        let own = &mut self.statistics[offset..][..2 * channels];
        let (means, variances) = match self.mode {
            Mode::Evaluate => {
                let fixed = |values: &[f32]| Tensor::<4>::from_data(TensorData::new(values.to_vec(), row), self.device);
                (fixed(&own[..channels]), fixed(&own[channels..]))
            }
            Mode::Train { .. } => {
                let columns = map.widths.as_ref().map_or(count * width, |w| w.iter().sum());
                let places = (columns * height) as f32;
                let mask = map.mask(self.device);
                let there = |values: Tensor<4>| match &mask {
                    Some(mask) => values * mask.clone(),
                    None => values,
                };
                let mean = |values: Tensor<4>| there(values).sum_dim(3).sum_dim(2).sum_dim(0) / places;
                let means = mean(map.values.clone());
                let variances = mean((map.values.clone() - means.clone()).square());
                let unbiased = if places > 1.0 { places / (places - 1.0) } else { 1.0 };
                let (running_means, running_variances) = own.split_at_mut(channels);
                for (r, m) in running_means.iter_mut().zip(host(means.clone())?) {
                    *r += NORM_MOMENTUM * (m - *r);
                }
                for (r, v) in running_variances.iter_mut().zip(host(variances.clone())?) {
                    *r += NORM_MOMENTUM * (v * unbiased - *r);
                }
                (means, variances)
            }
        };
        let values = (map.values - means) / (variances + NORM_EPSILON).sqrt() * gain + shift;
        Ok(Map { values, widths: map.widths }.masked(self.device))
    }

    fn attentive(&self, path: &str, map: Map) -> Result<Tensor<2>> {
        let [count, channels, height, width] = map.values.dims();
        let rows = channels * height;
        let mask = map.mask(self.device);
        let steps = map.values.reshape([count, rows, width]);
        let flat = steps.clone().swap_dims(1, 2).reshape([count * width, rows]);
        let hidden = self.dense(&format!("{path}.hidden"), flat)?.tanh();
        let mut scores = self.dense(&format!("{path}.score"), hidden)?.reshape([count, 1, width]);
        if let Some(mask) = mask {
            scores = scores + (mask.reshape([count, 1, width]) - 1.0) * FAR_BELOW;
        }
        let weights = softmax(scores, 2);
        let mean = (steps.clone() * weights.clone()).sum_dim(2);
        let square = (steps.square() * weights).sum_dim(2);
        let deviation = (square - mean.clone().square()).clamp_min(1e-6).sqrt();
        Ok(Tensor::cat(vec![mean, deviation], 1).reshape([count, 2 * rows]))
    }

    fn recurrent(&self, layer: &Recurrent, is_lstm: bool, path: &str, map: Map) -> Result<Value> {
        let [count, channels, height, width] = map.values.dims();
        let units = layer.units;
        let steps = map.values.clone().reshape([count, channels * height, width]);
        // 1 while a clip lasts, then 0: `[count, 1]` for each step
        let there: Option<Vec<Tensor<2>>> = map.mask(self.device).map(|mask| {
            let mask = mask.reshape([count, width]);
            (0..width).map(|t| mask.clone().narrow(1, t, 1)).collect()
        });
        let mut ends = Vec::new();
        let mut all = Vec::new();
        for prefix in if layer.bidirectional { &["", "backward."][..] } else { &[""] } {
            let name = |part: &str| format!("{path}.{prefix}{part}");
            let input = self.leaf::<2>(&name("input.weight"))?.transpose();
            let recurrent = self.leaf::<2>(&name("recurrent.weight"))?.transpose();
            let bias = self.leaf::<1>(&name("bias"))?.unsqueeze::<2>();
            let own_bias = if is_lstm { None } else { Some(self.leaf::<1>(&name("recurrent.bias"))?.unsqueeze::<2>()) };
            let zeros = || Tensor::<2>::zeros([count, units], self.device);
            let (mut cell, mut output) = (zeros(), zeros());
            let mut outputs = vec![zeros(); width];
            for n in 0..width {
                let t = if prefix.is_empty() { n } else { width - 1 - n };
                let now = steps.clone().narrow(2, t, 1).reshape([count, channels * height]);
                let from_input = now.matmul(input.clone()) + bias.clone();
                let from_before = output.clone().matmul(recurrent.clone());
                let gate = |of: &Tensor<2>, g: usize| of.clone().narrow(1, g * units, units);
                let (next_cell, next) = match &own_bias {
                    None => {
                        let sum = from_input + from_before;
                        let keep = sigmoid(gate(&sum, 1)) * cell.clone();
                        let next_cell = keep + sigmoid(gate(&sum, 0)) * gate(&sum, 2).tanh();
                        (next_cell.clone(), sigmoid(gate(&sum, 3)) * next_cell.tanh())
                    }
                    Some(own_bias) => {
                        let before = from_before + own_bias.clone();
                        let reset = sigmoid(gate(&from_input, 0) + gate(&before, 0));
                        let update = sigmoid(gate(&from_input, 1) + gate(&before, 1));
                        let new = (gate(&from_input, 2) + reset * gate(&before, 2)).tanh();
                        (cell.clone(), new.clone() + update * (output.clone() - new))
                    }
                };
                match &there {
                    Some(there) => {
                        let now = there[t].clone();
                        cell = cell.clone() + now.clone() * (next_cell - cell);
                        output = output.clone() + now.clone() * (next - output);
                        outputs[t] = output.clone() * now;
                    }
                    None => {
                        (cell, output) = (next_cell, next);
                        outputs[t] = output.clone();
                    }
                }
            }
            ends.push(output);
            all.push(outputs);
        }
        if !layer.all_steps {
            return Ok(Value::Rows(Tensor::cat(ends, 1)));
        }
        let directions: Vec<Tensor<4>> = all
            .into_iter()
            .map(|outputs| {
                let columns = outputs.into_iter().map(|o| o.reshape([count, units, 1, 1])).collect();
                Tensor::cat(columns, 3)
            })
            .collect();
        Ok(Value::Map(Map { values: Tensor::cat(directions, 1), widths: map.widths }))
    }
}

fn pool(map: Map, size: [usize; 2], device: &Device) -> Map {
    let values = max_pool2d(map.values, MaxPoolOptions::new(size));
    let widths = map.widths.map(|w| w.iter().map(|w| w / size[1]).collect());
    Map { values, widths }.masked(device)
}

#[cfg(test)]
mod tests;
