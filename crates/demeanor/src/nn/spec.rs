//! The description of a network, shared by training recipes, model files and the forward pass.
//!
//! A feature map is `[channels, height, width]`; for speech, height is frequency (or 1) and width is time. Convolutions
//! pad with zeros by `(kernel - 1) / 2` on each side, so that a side of `n` gives `ceil(n / stride)` for odd kernels.
//! In training, what lies beyond the end of a shorter clip in a batch is set to 0 after every layer, so that a clip reads
//! the same alone and in a batch.
//!
//! The tensors of a model file are named by the path of their layer: `0.weight`, `3.body.1.bias`, `5.squeeze.weight`.
//! Batch normalisation is folded when a model is written, so what the file holds for a convolution is `weight`
//! `[out, in, kernel height, kernel width]` and `bias` `[out]`, and, where the norm stands after the ReLU (and cannot be
//! folded backwards), `scale` and `shift` `[out]`.

use serde::{Deserialize, Serialize};

use crate::error::{Error, ErrorKind, Result};

/// The most numbers that a feature map, a row or a tensor may hold (256 MiB as f32); more is an error in a description.
pub const MAX_VALUES: usize = 1 << 26;

/// The most layers of a network, those inside of residual ones counted.
pub const MAX_LAYERS: usize = 512;

/// How deep residual layers may stand inside each other.
const MAX_DEPTH: usize = 8;

/// One step of a network.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "layer", rename_all = "snake_case", deny_unknown_fields)]
pub enum Layer {
    /// A convolution with what usually follows it.
    Conv(Conv),
    /// `relu(body(x) + shortcut(x))`; the shortcut is the identity when it is absent.
    Residual {
        /// The layers of the long way; the last must not have a ReLU of its own.
        body: Vec<Layer>,
        /// A convolution (usually 1x1, without ReLU) on the short way, where shape or stride change.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        shortcut: Option<Conv>,
    },
    /// Scales each channel by `sigmoid(expand(relu(squeeze(mean(x)))))`. Tensors: `squeeze.weight` `[hidden, channels]`,
    /// `squeeze.bias`, `expand.weight` `[channels, hidden]`, `expand.bias`.
    SqueezeExcite {
        /// Units of the hidden layer.
        hidden: usize,
    },
    /// Largest value of each `size x size` square; a last incomplete square is left out.
    MaxPool {
        /// Side of the square, and the stride.
        size: usize,
    },
    /// `[channels, height, width]` to `[channels]`: the mean.
    GlobalAverage,
    /// `[channels, height, width]` to `[2 channels height]`: mean and maximum over time (width); the row of a value is
    /// `channel * height + y`.
    MeanMax,
    /// `[channels, height, width]` to `[2 channels height]`: attention-weighted mean and standard deviation over time.
    /// With `x_t` of `channels * height` rows, `a = softmax_t(score(tanh(hidden x_t)))`, one weight per frame; deviation
    /// is `sqrt(max(sum a x^2 - mean^2, 1e-6))`. Tensors: `hidden.weight` `[hidden, rows]`, `hidden.bias`, `score.weight`
    /// `[1, hidden]`, `score.bias` `[1]`.
    AttentiveStatistics {
        /// Units of the hidden layer.
        hidden: usize,
    },
    /// `[channels, height, width]` to `[channels height width]`, in that order.
    Flatten,
    /// `[rows]` to `[units]`.
    Dense(Dense),
    /// A long short-term memory over time. Input `[channels, height, width]` is read as `width` steps of
    /// `channels * height` rows. Gates in the order input, forget, cell, output.
    Lstm(Recurrent),
    /// A gated recurrent unit over time, in PyTorch's form. Gates in the order reset, update, new.
    Gru(Recurrent),
    /// Sets values to 0 in training; nothing in use.
    Dropout {
        /// The chance that a value is set to 0.
        rate: f32,
    },
}

