//! A training recipe: everything that decides how a model is made, as one TOML file.

use std::collections::BTreeSet;

use demeanor::face::view::View;
use demeanor::model::InputRecipe;
use demeanor::nn::{Layer, spec};
use demeanor::{Emotion, Error, ErrorKind, Result};
use serde::{Deserialize, Serialize};

use crate::augment::faces::FaceAugment;
use crate::augment::speech::SpeechAugment;

/// A training recipe.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recipe {
    /// Name and version of the model, such as `face-v1`: letters, digits, `-`, `_` and `.`.
    pub name: String,
    /// Licence of the weights, for the model file.
    #[serde(default)]
    pub licence: String,
    /// The emotion of each output, in order; no two alike.
    pub labels: Vec<Emotion>,
    /// How the inputs are prepared; decides which sense the model is for.
    pub input: InputRecipe,
    /// The layers, in order. The last is a dense layer with a unit for each label.
    pub network: Vec<Layer>,
    /// The views of a face whose logits' mean is the model's answer: the face as it is when absent. For faces alone.
    #[serde(default = "View::only", skip_serializing_if = "View::are_only")]
    pub views: Vec<View>,
    /// How training clips and pictures are varied; nothing is when absent.
    #[serde(default)]
    pub augment: Augment,
    /// Which examples are learnt from.
    #[serde(default)]
    pub data: Data,
    /// How the network learns.
    pub train: Train,
}

/// The sense that a model is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sense {
    /// Pictures of faces.
    Face,
    /// Recordings of speech.
    Speech,
}

/// How training examples are varied, by sense; only the table of the recipe's own sense may be present.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Augment {
    /// For pictures of faces.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub face: Option<FaceAugment>,
    /// For recordings of speech.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub speech: Option<SpeechAugment>,
}

/// Which examples are learnt from, and what counts as their label.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Data {
    /// Leaves out training pictures that have a twin (the same photograph) in the validation or test split.
    pub without_twins: bool,
    /// Leaves out blank pictures.
    pub without_blanks: bool,
    /// How far the label gives way to what the FER+ raters' votes say, 0 (the label alone) to 1 (the votes alone).
    pub votes: f32,
    /// What the votes say.
    pub votes_as: VotesAs,
    /// Of speech: takes the mean off each row of the features and divides it by the deviation, both of the training
    /// clips, unless the recipe's input has some already.
    pub standardise: bool,
    /// Learns from the validation examples too, for recipes that make no choice on the way. The temperature must then be
    /// given, or be fitted to examples that models of other folds were not trained on.
    pub learn_from_validation: bool,
    /// How often an epoch visits the examples of each class.
    #[serde(skip_serializing_if = "Sampling::is_plain")]
    pub sampling: Sampling,
}

/// How often an epoch visits the examples of each class.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Sampling {
    /// Each example once (of several corpora: corpora, emotions and speakers alike often).
    #[default]
    Plain,
    /// As many examples as there are, each class alike often: those of a rare class come several times, those of a frequent
    /// one in some of the epochs (oversampling without new examples; SMOTE makes some, see the recipes of baselines).
    Balanced,
}

impl Sampling {
    fn is_plain(&self) -> bool {
        *self == Sampling::Plain
    }
}

/// What the FER+ raters' votes on a picture say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum VotesAs {
    /// The emotion itself: targets are shares of votes.
    #[default]
    Shares,
    /// How the set labels pictures with such votes, by a softmax regression on the training pictures
    /// ([`VoteModel`](crate::data::votes::VoteModel)).
    Labels,
}

impl Default for Data {
    fn default() -> Self {
        Data {
            without_twins: true,
            without_blanks: true,
            votes: 0.0,
            votes_as: VotesAs::Shares,
            standardise: true,
            learn_from_validation: false,
            sampling: Sampling::Plain,
        }
    }
}

