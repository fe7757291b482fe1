//! Examples to batches: edited, prepared by the library's own preparation, one batch ahead of the network.

use std::collections::BTreeMap;
use std::sync::mpsc::{Receiver, sync_channel};
use std::sync::{Arc, OnceLock};
use std::thread;

use demeanor::face::prepare::{FacePreparer, FaceRecipe};
use demeanor::speech::prepare::{Features, SpeechPreparer, SpeechRecipe};
use demeanor::{Audio, Emotion, Error, ErrorKind, Frame, PixelLayout, Result, training};
use rand::RngExt;
use rand::seq::{IndexedRandom, SliceRandom};
use rayon::prelude::*;

use super::faces::FaceSet;
use super::speech::{RATE, SpeechSet};
use super::votes::VoteModel;
use super::{output, stream};
use crate::augment::faces::FaceAugment;
use crate::augment::speech::{Noise, SpeechAugment, mix_voices};
use crate::engine::Batch;

/// Prepared inputs with what the network should say of them.
#[derive(Debug, Clone)]
pub struct LabelledBatch {
    /// The inputs.
    pub batch: Batch,
    /// `[count, labels]`: the probability that each label should get; each row sums to 1.
    pub targets: Vec<f32>,
    /// `[count, labels]`: labels that the corpus of an example does not have, which its loss leaves out; empty when none
    /// is.
    pub masked: Vec<bool>,
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

    /// The order in which an epoch visits these examples, which seed and epoch alone decide: each once, unless the source
    /// balances what they are of.
    fn order(&self, indices: &[usize], seed: u64, epoch: u64) -> Vec<usize> {
        shuffled(indices, seed, epoch)
    }

    /// Prepares a batch on all cores; the same arguments give the same batch.
    ///
    /// # Errors
    /// Those of the preparation, and [`ErrorKind::Data`] for a place that the set does not have.
    fn batch(&self, indices: &[usize], place: Place) -> Result<LabelledBatch>;
}

/// Where targets come from.
#[derive(Debug, Clone, PartialEq, Default)]
pub enum FaceTargets {
    /// All for the one label of the set.
    #[default]
    Label,
    /// The shares of the FER+ votes, and the label where a picture has none.
    Votes {
        /// The part that the votes make; the label makes the rest. 0 to 1.
        part: f32,
    },
    /// How the set labels pictures with such votes, and the label where a picture has none.
    VotesAsLabels {
        /// The part that the votes make; the label makes the rest. 0 to 1.
        part: f32,
        /// What votes say of labels.
        model: VoteModel,
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
        let label = output(&self.labels, picture.emotion, &picture.name)?;
        let part = match &self.targets {
            FaceTargets::Label => 0.0,
            FaceTargets::Votes { part } => {
                picture.vote_shares(&self.labels, target);
                *part
            }
            FaceTargets::VotesAsLabels { part, model } => picture.votes.as_ref().map_or(0.0, |votes| {
                model.posterior(votes, target);
                *part
            }),
        };
        target.iter_mut().for_each(|t| *t *= part);
        target[label] += 1.0 - part;
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
        let edit = |augment: &FaceAugment| {
            let edited = indices.par_iter().enumerate().map(|(i, &index)| {
                let picture = self.set.pictures[index].pixels.picture()?;
                let mut random = stream(place.seed, place.epoch, place.first + i as u64);
                augment.apply(&picture.frame(), size, &mut random)
            });
            edited.collect::<Result<Vec<Vec<u8>>>>()
        };
        let edited = self.augment.as_ref().map(edit).transpose()?;
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
                || FacePreparer::new(&self.recipe),
                |preparer, (i, (values, target))| {
                    let preparer = preparer.as_mut().map_err(|e| Error::new(e.kind(), e.to_string()))?;
                    let Some(edited) = &edited else {
                        let picture = self.set.pictures[indices[i]].pixels.picture()?;
                        values.copy_from_slice(preparer.prepare(&picture.frame(), None)?.values());
                        return Ok::<(), Error>(());
                    };
                    let mut picture = edited[i].clone();
                    let mut random = stream(place.seed ^ MIXING, place.epoch, place.first + i as u64);
                    if let Some(mix) = self.augment.as_ref().and_then(|a| a.mix(size, &mut random)) {
                        let other = random.random_range(0..count);
                        mix.apply(&mut picture, &edited[other]);
                        let keep = mix.keep();
                        for (t, o) in target.iter_mut().zip(&own[other * outputs..]) {
                            *t = keep * *t + (1.0 - keep) * o;
                        }
                    }
                    let frame = Frame::new(&picture, size, size, PixelLayout::Grey8)?;
                    values.copy_from_slice(preparer.prepare(&frame, None)?.values());
                    Ok(())
                },
            )?;
        let batch = Batch { count, height: size, width: size, values, widths: Vec::new() };
        Ok(LabelledBatch { batch, targets, masked: Vec::new(), indices: indices.to_vec() })
    }
}

