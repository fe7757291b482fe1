//! Where each trainable tensor of a network lies in the flat vector of parameters.
//!
//! Training form differs from the form of a model file: a convolution with a norm has `gain` and `shift` (and, where the
//! norm stands before the ReLU, no `bias`), and each norm has a running mean and variance in a second flat vector.

use demeanor::error::{Error, ErrorKind, Result};
use demeanor::nn::spec::{Conv, Layer, Norm, Recurrent};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::recipe::Initial;

/// What a norm adds to a variance before it takes the root; PyTorch's default.
pub const NORM_EPSILON: f32 = 1e-5;

/// The part of a batch's statistics in the new running statistics; PyTorch's default.
pub const NORM_MOMENTUM: f32 = 0.1;

/// What a tensor is for; weight decay may treat them differently.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Multiplies inputs.
    Weight,
    /// Is added.
    Bias,
    /// A norm's factor.
    Gain,
    /// What a norm adds.
    Shift,
}

/// A trainable tensor.
#[derive(Debug, Clone, PartialEq)]
pub struct Slot {
    /// Path of the layer and name, such as `3.body.1.weight`.
    pub name: String,
    /// Shape, in the order of [`demeanor::nn::spec`].
    pub shape: Vec<usize>,
    /// Where it begins in the vector of parameters.
    pub offset: usize,
    /// What it is for.
    pub kind: Kind,
    /// Inputs that each output sums over.
    pub fan_in: usize,
}

impl Slot {
    /// How many numbers it holds.
    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// Whether it holds none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// The running statistics of a norm: means, then variances.
#[derive(Debug, Clone, PartialEq)]
pub struct NormSlot {
    /// Path of the norm's layer, such as `3.body.1`, or `3.point` and `3.identity` for parallel branches.
    pub name: String,
    /// Channels.
    pub channels: usize,
    /// Where the means begin in the vector of statistics; the variances follow them.
    pub offset: usize,
}

/// The layout of a network's trainable numbers.
#[derive(Debug, Clone, PartialEq)]
pub struct Layout {
    /// The trainable tensors, in order.
    pub slots: Vec<Slot>,
    /// The norms, in order.
    pub norms: Vec<NormSlot>,
    /// Length of the vector of parameters.
    pub parameters: usize,
    /// Length of the vector of running statistics.
    pub statistics: usize,
    /// Outputs of the network.
    pub outputs: usize,
    /// Multiplications of a forward pass of one input, of the width that the layout was made for, in the form of use (parallel
    /// branches are one convolution there).
    pub multiplications: u64,
}

/// A shape between layers: a map, or rows.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Shape {
    Map([usize; 3]),
    Rows(usize),
}

impl Layout {
    /// Which parameters weight decay is for: those that multiply inputs.
    pub fn decays(&self) -> Vec<bool> {
        let mut decays = vec![false; self.parameters];
        for slot in self.slots.iter().filter(|slot| slot.kind == Kind::Weight) {
            decays[slot.offset..][..slot.len()].fill(true);
        }
        decays
    }

    /// The layout for inputs `[channels, height, width]`. The width of speech may be any; it decides no tensor's shape.
    ///
    /// # Errors
    /// [`ErrorKind::Shape`] when a layer cannot follow the one before it.
    pub fn new(layers: &[Layer], input: [usize; 3]) -> Result<Self> {
        let mut layout = Layout {
            slots: Vec::new(),
            norms: Vec::new(),
            parameters: 0,
            statistics: 0,
            outputs: 0,
            multiplications: 0,
        };
        match layout.layers(layers, "", Shape::Map(input))? {
            Shape::Rows(rows) => layout.outputs = rows,
            Shape::Map(shape) => {
                return Err(Error::new(
                    ErrorKind::Shape,
                    format!("the network ends in a map {shape:?}, not in scores"),
                ));
            }
        }
        Ok(layout)
    }

    /// The tensor of a name.
    pub fn slot(&self, name: &str) -> Option<&Slot> {
        self.slots.iter().find(|s| s.name == name)
    }

    /// The norm of a path.
    pub fn norm(&self, name: &str) -> Option<&NormSlot> {
        self.norms.iter().find(|s| s.name == name)
    }

    /// First parameters by [`Initial::He`].
    pub fn initial(&self, seed: u64) -> Vec<f32> {
        self.initial_by(Initial::He, seed)
    }