/// How a network learns.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Train {
    /// Passes over the training examples.
    pub epochs: usize,
    /// Examples in a step.
    pub batch: usize,
    /// What is minimised.
    #[serde(default)]
    pub loss: Loss,
    /// How the loss of an example is weighted by its class.
    #[serde(default)]
    pub class_weights: ClassWeights,
    /// How the first weights are drawn.
    #[serde(default, skip_serializing_if = "Initial::is_he")]
    pub initial: Initial,
    /// How steps are taken.
    pub optimiser: Optimiser,
    /// How the learning rate changes.
    #[serde(default)]
    pub schedule: Schedule,
    /// When training ends before the last epoch; never when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stop: Option<Stop>,
    /// A running average of the weights; none when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub average: Option<Average>,
    /// How much is learnt from other models; nothing when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub teachers: Option<Teachers>,
    /// Which weights the model gets.
    #[serde(default)]
    pub export: Export,
    /// The validation figure by which the best epoch is known.
    #[serde(default)]
    pub best: Figure,
    /// Seed of a single run.
    #[serde(default)]
    pub seed: u64,
    /// Learning rates of the grid search, tried when it is asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub search: Option<Search>,
    /// What logits are divided by before the softmax; fitted to the validation examples when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub temperature: Option<f32>,
    /// Storage of the dense weights in the model file.
    #[serde(default)]
    pub dense_weights: Storage,
    /// Storage of all other weights in the model file.
    #[serde(default)]
    pub other_weights: Storage,
}

/// What is minimised.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Loss {
    /// `-sum t log p`, with targets `t (1 - smoothing) + smoothing / labels`.
    CrossEntropy {
        /// Label smoothing, 0 to less than 1.
        #[serde(default)]
        smoothing: f32,
    },
    /// `-sum t (1 - p)^gamma log p` (Lin et al. 2017).
    Focal {
        /// How much less easy examples count; 0 is cross-entropy.
        gamma: f32,
        /// Label smoothing, 0 to less than 1.
        #[serde(default)]
        smoothing: f32,
    },
}

impl Default for Loss {
    fn default() -> Self {
        Loss::CrossEntropy { smoothing: 0.0 }
    }
}

/// How the loss of an example is weighted by its class. The mean weight over the training examples is 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClassWeights {
    /// All alike.
    #[default]
    None,
    /// In inverse proportion to the frequency of the class.
    Inverse,
    /// In inverse proportion to the square root of the frequency.
    SqrtInverse,
}

/// How the first weights of convolutions and dense layers are drawn; those of recurrent layers are uniform within
/// `1 / sqrt(units)`, with the forget gate's bias at 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Initial {
    /// Normal with variance `2 / inputs` (He et al. 2015); biases 0.
    #[default]
    He,
    /// Uniform within `sqrt(6 / (inputs + outputs))` (Glorot & Bengio 2010), Keras's default; biases 0.
    Glorot,
    /// Uniform within `1 / sqrt(inputs)`, biases too: PyTorch's default.
    FanIn,
}

impl Initial {
    fn is_he(&self) -> bool {
        *self == Initial::He
    }
}

