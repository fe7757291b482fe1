//! From a recipe and a data set to a model folder.

use std::fs;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use demeanor::model::InputRecipe;
use demeanor::{Emotion, Error, ErrorKind, Result};
use serde::Serialize;

use crate::calibrate;
use crate::checkpoint::{Checkpoint, file_error, replace};
use crate::curve;
use crate::data::Split;
use crate::data::batches::{FaceSource, FaceTargets, Source, SpeechSource};
use crate::data::faces::{FaceSet, LoadOptions};
use crate::data::speech::SpeechSet;
use crate::data::splits::Protocol;
use crate::data::taught::Taught;
use crate::data::votes::VoteModel;
use crate::engine::Engine;
use crate::export::{Trained, model_file};
use crate::grown;
use crate::layout::Layout;
use crate::metrics::{Confusion, Metrics};
use crate::native::NativeEngine;
use crate::recipe::{Recipe, Sense, VotesAs};
use crate::seen::TrainingFiles;
use crate::trainer::{self, CHECKPOINT, EpochRecord, Examples, First, Measured, Outcome, Prepared, Progress, Run};

/// The model file in a model folder.
pub const MODEL: &str = "model.safetensors";
/// What was measured in training, as JSON.
pub const METRICS: &str = "metrics.json";
/// The recipe, as it was written.
pub const RECIPE: &str = "recipe.toml";
/// The learning curve.
pub const CURVE: &str = "curve.svg";

/// What a network is trained on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Device {
    /// The processor, by the program's own kernels.
    #[default]
    Cpu,
    /// The processor, by Burn: the reference. Needs the feature `burn`.
    Burn,
    /// A GPU, by Burn's Vulkan backend. Needs the feature `vulkan`.
    Vulkan,
}

impl FromStr for Device {
    type Err = Error;

    fn from_str(word: &str) -> Result<Self> {
        match word {
            "cpu" => Ok(Device::Cpu),
            "burn" => Ok(Device::Burn),
            "vulkan" => Ok(Device::Vulkan),
            _ => Err(Error::new(ErrorKind::Setting, format!("\"{word}\" is no device; expected cpu, burn or vulkan"))),
        }
    }
}

/// An engine for a network, on a device.
///
/// # Errors
/// [`ErrorKind::Setting`] when the program was built without the device, or the device does not train a layer;
/// [`ErrorKind::Shape`] when the layers do not fit each other.
pub fn engine(recipe: &Recipe, device: Device) -> Result<Box<dyn Engine>> {
    let (layers, input) = (&recipe.network, recipe.input_shape());
    #[cfg(not(all(feature = "burn", feature = "vulkan")))]
    let absent = |feature: &str| {
        Error::new(
            ErrorKind::Setting,
            format!("this program was built without the feature \"{feature}\": build it with --features {feature}"),
        )
    };
    match device {
        Device::Cpu => Ok(Box::new(NativeEngine::new(layers, input)?)),
        #[cfg(feature = "burn")]
        Device::Burn => Ok(Box::new(crate::burn_engine::BurnEngine::flex(layers, input)?)),
        #[cfg(not(feature = "burn"))]
        Device::Burn => Err(absent("burn")),
        #[cfg(feature = "vulkan")]
        Device::Vulkan => Ok(Box::new(crate::burn_engine::BurnEngine::vulkan(layers, input)?)),
        #[cfg(not(feature = "vulkan"))]
        Device::Vulkan => Err(absent("vulkan")),
    }
}

/// Examples of a data set, ready for a recipe.
pub struct Lesson {
    /// What prepares (and varies) the training examples.
    pub train: Part,
    /// What prepares the validation examples; none when they are learnt from or absent.
    pub validation: Option<Part>,
    /// The recipe, completed by what was measured on the training examples.
    pub recipe: Recipe,
    /// The files of the training examples.
    pub files: TrainingFiles,
    /// What the user should know of how the set was read.
    pub notes: Vec<String>,
}

impl Lesson {
    /// The same, its training examples taught by these model files too, as the recipe's `train.teachers` says.
    ///
    /// # Errors
    /// As [`Taught::new`]; [`ErrorKind::Setting`] when the recipe learns from teachers and there are none.
    pub fn taught_by(self, files: &[Vec<u8>]) -> Result<Self> {
        if files.is_empty() && self.recipe.train.teachers.is_none() {
            return Ok(self);
        }
        let source = Box::new(Taught::new(self.train.source, &self.recipe, files)?);
        Ok(Lesson { train: Part { source, ..self.train }, ..self })
    }
}

