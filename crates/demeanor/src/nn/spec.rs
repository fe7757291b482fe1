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
    #[serde(default, skip_serializing_if = "is_no")]
    pub branches: bool,
    /// Looks only backwards in time: the kernel's width is padded on the left alone.
    #[serde(default, skip_serializing_if = "is_no")]
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
    #[serde(default, skip_serializing_if = "is_no")]
    pub bidirectional: bool,
    /// Gives all steps, as `[units, 1, width]`; else the last one (of each direction), as `[units]`.
    #[serde(default, skip_serializing_if = "is_no")]
    pub all_steps: bool,
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

fn is_no(value: &bool) -> bool {
    !value
}
