//! The network of a face model, over numbers: for [`FaceModel`](crate::face::net::FaceModel), and for the edited pictures of
//! training.

use crate::error::{Error, ErrorKind, Result};
use crate::face::prepare::FaceRecipe;
use crate::face::view::View;
use crate::model::{Header, InputRecipe, Tensors};
use crate::nn::{Network, Precision};

/// The network of a face model alone.
#[derive(Debug, Clone)]
pub struct FaceNetwork {
    network: Network,
    size: usize,
    labels: usize,
    views: Vec<View>,
    /// The views of a face.
    pictures: Vec<f32>,
    logits: Vec<f32>,
}

impl FaceNetwork {
    /// The network that a header of a face model describes.
    ///
    /// # Errors
    /// [`ErrorKind::Recipe`] when the model is for speech; those of [`Network::of_pictures`].
    pub fn new(header: &Header, tensors: &Tensors, precision: Precision) -> Result<Self> {
        let (size, views) = (face_recipe(header)?.size, header.views.clone());
        let network = Network::of_pictures(&header.network, [size; 2], views.len(), tensors, precision)?;
        let (pictures, logits) = (Vec::new(), Vec::new());
        Ok(FaceNetwork { network, size, labels: header.labels.len(), views, pictures, logits })
    }

    /// The logits of a prepared picture `[size][size]`: the mean of those for the header's views of it. Allocates nothing
    /// after the first.
    ///
    /// # Errors
    /// [`ErrorKind::Shape`] when the numbers are not `size x size`.
    pub fn logits(&mut self, values: &[f32]) -> Result<&[f32]> {
        if values.len() != self.size * self.size {
            return Err(Error::new(
                ErrorKind::Shape,
                format!("{} numbers for a network that takes {} x {}", values.len(), self.size, self.size),
            ));
        }
        self.pictures.clear();
        self.views.iter().for_each(|view| view.append(values, self.size, &mut self.pictures));
        let (first, others) = self.network.run_pictures(&self.pictures)?.split_at(self.labels);
        self.logits.clear();
        self.logits.extend_from_slice(first);
        for other in others.chunks_exact(self.labels) {
            self.logits.iter_mut().zip(other).for_each(|(sum, logit)| *sum += logit);
        }
        let count = self.views.len() as f32;
        self.logits.iter_mut().for_each(|sum| *sum /= count);
        Ok(&self.logits)
    }

    /// What [`FaceNetwork::logits`] gave last.
    pub(crate) fn last(&self) -> &[f32] {
        &self.logits
    }
}

/// How the inputs of a face model are prepared.
pub(crate) fn face_recipe(header: &Header) -> Result<&FaceRecipe> {
    match &header.input {
        InputRecipe::Face(recipe) => Ok(recipe),
        InputRecipe::Speech(_) => {
            Err(Error::new(ErrorKind::Recipe, format!("{} is a model for speech; expected one for faces", header.name)))
        }
    }
}