/// How steps are taken.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Optimiser {
    /// Kingma & Ba 2015; weight decay is added to the gradient.
    Adam {
        /// Learning rate (the peak of its schedule), more than 0.
        rate: f32,
        /// Decay of the mean of the gradient.
        #[serde(default = "beta1")]
        beta1: f32,
        /// Decay of the mean of its square.
        #[serde(default = "beta2")]
        beta2: f32,
        /// Added to the root; 1e-7 as in Keras.
        #[serde(default = "epsilon")]
        epsilon: f32,
        /// Weight decay.
        #[serde(default)]
        decay: f32,
        /// Whether biases and norms decay too.
        #[serde(default)]
        decay_all: bool,
        /// The longest gradient; a longer one is shortened to it. 0: never.
        #[serde(default)]
        clip: f32,
    },
    /// Loshchilov & Hutter 2019; weight decay is taken off the weights themselves.
    Adamw {
        /// Learning rate (the peak of its schedule), more than 0.
        rate: f32,
        /// Decay of the mean of the gradient.
        #[serde(default = "beta1")]
        beta1: f32,
        /// Decay of the mean of its square.
        #[serde(default = "beta2")]
        beta2: f32,
        /// Added to the root; 1e-7 as in Keras.
        #[serde(default = "epsilon")]
        epsilon: f32,
        /// Weight decay.
        #[serde(default)]
        decay: f32,
        /// Whether biases and norms decay too.
        #[serde(default)]
        decay_all: bool,
        /// The longest gradient; a longer one is shortened to it. 0: never.
        #[serde(default)]
        clip: f32,
    },
    /// Gradient descent with momentum; weight decay is added to the gradient.
    Sgd {
        /// Learning rate (the peak of its schedule), more than 0.
        rate: f32,
        /// Momentum, 0 to less than 1.
        #[serde(default)]
        momentum: f32,
        /// Nesterov's form of momentum.
        #[serde(default)]
        nesterov: bool,
        /// Weight decay.
        #[serde(default)]
        decay: f32,
        /// Whether biases and norms decay too.
        #[serde(default)]
        decay_all: bool,
        /// The longest gradient; a longer one is shortened to it. 0: never.
        #[serde(default)]
        clip: f32,
    },
}

impl Optimiser {
    /// The learning rate (the peak of its schedule).
    pub fn rate(&self) -> f32 {
        match *self {
            Optimiser::Adam { rate, .. } | Optimiser::Adamw { rate, .. } | Optimiser::Sgd { rate, .. } => rate,
        }
    }

    /// The same with another learning rate.
    #[must_use]
    pub fn with_rate(mut self, to: f32) -> Self {
        match &mut self {
            Optimiser::Adam { rate, .. } | Optimiser::Adamw { rate, .. } | Optimiser::Sgd { rate, .. } => *rate = to,
        }
        self
    }
}

fn beta1() -> f32 {
    0.9
}

fn beta2() -> f32 {
    0.999
}

fn epsilon() -> f32 {
    1e-7
}

/// How the learning rate changes over the steps of a run. `warm_up` is the part of all steps in which it first rises in
/// a straight line from 0.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Schedule {
    /// The same all the time.
    Constant {
        /// Part of the steps, 0 to less than 1.
        #[serde(default)]
        warm_up: f32,
    },
    /// Half a cosine from the rate down to `floor` times it.
    Cosine {
        /// Part of the steps, 0 to less than 1.
        #[serde(default)]
        warm_up: f32,
        /// What is left at the end, as a part of the rate.
        #[serde(default)]
        floor: f32,
    },
    /// Up from `start` times the rate and down to `end` times it, both along half a cosine (Smith & Topin 2018).
    OneCycle {
        /// The part of the steps that goes up.
        #[serde(default = "rise")]
        rise: f32,
        /// Where it begins, as a part of the rate.
        #[serde(default = "start")]
        start: f32,
        /// Where it ends, as a part of the rate.
        #[serde(default = "end")]
        end: f32,
    },
    /// Multiplied by `factor` after every `every` epochs.
    Step {
        /// Epochs between two falls, at least 1.
        every: usize,
        /// What it is multiplied by.
        factor: f32,
        /// Part of the steps, 0 to less than 1.
        #[serde(default)]
        warm_up: f32,
    },
}

impl Default for Schedule {
    fn default() -> Self {
        Schedule::Constant { warm_up: 0.0 }
    }
}

fn rise() -> f32 {
    0.3
}

fn start() -> f32 {
    0.04
}

fn end() -> f32 {
    1e-4
}

/// When training ends early.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stop {
    /// Epochs without a better validation figure after which it ends, at least 1.
    pub patience: usize,
    /// The validation figure that is watched.
    #[serde(default)]
    pub on: Figure,
}