    /// First parameters: weights of convolutions and dense layers as `initial` says, uniform within `1 / sqrt(units)` in
    /// recurrent layers with the forget gate's bias at 1, gains 1, all else 0 (but for the biases of [`Initial::FanIn`]).
    pub fn initial_by(&self, initial: Initial, seed: u64) -> Vec<f32> {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut parameters = vec![0.0; self.parameters];
        for slot in &self.slots {
            let values = &mut parameters[slot.offset..][..slot.len()];
            let recurrent = self.recurrent_units(slot);
            let mut uniform = |limit: f32| values.iter_mut().for_each(|v| *v = rng.random_range(-limit..limit));
            let fan_in = slot.fan_in.max(1) as f32;
            match slot.kind {
                Kind::Gain => values.fill(1.0),
                Kind::Weight => match (recurrent, initial) {
                    (Some(units), _) => uniform(1.0 / (units.max(1) as f32).sqrt()),
                    (None, Initial::He) => {
                        let deviation = (2.0 / fan_in).sqrt();
                        values.iter_mut().for_each(|v| *v = deviation * normal(&mut rng));
                    }
                    (None, Initial::Glorot) => {
                        let taps: usize = slot.shape.iter().skip(2).product();
                        uniform((6.0 / (fan_in + (slot.shape[0] * taps) as f32)).sqrt());
                    }
                    (None, Initial::FanIn) => uniform(1.0 / fan_in.sqrt()),
                },
                Kind::Bias if initial == Initial::FanIn && recurrent.is_none() => {
                    // as many inputs as the weight beside it has
                    let beside = self.slot(&slot.name.replace("bias", "weight"));
                    uniform(1.0 / (beside.map_or(1, |w| w.fan_in.max(1)) as f32).sqrt());
                }
                Kind::Bias | Kind::Shift => {}
            }
            if slot.name.ends_with("bias")
                && self
                    .slot(&slot.name.replace("bias", "recurrent.weight"))
                    .is_some_and(|r| r.shape[0] == 4 * r.shape[1])
            {
                let units = slot.len() / 4;
                parameters[slot.offset + units..][..units].fill(1.0);
            }
        }
        parameters
    }

    /// The units of the recurrent layer that a tensor belongs to; none of another layer.
    fn recurrent_units(&self, slot: &Slot) -> Option<usize> {
        let (layer, _) = slot
            .name
            .rsplit_once("input.")
            .or_else(|| slot.name.rsplit_once("recurrent."))
            .or_else(|| slot.name.rsplit_once("bias"))?;
        Some(self.slot(&format!("{layer}recurrent.weight"))?.shape[1])
    }

    /// First running statistics: means 0, variances 1.
    pub fn initial_statistics(&self) -> Vec<f32> {
        let mut statistics = vec![0.0; self.statistics];
        for norm in &self.norms {
            statistics[norm.offset + norm.channels..][..norm.channels].fill(1.0);
        }
        statistics
    }

    fn add(&mut self, name: String, shape: Vec<usize>, kind: Kind, fan_in: usize) {
        let slot = Slot { name, shape, offset: self.parameters, kind, fan_in };
        self.parameters += slot.len();
        self.slots.push(slot);
    }

    fn add_norm(&mut self, path: &str, channels: usize) {
        self.add(format!("{path}.gain"), vec![channels], Kind::Gain, 1);
        self.add(format!("{path}.shift"), vec![channels], Kind::Shift, 1);
        self.norms.push(NormSlot { name: path.to_owned(), channels, offset: self.statistics });
        self.statistics += 2 * channels;
    }

    fn layers(&mut self, layers: &[Layer], path: &str, mut shape: Shape) -> Result<Shape> {
        for (i, layer) in layers.iter().enumerate() {
            let path = if path.is_empty() { i.to_string() } else { format!("{path}.{i}") };
            shape = self.layer(layer, &path, shape)?;
        }
        Ok(shape)
    }

