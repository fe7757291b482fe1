//! Temperatures for models that were trained on all that they could be calibrated on: fitted to the held-out clips of the
//! models of other runs.

use std::fs;
use std::path::Path;

use demeanor::model;
use demeanor::speech::net::SpeechModel;
use demeanor::speech::prepare::SpeechPreparer;
use demeanor::{Emotion, Error, ErrorKind, Result};

use crate::calibrate::temperature;
use crate::checkpoint::{file_error, replace};
use crate::data::speech::SpeechSet;
use crate::data::splits::Protocol;
use crate::produce::MODEL;

/// What a run's model gives for the clips that were held out from it.
struct HeldOut {
    clips: Vec<usize>,
    logits: Vec<f32>,
    classes: Vec<usize>,
    labels: usize,
}

/// Fits the temperature of all models `FOLDER/RUN/model.safetensors` of a protocol together to the clips held out from
/// each: what a model trained on all clips should have.
///
/// # Errors
/// [`ErrorKind::File`] when a model cannot be read; those of reading models and preparing clips.
pub fn pooled_temperature(set: &SpeechSet, folder: &Path, protocol: Protocol) -> Result<f32> {
    let runs = held_out(set, folder, protocol)?;
    Ok(fit(runs.iter(), |_| true))
}

/// Gives each model of a protocol the temperature that fits the clips held out from the other runs' models, those that
/// are held out from itself left out: so no model is calibrated on what it is tested on. Gives the temperatures.
///
/// # Errors
/// As [`pooled_temperature`]; [`ErrorKind::File`] when a model cannot be written.
pub fn calibrate_runs(set: &SpeechSet, folder: &Path, protocol: Protocol) -> Result<Vec<f32>> {
    let runs = held_out(set, folder, protocol)?;
    let mut temperatures = Vec::with_capacity(runs.len());
    for (i, own) in runs.iter().enumerate() {
        let others = runs.iter().enumerate().filter(|(j, _)| *j != i).map(|(_, r)| r);
        let fitted = fit(others, |clip| own.clips.binary_search(&clip).is_err());
        let path = folder.join(protocol.run_name(i)).join(MODEL);
        let (mut header, tensors) = model::read(&read(&path)?)?;
        header.temperature = fitted;
        replace(&path, &model::write(&header, &tensors)?)?;
        temperatures.push(fitted);
    }
    Ok(temperatures)
}

fn fit<'a>(runs: impl Iterator<Item = &'a HeldOut>, take: impl Fn(usize) -> bool) -> f32 {
    let (mut logits, mut classes, mut labels) = (Vec::new(), Vec::new(), 0);
    for run in runs {
        labels = run.labels;
        for ((&clip, row), &class) in run.clips.iter().zip(run.logits.chunks_exact(run.labels)).zip(&run.classes) {
            if take(clip) {
                logits.extend_from_slice(row);
                classes.push(class);
            }
        }
    }
    temperature(&logits, &classes, labels)
}

fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).map_err(|e| file_error(path, "it cannot be read", e))
}

fn held_out(set: &SpeechSet, folder: &Path, protocol: Protocol) -> Result<Vec<HeldOut>> {
    let count = protocol.runs(set)?;
    let mut runs: Vec<HeldOut> = Vec::with_capacity(count);
    for run in 0..count {
        let path = folder.join(protocol.run_name(run)).join(MODEL);
        let mut network = SpeechModel::load(&read(&path)?)?;
        let names: Vec<Emotion> = network.header().labels.clone();
        let mut preparer = SpeechPreparer::new(network.recipe())?;
        let mut own = HeldOut { clips: Vec::new(), logits: Vec::new(), classes: Vec::new(), labels: names.len() };
        if runs.first().is_some_and(|first| first.labels != own.labels) {
            return Err(Error::new(
                ErrorKind::Model,
                format!("{}: {} labels; the models before it have another number", path.display(), own.labels),
            ));
        }
        for clip in set.fold(protocol, run)?.test {
            let Some(class) = names.iter().position(|&l| l == set.clips[clip].emotion) else { continue };
            let logits = network.logits(preparer.prepare(&set.clips[clip].audio()?)?)?.to_vec();
            own.logits.extend(network.header().adjusted(&logits));
            own.classes.push(class);
            own.clips.push(clip);
        }
        runs.push(own);
    }
    Ok(runs)
}
