//! Training: steps over shuffled examples, a measurement after each epoch, and a run that can be broken off and taken up
//! again without a trace.
//!
//! The trainer knows neither pictures nor sound nor layers: it has inputs prepared ahead by a [`Source`] on all cores,
//! hands them to an [`Engine`], and works on flat vectors. All randomness is drawn from streams that the seed, the epoch
//! and the place in the epoch decide, so a run that is resumed takes exactly the steps that it would have taken.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::Instant;

use demeanor::face::view::View;
use demeanor::simd::Isa;
use demeanor::{Error, ErrorKind, Result};
use rand::Rng;

pub use crate::checkpoint::EpochRecord;
use crate::checkpoint::{Checkpoint, Place, file_error, replace};
use crate::data::batches::{self, LabelledBatch, Source, balanced_classes};
use crate::data::stream;
use crate::engine::{Batch, Engine, Mode};
use crate::layout::Layout;
use crate::loss::softmax;
use crate::optimise::OptimiserState;
use crate::recipe::{Export, Figure, Recipe, Sampling};

/// The metrics log, a JSON object a line and epoch.
pub const LOG: &str = "log.jsonl";
/// The state of the run, to go on from.
pub const CHECKPOINT: &str = "checkpoint.safetensors";

/// Set apart from the streams of order and augmentation, so that dropout draws its own numbers.
const DROPOUT: u64 = 0x64_726f_706f_7574;

/// Steps whose inputs are prepared ahead, so that the network never waits for them.
const AHEAD: usize = 4;

/// Examples of a set that a run learns from or is measured on.
#[derive(Clone)]
pub struct Examples<'a> {
    /// What prepares them.
    pub source: &'a dyn Source,
    /// Their places in the set.
    pub indices: &'a [usize],
    /// The place of the label of each among the labels of the recipe.
    pub classes: &'a [usize],
}

/// What a training run is made of.
pub struct Run<'a> {
    /// The recipe.
    pub recipe: &'a Recipe,
    /// Where the network's numbers lie.
    pub layout: &'a Layout,
    /// What is learnt from.
    pub train: Examples<'a>,
    /// What choices are made by: the best epoch, early stopping, calibration.
    pub validation: Option<Examples<'a>>,
    /// Folder of the log and the checkpoint; nothing is written without.
    pub folder: Option<&'a Path>,
    /// Seed of first weights, order, variation and dropout.
    pub seed: u64,
    /// What earlier runs came to, to begin with instead of random weights.
    pub first: Option<&'a First>,
    /// Whether to go on from the folder's checkpoint, if there is one.
    pub resume: bool,
    /// Set from outside (by Ctrl-C) to end after the step under way, with a checkpoint.
    pub interrupted: &'a AtomicBool,
}

/// What earlier runs came to, for a run to begin with.
#[derive(Debug, Clone, PartialEq)]
pub struct First {
    /// The parameters.
    pub parameters: Vec<f32>,
    /// The running statistics of the norms.
    pub statistics: Vec<f32>,
    /// Epochs that led to them. The orders and edits of those are not repeated where the seed is the same.
    pub epochs: usize,
}

impl First {
    /// Takes another run's outcome for the same layout into the mean of `count` earlier ones, which this is.
    pub fn take_in(&mut self, other: &First, count: usize) {
        let part = 1.0 / (count + 1) as f32;
        let pairs = [(&mut self.parameters, &other.parameters), (&mut self.statistics, &other.statistics)];
        for (mean, other) in pairs {
            mean.iter_mut().zip(other).for_each(|(m, o)| *m += part * (o - *m));
        }
        self.epochs = self.epochs.max(other.epochs);
    }
}

/// How far a run is, told after every step and every epoch.
#[derive(Debug, Clone, Copy)]
pub enum Progress<'a> {
    /// A step was taken.
    Step {
        /// Steps done since the first epoch.
        step: usize,
        /// Steps of the whole run.
        steps: usize,
        /// Epoch under way, from 1.
        epoch: usize,
        /// Epochs of the whole run.
        epochs: usize,
        /// Mean training loss of the epoch so far.
        loss: f64,
        /// Training accuracy of the epoch so far, 0 to 1.
        accuracy: f64,
    },
    /// An epoch came to its end.
    Epoch(&'a EpochRecord),
    /// The run goes on with another instruction set than before, so not bit by bit as it would have.
    OtherIsa {
        /// What its checkpoint names.
        before: &'a str,
        /// The active one.
        now: &'a str,
    },
}