/// Speech as a source of batches: `[count, rows, widest]`, with each clip's frames in `widths`.
#[derive(Debug)]
pub struct SpeechSource {
    set: Arc<SpeechSet>,
    recipe: SpeechRecipe,
    labels: Vec<Emotion>,
    augment: Option<SpeechAugment>,
    /// Clips that babble is made of: training clips only.
    others: Vec<usize>,
    /// By corpus, the clips that its voices are mixed with: training clips of that corpus, for two corpora do not have the
    /// same labels.
    partners: Vec<Vec<usize>>,
    /// By corpus and label, whether the corpus does not have it though another has; empty when all have all.
    lacking: Vec<Vec<bool>>,
    /// Features of clips whose samples were not edited, kept once computed.
    kept: Vec<OnceLock<Vec<f32>>>,
}

impl SpeechSource {
    /// Clips of a set, prepared by a recipe (with the means and deviations that the model will have). `others` are the
    /// training clips, which babble is made of.
    pub fn new(
        set: Arc<SpeechSet>,
        recipe: SpeechRecipe,
        labels: Vec<Emotion>,
        augment: Option<SpeechAugment>,
        others: Vec<usize>,
    ) -> Self {
        let kept = (0..set.clips.len()).map(|_| OnceLock::new()).collect();
        let others: Vec<usize> = others.into_iter().filter(|&i| i < set.clips.len()).collect();
        let corpora = 0..set.corpora().len();
        let fits = |i: usize, corpus: usize| set.clips[i].corpus == corpus && labels.contains(&set.clips[i].emotion);
        let of = |corpus: usize| others.iter().copied().filter(|&i| fits(i, corpus)).collect();
        let partners = corpora.map(of).collect();
        let lacking: Vec<Vec<bool>> =
            set.lacking().iter().map(|lacking| labels.iter().map(|l| lacking.contains(l)).collect()).collect();
        let lacking = if lacking.iter().flatten().any(|l| *l) { lacking } else { Vec::new() };
        SpeechSource { set, recipe, labels, augment, others, partners, lacking, kept }
    }

    fn label(&self, index: usize) -> Result<usize> {
        let clip = &self.set.clips[index];
        output(&self.labels, clip.emotion, &clip.name)
    }

    /// Edited features of a clip, frame by frame, as the network will see them; adds to its target.
    fn clip(
        &self,
        index: usize,
        number: u64,
        place: Place,
        target: &mut [f32],
        preparer: &mut SpeechPreparer,
    ) -> Result<Vec<f32>> {
        let clip = &self.set.clips[index];
        let rows = self.recipe.rows();
        target[self.label(index)?] += 1.0;
        let mut values = Vec::new();
        if let Some(augment) = &self.augment {
            let mut random = stream(place.seed, place.epoch, number);
            let mut mixing = stream(place.seed ^ MIXING, place.epoch, number);
            let mut samples = clip.samples.clone();
            let mut edited = false;
            if let Some(keep) = augment.mix(&mut mixing)
                && let Some(&other) = self.partners.get(clip.corpus).and_then(|p| p.choose(&mut mixing))
            {
                mix_voices(&mut samples, &self.set.clips[other].samples, keep);
                target.iter_mut().for_each(|t| *t *= keep);
                target[self.label(other)?] += 1.0 - keep;
                edited = true;
            }
            let others: Vec<&[f32]> = if augment.noise_kinds.contains(&Noise::Babble) {
                self.others.iter().map(|&i| self.set.clips[i].samples.as_slice()).collect()
            } else {
                Vec::new()
            };
            edited |= augment.apply(&mut samples, &others, &mut random);
            if edited {
                training::features(preparer, &Audio::new(&samples, 1, RATE)?, &mut values)?;
            } else {
                values.clone_from(self.unedited(index, preparer)?);
            }
            if augment.edits_features() {
                let log_mel = matches!(self.recipe.features, Features::LogMel { .. });
                let most = self.recipe.max_frames;
                augment.apply_to_features(&mut values, rows, most, log_mel, &self.recipe.mean, &mut random);
            }
        } else {
            values.clone_from(self.unedited(index, preparer)?);
        }
        training::standardise(&self.recipe, &mut values);
        Ok(values)
    }

