//! Examples to batches: edited, prepared by the library's own preparation, one batch ahead of the network.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread;

use demeanor::face::prepare::{FaceInput, FaceRecipe, prepare_into};
use demeanor::{Emotion, Error, ErrorKind, Frame, PixelLayout, Result};
use rand::RngExt;
use rand::seq::SliceRandom;
use rayon::prelude::*;

use super::faces::{FaceSet, PIXELS, SIDE};
use super::stream;
use crate::augment::faces::FaceAugment;
use crate::engine::Batch;

/// Prepared inputs with what the network should say of them.
#[derive(Debug, Clone)]
pub struct LabelledBatch {
    /// The inputs.
    pub batch: Batch,
    /// `[count, labels]`: the probability that each label should get; each row sums to 1.
    pub targets: Vec<f32>,
    /// The place of each example in its set.
    pub indices: Vec<usize>,
}

/// Where in a training run a batch stands; with the source's settings it decides all that is random in the batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Seed of the run.
    pub seed: u64,
    /// The epoch, from 0.
    pub epoch: u64,
    /// How many examples of the epoch went before this batch.
    pub first: u64,
}

/// A set of examples with the way they are edited and prepared.
pub trait Source: Send + Sync {
    /// The emotion of each column of the targets.
    fn labels(&self) -> &[Emotion];

    /// Prepares a batch on all cores; the same arguments give the same batch.
    ///
    /// # Errors
    /// Those of the preparation, and [`ErrorKind::Data`] for a place that the set does not have.
    fn batch(&self, indices: &[usize], place: Place) -> Result<LabelledBatch>;
}

/// Where targets come from.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub enum FaceTargets {
    /// All for the one label of the set.
    #[default]
    Label,
    /// The shares of the FER+ votes, and the label where a picture has none.
    Votes {
        /// The part that the votes make; the label makes the rest. 0 to 1.
        part: f32,
    },
}

/// Faces as a source of batches.
#[derive(Debug, Clone)]
pub struct FaceSource {
    /// The pictures.
    pub set: Arc<FaceSet>,
    /// How they are prepared.
    pub recipe: FaceRecipe,
    /// The emotion of each output, in order.
    pub labels: Vec<Emotion>,
    /// How they are edited; none for evaluation.
    pub augment: Option<FaceAugment>,
    /// Where the targets come from.
    pub targets: FaceTargets,
}

impl FaceSource {
    fn target(&self, index: usize, target: &mut [f32]) -> Result<()> {
        let picture = &self.set.pictures[index];
        let label = self.labels.iter().position(|&l| l == picture.emotion).ok_or_else(|| {
            Error::new(
                ErrorKind::Label,
                format!("{} is labelled {}, which is no output", picture.name, picture.emotion),
            )
        })?;
        match self.targets {
            FaceTargets::Label => target.fill(0.0),
            FaceTargets::Votes { part } => {
                picture.vote_shares(&self.labels, target);
                target.iter_mut().for_each(|t| *t *= part);
            }
        }
        let own = if let FaceTargets::Votes { part } = self.targets { 1.0 - part } else { 1.0 };
        target[label] += own;
        Ok(())
    }
}

/// Set apart from the streams that edit pictures, so that mixing draws its own numbers.
const MIXING: u64 = 0x6d69_7869_6e67;

impl Source for FaceSource {
    fn labels(&self) -> &[Emotion] {
        &self.labels
    }

    fn batch(&self, indices: &[usize], place: Place) -> Result<LabelledBatch> {
        let (count, outputs, size) = (indices.len(), self.labels.len(), self.recipe.size);
        if let Some(&index) = indices.iter().find(|&&i| i >= self.set.pictures.len()) {
            return Err(Error::new(
                ErrorKind::Data,
                format!("there is no picture {index} in a set of {}", self.set.pictures.len()),
            ));
        }
        let edited: Vec<[u8; PIXELS]> = indices
            .par_iter()
            .enumerate()
            .map(|(i, &index)| {
                let pixels = &self.set.pictures[index].pixels;
                let mut out = **pixels;
                if let Some(augment) = &self.augment {
                    augment.apply(pixels, &mut out, &mut stream(place.seed, place.epoch, place.first + i as u64));
                }
                out
            })
            .collect();
        let mut own = vec![0.0; count * outputs];
        for (&index, target) in indices.iter().zip(own.chunks_exact_mut(outputs)) {
            self.target(index, target)?;
        }
        let mut values = vec![0.0; count * size * size];
        let mut targets = own.clone();
        values
            .par_chunks_exact_mut(size * size)
            .zip(targets.par_chunks_exact_mut(outputs))
            .enumerate()
            .try_for_each_init(
                || FaceInput::new(&self.recipe),
                |input, (i, (values, target))| {
                    let mut picture = edited[i];
                    let mut random = stream(place.seed ^ MIXING, place.epoch, place.first + i as u64);
                    if let Some(mix) = self.augment.as_ref().and_then(|a| a.mix(&mut random)) {
                        let other = random.random_range(0..count);
                        mix.apply(&mut picture, &edited[other]);
                        let keep = mix.keep();
                        for (t, o) in target.iter_mut().zip(&own[other * outputs..]) {
                            *t = keep * *t + (1.0 - keep) * o;
                        }
                    }
                    let frame = Frame::new(&picture, SIDE, SIDE, PixelLayout::Grey8)?;
                    prepare_into(&frame, None, input)?;
                    values.copy_from_slice(input.values());
                    Ok::<(), Error>(())
                },
            )?;
        let batch = Batch { count, height: size, width: size, values, widths: Vec::new() };
        Ok(LabelledBatch { batch, targets, indices: indices.to_vec() })
    }
}

/// The order in which an epoch visits examples: a shuffle that depends on seed and epoch alone.
pub fn shuffled(indices: &[usize], seed: u64, epoch: u64) -> Vec<usize> {
    let mut order = indices.to_vec();
    order.shuffle(&mut stream(seed, epoch, u64::MAX));
    order
}

/// The batches of an epoch, each prepared on a background thread while the one before it is in use.
#[derive(Debug)]
pub struct Batches {
    receiver: Receiver<Result<LabelledBatch>>,
}

impl Batches {
    /// Batches of `size` examples (the last may be smaller) in the given order.
    ///
    /// # Errors
    /// [`ErrorKind::Setting`] when the size is 0, or no thread can be started.
    pub fn start(source: Arc<dyn Source>, order: Vec<usize>, size: usize, seed: u64, epoch: u64) -> Result<Self> {
        if size == 0 {
            return Err(Error::new(ErrorKind::Setting, "the batch size is 0; expected 1 or more"));
        }
        let (sender, receiver) = sync_channel(1);
        let work = move || {
            for (i, indices) in order.chunks(size).enumerate() {
                let batch = source.batch(indices, Place { seed, epoch, first: (i * size) as u64 });
                // Nobody listens any more when the epoch was broken off.
                if sender.send(batch).is_err() {
                    return;
                }
            }
        };
        thread::Builder::new().name("batches".into()).spawn(work).map_err(|e| {
            Error::new(ErrorKind::Setting, format!("no thread could be started to prepare batches: {e}")).with_source(e)
        })?;
        Ok(Batches { receiver })
    }
}

impl Iterator for Batches {
    type Item = Result<LabelledBatch>;

    fn next(&mut self) -> Option<Self::Item> {
        self.receiver.recv().ok()
    }
}