/// What a run came to.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// The parameters that the recipe exports.
    pub parameters: Vec<f32>,
    /// The running statistics that belong to them.
    pub statistics: Vec<f32>,
    /// The epoch that they are of, from 1.
    pub epoch: usize,
    /// A record of each epoch.
    pub history: Vec<EpochRecord>,
    /// Whether the run was interrupted before its end; parameters are then those of now.
    pub interrupted: bool,
}

/// What was measured on examples without variation.
#[derive(Debug, Clone, PartialEq)]
pub struct Measured {
    /// Logits `[count, labels]`, in order of the examples.
    pub logits: Vec<f32>,
    /// The class of each example.
    pub classes: Vec<usize>,
    /// Mean cross-entropy.
    pub loss: f64,
    /// Part read rightly, 0 to 1.
    pub accuracy: f64,
    /// Unweighted average recall over the classes that occur, 0 to 1.
    pub uar: f64,
}

/// Examples prepared once, to be measured again and again.
pub struct Prepared {
    /// The views of each batch.
    batches: Vec<Vec<Batch>>,
    classes: Vec<usize>,
    labels: usize,
}

impl Prepared {
    /// Prepares all examples of a recipe, on all cores.
    ///
    /// # Errors
    /// When an example cannot be prepared.
    pub fn new(examples: &Examples<'_>, recipe: &Recipe) -> Result<Self> {
        let batch = |part| Ok(examples.source.batch(part, batches::Place { seed: 0, epoch: 0, first: 0 })?.batch);
        let views =
            |batch: Result<Batch>| batch.map(|batch| recipe.views.iter().map(|view| seen(&batch, *view)).collect());
        let parts = examples.indices.chunks(recipe.train.batch.max(1));
        let batches = parts.map(batch).map(views).collect::<Result<Vec<_>>>()?;
        Ok(Prepared { batches, classes: examples.classes.to_vec(), labels: recipe.labels.len() })
    }

    /// Measures parameters on all of the recipe's views of them, with the engine's running statistics.
    pub fn measure(&self, engine: &mut dyn Engine, parameters: &[f32]) -> Measured {
        let mut logits = Vec::with_capacity(self.classes.len() * self.labels);
        for views in &self.batches {
            let first = logits.len();
            for view in views {
                let outputs = engine.forward(parameters, view, Mode::Evaluate);
                logits.resize(first + outputs.len(), 0.0);
                let part = 1.0 / views.len() as f32;
                logits[first..].iter_mut().zip(&outputs).for_each(|(mean, output)| *mean += part * output);
            }
        }
        Measured::new(logits, self.classes.clone(), self.labels)
    }
}

/// A view of a batch of pictures; what is not square is speech, and has no other view than the whole.
fn seen(batch: &Batch, view: View) -> Batch {
    if view == View::WHOLE {
        return batch.clone();
    }
    let size = batch.width;
    let mut values = Vec::with_capacity(batch.values.len());
    batch.values.chunks_exact(size * size).for_each(|picture| view.append(picture, size, &mut values));
    Batch { values, ..batch.clone() }
}

impl Measured {
    /// The figures of logits `[count, labels]` for examples of these classes.
    pub fn new(logits: Vec<f32>, classes: Vec<usize>, labels: usize) -> Self {
        let (mut loss, mut right) = (0.0, 0);
        let (mut met, mut hit) = (vec![0usize; labels], vec![0usize; labels]);
        let mut p = Vec::new();
        for (row, &class) in logits.chunks_exact(labels).zip(&classes) {
            softmax(row, &mut p);
            loss -= f64::from(p[class].max(1e-30)).ln();
            met[class] += 1;
            if highest(row) == class {
                right += 1;
                hit[class] += 1;
            }
        }
        let count = classes.len().max(1) as f64;
        let recalls: Vec<f64> =
            met.iter().zip(&hit).filter(|(m, _)| **m > 0).map(|(&m, &h)| h as f64 / m as f64).collect();
        let uar = recalls.iter().sum::<f64>() / recalls.len().max(1) as f64;
        Measured { logits, classes, loss: loss / count, accuracy: right as f64 / count, uar }
    }