    /// The labels that the loss of each of these clips leaves out.
    fn masked(&self, indices: &[usize]) -> Vec<bool> {
        if self.lacking.is_empty() {
            return Vec::new();
        }
        let of = |&i: &usize| self.set.clips.get(i).and_then(|c| self.lacking.get(c.corpus));
        indices.iter().filter_map(of).flatten().copied().collect()
    }

    fn unedited(&self, index: usize, preparer: &mut SpeechPreparer) -> Result<&Vec<f32>> {
        if self.kept[index].get().is_none() {
            let mut values = Vec::new();
            training::features(preparer, &self.set.clips[index].audio()?, &mut values)?;
            // Another thread may have been faster; its values are the same.
            let _ = self.kept[index].set(values);
        }
        self.kept[index].get().ok_or_else(|| Error::new(ErrorKind::Data, "features were lost"))
    }
}

impl Source for SpeechSource {
    fn labels(&self) -> &[Emotion] {
        &self.labels
    }

    fn order(&self, indices: &[usize], seed: u64, epoch: u64) -> Vec<usize> {
        if self.set.corpora().len() < 2 {
            return shuffled(indices, seed, epoch);
        }
        let clip = |&i: &usize| self.set.clips.get(i).map(|c| (c.corpus, c.emotion, c.speaker.as_deref()));
        let groups: Vec<_> = indices.iter().map(clip).collect();
        balanced(indices, &groups, seed, epoch)
    }

    fn batch(&self, indices: &[usize], place: Place) -> Result<LabelledBatch> {
        let (count, outputs, rows) = (indices.len(), self.labels.len(), self.recipe.rows());
        if let Some(&index) = indices.iter().find(|&&i| i >= self.set.clips.len()) {
            return Err(Error::new(
                ErrorKind::Data,
                format!("there is no clip {index} in a set of {}", self.set.clips.len()),
            ));
        }
        let mut targets = vec![0.0; count * outputs];
        let clips: Vec<Vec<f32>> = indices
            .par_iter()
            .zip(targets.par_chunks_exact_mut(outputs))
            .enumerate()
            .map_init(
                || SpeechPreparer::new(&self.recipe),
                |preparer, (i, (&index, target))| {
                    let preparer = preparer.as_mut().map_err(|e| Error::new(e.kind(), e.to_string()))?;
                    self.clip(index, place.first + i as u64, place, target, preparer).map_err(|e| {
                        Error::new(e.kind(), format!("{}: {e}", self.set.clips[index].name)).with_source(e)
                    })
                },
            )
            .collect::<Result<_>>()?;
        let widths: Vec<usize> = clips.iter().map(|c| c.len() / rows).collect();
        let width = widths.iter().copied().max().unwrap_or_default();
        let mut values = vec![0.0; count * rows * width];
        values.par_chunks_exact_mut((rows * width).max(1)).zip(&clips).for_each(|(plane, clip)| {
            for (t, frame) in clip.chunks_exact(rows).enumerate() {
                for (row, &value) in plane.chunks_exact_mut(width).zip(frame) {
                    row[t] = value;
                }
            }
        });
        Ok(LabelledBatch {
            batch: Batch { count, height: rows, width, values, widths },
            targets,
            masked: self.masked(indices),
            indices: indices.to_vec(),
        })
    }
}

/// The order in which an epoch visits examples: a shuffle that depends on seed and epoch alone.
pub fn shuffled(indices: &[usize], seed: u64, epoch: u64) -> Vec<usize> {
    let mut order = indices.to_vec();
    order.shuffle(&mut stream(seed, epoch, u64::MAX));
    order
}