/// A figure measured on the validation split.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Figure {
    /// Cross-entropy; less is better.
    #[default]
    Loss,
    /// The part read rightly; more is better.
    Accuracy,
    /// Unweighted average recall, the mean over classes of the part read rightly; more is better.
    Uar,
}

/// A running average of the weights (and of the statistics of the norms): `average = decay average + (1 - decay) weights`
/// after every step.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Average {
    /// How much of the old average stays, 0 to less than 1.
    pub decay: f32,
    /// The part of all steps after which it begins, from the weights as they then are.
    #[serde(default)]
    pub from: f32,
}

/// Learning from other models (distillation, Hinton et al. 2015): a part of each target is what they say, on average, of
/// the same edited input.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Teachers {
    /// That part, 0 to 1; the label makes the rest.
    pub share: f32,
    /// What the teachers' logits are divided by, beside their own temperature: more is softer. 0.1 to 20.
    #[serde(default = "one")]
    pub temperature: f32,
}

fn one() -> f32 {
    1.0
}

/// Which weights the model gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Export {
    /// Those of the epoch with the best validation figure (of the average, once there is one).
    #[default]
    Best,
    /// Those after the last step.
    Last,
    /// The average after the last step.
    Average,
}

/// Learning rates to choose from, by short runs judged on the validation split.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Search {
    /// The rates, each more than 0.
    pub rates: Vec<f32>,
    /// Epochs of each short run.
    pub epochs: usize,
}

/// How numbers are stored in a model file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Storage {
    /// 32-bit floating point.
    F32,
    /// 16-bit floating point.
    #[default]
    F16,
}

impl Recipe {
    /// Reads and checks a recipe.
    ///
    /// # Errors
    /// [`ErrorKind::Setting`] when it is not TOML, a field is unknown, missing or of the wrong type (the message shows
    /// the line), or a value is out of its range (the message names the field).
    pub fn parse(text: &str) -> Result<Recipe> {
        let recipe: Recipe = toml::from_str(text)
            .map_err(|e| Error::new(ErrorKind::Setting, format!("the recipe is not right: {e}")))?;
        recipe.check()?;
        Ok(recipe)
    }

    /// The recipe as TOML.
    ///
    /// # Errors
    /// [`ErrorKind::Setting`] when a value cannot be written as TOML.
    pub fn to_toml(&self) -> Result<String> {
        toml::to_string(self).map_err(|e| Error::new(ErrorKind::Setting, format!("the recipe cannot be written: {e}")))
    }

    /// The sense that the model is for.
    pub fn sense(&self) -> Sense {
        match self.input {
            InputRecipe::Face(_) => Sense::Face,
            InputRecipe::Speech(_) => Sense::Speech,
        }
    }

    /// Shape `[channels, height, width]` of the network's input; for speech, height is the rows of a frame and width the
    /// most frames.
    pub fn input_shape(&self) -> [usize; 3] {
        self.input.shape()
    }