    fn figure(&self, figure: Figure) -> f64 {
        match figure {
            Figure::Loss => self.loss,
            Figure::Accuracy => self.accuracy,
            Figure::Uar => self.uar,
        }
    }
}

impl Figure {
    /// Whether a figure is better than another one.
    pub fn better(self, new: f64, old: f64) -> bool {
        match self {
            Figure::Loss => new < old,
            Figure::Accuracy | Figure::Uar => new > old,
        }
    }
}

/// The place of the highest number of a row; the first when equal.
pub fn highest(row: &[f32]) -> usize {
    let mut best = 0;
    for (i, value) in row.iter().enumerate() {
        if *value > row[best] {
            best = i;
        }
    }
    best
}

/// Trains: from the beginning, or on from the folder's checkpoint.
///
/// Writes, after each epoch and when interrupted, the checkpoint, and the log (both replaced as a whole).
///
/// # Errors
/// [`ErrorKind::Data`] without training examples or where validation examples are needed and absent;
/// [`ErrorKind::Setting`] when the checkpoint is of another recipe, seed or data, or the first weights of another
/// network; [`ErrorKind::NotFinite`] when the loss
/// is no longer a number; [`ErrorKind::File`] when a file cannot be read or written; those of preparing an example.
pub fn train(run: &Run<'_>, engine: &mut dyn Engine, report: &mut dyn FnMut(Progress<'_>)) -> Result<Outcome> {
    let settings = &run.recipe.train;
    let labels = run.recipe.labels.len();
    let steps_per_epoch = steps_per_epoch(run.train.indices.len(), settings.batch)?;
    let steps = steps_per_epoch * settings.epochs;
    if run.validation.as_ref().is_none_or(|v| v.indices.is_empty())
        && (settings.export == Export::Best || settings.stop.is_some())
    {
        return Err(Error::new(
            ErrorKind::Data,
            "the recipe stops early or exports the best epoch, and there are no validation examples to know it by; \
             give some, or set train.export to \"last\" or \"average\" and leave out train.stop",
        ));
    }
    let (mut state, path) = begin(run)?;
    let now = Isa::active().name();
    if !state.place.isa.is_empty() && state.place.isa != now && !state.place.finished {
        report(Progress::OtherIsa { before: &state.place.isa, now });
    }
    state.place.isa = now.to_owned();
    engine.set_statistics(&state.statistics);
    let validation = run.validation.as_ref().map(|v| Prepared::new(v, run.recipe)).transpose()?;
    let weights = settings.class_weights.of(&counts(run.train.classes, labels));
    let decays = run.layout.decays();
    if state.place.finished {
        return outcome(run, state);
    }

    let stop_feeding = AtomicBool::new(false);
    let (first, earlier) = (state.place.step, state.place.earlier);
    std::thread::scope(|scope| {
        let (sender, receiver) = sync_channel(AHEAD);
        let feeding = &stop_feeding;
        scope.spawn(move || {
            let mut order = (0, Vec::new());
            for step in first..steps {
                let batch = draw(run, earlier, step, steps_per_epoch, &mut order);
                let failed = batch.is_err();
                if feeding.load(Ordering::Relaxed) || sender.send(batch).is_err() || failed {
                    return;
                }
            }
        });
        let mut learner = Learner { run, engine, steps, steps_per_epoch, weights, decays, path };
        let result = learner.steps(&mut state, &receiver, validation.as_ref(), report);
        stop_feeding.store(true, Ordering::Relaxed);
        drop(receiver);
        result
    })?;
    outcome(run, state)
}

