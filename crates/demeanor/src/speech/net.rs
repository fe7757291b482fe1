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

    /// The outputs of the network, one for each of the header's labels, before prior, temperature and softmax.
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

    /// What a stretch of speech reads as: [`Header::scores`] of the logits.
    ///
    /// # Errors
    /// As [`SpeechModel::logits`].
    pub fn read(&mut self, input: &SpeechInput) -> Result<Scores> {
        self.logits(input)?;
        self.header.scores(self.network.output())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::emotion::Emotion;
    use crate::face::prepare::{FaceRecipe, Scaling};
    use crate::input::{Audio, Hz};
    use crate::model::Tensors;
    use crate::nn::{Dense, Layer, spec};
    use crate::speech::prepare::{Features, Level, prepare};

    fn recipe() -> SpeechRecipe {
        SpeechRecipe {
            rate: Hz(16000),
            high_pass_hz: None,
            trim_db: None,
            level: Level::Peak,
            frame: 400,
            hop: 160,
            fft: 512,
            features: Features::LogMel { bands: 12, floor: 1e-4 },
            max_frames: 12,
            mean: vec![],
            deviation: vec![],
        }
    }

    fn tone(recipe: &SpeechRecipe) -> SpeechInput {
        let samples: Vec<f32> = (0..2000).map(|i| (i as f32 * 0.1).sin()).collect();
        prepare(&Audio::mono(&samples, recipe.rate), recipe).unwrap()
    }

    fn file(input: InputRecipe, bias: f32) -> Vec<u8> {
        let network = vec![Layer::Flatten, Layer::Dense(Dense { units: 7, relu: false })];
        let mut tensors = Tensors::new();
        for (name, shape) in spec::tensors(&network, input.shape()).unwrap() {
            let values = (0..shape.iter().product()).map(|i: usize| bias * i as f32).collect();
            tensors.insert(name, &shape, values).unwrap();
        }
        let labels = Emotion::FER.to_vec();
        let header = Header { temperature: 2.0, ..Header::new("test", input, labels, network) };
        model::write(&header, &tensors).unwrap()
    }

    #[test]
    fn scores_sum_to_1() {
        let recipe = SpeechRecipe { max_frames: 1, ..recipe() };
        let mut model = SpeechModel::load(&file(InputRecipe::Speech(recipe.clone()), 0.5)).unwrap();
        let scores = model.read(&tone(&recipe)).unwrap();
        assert!((scores.iter().map(|(_, score)| score).sum::<f32>() - 1.0).abs() < 1e-6);
    }

    #[test]
    fn an_input_of_another_recipe_is_refused() {
        let mut model = SpeechModel::load(&file(InputRecipe::Speech(recipe()), 0.1)).unwrap();
        let other = tone(&SpeechRecipe { max_frames: 13, ..recipe() });
        let error = model.read(&other).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Recipe);
        assert!(error.to_string().contains("prepare it by the model's own recipe"), "{error}");
    }

    #[test]
    fn a_model_of_the_other_sense_is_refused() {
        let other = InputRecipe::Face(FaceRecipe { size: 12, scaling: Scaling::Unit, margin: 0.0 });
        assert_eq!(SpeechModel::load(&file(other, 0.1)).unwrap_err().kind(), ErrorKind::Recipe);
        assert_eq!(SpeechModel::load(b"no model").unwrap_err().kind(), ErrorKind::Model);
    }
}
