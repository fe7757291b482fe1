//! A prepared face to scores.

use crate::emotion::Scores;
use crate::error::{Error, ErrorKind, Result};
use crate::face::network::{FaceNetwork, face_recipe};
use crate::face::prepare::{FaceInput, FaceRecipe};
use crate::model::{self, Header};
use crate::nn::Precision;

/// A face model: recipe, labels, calibration and network, ready to run.
#[derive(Debug, Clone)]
pub struct FaceModel {
    header: Header,
    recipe: FaceRecipe,
    network: FaceNetwork,
}

impl FaceModel {
    /// The model in the bytes of a model file.
    ///
    /// # Errors
    /// As [`model::read`]; [`ErrorKind::Recipe`] when the file is of another sense.
    pub fn load(bytes: &[u8]) -> Result<Self> {
        Self::load_as(bytes, Precision::default())
    }

    /// As [`FaceModel::load`], with the precision of the network chosen.
    ///
    /// # Errors
    /// As [`FaceModel::load`].
    pub fn load_as(bytes: &[u8], precision: Precision) -> Result<Self> {
        let (header, tensors) = model::read(bytes)?;
        let network = FaceNetwork::new(&header, &tensors, precision)?;
        let recipe = face_recipe(&header)?.clone();
        Ok(FaceModel { header, recipe, network })
    }

    /// What the model file says of itself.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// How inputs of this model are prepared.
    pub fn recipe(&self) -> &FaceRecipe {
        &self.recipe
    }

    /// The outputs of the network, one for each of the header's labels, before prior, temperature and softmax: the mean of
    /// those for the header's views of the face.
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
        self.network.logits(input.values())
    }

    /// What a face reads as: [`Header::scores`] of the logits.
    ///
    /// # Errors
    /// As [`FaceModel::logits`].
    pub fn read(&mut self, input: &FaceInput) -> Result<Scores> {
        self.logits(input)?;
        self.header.scores(self.network.last())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::emotion::Emotion;
    use crate::face::prepare::{Scaling, prepare};
    use crate::face::view::View;
    use crate::input::{Frame, Hz, PixelLayout};
    use crate::model::{InputRecipe, Tensors};
    use crate::nn::{Dense, Layer, spec};
    use crate::speech::prepare::{Features, Level, SpeechRecipe};

    fn recipe() -> FaceRecipe {
        FaceRecipe { size: 12, scaling: Scaling::Unit, margin: 0.0 }
    }

    /// A black picture, which is prepared to zeros.
    fn black(recipe: &FaceRecipe) -> FaceInput {
        prepare(&Frame::new(&[0; 144], 12, 12, PixelLayout::Grey8).unwrap(), None, recipe).unwrap()
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
    fn scores_sum_to_1_and_the_temperature_softens_them() {
        let mut model = FaceModel::load(&file(InputRecipe::Face(recipe()), 0.5)).unwrap();
        let input = black(&recipe());
        let scores = model.read(&input).unwrap();
        assert!((scores.iter().map(|(_, score)| score).sum::<f32>() - 1.0).abs() < 1e-6);
        // the input is all zeros, so the logits are the biases: 0, 0.5, 1, ...
        assert_eq!(model.logits(&input).unwrap(), [0.0, 0.5, 1.0, 1.5, 2.0, 2.5, 3.0]);
        let ratio = scores.of(Emotion::Neutral) / scores.of(Emotion::Surprise);
        assert!((ratio - 0.25f32.exp()).abs() < 1e-5);
    }

    #[test]
    fn the_answer_is_the_mean_of_all_views() {
        let mut model = FaceModel::load(&file(InputRecipe::Face(recipe()), 0.0)).unwrap();
        let network = vec![Layer::Flatten, Layer::Dense(Dense { units: 7, relu: false })];
        let mut tensors = Tensors::new();
        let weights: Vec<f32> = (0..7 * 144).map(|i| (i * 37 % 101) as f32 / 50.0 - 1.0).collect();
        tensors.insert("1.weight", &[7, 144], weights).unwrap();
        tensors.insert("1.bias", &[7], vec![0.5; 7]).unwrap();
        let views = vec![View::WHOLE, View { part: 1.0, mirror: true }];
        let header = Header { network, views, ..model.header().clone() };
        let pixels: Vec<u8> = (0..144).map(|i| (i * 91 % 256) as u8).collect();
        let mirrored: Vec<u8> = pixels.chunks_exact(12).flat_map(|row| row.iter().rev().copied()).collect();
        let [one, other] = [&pixels, &mirrored]
            .map(|pixels| prepare(&Frame::new(pixels, 12, 12, PixelLayout::Grey8).unwrap(), None, &recipe()).unwrap());
        let mut plain =
            FaceModel::load(&model::write(&Header { views: View::only(), ..header.clone() }, &tensors).unwrap())
                .unwrap();
        let alone = [&one, &other].map(|input| plain.logits(input).unwrap().to_vec());
        assert_ne!(alone[0], alone[1]);
        model = FaceModel::load(&model::write(&header, &tensors).unwrap()).unwrap();
        let both = [&one, &other].map(|input| model.logits(input).unwrap().to_vec());
        assert_eq!(both[0], both[1]);
        for (mean, (a, b)) in both[0].iter().zip(alone[0].iter().zip(&alone[1])) {
            assert!((mean - (a + b) / 2.0).abs() < 1e-6);
        }

        // of three views, one of them a part
        let part = View { part: 0.8, mirror: true };
        let views = vec![View::WHOLE, View { part: 1.0, mirror: true }, part];
        let mut middle = Vec::new();
        part.append(one.values(), 12, &mut middle);
        let seen = plain.network.logits(&middle).unwrap().to_vec();
        assert_ne!(seen, alone[1]);
        let header = Header { views, ..header };
        let mut three = FaceModel::load(&model::write(&header, &tensors).unwrap()).unwrap();
        for ((mean, seen), (a, b)) in three.logits(&one).unwrap().iter().zip(seen).zip(alone[0].iter().zip(&alone[1])) {
            assert!((mean - (a + b + seen) / 3.0).abs() < 1e-5);
        }
    }

    #[test]
    fn an_input_of_another_recipe_is_refused() {
        let mut model = FaceModel::load(&file(InputRecipe::Face(recipe()), 0.1)).unwrap();
        let other = black(&FaceRecipe { margin: 0.2, ..recipe() });
        let error = model.read(&other).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Recipe);
        assert!(error.to_string().contains("prepare it by the model's own recipe"), "{error}");
    }

    #[test]
    fn a_model_of_the_other_sense_is_refused() {
        let other = InputRecipe::Speech(SpeechRecipe {
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
        });
        assert_eq!(FaceModel::load(&file(other, 0.1)).unwrap_err().kind(), ErrorKind::Recipe);
        assert_eq!(FaceModel::load(b"no model").unwrap_err().kind(), ErrorKind::Model);
    }
}