/// The state that a run begins or goes on with, and where its checkpoints go.
fn begin(run: &Run<'_>) -> Result<(Checkpoint, Option<PathBuf>)> {
    let settings = &run.recipe.train;
    let fresh = || Checkpoint {
        place: Place {
            run: fingerprint(run),
            earlier: run.first.map_or(0, |first| first.epochs),
            step: 0,
            loss_sum: 0.0,
            right: 0,
            seen: 0,
            seconds: 0.0,
            history: Vec::new(),
            best: None,
            watched: None,
            finished: false,
            isa: Isa::active().name().to_owned(),
        },
        parameters: run
            .first
            .map_or_else(|| run.layout.initial_by(settings.initial, run.seed), |first| first.parameters.clone()),
        statistics: run.first.map_or_else(|| run.layout.initial_statistics(), |first| first.statistics.clone()),
        optimiser: OptimiserState::new(&settings.optimiser, run.layout.parameters),
        average: None,
        best: None,
    };
    if let Some(First { parameters, statistics, .. }) = run.first {
        let (expected, actual) = (run.layout.parameters + run.layout.statistics, parameters.len() + statistics.len());
        if (parameters.len(), statistics.len()) != (run.layout.parameters, run.layout.statistics) {
            return Err(Error::new(
                ErrorKind::Setting,
                format!("the weights to begin with are of another network: {actual} numbers, not {expected}"),
            ));
        }
    }
    let Some(folder) = run.folder else { return Ok((fresh(), None)) };
    fs::create_dir_all(folder).map_err(|e| file_error(folder, "the folder cannot be made", e))?;
    let path = folder.join(CHECKPOINT);
    let kept = if run.resume { Checkpoint::read(&path)? } else { None };
    let Some(kept) = kept else { return Ok((fresh(), Some(path))) };
    let sizes = kept.parameters.len() == run.layout.parameters
        && kept.statistics.len() == run.layout.statistics
        && kept.optimiser.first.len() == run.layout.parameters;
    let before = (1..1000).filter(|&epochs| epochs != settings.epochs).find(|&epochs| {
        let mut recipe = run.recipe.clone();
        recipe.train.epochs = epochs;
        kept.place.run == fingerprint_of(&recipe, run)
    });
    if let Some(epochs) = before.filter(|_| sizes) {
        return Err(Error::new(
            ErrorKind::Setting,
            format!(
                "{}: the checkpoint is of a run of {epochs} epochs, not {}; its learning rates are laid out for those, so it \
                 cannot be made longer. Resume with --epochs {epochs}, or train on from its weights into another folder: --from \
                 {}",
                path.display(),
                settings.epochs,
                folder.display()
            ),
        ));
    }
    if kept.place.run != fingerprint(run) || !sizes {
        return Err(Error::new(
            ErrorKind::Setting,
            format!(
                "{}: the checkpoint is of a run with another recipe, seed or data set; resume with those, or train \
                 without --resume to begin anew",
                path.display()
            ),
        ));
    }
    Ok((kept, Some(path)))
}

/// What must be equal for a run to go on: recipe, seed and number of examples.
fn fingerprint(run: &Run<'_>) -> String {
    fingerprint_of(run.recipe, run)
}

/// The same if the recipe were this one.
fn fingerprint_of(recipe: &Recipe, run: &Run<'_>) -> String {
    // a hash that is the same on every machine and in every version (FNV-1a, 64 bits)
    let text = format!("{recipe:?} {} {:?}", run.train.indices.len(), run.validation.as_ref().map(|v| v.indices.len()));
    let hash =
        text.bytes().fold(0xcbf2_9ce4_8422_2325u64, |h, b| (h ^ u64::from(b)).wrapping_mul(0x0000_0100_0000_01b3));
    format!("{}, seed {}, {hash:016x}", recipe.name, run.seed)
}

/// Steps in an epoch: a last batch of a single example is left out, for norms cannot learn from it.
fn steps_per_epoch(examples: usize, batch: usize) -> Result<usize> {
    let steps = examples / batch + usize::from(examples % batch > 1);
    if steps == 0 {
        return Err(Error::new(
            ErrorKind::Data,
            format!("there are {examples} training examples; two or more are needed"),
        ));
    }
    Ok(steps)
}

fn counts(classes: &[usize], labels: usize) -> Vec<usize> {
    let mut counts = vec![0; labels];
    for &class in classes {
        counts[class] += 1;
    }
    counts
}