    fn layer(&mut self, layer: &Layer, path: &str, shape: Shape) -> Result<Shape> {
        match (layer, shape) {
            (Layer::Conv(conv), Shape::Map(map)) => self.conv(conv, path, map),
            (Layer::Residual { body, shortcut }, Shape::Map(map)) => {
                let long = self.layers(body, &format!("{path}.body"), shape)?;
                let short = match shortcut {
                    Some(conv) => self.conv(conv, &format!("{path}.shortcut"), map)?,
                    None => shape,
                };
                if long != short {
                    return Err(Error::new(
                        ErrorKind::Shape,
                        format!("layer {path}: the body gives {long:?} and the shortcut {short:?}"),
                    ));
                }
                Ok(long)
            }
            (&Layer::SqueezeExcite { hidden }, Shape::Map([channels, _, _])) => {
                self.dense(&format!("{path}.squeeze"), channels, hidden, 1);
                self.dense(&format!("{path}.expand"), hidden, channels, 1);
                Ok(shape)
            }
            (&Layer::MaxPool { size }, Shape::Map([c, h, w])) if size > 0 && h >= size && w >= size => {
                Ok(Shape::Map([c, h / size, w / size]))
            }
            (Layer::GlobalAverage, Shape::Map([c, _, _])) => Ok(Shape::Rows(c)),
            (Layer::MeanMax, Shape::Map([c, h, _])) => Ok(Shape::Rows(2 * c * h)),
            (&Layer::AttentiveStatistics { hidden }, Shape::Map([c, h, w])) => {
                self.dense(&format!("{path}.hidden"), c * h, hidden, w);
                self.dense(&format!("{path}.score"), hidden, 1, w);
                Ok(Shape::Rows(2 * c * h))
            }
            (Layer::Flatten, Shape::Map([c, h, w])) => Ok(Shape::Rows(c * h * w)),
            (Layer::Dense(dense), Shape::Rows(rows)) => {
                self.dense(path, rows, dense.units, 1);
                Ok(Shape::Rows(dense.units))
            }
            (Layer::Lstm(recurrent), Shape::Map(map)) => Ok(self.recurrent(recurrent, 4, path, map)),
            (Layer::Gru(recurrent), Shape::Map(map)) => Ok(self.recurrent(recurrent, 3, path, map)),
            (Layer::Dropout { .. }, _) => Ok(shape),
            (layer, shape) => {
                Err(Error::new(ErrorKind::Shape, format!("layer {path}: {layer:?} cannot follow {shape:?}")))
            }
        }
    }

    /// A dense layer that is used so many times in a pass.
    fn dense(&mut self, path: &str, rows: usize, units: usize, times: usize) {
        self.multiplications += (rows * units * times) as u64;
        self.add(format!("{path}.weight"), vec![units, rows], Kind::Weight, rows);
        self.add(format!("{path}.bias"), vec![units], Kind::Bias, rows);
    }

    fn conv(&mut self, conv: &Conv, path: &str, [channels, h, w]: [usize; 3]) -> Result<Shape> {
        let [kh, kw] = conv.kernel;
        if kh % 2 == 0 || kw % 2 == 0 || conv.stride.contains(&0) || conv.out == 0 {
            return Err(Error::new(
                ErrorKind::Shape,
                format!("layer {path}: a convolution needs an odd kernel, a stride and outputs; found {conv:?}"),
            ));
        }
        let fan_in = channels * kh * kw;
        self.add(format!("{path}.weight"), vec![conv.out, channels, kh, kw], Kind::Weight, fan_in);
        if conv.norm != Norm::BeforeRelu {
            self.add(format!("{path}.bias"), vec![conv.out], Kind::Bias, fan_in);
        }
        if conv.norm != Norm::None {
            self.add_norm(path, conv.out);
        }
        if conv.branches {
            if conv.norm != Norm::BeforeRelu {
                return Err(Error::new(
                    ErrorKind::Shape,
                    format!("layer {path}: parallel branches need a norm before the ReLU"),
                ));
            }
            self.add(format!("{path}.point.weight"), vec![conv.out, channels, 1, 1], Kind::Weight, channels);
            self.add_norm(&format!("{path}.point"), conv.out);
            if conv.out == channels && conv.stride == [1, 1] {
                self.add_norm(&format!("{path}.identity"), conv.out);
            }
        }
        let (mut oh, mut ow) = (h.div_ceil(conv.stride[0]), w.div_ceil(conv.stride[1]));
        self.multiplications += (conv.out * fan_in * oh * ow) as u64;
        if let Some([ph, pw]) = conv.pool {
            if ph == 0 || pw == 0 || oh < ph || ow < pw {
                return Err(Error::new(ErrorKind::Shape, format!("layer {path}: pooling {ph}x{pw} of {oh}x{ow}")));
            }
            (oh, ow) = (oh / ph, ow / pw);
        }
        Ok(Shape::Map([conv.out, oh, ow]))
    }

    fn recurrent(&mut self, layer: &Recurrent, gates: usize, path: &str, [c, h, w]: [usize; 3]) -> Shape {
        let directions: &[&str] = if layer.bidirectional { &["", "backward."] } else { &[""] };
        for direction in directions {
            let path = format!("{path}.{direction}");
            let rows = c * h;
            self.multiplications += (gates * layer.units * (rows + layer.units) * w) as u64;
            self.add(format!("{path}input.weight"), vec![gates * layer.units, rows], Kind::Weight, rows);
            self.add(
                format!("{path}recurrent.weight"),
                vec![gates * layer.units, layer.units],
                Kind::Weight,
                layer.units,
            );
            self.add(format!("{path}bias"), vec![gates * layer.units], Kind::Bias, rows);
            if gates == 3 {
                self.add(format!("{path}recurrent.bias"), vec![gates * layer.units], Kind::Bias, layer.units);
            }
        }
        let units = layer.units * directions.len();
        if layer.all_steps { Shape::Map([units, 1, w]) } else { Shape::Rows(units) }
    }
}