/// A convolution, then norm and ReLU in the order that `norm` names, then maximum pooling.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Conv {
    /// Output channels.
    pub out: usize,
    /// Height and width of the kernel; odd.
    pub kernel: [usize; 2],
    /// Step down and across.
    #[serde(default = "ones", skip_serializing_if = "is_ones")]
    pub stride: [usize; 2],
    /// Where the batch normalisation stands.
    #[serde(default)]
    pub norm: Norm,
    /// Whether a ReLU follows.
    #[serde(default = "yes")]
    pub relu: bool,
    /// Height and width of the maximum pooling that follows, if any; also its stride.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pool: Option<[usize; 2]>,
    /// Trained with a parallel 1x1 convolution and, where shapes allow, an identity, each with its own norm; all are
    /// folded into the one kernel when the model is written.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub branches: bool,
    /// Looks only backwards in time: the kernel's width is padded on the left alone.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub causal: bool,
}

/// Where a batch normalisation stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Norm {
    /// Nowhere.
    None,
    /// Between convolution and ReLU; folded into the convolution.
    #[default]
    BeforeRelu,
    /// After the ReLU and before the pooling, as in the paper; kept as scale and shift.
    AfterRelu,
}

/// A dense layer. Tensors: `weight` `[units, rows]` and `bias` `[units]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dense {
    /// Outputs.
    pub units: usize,
    /// Whether a ReLU follows.
    #[serde(default)]
    pub relu: bool,
}

/// A recurrent layer. Tensors, in PyTorch's order: `input.weight` `[gates units, rows]`, `recurrent.weight`
/// `[gates units, units]`, `bias` `[gates units]` (for a GRU also `recurrent.bias`), and the same under `backward.` when
/// it is bidirectional.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recurrent {
    /// Units in each direction.
    pub units: usize,
    /// Reads the sequence both ways and concatenates `[forward, backward]`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub bidirectional: bool,
    /// Gives all steps, as `[units, 1, width]`; else the last one (of each direction), as `[units]`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub all_steps: bool,
}

/// The shape of what a layer gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// A feature map: channels, height, width.
    Map([usize; 3]),
    /// That many numbers.
    Row(usize),
}

impl Shape {
    /// How many numbers it holds.
    pub fn values(self) -> usize {
        match self {
            Shape::Map([channels, height, width]) => channels * height * width,
            Shape::Row(rows) => rows,
        }
    }
}

impl std::fmt::Display for Shape {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Shape::Map([channels, height, width]) => write!(f, "[{channels}, {height}, {width}]"),
            Shape::Row(rows) => write!(f, "[{rows}]"),
        }
    }
}

/// The shape after each layer, given the shape `[channels, height, width]` of the input.
///
/// # Errors
/// [`ErrorKind::Shape`] when a layer cannot take what the one before it gives, a number of the description is out of its
/// range, or a shape is larger than [`MAX_VALUES`]. The message names the layer.
pub fn shapes(layers: &[Layer], input: [usize; 3]) -> Result<Vec<Shape>> {
    let mut walk = Walk::default();
    walk.layers(layers, Shape::Map(input), "", 0)
}

/// The tensors that a model file holds for a network: name and shape of each, in the order of the layers.
///
/// # Errors
/// As [`shapes`].
pub fn tensors(layers: &[Layer], input: [usize; 3]) -> Result<Vec<(String, Vec<usize>)>> {
    let mut walk = Walk::default();
    walk.layers(layers, Shape::Map(input), "", 0)?;
    Ok(walk.tensors)
}

/// What an inference over the layers gathers on its way.
#[derive(Default)]
struct Walk {
    count: usize,
    tensors: Vec<(String, Vec<usize>)>,
}

impl Walk {
    fn layers(&mut self, layers: &[Layer], input: Shape, path: &str, depth: usize) -> Result<Vec<Shape>> {
        if layers.is_empty() {
            return Err(Error::new(ErrorKind::Shape, format!("the network has no layers at \"{path}\"")));
        }
        if depth > MAX_DEPTH {
            return Err(Error::new(ErrorKind::Shape, format!("layer {path} stands more than {MAX_DEPTH} layers deep")));
        }
        let mut shape = bounded(input, path)?;
        let mut shapes = Vec::with_capacity(layers.len().min(MAX_LAYERS));
        for (number, layer) in layers.iter().enumerate() {
            self.count += 1;
            if self.count > MAX_LAYERS {
                return Err(Error::new(ErrorKind::Shape, format!("the network has more than {MAX_LAYERS} layers")));
            }
            shape = self.layer(layer, shape, &format!("{path}{number}"), depth)?;
            shapes.push(shape);
        }
        Ok(shapes)
    }

