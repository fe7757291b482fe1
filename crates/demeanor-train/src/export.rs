//! From trained numbers to a model file: norms and parallel branches are folded away.

use demeanor::model::{self, Header, Tensors};
use demeanor::nn::spec::{self, Conv, Layer, Norm};
use demeanor::{Error, ErrorKind, Result};

use crate::layout::{Layout, NORM_EPSILON};
use crate::recipe::{Recipe, Storage};

/// The trained numbers of a network.
#[derive(Debug, Clone, Copy)]
pub struct Trained<'a> {
    /// Where each lies.
    pub layout: &'a Layout,
    /// The parameters.
    pub parameters: &'a [f32],
    /// Running statistics of the norms.
    pub statistics: &'a [f32],
}

/// The model file of a trained network. `recipe_text` is the recipe as it was written, `temperature` as calibrated;
/// `recipe.input` is what the inputs were prepared by.
///
/// # Errors
/// [`ErrorKind::Shape`] when the numbers are not those of the recipe's network, [`ErrorKind::NotFinite`] when one is not
/// finite (or too large for its storage).
pub fn model_file(recipe: &Recipe, recipe_text: &str, trained: Trained<'_>, temperature: f32) -> Result<Vec<u8>> {
    let (input, labels, network) = (recipe.input.clone(), recipe.labels.clone(), recipe.network.clone());
    let header = Header {
        views: recipe.views.clone(),
        temperature,
        licence: recipe.licence.clone(),
        recipe: recipe_text.to_owned(),
        ..Header::new(&recipe.name, input, labels, network)
    };
    let train = &recipe.train;
    let tensors = tensors(&recipe.network, recipe.input_shape(), trained, train.dense_weights, train.other_weights)?;
    model::write(&header, &tensors)
}

/// The tensors of a model file, folded. Weights of dense layers are stored as `dense`, all other weights as `other`;
/// biases, scales and shifts always in single precision.
///
/// # Errors
/// [`ErrorKind::Shape`] when the numbers are not those of the network.
pub fn tensors(
    layers: &[Layer],
    input: [usize; 3],
    trained: Trained<'_>,
    dense: Storage,
    other: Storage,
) -> Result<Tensors> {
    let mut folded = Folded { trained, values: Vec::new() };
    folded.layers(layers, "")?;
    let mut tensors = Tensors::new();
    for (name, shape) in spec::tensors(layers, input)? {
        let values = match folded.values.iter().position(|(n, _)| *n == name) {
            Some(place) => folded.values.swap_remove(place).1,
            // layers without norms keep names and shapes
            None => trained.values(&name)?.to_vec(),
        };
        let storage = match (name.ends_with("weight"), shape.len()) {
            (false, _) => Storage::F32,
            (true, 2) => dense,
            (true, _) => other,
        };
        match storage {
            Storage::F32 => tensors.insert(name, &shape, values)?,
            Storage::F16 => tensors.insert_half(name, &shape, &values)?,
        }
    }
    Ok(tensors)
}

impl<'a> Trained<'a> {
    fn values(&self, name: &str) -> Result<&'a [f32]> {
        self.layout
            .slot(name)
            .and_then(|slot| self.parameters.get(slot.offset..slot.offset + slot.len()))
            .ok_or_else(|| Error::new(ErrorKind::Shape, format!("the trained numbers have no {name}")))
    }

    /// What a norm multiplies by and adds, by channel, once its statistics are fixed.
    fn norm(&self, path: &str) -> Result<(Vec<f32>, Vec<f32>)> {
        let (gain, shift) = (self.values(&format!("{path}.gain"))?, self.values(&format!("{path}.shift"))?);
        let statistics = self
            .layout
            .norm(path)
            .and_then(|norm| self.statistics.get(norm.offset..norm.offset + 2 * norm.channels))
            .ok_or_else(|| Error::new(ErrorKind::Shape, format!("the trained numbers have no norm {path}")))?;
        let (means, variances) = statistics.split_at(gain.len());
        let scales: Vec<f32> = gain.iter().zip(variances).map(|(g, v)| g / (v + NORM_EPSILON).sqrt()).collect();
        let shifts = shift.iter().zip(means).zip(&scales).map(|((b, m), s)| b - m * s).collect();
        Ok((scales, shifts))
    }
}

/// Tensors that folding makes, by name.
struct Folded<'a> {
    trained: Trained<'a>,
    values: Vec<(String, Vec<f32>)>,
}

impl Folded<'_> {
    fn layers(&mut self, layers: &[Layer], path: &str) -> Result<()> {
        for (i, layer) in layers.iter().enumerate() {
            let path = format!("{path}{i}");
            match layer {
                Layer::Conv(conv) => self.conv(conv, &path)?,
                Layer::Residual { body, shortcut } => {
                    self.layers(body, &format!("{path}.body."))?;
                    if let Some(conv) = shortcut {
                        self.conv(conv, &format!("{path}.shortcut"))?;
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn conv(&mut self, conv: &Conv, path: &str) -> Result<()> {
        let name = |part: &str| format!("{path}.{part}");
        match conv.norm {
            Norm::None => {}
            Norm::AfterRelu => {
                let (scale, shift) = self.trained.norm(path)?;
                self.values.extend([(name("scale"), scale), (name("shift"), shift)]);
            }
            Norm::BeforeRelu => {
                let mut weight = self.trained.values(&name("weight"))?.to_vec();
                let (scale, mut bias) = self.trained.norm(path)?;
                let size = weight.len() / conv.out.max(1);
                for (kernels, s) in weight.chunks_exact_mut(size).zip(&scale) {
                    kernels.iter_mut().for_each(|w| *w *= s);
                }
                if conv.branches {
                    self.add_branches(conv, path, &mut weight, &mut bias)?;
                }
                self.values.extend([(name("weight"), weight), (name("bias"), bias)]);
            }
        }
        Ok(())
    }

    /// Adds the 1x1 kernels and the identity to the middle of the kernels (of a causal one: to its last column).
    fn add_branches(&self, conv: &Conv, path: &str, weight: &mut [f32], bias: &mut [f32]) -> Result<()> {
        let [high, wide] = conv.kernel;
        let middle = high / 2 * wide + if conv.causal { wide - 1 } else { wide / 2 };
        let channels = weight.len() / (conv.out * high * wide);
        let at = |out: usize, channel: usize| (out * channels + channel) * high * wide + middle;
        let point = self.trained.values(&format!("{path}.point.weight"))?;
        let (scale, shift) = self.trained.norm(&format!("{path}.point"))?;
        for out in 0..conv.out {
            for channel in 0..channels {
                weight[at(out, channel)] += point[out * channels + channel] * scale[out];
            }
            bias[out] += shift[out];
        }
        let identity = format!("{path}.identity");
        if self.trained.layout.norm(&identity).is_some() {
            let (scale, shift) = self.trained.norm(&identity)?;
            for out in 0..conv.out {
                weight[at(out, out)] += scale[out];
                bias[out] += shift[out];
            }
        }
        Ok(())
    }
}