    /// Checks every value against its range.
    ///
    /// # Errors
    /// [`ErrorKind::Setting`], naming the field, what it may be and what it is.
    pub fn check(&self) -> Result<()> {
        let letters = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        let named = !self.name.is_empty() && self.name.chars().all(letters) && !self.name.starts_with('.');
        require(named, "name", "letters, digits, '-', '_' and '.'", &self.name)?;
        let different: BTreeSet<_> = self.labels.iter().collect();
        require(
            self.labels.len() >= 2 && different.len() == self.labels.len(),
            "labels",
            "two or more different emotions",
            &format!("{:?}", self.labels.iter().map(|l| l.name()).collect::<Vec<_>>()),
        )?;
        match &self.input {
            InputRecipe::Face(face) => face.check()?,
            InputRecipe::Speech(speech) => speech.check()?,
        }
        spec::shapes(&self.network, self.input_shape())?;
        match self.network.last() {
            Some(Layer::Dense(dense)) if dense.units == self.labels.len() && !dense.relu => {}
            other => {
                return Err(setting(
                    "network",
                    format!("its last layer to be dense, without ReLU, with {} units (one a label)", self.labels.len()),
                    &format!("{other:?}"),
                ));
            }
        }
        if let Some(augment) = &self.augment.face {
            augment.check()?;
        }
        if let Some(augment) = &self.augment.speech {
            augment.check()?;
        }
        match self.sense() {
            Sense::Face => {
                require(self.augment.speech.is_none(), "augment.speech", "absent for faces", &"present")?;
                View::check(&self.views)
                    .map_err(|e| Error::new(e.kind(), format!("the recipe's views: {e}")).with_source(e))?;
            }
            Sense::Speech => {
                require(self.augment.face.is_none(), "augment.face", "absent for speech", &"present")?;
                require(View::are_only(&self.views), "views", "absent for speech", &"present")?;
            }
        }
        within(self.data.votes, 0.0..=1.0, "data.votes")?;
        let blind = self.data.learn_from_validation && (self.train.export == Export::Best || self.train.stop.is_some());
        require(!blind, "data.learn_from_validation", "false where training stops early or exports the best", &true)?;
        self.train.check()
    }
}

impl Train {
    fn check(&self) -> Result<()> {
        require((1..=100_000).contains(&self.epochs), "train.epochs", "1 to 100000", &self.epochs)?;
        require((2..=65_536).contains(&self.batch), "train.batch", "2 to 65536", &self.batch)?;
        match self.loss {
            Loss::CrossEntropy { smoothing } => below_one(smoothing, "train.loss.smoothing")?,
            Loss::Focal { gamma, smoothing } => {
                within(gamma, 0.0..=10.0, "train.loss.gamma")?;
                below_one(smoothing, "train.loss.smoothing")?;
            }
        }
        match self.optimiser {
            Optimiser::Adam { rate, beta1, beta2, epsilon, decay, clip, .. }
            | Optimiser::Adamw { rate, beta1, beta2, epsilon, decay, clip, .. } => {
                learning_rate(rate, "train.optimiser.rate")?;
                below_one(beta1, "train.optimiser.beta1")?;
                below_one(beta2, "train.optimiser.beta2")?;
                within(epsilon, 1e-12..=1.0, "train.optimiser.epsilon")?;
                within(decay, 0.0..=1.0, "train.optimiser.decay")?;
                within(clip, 0.0..=1e6, "train.optimiser.clip")?;
            }
            Optimiser::Sgd { rate, momentum, decay, clip, nesterov, .. } => {
                learning_rate(rate, "train.optimiser.rate")?;
                below_one(momentum, "train.optimiser.momentum")?;
                within(decay, 0.0..=1.0, "train.optimiser.decay")?;
                within(clip, 0.0..=1e6, "train.optimiser.clip")?;
                let sound = !nesterov || momentum > 0.0;
                require(sound, "train.optimiser.momentum", "more than 0 with nesterov", &momentum)?;
            }
        }
        match self.schedule {
            Schedule::Constant { warm_up } => below_one(warm_up, "train.schedule.warm_up")?,
            Schedule::Cosine { warm_up, floor } => {
                below_one(warm_up, "train.schedule.warm_up")?;
                within(floor, 0.0..=1.0, "train.schedule.floor")?;
            }
            Schedule::OneCycle { rise, start, end } => {
                below_one(rise, "train.schedule.rise")?;
                within(start, 0.0..=1.0, "train.schedule.start")?;
                within(end, 0.0..=1.0, "train.schedule.end")?;
            }
            Schedule::Step { every, factor, warm_up } => {
                require(every >= 1, "train.schedule.every", "1 or more epochs", &every)?;
                within(factor, 0.0..=1.0, "train.schedule.factor")?;
                below_one(warm_up, "train.schedule.warm_up")?;
            }
        }
        if let Some(stop) = self.stop {
            require(stop.patience >= 1, "train.stop.patience", "1 or more epochs", &stop.patience)?;
        }
        if let Some(average) = self.average {
            below_one(average.decay, "train.average.decay")?;
            below_one(average.from, "train.average.from")?;
        }
        if let Some(teachers) = self.teachers {
            within(teachers.share, 0.0..=1.0, "train.teachers.share")?;
            within(teachers.temperature, 0.1..=20.0, "train.teachers.temperature")?;
        }
        let averaged = self.export != Export::Average || self.average.is_some();
        require(averaged, "train.export", "\"best\" or \"last\" where train.average is absent", &"average")?;
        if let Some(temperature) = self.temperature {
            within(temperature, 0.05..=20.0, "train.temperature")?;
        }
        if let Some(search) = &self.search {
            require(!search.rates.is_empty(), "train.search.rates", "one or more rates", &"none")?;
            for &rate in &search.rates {
                learning_rate(rate, "train.search.rates")?;
            }
            require(search.epochs >= 1, "train.search.epochs", "1 or more", &search.epochs)?;
        }
        Ok(())
    }
}