    fn layer(&mut self, layer: &Layer, input: Shape, path: &str, depth: usize) -> Result<Shape> {
        let output = match layer {
            Layer::Conv(conv) => self.conv(conv, map(input, path)?, path)?,
            Layer::Residual { body, shortcut } => {
                let from = map(input, path)?;
                let long = self.layers(body, input, &format!("{path}.body."), depth + 1)?.last().copied();
                let short = match shortcut {
                    Some(conv) => self.conv(conv, from, &format!("{path}.shortcut"))?,
                    None => input,
                };
                if long != Some(short) {
                    return Err(Error::new(
                        ErrorKind::Shape,
                        format!(
                            "the body of layer {path} gives {} and its shortcut {short}; they must be the same",
                            long.unwrap_or(input)
                        ),
                    ));
                }
                short
            }
            Layer::SqueezeExcite { hidden } => {
                let [channels, ..] = map(input, path)?;
                self.tensor(path, "squeeze.weight", &[*hidden, channels])?;
                self.tensor(path, "squeeze.bias", &[*hidden])?;
                self.tensor(path, "expand.weight", &[channels, *hidden])?;
                self.tensor(path, "expand.bias", &[channels])?;
                input
            }
            Layer::MaxPool { size } => {
                let [channels, height, width] = map(input, path)?;
                let size = within(*size, 1, MAX_VALUES, "the size", path)?;
                Shape::Map([channels, height / size, width / size])
            }
            Layer::GlobalAverage => Shape::Row(map(input, path)?[0]),
            Layer::MeanMax => {
                let [channels, height, _] = map(input, path)?;
                Shape::Row(2 * channels * height)
            }
            Layer::AttentiveStatistics { hidden } => {
                let [channels, height, _] = map(input, path)?;
                self.tensor(path, "hidden.weight", &[*hidden, channels * height])?;
                self.tensor(path, "hidden.bias", &[*hidden])?;
                self.tensor(path, "score.weight", &[1, *hidden])?;
                self.tensor(path, "score.bias", &[1])?;
                Shape::Row(2 * channels * height)
            }
            Layer::Flatten => Shape::Row(map(input, path)?.iter().product()),
            Layer::Dense(dense) => match input {
                Shape::Row(rows) => {
                    self.tensor(path, "weight", &[dense.units, rows])?;
                    self.tensor(path, "bias", &[dense.units])?;
                    Shape::Row(dense.units)
                }
                Shape::Map(_) => {
                    return Err(Error::new(
                        ErrorKind::Shape,
                        format!("layer {path} takes a row, and {input} is a feature map; flatten or pool it before"),
                    ));
                }
            },
            Layer::Lstm(recurrent) => self.recurrent(recurrent, 4, false, map(input, path)?, path)?,
            Layer::Gru(recurrent) => self.recurrent(recurrent, 3, true, map(input, path)?, path)?,
            Layer::Dropout { rate } => {
                if !(0.0..1.0).contains(rate) {
                    return Err(Error::new(
                        ErrorKind::Shape,
                        format!("the rate of layer {path} is {rate}; expected 0 or more and less than 1"),
                    ));
                }
                input
            }
        };
        bounded(output, path)
    }