/// A draw from the standard normal distribution (Box-Muller).
fn normal(rng: &mut ChaCha8Rng) -> f32 {
    let u: f32 = rng.random_range(f32::EPSILON..1.0);
    let v: f32 = rng.random_range(0.0..std::f32::consts::TAU);
    (-2.0 * u.ln()).sqrt() * v.cos()
}

#[cfg(test)]
mod tests {
    use super::*;
    use demeanor::nn::spec::Dense;

    fn conv(out: usize, norm: Norm, pool: Option<[usize; 2]>) -> Layer {
        Layer::Conv(Conv {
            out,
            kernel: [3, 3],
            stride: [1, 1],
            norm,
            relu: true,
            pool,
            branches: false,
            causal: false,
        })
    }

    #[test]
    fn first_weights_have_the_spread_of_their_kind() {
        let layers = [
            conv(32, Norm::None, None),
            conv(64, Norm::None, None),
            Layer::GlobalAverage,
            Layer::Dense(Dense { units: 256, relu: true }),
        ];
        let layout = Layout::new(&layers, [1, 48, 48]).unwrap();
        let deviation = |parameters: &[f32], name: &str| {
            let slot = layout.slot(name).unwrap();
            let values = &parameters[slot.offset..][..slot.len()];
            (values.iter().map(|v| v * v).sum::<f32>() / values.len() as f32).sqrt()
        };
        // a uniform distribution within a limit deviates by the limit over the root of 3
        let uniform = |limit: f32| limit / 3f32.sqrt();
        let (conv_in, conv_out, dense_in) = (32.0 * 9.0, 64.0 * 9.0, 64.0);
        for (initial, conv, dense, bias) in [
            (Initial::He, (2.0f32 / conv_in).sqrt(), (2.0f32 / dense_in).sqrt(), 0.0),
            (
                Initial::Glorot,
                uniform((6.0f32 / (conv_in + conv_out)).sqrt()),
                uniform((6.0f32 / (dense_in + 256.0)).sqrt()),
                0.0,
            ),
            (
                Initial::FanIn,
                uniform(1.0 / conv_in.sqrt()),
                uniform(1.0 / dense_in.sqrt()),
                uniform(1.0 / dense_in.sqrt()),
            ),
        ] {
            let parameters = layout.initial_by(initial, 3);
            for (name, expected) in [("1.weight", conv), ("3.weight", dense), ("3.bias", bias)] {
                let found = deviation(&parameters, name);
                assert!((found - expected).abs() <= 0.1 * expected, "{initial:?} {name}: {found} is not {expected}");
            }
        }
        assert_eq!(layout.initial(3), layout.initial_by(Initial::He, 3));
    }

    #[test]
    fn the_paper_cnn_has_its_known_count() {
        let layers = [
            conv(32, Norm::AfterRelu, Some([2, 2])),
            conv(64, Norm::AfterRelu, Some([2, 2])),
            conv(128, Norm::AfterRelu, None),
            Layer::Flatten,
            Layer::Dense(Dense { units: 256, relu: true }),
            Layer::Dropout { rate: 0.5 },
            Layer::Dense(Dense { units: 7, relu: false }),
        ];
        let layout = Layout::new(&layers, [1, 48, 48]).unwrap();
        // 320 + 18,496 + 73,856 of convolutions, 448 of norms, 4,718,848 + 1,799 of dense layers
        assert_eq!(layout.parameters, 320 + 18_496 + 73_856 + 448 + 4_718_848 + 1_799);
        assert_eq!(layout.statistics, 448);
        assert_eq!(layout.outputs, 7);
        let maps = [32 * 9 * 48 * 48, 64 * 32 * 9 * 24 * 24, 128 * 64 * 9 * 12 * 12];
        assert_eq!(layout.multiplications, maps.iter().sum::<u64>() + 18_432 * 256 + 256 * 7);
        assert_eq!(layout.slot("4.weight").unwrap().shape, [256, 18_432]);
    }

    #[test]
    fn layers_that_do_not_fit_are_refused() {
        let dense = Layer::Dense(Dense { units: 7, relu: false });
        assert!(Layout::new(&[dense], [1, 48, 48]).is_err());
        assert!(Layout::new(&[conv(8, Norm::None, None)], [1, 48, 48]).is_err());
        assert!(Layout::new(&[conv(8, Norm::None, Some([0, 2])), Layer::Flatten], [1, 48, 48]).is_err());
    }
}