/// Prepares the inputs of a step, on all cores. Epochs are counted from the first of the earliest run.
fn draw(
    run: &Run<'_>,
    earlier: usize,
    step: usize,
    steps_per_epoch: usize,
    order: &mut (usize, Vec<usize>),
) -> Result<LabelledBatch> {
    let size = run.recipe.train.batch;
    let (epoch, place) = (earlier + step / steps_per_epoch, step % steps_per_epoch);
    if order.1.is_empty() || order.0 != epoch {
        let (train, seed) = (&run.train, run.seed);
        let visited = match run.recipe.data.sampling {
            Sampling::Plain => train.source.order(train.indices, seed, epoch as u64),
            Sampling::Balanced => balanced_classes(train.indices, train.classes, seed, epoch as u64),
        };
        *order = (epoch, visited);
    }
    let first = place * size;
    let part = &order.1[first..order.1.len().min(first + size)];
    run.train.source.batch(part, batches::Place { seed: run.seed, epoch: epoch as u64, first: first as u64 })
}

/// The part of a run that takes steps.
struct Learner<'a> {
    run: &'a Run<'a>,
    engine: &'a mut dyn Engine,
    steps: usize,
    steps_per_epoch: usize,
    weights: Vec<f32>,
    decays: Vec<bool>,
    path: Option<PathBuf>,
}