    fn conv(&mut self, conv: &Conv, [channels, height, width]: [usize; 3], path: &str) -> Result<Shape> {
        for side in conv.kernel {
            if side % 2 == 0 || side > 63 {
                return Err(Error::new(
                    ErrorKind::Shape,
                    format!("a side of the kernel of layer {path} is {side}; expected an odd number, at most 63"),
                ));
            }
        }
        let [down, across] = conv.stride;
        let down = within(down, 1, 64, "the step down", path)?;
        let across = within(across, 1, 64, "the step across", path)?;
        self.tensor(path, "weight", &[conv.out, channels, conv.kernel[0], conv.kernel[1]])?;
        self.tensor(path, "bias", &[conv.out])?;
        if conv.norm == Norm::AfterRelu {
            self.tensor(path, "scale", &[conv.out])?;
            self.tensor(path, "shift", &[conv.out])?;
        }
        // what the convolution holds before its pooling is bounded too
        let whole = [conv.out, height.div_ceil(down), width.div_ceil(across)];
        bounded(Shape::Map(whole), path)?;
        let [high, wide] = conv.pool.unwrap_or([1, 1]);
        let high = within(high, 1, 64, "the height of the pooling", path)?;
        let wide = within(wide, 1, 64, "the width of the pooling", path)?;
        bounded(Shape::Map([whole[0], whole[1] / high, whole[2] / wide]), path)
    }

    fn recurrent(
        &mut self,
        recurrent: &Recurrent,
        gates: usize,
        own_bias: bool,
        [channels, height, width]: [usize; 3],
        path: &str,
    ) -> Result<Shape> {
        let units = within(recurrent.units, 1, MAX_VALUES / 8, "the number of units", path)?;
        let directions: &[&str] = if recurrent.bidirectional { &["", "backward."] } else { &[""] };
        for direction in directions {
            self.tensor(path, &format!("{direction}input.weight"), &[gates * units, channels * height])?;
            self.tensor(path, &format!("{direction}recurrent.weight"), &[gates * units, units])?;
            self.tensor(path, &format!("{direction}bias"), &[gates * units])?;
            if own_bias {
                self.tensor(path, &format!("{direction}recurrent.bias"), &[gates * units])?;
            }
        }
        let units = units * directions.len();
        Ok(if recurrent.all_steps { Shape::Map([units, 1, width]) } else { Shape::Row(units) })
    }

    fn tensor(&mut self, path: &str, name: &str, shape: &[usize]) -> Result<()> {
        let values = shape.iter().try_fold(1usize, |product, &side| product.checked_mul(side));
        if !values.is_some_and(|values| (1..=MAX_VALUES).contains(&values)) {
            return Err(Error::new(
                ErrorKind::Shape,
                format!("{path}.{name} would be {shape:?}; expected 1 to {MAX_VALUES} numbers"),
            ));
        }
        self.tensors.push((format!("{path}.{name}"), shape.to_vec()));
        Ok(())
    }
}

fn map(shape: Shape, path: &str) -> Result<[usize; 3]> {
    match shape {
        Shape::Map(sides) => Ok(sides),
        Shape::Row(_) => Err(Error::new(
            ErrorKind::Shape,
            format!("layer {path} takes a feature map [channels, height, width]; the layer before it gives {shape}"),
        )),
    }
}

fn within(value: usize, least: usize, most: usize, what: &str, path: &str) -> Result<usize> {
    if (least..=most).contains(&value) {
        Ok(value)
    } else {
        Err(Error::new(ErrorKind::Shape, format!("{what} of layer {path} is {value}; expected {least} to {most}")))
    }
}

fn bounded(shape: Shape, path: &str) -> Result<Shape> {
    let values = match shape {
        Shape::Map([channels, height, width]) => {
            channels.checked_mul(height).and_then(|values| values.checked_mul(width))
        }
        Shape::Row(rows) => Some(rows),
    };
    match values {
        Some(1..=MAX_VALUES) => Ok(shape),
        Some(0) => Err(Error::new(ErrorKind::Shape, format!("layer {path} gives {shape}: its input is too small"))),
        _ => Err(Error::new(
            ErrorKind::Shape,
            format!("layer {path} gives {shape}; expected at most {MAX_VALUES} numbers"),
        )),
    }
}

fn ones() -> [usize; 2] {
    [1, 1]
}

fn is_ones(stride: &[usize; 2]) -> bool {
    *stride == [1, 1]
}

fn yes() -> bool {
    true
}
