//! A prepared face to scores.

use crate::emotion::Scores;
use crate::error::{Error, ErrorKind, Result};
use crate::face::prepare::{FaceInput, FaceRecipe};
use crate::model::{self, Header, InputRecipe};
use crate::nn::Network;

/// A face model: recipe, labels, calibration and network, ready to run.
#[derive(Debug, Clone)]
pub struct FaceModel {
    header: Header,
    recipe: FaceRecipe,
    network: Network,
}

impl FaceModel {
    /// The model in the bytes of a model file.
    ///
    /// # Errors
    /// As [`model::read`]; [`ErrorKind::Recipe`] when the file is of another sense.
    pub fn load(bytes: &[u8]) -> Result<Self> {
        let (header, tensors) = model::read(bytes)?;
        let InputRecipe::Face(recipe) = &header.input else {
            return Err(Error::new(
                ErrorKind::Recipe,
                format!("{} is a model for speech; expected one for faces", header.name),
            ));
        };
        let network = Network::new(&header.network, header.input.shape(), &tensors)?;
        Ok(FaceModel { recipe: recipe.clone(), header, network })
    }

    /// What the model file says of itself.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// How inputs of this model are prepared.
    pub fn recipe(&self) -> &FaceRecipe {
        &self.recipe
    }

    /// The outputs of the network, one for each of the header's labels, before temperature and softmax.
    ///
    /// # Errors
    /// [`ErrorKind::Recipe`] when the input was prepared by another recipe than this model's.
    pub fn logits(&mut self, input: &FaceInput) -> Result<&[f32]> {
        if input.recipe() != &self.recipe {
            return Err(Error::new(
                ErrorKind::Recipe,
                format!(
                    "the face was prepared by {:?}, and {} expects {:?}; prepare it by the model's own recipe",
                    input.recipe(),
                    self.header.name,
                    self.recipe
                ),
            ));
        }
        self.network.run(input.values(), self.recipe.size)
    }

    /// What a face reads as: the softmax of the logits over the temperature.
    ///
    /// # Errors
    /// As [`FaceModel::logits`].
    pub fn read(&mut self, input: &FaceInput) -> Result<Scores> {
        self.logits(input)?;
        Scores::from_logits(&self.header.labels, self.network.output(), self.header.temperature)
    }
}
