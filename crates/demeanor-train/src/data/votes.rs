//! What FER+ votes say of the label of a picture.

use demeanor::{Emotion, Error, ErrorKind, Result};

use super::faces::{FaceSet, Votes};
use super::output;

/// Columns of a table of votes, each as a share and as its root, and one that is always 1.
const INPUTS: usize = 2 * VOTES + 1;
const VOTES: usize = 10;
const STEPS: usize = 400;
const RATE: f64 = 4.0;
const MOMENTUM: f64 = 0.9;
/// Pulls weights towards 0, so that votes which always go with one label do not get a certainty that they cannot have.
const DECAY: f64 = 1e-5;

/// The chance of each label, given the ten votes on a picture: a softmax regression on the shares of the votes and their
/// roots.
///
/// FER-2013's labels and the FER+ votes come from different people, who disagree in ways of their own: the most voted
/// emotion is the label of 64 % of the validation pictures, and FER+ sees far more neutral faces. Targets that are shares
/// of votes pull a network away from the labels that it will be measured by; targets that say how the set labels
/// pictures with such votes do not, and still tell which pictures are in doubt and between what.
#[derive(Debug, Clone, PartialEq)]
pub struct VoteModel {
    /// `[labels][INPUTS]`.
    weights: Vec<[f64; INPUTS]>,
}

impl VoteModel {
    /// Fits the chances to the pictures with these indices that have votes. The same pictures give the same model.
    ///
    /// # Errors
    /// [`ErrorKind::Data`] when none of them has votes; [`ErrorKind::Label`] for a picture whose label is not among these.
    pub fn fit(set: &FaceSet, indices: &[usize], labels: &[Emotion]) -> Result<Self> {
        let mut examples = Vec::with_capacity(indices.len());
        for picture in indices.iter().map(|&i| &set.pictures[i]) {
            let label = output(labels, picture.emotion, &picture.name)?;
            examples.extend(picture.votes.as_ref().map(|votes| (inputs(votes), label)));
        }
        if examples.is_empty() {
            return Err(Error::new(
                ErrorKind::Data,
                "no training picture has FER+ votes: data.votes needs a table of them beside the set",
            ));
        }
        let mut model = VoteModel { weights: vec![[0.0; INPUTS]; labels.len()] };
        let mut speed = model.weights.clone();
        let mut chances = vec![0.0; labels.len()];
        for _ in 0..STEPS {
            let mut slope = vec![[0.0; INPUTS]; labels.len()];
            for (inputs, label) in &examples {
                model.chances(inputs, &mut chances);
                chances[*label] -= 1.0;
                for (slope, error) in slope.iter_mut().zip(&chances) {
                    slope.iter_mut().zip(inputs).for_each(|(s, input)| *s += error * input);
                }
            }
            let weights = model.weights.iter_mut().flatten().zip(speed.iter_mut().flatten());
            for ((weight, speed), slope) in weights.zip(slope.iter().flatten()) {
                *speed =
                    MOMENTUM * *speed - RATE * (1.0 - MOMENTUM) * (slope / examples.len() as f64 + DECAY * *weight);
                *weight += *speed;
            }
        }
        Ok(model)
    }

    /// Writes the chance of each label; they sum to 1.
    pub fn posterior(&self, votes: &Votes, chances: &mut [f32]) {
        let mut exact = vec![0.0; self.weights.len()];
        self.chances(&inputs(votes), &mut exact);
        chances.iter_mut().zip(exact).for_each(|(to, from)| *to = from as f32);
    }

    fn chances(&self, inputs: &[f64; INPUTS], chances: &mut [f64]) {
        for (chance, weights) in chances.iter_mut().zip(&self.weights) {
            *chance = weights.iter().zip(inputs).map(|(w, i)| w * i).sum();
        }
        let most = chances.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        chances.iter_mut().for_each(|c| *c = (*c - most).exp());
        let sum: f64 = chances.iter().sum();
        chances.iter_mut().for_each(|c| *c /= sum);
    }
}

fn inputs(votes: &Votes) -> [f64; INPUTS] {
    let total = votes.iter().map(|&v| f64::from(v)).sum::<f64>().max(1.0);
    let mut inputs = [1.0; INPUTS];
    for (i, &vote) in votes.iter().enumerate() {
        inputs[i] = f64::from(vote) / total;
        inputs[VOTES + i] = inputs[i].sqrt();
    }
    inputs
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Split;
    use crate::data::faces::FacePicture;

    fn picture(emotion: Emotion, votes: Option<Votes>) -> FacePicture {
        FacePicture {
            pixels: crate::data::pixels::tests::grey(|_| 7),
            emotion,
            votes,
            split: Split::Train,
            name: "a picture".into(),
            row: None,
            twin_in: [false; 3],
            about: Default::default(),
        }
    }

    #[test]
    fn chances_are_how_often_such_votes_go_with_each_label() {
        // the votes say neutral; the set says sad in three cases of ten
        let (plain, mixed) = ([10, 0, 0, 0, 0, 0, 0, 0, 0, 0], [0, 5, 5, 0, 0, 0, 0, 0, 0, 0]);
        let mut pictures = Vec::new();
        for i in 0..100 {
            let often = if i % 10 < 3 { Emotion::Sad } else { Emotion::Neutral };
            pictures.push(picture(often, Some(plain)));
            let seldom = if i % 10 < 8 { Emotion::Surprise } else { Emotion::Happy };
            pictures.push(picture(seldom, Some(mixed)));
        }
        pictures.push(picture(Emotion::Angry, None));
        let set = FaceSet { pictures, notes: Vec::new() };
        let all: Vec<usize> = (0..set.pictures.len()).collect();
        let model = VoteModel::fit(&set, &all, &Emotion::FER).unwrap();
        assert_eq!(model, VoteModel::fit(&set, &all, &Emotion::FER).unwrap());
        let mut chances = [0.0; 7];
        let of = |chances: &[f32], e| chances[Emotion::FER.iter().position(|&l| l == e).unwrap()];
        model.posterior(&plain, &mut chances);
        assert!((of(&chances, Emotion::Sad) - 0.3).abs() < 0.02, "{chances:?}");
        assert!((of(&chances, Emotion::Neutral) - 0.7).abs() < 0.02, "{chances:?}");
        model.posterior(&mixed, &mut chances);
        assert!((of(&chances, Emotion::Surprise) - 0.8).abs() < 0.02, "{chances:?}");
        assert!((chances.iter().sum::<f32>() - 1.0).abs() < 1e-5);
    }

    #[test]
    fn without_votes_or_with_a_strange_label_there_is_no_model() {
        let set = FaceSet { pictures: vec![picture(Emotion::Happy, None)], notes: Vec::new() };
        assert_eq!(VoteModel::fit(&set, &[0], &Emotion::FER).unwrap_err().kind(), ErrorKind::Data);
        assert_eq!(VoteModel::fit(&set, &[0], &[Emotion::Sad]).unwrap_err().kind(), ErrorKind::Label);
    }
}
