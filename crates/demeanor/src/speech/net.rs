//! Prepared speech to scores.

use crate::emotion::Scores;
use crate::error::{Error, ErrorKind, Result};
use crate::model::{self, Header, InputRecipe};
use crate::nn::Network;
use crate::speech::prepare::{SpeechInput, SpeechRecipe};

/// A speech model: recipe, labels, calibration and network, ready to run.
#[derive(Debug, Clone)]
pub struct SpeechModel {
    header: Header,
    recipe: SpeechRecipe,
    network: Network,
}

impl SpeechModel {
    /// The model in the bytes of a model file.
    ///
    /// # Errors
    /// As [`model::read`]; [`ErrorKind::Recipe`] when the file is of another sense.
    pub fn load(bytes: &[u8]) -> Result<Self> {
        let (header, tensors) = model::read(bytes)?;
        let InputRecipe::Speech(recipe) = &header.input else {
            return Err(Error::new(
                ErrorKind::Recipe,
                format!("{} is a model for faces; expected one for speech", header.name),
            ));
        };
        let network = Network::new(&header.network, header.input.shape(), &tensors)?;
        Ok(SpeechModel { recipe: recipe.clone(), header, network })
    }

    /// What the model file says of itself.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// How inputs of this model are prepared.
    pub fn recipe(&self) -> &SpeechRecipe {
        &self.recipe
    }

    /// The outputs of the network, one for each of the header's labels, before temperature and softmax.
    ///
    /// # Errors
    /// [`ErrorKind::Recipe`] when the input was prepared by another recipe than this model's; [`ErrorKind::Shape`] when
    /// it has so few frames that a layer of the network gives nothing.
    pub fn logits(&mut self, input: &SpeechInput) -> Result<&[f32]> {
        if input.recipe() != &self.recipe {
            return Err(Error::new(
                ErrorKind::Recipe,
                format!(
                    "the speech was prepared by {:?}, and {} expects {:?}; prepare it by the model's own recipe",
                    input.recipe(),
                    self.header.name,
                    self.recipe
                ),
            ));
        }
        self.network.run_steps(input.values(), input.frames())
    }

    /// What a stretch of speech reads as: the softmax of the logits over the temperature.
    ///
    /// # Errors
    /// As [`SpeechModel::logits`].
    pub fn read(&mut self, input: &SpeechInput) -> Result<Scores> {
        self.logits(input)?;
        Scores::from_logits(&self.header.labels, self.network.output(), self.header.temperature)
    }
}