/// Some examples of a set.
pub struct Part {
    /// What prepares them.
    pub source: Box<dyn Source>,
    /// Their places in the set.
    pub indices: Vec<usize>,
    /// The place of the label of each among the labels of the recipe.
    pub classes: Vec<usize>,
}

impl Part {
    /// The examples, borrowed.
    pub fn examples(&self) -> Examples<'_> {
        Examples { source: &*self.source, indices: &self.indices, classes: &self.classes }
    }

    /// Those of `indices` whose emotion is an output of the recipe.
    fn new(source: Box<dyn Source>, indices: Vec<usize>, emotion: impl Fn(usize) -> Emotion) -> Self {
        let labels = source.labels().to_vec();
        let known = |i: usize| labels.iter().position(|&l| l == emotion(i)).map(|class| (i, class));
        let (indices, classes) = indices.into_iter().filter_map(known).unzip();
        Part { source, indices, classes }
    }
}

impl Lesson {
    /// Pictures of faces: the training and validation splits of a set (see [`FaceSet::load`] for its forms).
    ///
    /// # Errors
    /// [`ErrorKind::Recipe`] when the recipe is not for faces; those of loading the set.
    pub fn faces(recipe: &Recipe, data: &Path, options: &LoadOptions) -> Result<Self> {
        let InputRecipe::Face(input) = recipe.input.clone() else {
            return Err(Error::new(
                ErrorKind::Recipe,
                format!("the recipe {} is for speech; expected one for faces ([input.face])", recipe.name),
            ));
        };
        let mut set = FaceSet::load(data, options)?;
        let mut notes = std::mem::take(&mut set.notes);
        let all = set.indices(Split::Train).len();
        let mut training = if recipe.data.without_twins {
            set.mark_twins()?;
            set.clean_indices(Split::Train)
        } else {
            set.indices(Split::Train)
        };
        let without_twins = training.len();
        if recipe.data.without_blanks {
            training.retain(|&i| !set.pictures[i].pixels.is_blank());
        }
        if training.len() < all {
            notes.push(format!(
                "left out of training: {} pictures with a twin in validation or test, {} blank ones",
                all - without_twins,
                without_twins - training.len()
            ));
        }
        let validation = set.indices(Split::Validation);
        let set = Arc::new(set);
        let targets = match (recipe.data.votes, recipe.data.votes_as) {
            (0.0, _) => FaceTargets::Label,
            (part, VotesAs::Shares) => FaceTargets::Votes { part },
            (part, VotesAs::Labels) => {
                FaceTargets::VotesAsLabels { part, model: VoteModel::fit(&set, &training, &recipe.labels)? }
            }
        };
        let source = |augment, targets| {
            let (set, labels) = (set.clone(), recipe.labels.clone());
            Box::new(FaceSource { set, recipe: input.clone(), labels, augment, targets })
        };
        let emotion = |i: usize| set.pictures[i].emotion;
        let learnt =
            |extra: &[usize]| TrainingFiles::new(training.iter().chain(extra).map(|&i| set.pictures[i].hash()));
        let files = learnt(if recipe.data.learn_from_validation { validation.as_slice() } else { &[] });
        if recipe.data.learn_from_validation {
            training.extend(&validation);
        }
        let train = Part::new(source(recipe.augment.face.clone(), targets), training, emotion);
        let validation = (!recipe.data.learn_from_validation && !validation.is_empty())
            .then(|| Part::new(source(None, FaceTargets::Label), validation, emotion));
        Ok(Lesson { train, validation, recipe: recipe.clone(), files, notes })
    }
}

/// Which recordings of a set are learnt from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Which {
    /// The training part of a run of a protocol (see [`SpeechSet::fold`]).
    Run(Protocol, usize),
    /// All of them: the last fit, once the runs of a protocol have given the figures.
    All,
}

