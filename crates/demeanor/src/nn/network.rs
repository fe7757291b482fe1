//! A network ready to run.

use crate::error::{Error, ErrorKind, Result};
use crate::model::Tensors;
use crate::nn::plain;
use crate::nn::spec::{self, Layer};

/// A network with its weights and the memory that a run needs.
#[derive(Debug, Clone)]
pub struct Network {
    layers: Vec<Layer>,
    tensors: Tensors,
    input: [usize; 3],
    turned: Vec<f32>,
    output: Vec<f32>,
}

impl Network {
    /// A network of these layers, for inputs `[channels, height, width]` of at most this width.
    ///
    /// # Errors
    /// [`ErrorKind::Shape`] when the layers do not fit each other or the input, [`ErrorKind::Model`] when a tensor is
    /// missing or of another shape.
    pub fn new(layers: &[Layer], input: [usize; 3], tensors: &Tensors) -> Result<Self> {
        for (name, shape) in spec::tensors(layers, input)? {
            tensors.shaped(&name, &shape)?;
        }
        Ok(Network { layers: layers.to_vec(), tensors: tensors.clone(), input, turned: Vec::new(), output: Vec::new() })
    }

    /// The shape `[channels, height, width]` of the largest input.
    pub fn input(&self) -> [usize; 3] {
        self.input
    }

    /// The output of the last run; empty before the first.
    pub fn output(&self) -> &[f32] {
        &self.output
    }

    /// Runs an input `[channels, height, width]`, the width running fastest; the width may be less than the network's.
    /// The output is what the last layer gives. Allocates nothing after the first run.
    ///
    /// # Errors
    /// [`ErrorKind::Shape`] when the input has another size, or is so narrow that a layer gives nothing.
    pub fn run(&mut self, input: &[f32], width: usize) -> Result<&[f32]> {
        let sides = self.sides(input, width)?;
        spec::shapes(&self.layers, sides)?;
        self.output = plain::run(&self.layers, &self.tensors, input, sides)?;
        Ok(&self.output)
    }

    /// As [`Network::run`], for an input that stands step by step: `[width, channels, height]`.
    ///
    /// # Errors
    /// As [`Network::run`].
    pub fn run_steps(&mut self, input: &[f32], width: usize) -> Result<&[f32]> {
        let [channels, height, _] = self.sides(input, width)?;
        let rows = channels * height;
        let mut turned = std::mem::take(&mut self.turned);
        turned.clear();
        turned.extend((0..rows * width).map(|i| input[i % width * rows + i / width]));
        let ran = self.run(&turned, width).map(|_| ());
        self.turned = turned;
        ran.map(|()| self.output.as_slice())
    }

    fn sides(&self, input: &[f32], width: usize) -> Result<[usize; 3]> {
        let [channels, height, most] = self.input;
        if width == 0 || width > most || input.len() != channels * height * width {
            return Err(Error::new(
                ErrorKind::Shape,
                format!(
                    "{} numbers at width {width} for a network that takes [{channels}, {height}, 1 to {most}]",
                    input.len()
                ),
            ));
        }
        Ok([channels, height, width])
    }
}