/// An order of as many examples as there are, in which each class comes alike often; `classes` has that of each example.
pub fn balanced_classes(indices: &[usize], classes: &[usize], seed: u64, epoch: u64) -> Vec<usize> {
    let groups: Vec<_> = classes.iter().map(|&class| Some(((), class, ()))).collect();
    balanced(indices, &groups, seed, epoch)
}

/// An order of as many examples as there are, in which corpora come alike often, within each its emotions, within those
/// their speakers: an example of a small group comes several times, one of a large group perhaps in another epoch. Each
/// comes as often as its share says, rounded down or up (systematic sampling). `groups` has the corpus, the emotion and
/// the speaker of each example.
fn balanced<C: Ord, E: Ord, S: Ord>(
    indices: &[usize],
    groups: &[Option<(C, E, S)>],
    seed: u64,
    epoch: u64,
) -> Vec<usize> {
    let mut tree: BTreeMap<&C, BTreeMap<&E, BTreeMap<&S, usize>>> = BTreeMap::new();
    for (corpus, emotion, speaker) in groups.iter().flatten() {
        *tree.entry(corpus).or_default().entry(emotion).or_default().entry(speaker).or_default() += 1;
    }
    let share = |group: &Option<(C, E, S)>| -> f64 {
        let Some((corpus, emotion, speaker)) = group else { return 0.0 };
        let emotions = tree.get(corpus);
        let speakers = emotions.and_then(|e| e.get(emotion));
        let count = speakers.and_then(|s| s.get(speaker));
        let parts = [Some(tree.len()), emotions.map(BTreeMap::len), speakers.map(BTreeMap::len), count.copied()];
        parts.into_iter().flatten().map(|n| 1.0 / n as f64).product()
    };
    // group by group, so that each group has its share to within one; within a group in a random order, so that not the same
    // examples are rounded up in each epoch
    let mut places: Vec<usize> = (0..indices.len().min(groups.len())).collect();
    let mut random = stream(seed, epoch, u64::MAX);
    places.shuffle(&mut random);
    places.sort_by_key(|&place| &groups[place]);
    let total = indices.len() as f64;
    let mut next: f64 = random.random_range(0.0..1.0);
    let (mut sum, mut order) = (0.0, Vec::with_capacity(indices.len()));
    for place in places {
        sum += total * share(&groups[place]);
        while next < sum && order.len() < indices.len() {
            order.push(indices[place]);
            next += 1.0;
        }
    }
    // rounding may leave the last place open
    while let Some(&first) = order.first().filter(|_| order.len() < indices.len()) {
        order.push(first);
    }
    order.shuffle(&mut random);
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Split;
    use crate::data::faces::FacePicture;
    use crate::data::speech::SpeechClip;
    use demeanor::face::prepare::{Scaling, prepare};
    use demeanor::speech::prepare::Level;
    use demeanor::{Hz, speech};

    fn faces() -> Arc<FaceSet> {
        let pictures = (0..20)
            .map(|i| FacePicture {
                pixels: crate::data::pixels::tests::grey(|p| ((p * (i + 3)) % 251) as u8),
                emotion: Emotion::FER[i % 7],
                votes: None,
                split: Split::Train,
                name: format!("{i}"),
                row: None,
                twin_in: [false; 3],
                about: Default::default(),
            })
            .collect();
        Arc::new(FaceSet { pictures, notes: Vec::new() })
    }

    fn face_source(augment: Option<FaceAugment>) -> FaceSource {
        FaceSource {
            set: faces(),
            recipe: FaceRecipe { size: 48, scaling: Scaling::Standardise, margin: 0.0 },
            labels: Emotion::FER.to_vec(),
            augment,
            targets: FaceTargets::Label,
        }
    }

    #[test]
    fn without_edits_a_batch_is_what_the_library_prepares() {
        let source = face_source(None);
        let batch = source.batch(&[3, 11], Place { seed: 0, epoch: 0, first: 0 }).unwrap();
        for (picture, values) in [3, 11].iter().zip(batch.batch.values.chunks_exact(48 * 48)) {
            let frame = source.set.pictures[*picture].pixels.picture().unwrap();
            let input = prepare(&frame.frame(), None, &source.recipe).unwrap();
            assert_eq!(input.values(), values);
        }
        assert_eq!(batch.targets[..7], [0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0]);
        assert!(source.batch(&[20], Place { seed: 0, epoch: 0, first: 0 }).is_err());
    }

    #[test]
    fn batches_do_not_depend_on_threads_and_targets_sum_to_1() {
        let augment = FaceAugment { rotate_deg: 20.0, mixup: 0.3, cutmix: 1.0, erase: 0.5, ..FaceAugment::default() };
        let source: Arc<dyn Source> = Arc::new(face_source(Some(augment)));
        let order = shuffled(&(0..20).collect::<Vec<_>>(), 5, 1);
        let epoch = || -> Vec<LabelledBatch> {
            Batches::start(source.clone(), order.clone(), 6, 5, 1).unwrap().map(Result::unwrap).collect()
        };
        let all = epoch();
        let single = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
        let alone = single.install(|| source.batch(&order[6..12], Place { seed: 5, epoch: 1, first: 6 }).unwrap());
        assert_eq!(all.iter().map(|b| b.batch.count).collect::<Vec<_>>(), [6, 6, 6, 2]);
        assert_eq!((&all[1].batch.values, &all[1].targets), (&alone.batch.values, &alone.targets));
        for row in all.iter().flat_map(|b| b.targets.chunks_exact(7)) {
            assert!((row.iter().sum::<f32>() - 1.0).abs() < 1e-5, "{row:?}");
        }
        assert!(Batches::start(source, order, 0, 0, 0).is_err());
    }

    fn speech_source(augment: Option<SpeechAugment>) -> SpeechSource {
        let clips = (0..6)
            .map(|i| SpeechClip {
                samples: (0..8000 + 1000 * i)
                    .map(|t| ((t * (i + 7)) as f32 * 0.01).sin() * (t as f32 * 0.001).cos())
                    .collect(),
                emotion: Emotion::RAVDESS[i],
                speaker: None,
                sex: None,
                name: format!("{i}.wav"),
                sentence: None,
                corpus: 0,
                same_as: None,
                hash: [0; 8],
            })
            .collect();
        let set = Arc::new(SpeechSet { clips, ..SpeechSet::default() });
        let mut recipe = SpeechRecipe {
            rate: Hz(16_000),
            high_pass_hz: None,
            trim_db: Some(30.0),
            level: Level::Peak,
            frame: 400,
            hop: 160,
            fft: 512,
            features: Features::LogMel { bands: 64, floor: 1e-4 },
            max_frames: 300,
            mean: Vec::new(),
            deviation: Vec::new(),
        };
        (recipe.mean, recipe.deviation) = set.statistics(&[0, 1, 2, 3, 4, 5], &recipe).unwrap();
        SpeechSource::new(set, recipe, Emotion::RAVDESS.to_vec(), augment, vec![0, 1, 2])
    }

    #[test]
    fn a_batch_of_speech_is_what_the_library_prepares_turned_and_padded() {
        let source = speech_source(None);
        let found = source.batch(&[0, 5], Place { seed: 0, epoch: 0, first: 0 }).unwrap();
        let batch = &found.batch;
        assert_eq!((batch.count, batch.height), (2, 64));
        for (i, clip) in [0, 5].into_iter().enumerate() {
            let input = speech::prepare::prepare(&source.set.clips[clip].audio().unwrap(), &source.recipe).unwrap();
            assert_eq!(batch.widths[i], input.frames());
            for row in 0..64 {
                for t in 0..batch.width {
                    let expected = if t < input.frames() { input.values()[t * 64 + row] } else { 0.0 };
                    assert_eq!(batch.values[(i * 64 + row) * batch.width + t], expected);
                }
            }
        }
        assert_eq!(found.targets[8 + 5], 1.0);
    }

    #[test]
    fn classes_come_alike_often_and_all_examples_in_some_epoch() {
        // ten times as many of class 0 as of class 1
        let classes: Vec<usize> = (0..110).map(|i| usize::from(i >= 100)).collect();
        let indices: Vec<usize> = (500..610).collect();
        let mut seen = std::collections::BTreeSet::new();
        for epoch in 0..12 {
            let order = balanced_classes(&indices, &classes, 3, epoch);
            assert_eq!(order.len(), 110);
            let rare = order.iter().filter(|&&i| i >= 600).count();
            assert!((54..=56).contains(&rare), "{rare}");
            seen.extend(order);
        }
        assert_eq!(seen.len(), 110);
        assert_ne!(balanced_classes(&indices, &classes, 3, 0), balanced_classes(&indices, &classes, 3, 1));
    }

    #[test]
    fn an_order_is_balanced_over_corpora_emotions_and_speakers() {
        // 90 clips of one corpus (two emotions, 60 and 30; two speakers) and 10 of another (one emotion, one speaker)
        let group = |i: usize| match i {
            0..60 => Some((0, "happy", i % 2)),
            60..90 => Some((0, "sad", usize::from(i >= 85))),
            _ => Some((1, "sad", 0)),
        };
        let indices: Vec<usize> = (0..100).collect();
        let groups: Vec<_> = indices.iter().map(|&i| group(i)).collect();
        let order = balanced(&indices, &groups, 7, 0);
        let count = |range: std::ops::Range<usize>| order.iter().filter(|i| range.contains(i)).count() as i32;
        assert_eq!(order.len(), 100);
        for (range, wanted) in [(90..100, 50), (0..60, 25), (60..85, 12), (85..90, 12)] {
            assert!((count(range.clone()) - wanted).abs() <= 1, "{range:?}: {}", count(range.clone()));
        }
        assert!((90..100).all(|i| count(i..i + 1) == 5), "each comes as often as the others of its group");
        assert_eq!(order, balanced(&indices, &groups, 7, 0));
        assert_ne!(order, balanced(&indices, &groups, 7, 1));
        assert!(balanced::<u8, u8, u8>(&[], &[], 0, 0).is_empty());
    }

    #[test]
    fn what_a_corpus_lacks_is_masked_and_its_voices_are_mixed_among_themselves() {
        let base = speech_source(None);
        let mut set = SpeechSet::clone(&base.set);
        set.corpora =
            ["a", "b"].map(|name| crate::data::speech::Corpus { name: name.to_owned(), is_ravdess: false }).to_vec();
        // corpus b has the emotions at 3, 4, 5 and the one at 0
        for (i, clip) in set.clips.iter_mut().enumerate() {
            clip.corpus = usize::from(i >= 3);
        }
        set.clips.push(SpeechClip { emotion: Emotion::RAVDESS[0], corpus: 1, ..set.clips[5].clone() });
        let augment = SpeechAugment { mixup: 1.0, mix_chance: 1.0, ..SpeechAugment::default() };
        let others = (0..7).collect();
        let source =
            SpeechSource::new(Arc::new(set), base.recipe.clone(), Emotion::RAVDESS.to_vec(), Some(augment), others);
        let batch = source.batch(&[0, 1, 2, 3, 4, 5, 6], Place { seed: 1, epoch: 0, first: 0 }).unwrap();
        assert_eq!(batch.masked.len(), 7 * 8);
        for (i, masked) in batch.masked.chunks_exact(8).enumerate() {
            // the emotions at 6 and 7 are in neither: no corpus says that they exist, and they count as absent
            let expected = if i < 3 {
                [false, false, false, true, true, true, false, false]
            } else {
                [false, true, true, false, false, false, false, false]
            };
            assert_eq!(masked, expected, "{i}");
        }
        for (targets, masked) in batch.targets.chunks_exact(8).zip(batch.masked.chunks_exact(8)) {
            assert!(targets.iter().zip(masked).all(|(t, m)| !m || *t == 0.0), "{targets:?} {masked:?}");
        }
        assert!(base.batch(&[0], Place { seed: 1, epoch: 0, first: 0 }).unwrap().masked.is_empty());
    }

    #[test]
    fn batches_of_speech_repeat_and_their_targets_sum_to_1() {
        let augment = SpeechAugment {
            speed_chance: 0.5,
            noise_chance: 0.5,
            noise_kinds: vec![Noise::Babble, Noise::White],
            mixup: 0.5,
            mel_warp: 0.1,
            stretch: 0.15,
            band_masks: 2,
            time_masks: 2,
            ..SpeechAugment::default()
        };
        let place = Place { seed: 3, epoch: 2, first: 0 };
        let first = speech_source(Some(augment.clone())).batch(&[0, 1, 2, 3], place).unwrap();
        let second = speech_source(Some(augment)).batch(&[0, 1, 2, 3], place).unwrap();
        assert_eq!((first.batch.values, &first.targets), (second.batch.values, &second.targets));
        for row in first.targets.chunks_exact(8) {
            assert!((row.iter().sum::<f32>() - 1.0).abs() < 1e-5, "{row:?}");
        }
    }
}