impl Lesson {
    /// Recordings of speech, of which the recipe's means and deviations are computed unless it has some already.
    ///
    /// With [`Which::All`], a recipe that makes choices on the way still gets validation examples: the validation
    /// speakers of the first fold.
    ///
    /// # Errors
    /// [`ErrorKind::Recipe`] when the recipe is not for speech; those of [`SpeechSet::fold`].
    pub fn speech(recipe: &Recipe, set: &Arc<SpeechSet>, which: Which) -> Result<Self> {
        let mut recipe = recipe.clone();
        let InputRecipe::Speech(input) = &mut recipe.input else {
            return Err(Error::new(
                ErrorKind::Recipe,
                format!("the recipe {} is for faces; expected one for speech ([input.speech])", recipe.name),
            ));
        };
        let learn_all = recipe.data.learn_from_validation;
        let (training, validation) = match which {
            Which::Run(protocol, run) => {
                let fold = set.fold(protocol, run)?;
                if learn_all { (fold.train_and_validation(), Vec::new()) } else { (fold.train, fold.validation) }
            }
            Which::All if learn_all => ((0..set.clips.len()).collect(), Vec::new()),
            Which::All => {
                let validation = set.fold(Protocol::Speaker, 0)?.validation;
                ((0..set.clips.len()).filter(|i| !validation.contains(i)).collect(), validation)
            }
        };
        let mut notes = set.notes.clone();
        if set.left_out.total() > 0 {
            notes.push(format!("left out: {}", set.left_out));
        }
        if recipe.data.standardise && input.mean.is_empty() {
            (input.mean, input.deviation) = set.statistics(&training, input)?;
        }
        let input = input.clone();
        let source = |augment| {
            let labels = recipe.labels.clone();
            Box::new(SpeechSource::new(set.clone(), input.clone(), labels, augment, training.clone()))
        };
        let emotion = |i: usize| set.clips[i].emotion;
        let files = TrainingFiles::new(training.iter().map(|&i| set.clips[i].hash));
        let validation = (!validation.is_empty()).then(|| Part::new(source(None), validation, emotion));
        let train = Part::new(source(recipe.augment.speech.clone()), training.clone(), emotion);
        Ok(Lesson { train, validation, recipe, files, notes })
    }
}

/// How a recipe is followed.
pub struct Course<'a> {
    /// Folder of log, checkpoint and model.
    pub out: &'a Path,
    /// What the network is trained on.
    pub device: Device,
    /// Seed of the run.
    pub seed: u64,
    /// Folders of earlier runs of the same network, or of one with fewer residual blocks, with the mean of whose weights
    /// this one begins; random ones when there are none.
    pub from: &'a [PathBuf],
    /// Whether to go on from the folder's checkpoint.
    pub resume: bool,
    /// Set from outside to end after the step under way.
    pub interrupted: &'a AtomicBool,
}

impl Course<'_> {
    /// What to begin with: the mean of what the runs to begin from came to; none when random weights are meant.
    fn first(&self, recipe: &Recipe, layout: &Layout) -> Result<Option<First>> {
        let mut outcomes = self.from.iter().map(|folder| self.outcome_of(folder, recipe, layout));
        let Some(mut mean) = outcomes.next().transpose()? else { return Ok(None) };
        for (count, other) in (1..).zip(outcomes) {
            mean.take_in(&other?, count);
        }
        Ok(Some(mean))
    }

    /// What an earlier run came to, for this recipe's network.
    fn outcome_of(&self, folder: &Path, recipe: &Recipe, layout: &Layout) -> Result<First> {
        let path = folder.join(RECIPE);
        let text = fs::read_to_string(&path).map_err(|e| file_error(&path, "it cannot be read", e))?;
        let earlier = Recipe::parse(&text).map_err(|e| Error::new(e.kind(), format!("{}: {e}", path.display())))?;
        let refuse = |what: &str| {
            Err(Error::new(
                ErrorKind::Recipe,
                format!(
                    "{} is a run with another {what} than {}: begin from a run whose recipe has the same",
                    folder.display(),
                    recipe.name
                ),
            ))
        };
        if earlier.labels != recipe.labels {
            return refuse("list of labels");
        }
        let Some(places) = grown::places(&recipe.network, &earlier.network) else {
            return refuse("network (new residual blocks apart)");
        };
        let path = folder.join(CHECKPOINT);
        let Some(checkpoint) = Checkpoint::read(&path)? else {
            return Err(Error::new(
                ErrorKind::File,
                format!("{} is not there: expected the folder of a run of `demeanor train`", path.display()),
            ));
        };
        let from = Layout::new(&earlier.network, earlier.input_shape())?;
        let weights = checkpoint.weights();
        if (weights.0.len(), weights.1.len()) != (from.parameters, from.statistics) {
            return Err(Error::new(
                ErrorKind::File,
                format!(
                    "{}: it holds {} numbers, and the network of the recipe beside it has {}: the two are not of one run",
                    path.display(),
                    weights.0.len() + weights.1.len(),
                    from.parameters + from.statistics
                ),
            ));
        }
        let (parameters, statistics) = grown::weights(layout, &places, self.seed, &from, weights);
        let place = &checkpoint.place;
        let epochs = place.earlier + place.history.len() + usize::from(!place.finished);
        Ok(First { parameters, statistics, epochs })
    }
}