impl Learner<'_> {
    fn steps(
        &mut self,
        state: &mut Checkpoint,
        batches: &Receiver<Result<LabelledBatch>>,
        validation: Option<&Prepared>,
        report: &mut dyn FnMut(Progress<'_>),
    ) -> Result<()> {
        let settings = &self.run.recipe.train;
        let mut gradient = vec![0.0; state.parameters.len()];
        let mut since = Instant::now();
        while state.place.step < self.steps {
            if self.run.interrupted.load(Ordering::Relaxed) {
                state.place.seconds += since.elapsed().as_secs_f64();
                return self.keep(state);
            }
            let step =
                batches.recv().map_err(|_| Error::new(ErrorKind::Data, "the preparation of examples broke off"))??;
            let factor = settings.schedule.factor(state.place.step, self.steps, self.steps_per_epoch);
            self.step(state, &step, &mut gradient, factor)?;
            report(Progress::Step {
                step: state.place.step,
                steps: self.steps,
                epoch: (state.place.step - 1) / self.steps_per_epoch + 1,
                epochs: settings.epochs,
                loss: state.place.loss_sum / state.place.seen as f64,
                accuracy: state.place.right as f64 / state.place.seen as f64,
            });
            if state.place.step.is_multiple_of(self.steps_per_epoch) {
                let rate = settings.optimiser.rate() * factor;
                self.epoch(state, validation, rate, since)?;
                since = Instant::now();
                if let Some(record) = state.place.history.last() {
                    report(Progress::Epoch(record));
                }
                if state.place.finished {
                    break;
                }
            }
        }
        Ok(())
    }

    fn step(&mut self, state: &mut Checkpoint, step: &LabelledBatch, gradient: &mut [f32], factor: f32) -> Result<()> {
        let settings = &self.run.recipe.train;
        let labels = self.run.recipe.labels.len();
        let since_first = state.place.earlier * self.steps_per_epoch + state.place.step;
        let seed = stream(self.run.seed ^ DROPOUT, 0, since_first as u64).next_u64();
        let outputs = self.engine.forward(&state.parameters, &step.batch, Mode::Train { seed });
        let mut pull = vec![0.0; outputs.len()];
        let loss =
            settings.loss.value_and_gradient(&outputs, &step.targets, labels, &self.weights, &step.masked, &mut pull);
        if !loss.is_finite() {
            return Err(Error::new(
                ErrorKind::NotFinite,
                format!(
                    "the training loss is {loss} in step {} of {}: a smaller learning rate (now {}) or train.optimiser.clip \
                     may help",
                    state.place.step + 1,
                    self.steps,
                    settings.optimiser.rate() * factor
                ),
            ));
        }
        gradient.fill(0.0);
        self.engine.backward(&state.parameters, &pull, gradient);
        state.optimiser.step(&settings.optimiser, factor, &mut state.parameters, gradient, &self.decays);
        state.statistics.copy_from_slice(self.engine.statistics());
        if let Some(average) = settings.average {
            let from = (f64::from(average.from) * self.steps as f64) as usize;
            match &mut state.average {
                Some((parameters, statistics)) => {
                    blend(parameters, &state.parameters, average.decay);
                    blend(statistics, &state.statistics, average.decay);
                }
                None if state.place.step >= from => {
                    state.average = Some((state.parameters.clone(), state.statistics.clone()));
                }
                None => {}
            }
        }
        let rows = outputs.chunks_exact(labels).zip(step.targets.chunks_exact(labels));
        state.place.right += rows.filter(|(o, t)| highest(o) == highest(t)).count();
        state.place.seen += step.batch.count;
        state.place.loss_sum += loss * step.batch.count as f64;
        state.place.step += 1;
        Ok(())
    }

    /// Measures, notes and keeps what an epoch came to.
    fn epoch(
        &mut self,
        state: &mut Checkpoint,
        validation: Option<&Prepared>,
        rate: f32,
        since: Instant,
    ) -> Result<()> {
        let settings = &self.run.recipe.train;
        let epoch = state.place.step / self.steps_per_epoch;
        let (parameters, statistics) =
            state.average.as_ref().map_or((&state.parameters, &state.statistics), |(p, s)| (p, s));
        let measured = validation.map(|validation| {
            self.engine.set_statistics(statistics);
            let measured = validation.measure(self.engine, parameters);
            self.engine.set_statistics(&state.statistics);
            measured
        });
        let place = &mut state.place;
        place.finished = place.step >= self.steps;
        if let Some(measured) = &measured {
            let value = measured.figure(settings.best);
            if place.best.is_none_or(|(_, best)| settings.best.better(value, best)) {
                place.best = Some((epoch, value));
                if settings.export == Export::Best {
                    state.best = Some((parameters.clone(), statistics.clone()));
                }
            }
            if let Some(stop) = settings.stop {
                let value = measured.figure(stop.on);
                place.watched = match place.watched {
                    Some((best, since)) if !stop.on.better(value, best) => Some((best, since + 1)),
                    _ => Some((value, 0)),
                };
                place.finished |= place.watched.is_some_and(|(_, since)| since >= stop.patience);
            }
        }
        place.history.push(EpochRecord {
            epoch,
            train_loss: place.loss_sum / place.seen as f64,
            train_accuracy: place.right as f64 / place.seen as f64,
            validation_loss: measured.as_ref().map(|m| m.loss),
            validation_accuracy: measured.as_ref().map(|m| m.accuracy),
            validation_uar: measured.as_ref().map(|m| m.uar),
            rate,
            seconds: place.seconds + since.elapsed().as_secs_f64(),
        });
        (place.loss_sum, place.right, place.seen, place.seconds) = (0.0, 0, 0, 0.0);
        self.keep(state)
    }

    /// Writes checkpoint and log.
    fn keep(&self, state: &Checkpoint) -> Result<()> {
        let Some(path) = &self.path else { return Ok(()) };
        state.write(path)?;
        let mut log = String::new();
        for record in &state.place.history {
            let line = serde_json::to_string(record)
                .map_err(|e| Error::new(ErrorKind::File, format!("the metrics log cannot be written: {e}")))?;
            log.push_str(&line);
            log.push('\n');
        }
        replace(&path.with_file_name(LOG), log.as_bytes())
    }
}

fn blend(average: &mut [f32], now: &[f32], decay: f32) {
    for (a, &n) in average.iter_mut().zip(now) {
        *a = decay * *a + (1.0 - decay) * n;
    }
}

/// The weights that the recipe exports.
fn outcome(run: &Run<'_>, state: Checkpoint) -> Result<Outcome> {
    let last = state.place.history.len();
    let ((parameters, statistics), epoch) = match run.recipe.train.export {
        Export::Best if state.best.is_some() => {
            (state.best.unwrap_or_default(), state.place.best.map_or(last, |(epoch, _)| epoch))
        }
        Export::Average if state.average.is_some() => (state.average.unwrap_or_default(), last),
        _ => ((state.parameters, state.statistics), last),
    };
    Ok(Outcome { parameters, statistics, epoch, history: state.place.history, interrupted: !state.place.finished })
}

#[cfg(test)]
mod tests;