fn setting(field: &str, expected: impl std::fmt::Display, actual: &dyn std::fmt::Display) -> Error {
    Error::new(ErrorKind::Setting, format!("the recipe's {field}: expected {expected}, found {actual}"))
}

fn require(holds: bool, field: &str, expected: &str, actual: &dyn std::fmt::Display) -> Result<()> {
    if holds { Ok(()) } else { Err(setting(field, expected, actual)) }
}

fn within(value: f32, range: std::ops::RangeInclusive<f32>, field: &str) -> Result<()> {
    require(range.contains(&value), field, &format!("{} to {}", range.start(), range.end()), &value)
}

fn below_one(value: f32, field: &str) -> Result<()> {
    require((0.0..1.0).contains(&value), field, "0 to less than 1", &value)
}

fn learning_rate(value: f32, field: &str) -> Result<()> {
    require(value > 0.0 && value <= 100.0, field, "more than 0, at most 100", &value)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAPER: &str = include_str!("../recipes/face-paper.toml");

    #[test]
    fn what_is_wrong_is_named() {
        let cases = [
            ("epochs = 50", "epochs = 0", "train.epochs"),
            ("epochs = 50", "epocs = 50", "epocs"),
            ("batch = 64", "batch = \"many\"", "batch"),
            ("rate = 0.001", "rate = -1.0", "train.optimiser.rate"),
            ("kind = \"adam\"", "kind = \"adam2\"", "adam2"),
            ("patience = 10", "patience = 0", "train.stop.patience"),
            ("units = 7", "units = 8", "network"),
            ("\"neutral\"]", "\"sad\"]", "labels"),
            ("flip = 0.5", "flip = 2.0", "flip"),
            ("export = \"best\"", "export = \"average\"", "train.export"),
            ("name = \"face-paper\"", "name = \"../x\"", "name"),
            ("rate = 0.5", "rate = 1.5", "rate"),
            ("rates = [0.1,", "rates = [nan,", "train.search.rates"),
            ("export = \"best\"", "export = \"best\"\nteachers = { share = 1.5 }", "train.teachers.share"),
            ("size = 48", "size = 0", "size"),
            ("[input.face]", "views = [{ part = 0.4 }]\n[input.face]", "views"),
            ("[input.face]", "views = [{ mirrored = true }]\n[input.face]", "mirrored"),
        ];
        for (from, to, named) in cases {
            assert!(PAPER.contains(from), "{from}");
            let error = Recipe::parse(&PAPER.replacen(from, to, 1)).unwrap_err();
            assert!(error.to_string().contains(named), "{to}: {error}");
        }
        assert_eq!(Recipe::parse("name = ").unwrap_err().kind(), ErrorKind::Setting);
    }
}