/// What was measured in training; written as [`METRICS`].
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// Name of the model.
    pub model: String,
    /// Seed of the run.
    pub seed: u64,
    /// The folders of the runs that it began from.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub from: Vec<PathBuf>,
    /// Trainable numbers of the network.
    pub parameters: usize,
    /// Examples learnt from.
    pub training_examples: usize,
    /// The epoch whose weights the model has, from 1.
    pub epoch: usize,
    /// Epochs that were run.
    pub epochs: usize,
    /// Seconds that they took.
    pub seconds: f64,
    /// What logits are divided by before the softmax.
    pub temperature: f32,
    /// On the validation examples, with the model's weights and temperature.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub validation: Option<Metrics>,
    /// The files that it was trained on.
    pub training_files: TrainingFiles,
}

/// Follows a recipe (the lesson's, or that with other settings of training) to its end, given also as text for the
/// model file: trains, calibrates, and writes the model folder. None when interrupted: the folder then
/// has a checkpoint to go on from.
///
/// # Errors
/// [`ErrorKind::Recipe`] when a run to begin from has another network or other labels; those of [`trainer::train`], and
/// of reading and writing the folders.
pub fn produce(
    lesson: &Lesson,
    recipe: &Recipe,
    recipe_text: &str,
    course: &Course<'_>,
    progress: &mut dyn FnMut(Progress<'_>),
) -> Result<Option<Report>> {
    let labels = recipe.labels.len();
    let layout = Layout::new(&recipe.network, recipe.input_shape())?;
    let mut engine = engine(recipe, course.device)?;
    fs::create_dir_all(course.out).map_err(|e| file_error(course.out, "the folder cannot be made", e))?;
    let first = course.first(recipe, &layout)?;
    replace(&course.out.join(RECIPE), recipe_text.as_bytes())?;
    let run = Run {
        recipe,
        layout: &layout,
        train: lesson.train.examples(),
        validation: lesson.validation.as_ref().map(Part::examples),
        folder: Some(course.out),
        seed: course.seed,
        first: first.as_ref(),
        resume: course.resume,
        interrupted: course.interrupted,
    };
    let mut history: Vec<EpochRecord> = Vec::new();
    let outcome = trainer::train(&run, &mut *engine, &mut |step| {
        if let Progress::Epoch(record) = step {
            history.push(record.clone());
            // the curve grows as the run goes on; that it cannot be drawn is no reason to stop
            let _ = replace(&course.out.join(CURVE), curve::svg(&recipe.name, &history).as_bytes());
        }
        progress(step);
    })?;
    replace(&course.out.join(CURVE), curve::svg(&recipe.name, &outcome.history).as_bytes())?;
    if outcome.interrupted {
        return Ok(None);
    }

    let measured = match &lesson.validation {
        Some(part) => Some(measure(part, &outcome, &mut *engine, recipe)?),
        None => None,
    };
    let fitted = measured.as_ref().map(|m| calibrate::temperature(&m.logits, &m.classes, labels));
    let temperature = recipe.train.temperature.or(fitted).unwrap_or(1.0);
    let trained = Trained { layout: &layout, parameters: &outcome.parameters, statistics: &outcome.statistics };
    replace(&course.out.join(MODEL), &model_file(recipe, recipe_text, trained, temperature)?)?;
    let validation = measured.map(|m| metrics(recipe, &m, temperature)).transpose()?;
    let report = Report {
        model: recipe.name.clone(),
        seed: course.seed,
        from: course.from.to_vec(),
        parameters: layout.parameters,
        training_examples: lesson.train.indices.len(),
        epoch: outcome.epoch,
        epochs: outcome.history.len(),
        seconds: outcome.history.iter().map(|r| r.seconds).sum(),
        temperature,
        validation,
        training_files: lesson.files.clone(),
    };
    let json = serde_json::to_vec_pretty(&report)
        .map_err(|e| Error::new(ErrorKind::File, format!("the metrics cannot be written: {e}")))?;
    replace(&course.out.join(METRICS), &json)?;
    Ok(Some(report))
}

fn measure(part: &Part, outcome: &Outcome, engine: &mut dyn Engine, recipe: &Recipe) -> Result<Measured> {
    let prepared = Prepared::new(&part.examples(), recipe)?;
    engine.set_statistics(&outcome.statistics);
    Ok(prepared.measure(engine, &outcome.parameters))
}

fn metrics(recipe: &Recipe, measured: &Measured, temperature: f32) -> Result<Metrics> {
    let mut confusion = Confusion::new(&recipe.labels);
    for (logits, &class) in measured.logits.chunks_exact(recipe.labels.len()).zip(&measured.classes) {
        confusion.add_logits(class, logits, temperature)?;
    }
    Ok(confusion.metrics())
}

/// A learning rate with the best validation figure that its short run reached.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Tried {
    /// The learning rate.
    pub rate: f32,
    /// The figure that the recipe's `train.best` names; none when training broke down.
    pub figure: Option<f64>,
}

/// Tries the learning rates of the recipe's grid, each in a short run with the same seed, and gives what they reached and
/// the best of them. Only the validation examples decide. None when interrupted.
///
/// # Errors
/// [`ErrorKind::Setting`] when the recipe has no grid or all rates break down; those of [`trainer::train`].
pub fn search(
    lesson: &Lesson,
    course: &Course<'_>,
    progress: &mut dyn FnMut(Progress<'_>),
) -> Result<Option<(Vec<Tried>, f32)>> {
    let search = lesson.recipe.train.search.as_ref().ok_or_else(|| {
        Error::new(ErrorKind::Setting, "the recipe has no grid of learning rates: expected [train.search] with rates")
    })?;
    let figure = lesson.recipe.train.best;
    let layout = Layout::new(&lesson.recipe.network, lesson.recipe.input_shape())?;
    let first = course.first(&lesson.recipe, &layout)?;
    let mut tried = Vec::new();
    for &rate in &search.rates {
        let mut recipe = lesson.recipe.clone();
        recipe.train.optimiser = recipe.train.optimiser.with_rate(rate);
        recipe.train.epochs = search.epochs;
        let mut engine = engine(&recipe, course.device)?;
        let run = Run {
            recipe: &recipe,
            layout: &layout,
            train: lesson.train.examples(),
            validation: lesson.validation.as_ref().map(Part::examples),
            folder: None,
            seed: course.seed,
            first: first.as_ref(),
            resume: false,
            interrupted: course.interrupted,
        };
        let reached = match trainer::train(&run, &mut *engine, progress) {
            Ok(outcome) if outcome.interrupted => return Ok(None),
            Ok(outcome) => outcome
                .history
                .iter()
                .filter_map(|r| r.figure(figure))
                .reduce(|a, b| if figure.better(b, a) { b } else { a }),
            Err(error) if error.kind() == ErrorKind::NotFinite => None,
            Err(error) => return Err(error),
        };
        tried.push(Tried { rate, figure: reached });
    }
    let known = tried.iter().filter_map(|t| t.figure.map(|f| (t.rate, f)));
    let best = known.reduce(|a, b| if figure.better(b.1, a.1) { b } else { a });
    match best {
        Some((rate, _)) => Ok(Some((tried, rate))),
        None => Err(Error::new(
            ErrorKind::Setting,
            "none of the learning rates of train.search can be judged: training breaks down, or there are no validation \
             examples",
        )),
    }
}

/// Whether a recipe is for the sense that was asked for.
///
/// # Errors
/// [`ErrorKind::Recipe`] when it is for the other one.
pub fn expect(recipe: &Recipe, sense: Sense) -> Result<()> {
    if recipe.sense() == sense {
        return Ok(());
    }
    let (is, wanted) = match sense {
        Sense::Face => ("speech", "faces"),
        Sense::Speech => ("faces", "speech"),
    };
    Err(Error::new(ErrorKind::Recipe, format!("the recipe {} is for {is}, not for {wanted}", recipe.name)))
}
