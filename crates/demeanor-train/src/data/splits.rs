//! Which recordings are learnt from, which choices are made with, and which only `eval` reads. Decided here and nowhere
//! else.
//!
//! The splits of RAVDESS are committed in `splits/ravdess.json`; [`draw`] made them, and a test draws them again. Other
//! sets are drawn by the same rules when they are loaded.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use demeanor::{Emotion, Error, ErrorKind, Result};
use rand::seq::SliceRandom;
use serde::{Deserialize, Serialize};

use super::speech::{Sex, SpeechClip, SpeechSet};
use super::stream;

/// Runs of the random protocol, folds of the speaker protocol, and the most folds of the sentence protocol.
pub const RUNS: usize = 5;

/// The actors of RAVDESS that each of EmoBox's six folds holds out (Ma et al. 2024, Interspeech).
const EMOBOX: [[u8; 4]; 6] =
    [[1, 11, 20, 21], [4, 10, 12, 14], [8, 9, 19, 23], [3, 5, 7, 24], [2, 15, 16, 18], [6, 13, 17, 22]];

/// The committed splits of RAVDESS.
const RAVDESS: &str = include_str!("../../splits/ravdess.json");

/// The part of the clips that is for test in the random protocol, as in the paper.
const TEST_PART: f64 = 0.2;

/// The part of the training clips that is set apart for validation in the random protocol.
const VALIDATION_PART: f64 = 0.1;

/// Speakers of each sex that are set apart for validation in the speaker protocol.
const VALIDATION_SPEAKERS: usize = 2;

/// How a set is divided for test.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// The paper's: a random fifth of the clips, of every emotion alike; every speaker is on both sides.
    Random,
    /// Whole speakers are held out: five folds, both sexes in each.
    Speaker,
    /// The six speaker folds of the benchmark EmoBox, for RAVDESS alone.
    EmoBox,
    /// Sentences are held out, in as many folds as there are sentences (at most five): every speaker is on both sides.
    Sentence,
    /// One corpus of several is held out.
    Corpus,
}

impl Protocol {
    /// All protocols.
    pub const ALL: [Protocol; 5] =
        [Protocol::Random, Protocol::Speaker, Protocol::EmoBox, Protocol::Sentence, Protocol::Corpus];

    /// The canonical name.
    pub const fn name(self) -> &'static str {
        match self {
            Protocol::Random => "random",
            Protocol::Speaker => "speaker",
            Protocol::EmoBox => "emobox",
            Protocol::Sentence => "sentence",
            Protocol::Corpus => "corpus",
        }
    }

    /// What is on which side, in a sentence for reports.
    pub const fn describe(self) -> &'static str {
        match self {
            Protocol::Random => {
                "a random fifth of the clips, of every emotion alike; every speaker is on both sides, so the figure says \
                 nothing of a voice that the model has not heard"
            }
            Protocol::Speaker => "five folds; no speaker of a test part was heard in training",
            Protocol::EmoBox => {
                "the six folds of EmoBox (Ma et al. 2024); no speaker of a test part was heard in training"
            }
            Protocol::Sentence => "sentences held out; every speaker is on both sides",
            Protocol::Corpus => {
                "a whole corpus held out; none of its speakers, sentences or microphones was heard in training"
            }
        }
    }

    /// Whether no speaker of a test part is heard in training.
    pub const fn holds_speakers_out(self) -> bool {
        matches!(self, Protocol::Speaker | Protocol::EmoBox | Protocol::Corpus)
    }

    /// What the model of a run is called after its recipe: `random0`, `fold0`, `emobox0` and so on.
    pub fn run_name(self, run: usize) -> String {
        match self {
            Protocol::Speaker => format!("fold{run}"),
            other => format!("{}{run}", other.name()),
        }
    }

    /// How many runs it has on a set.
    ///
    /// # Errors
    /// [`ErrorKind::Data`] when the set cannot be divided so: no clip of RAVDESS for EmoBox, fewer than two sentences or
    /// corpora.
    pub fn runs(self, set: &SpeechSet) -> Result<usize> {
        let refuse = |what: String| Err(Error::new(ErrorKind::Data, what));
        match self {
            Protocol::Random | Protocol::Speaker => Ok(RUNS),
            Protocol::EmoBox if set.corpora().iter().any(|c| c.is_ravdess) => Ok(EMOBOX.len()),
            Protocol::EmoBox => refuse("EmoBox's folds are known for RAVDESS alone, and the set is another".to_owned()),
            Protocol::Sentence => {
                let most = (0..set.corpora().len()).map(|c| sentences(set, c).len()).max().unwrap_or(0);
                if most < 2 {
                    return refuse(format!(
                        "the set has {most} known sentences; expected at least 2 to hold one out (the names of well-known \
                         corpora, or a table with a column \"sentence\" name them)"
                    ));
                }
                Ok(most.min(RUNS))
            }
            Protocol::Corpus => match set.corpora().len() {
                1 => refuse("one corpus; expected at least two to hold one out: give several with --data".to_owned()),
                corpora => Ok(corpora),
            },
        }
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Protocol {
    type Err = Error;

    /// Reads a canonical name.
    ///
    /// # Errors
    /// [`ErrorKind::Setting`] for another word.
    fn from_str(word: &str) -> Result<Self> {
        let lower = word.trim().to_ascii_lowercase();
        Protocol::ALL.into_iter().find(|p| p.name() == lower).ok_or_else(|| {
            let names = Protocol::ALL.map(Protocol::name).join(", ");
            Error::new(ErrorKind::Setting, format!("\"{word}\" is no protocol; expected one of {names}"))
        })
    }
}

/// The known sentences of a corpus, by name.
fn sentences(set: &SpeechSet, corpus: usize) -> Vec<String> {
    let all = set.clips.iter().filter(|c| c.corpus == corpus).filter_map(|c| c.sentence.clone());
    all.collect::<std::collections::BTreeSet<_>>().into_iter().collect()
}

/// Places of clips in their set, in order.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Fold {
    /// What is learnt from.
    pub train: Vec<usize>,
    /// What choices are made with: early stopping, calibration. Taken from the training side.
    pub validation: Vec<usize>,
    /// What only `eval` reads.
    pub test: Vec<usize>,
}

impl Fold {
    /// Training and validation clips together: for recipes that make no choice on the way.
    pub fn train_and_validation(&self) -> Vec<usize> {
        let mut all = [self.train.as_slice(), &self.validation].concat();
        all.sort_unstable();
        all
    }
}

/// All splits of a set, by name of clip or speaker.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Splits {
    /// The random protocol, seeds 0 to 4: clips, by file name without ending.
    pub random: Vec<Parts>,
    /// The speaker protocol: speakers.
    pub speaker: Vec<Parts>,
    /// EmoBox's folds: speakers.
    #[serde(default)]
    pub emobox: Vec<Parts>,
    /// The sentence protocol: sentences to hold out; clips to make choices with are drawn from the rest.
    #[serde(default)]
    pub sentence: Vec<Parts>,
}

/// One split; what is not named is for training.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Parts {
    /// For test.
    pub test: Vec<String>,
    /// For validation.
    pub validation: Vec<String>,
}

impl SpeechSet {
    /// The clips of a run: the seed (0 to 4) of the random protocol, the fold of the others. RAVDESS has committed splits;
    /// other corpora are drawn by the same rules. Of several corpora each is divided by itself, and one that cannot be
    /// divided so (fewer than five known speakers, sentences that are not known) is learnt from in every run.
    ///
    /// # Errors
    /// [`ErrorKind::Setting`] when there is no such run; [`ErrorKind::Data`] when the set cannot be divided so, such as
    /// the speaker protocol with fewer than five known speakers, or lacks all clips that the committed test part names.
    pub fn fold(&self, protocol: Protocol, run: usize) -> Result<Fold> {
        let runs = protocol.runs(self)?;
        if run >= runs {
            return Err(Error::new(ErrorKind::Setting, format!("there is no run {run}; expected 0 to {}", runs - 1)));
        }
        let corpora = self.corpora();
        let mut fold = Fold::default();
        for (corpus, about) in corpora.iter().enumerate() {
            let members: Vec<usize> = (0..self.clips.len()).filter(|&i| self.clips[i].corpus == corpus).collect();
            if protocol == Protocol::Corpus && corpus == run {
                fold.test.extend(members);
                continue;
            }
            // beside a corpus that is held out, choices are made with the validation speakers of the others
            let within = if protocol == Protocol::Corpus { Protocol::Speaker } else { protocol };
            let at = if protocol == Protocol::Corpus { 0 } else { run };
            let parts = match self.parts(corpus, about.is_ravdess, &members, within, at) {
                Ok(parts) => parts,
                Err(error) if corpora.len() == 1 => return Err(error),
                Err(_) => Parts::default(),
            };
            for i in members {
                let clip = &self.clips[i];
                let is_in = |names: &[String], key: &str| names.binary_search_by(|name| name.as_str().cmp(key)).is_ok();
                let own = if about.is_ravdess { clip.stem() } else { &clip.name };
                let key = match within {
                    Protocol::Random => own,
                    Protocol::Sentence => clip.sentence.as_deref().unwrap_or_default(),
                    _ => clip.speaker.as_deref().unwrap_or_default(),
                };
                let is_test = is_in(&parts.test, key);
                if protocol == Protocol::Corpus && is_test {
                    fold.train.push(i);
                } else if is_test {
                    fold.test.push(i);
                } else if is_in(&parts.validation, if within == Protocol::Sentence { own } else { key }) {
                    fold.validation.push(i);
                } else if !parts.test.is_empty() && within != Protocol::Random && key.is_empty() {
                    // nobody knows who speaks or what is said: it may be what is held out
                } else {
                    fold.train.push(i);
                }
            }
        }
        for part in [&mut fold.train, &mut fold.validation, &mut fold.test] {
            part.sort_unstable();
        }
        if fold.test.is_empty() || fold.train.is_empty() {
            return Err(Error::new(
                ErrorKind::Data,
                format!(
                    "run {run} of the {protocol} protocol has {} clips for training and {} for test; is the set whole?",
                    fold.train.len(),
                    fold.test.len()
                ),
            ));
        }
        Ok(fold)
    }

    /// The parts of a run of one corpus.
    fn parts(
        &self,
        corpus: usize,
        is_ravdess: bool,
        members: &[usize],
        protocol: Protocol,
        run: usize,
    ) -> Result<Parts> {
        let splits = if is_ravdess {
            committed()?
        } else if protocol == Protocol::EmoBox {
            return Err(Error::new(ErrorKind::Data, "EmoBox's folds are known for RAVDESS alone"));
        } else {
            draw(&self.bare(corpus, members), protocol)?
        };
        let all = match protocol {
            Protocol::Random => splits.random,
            Protocol::Speaker | Protocol::Corpus => splits.speaker,
            Protocol::EmoBox => splits.emobox,
            Protocol::Sentence => splits.sentence,
        };
        let count = all.len();
        let parts = all.into_iter().nth(run);
        parts.ok_or_else(|| Error::new(ErrorKind::Data, format!("the {protocol} splits have {count} runs")))
    }

    /// The clips of one corpus without their sound, as a set of its own.
    fn bare(&self, corpus: usize, members: &[usize]) -> SpeechSet {
        let place = |i: usize| members.binary_search(&i).ok();
        let clip = |&i: &usize| {
            let clip = &self.clips[i];
            SpeechClip {
                samples: Vec::new(),
                name: clip.name.clone(),
                speaker: clip.speaker.clone(),
                sentence: clip.sentence.clone(),
                corpus: 0,
                same_as: clip.same_as.and_then(place),
                ..*clip
            }
        };
        let is_ravdess = self.corpora().get(corpus).is_some_and(|c| c.is_ravdess);
        SpeechSet { clips: members.iter().map(clip).collect(), is_ravdess, ..SpeechSet::default() }
    }

    /// A fold that learns from every clip, for the final fit of a recipe whose figures come from the folds.
    pub fn everything(&self) -> Fold {
        Fold { train: (0..self.clips.len()).collect(), ..Fold::default() }
    }
}

/// The committed splits of RAVDESS.
///
/// # Errors
/// [`ErrorKind::Data`] when the list in this build is broken.
pub fn committed() -> Result<Splits> {
    serde_json::from_str(RAVDESS).map_err(|e| {
        Error::new(ErrorKind::Data, format!("the committed splits of RAVDESS are broken: {e}")).with_source(e)
    })
}

/// Draws the splits of a set; those of the other protocol are empty. They depend on names, labels, speakers and sexes
/// alone. Recordings that are the same (RAVDESS has a pair) stay on one side.
///
/// # Errors
/// [`ErrorKind::Data`] for the speaker protocol with fewer than five known speakers.
pub fn draw(set: &SpeechSet, protocol: Protocol) -> Result<Splits> {
    let mut splits = Splits::default();
    match protocol {
        Protocol::Random => splits.random = (0..RUNS as u64).map(|seed| draw_clips(set, seed)).collect(),
        Protocol::Speaker | Protocol::Corpus => splits.speaker = draw_speakers(set)?,
        Protocol::EmoBox => splits.emobox = emobox(set),
        Protocol::Sentence => splits.sentence = draw_sentences(set)?,
    }
    Ok(splits)
}

/// EmoBox's folds of RAVDESS; choices are made with two speakers of each sex of the training side.
fn emobox(set: &SpeechSet) -> Vec<Parts> {
    let mut by_sex: BTreeMap<Option<Sex>, Vec<String>> = BTreeMap::new();
    for (name, (sex, _)) in set.speakers() {
        by_sex.entry(sex).or_default().push(name);
    }
    let part = |(f, actors): (usize, &[u8; 4])| {
        let test: Vec<String> = actors.iter().map(|actor| format!("{actor:02}")).collect();
        let mut validation = Vec::new();
        for (i, group) in by_sex.values().enumerate() {
            let mut rest: Vec<&String> = group.iter().filter(|name| !test.contains(name)).collect();
            rest.shuffle(&mut stream(1 + f as u64, 0x656d_6f62_6f78, i as u64));
            validation.extend(rest.into_iter().take(VALIDATION_SPEAKERS).cloned());
        }
        validation.sort();
        Parts { test, validation }
    };
    EMOBOX.iter().enumerate().map(part).collect()
}

/// Deals the sentences to folds; a tenth of the clips of the others, of each emotion, is for choices.
fn draw_sentences(set: &SpeechSet) -> Result<Vec<Parts>> {
    let folds = Protocol::Sentence.runs(set)?;
    let mut all = sentences(set, 0);
    all.shuffle(&mut stream(0, 0x7365_6e74, 0));
    let part = |f: usize| {
        let mut test: Vec<String> = all.iter().skip(f).step_by(folds).cloned().collect();
        test.sort();
        let mut validation = Vec::new();
        for emotion in Emotion::ALL {
            let held_out = |c: &SpeechClip| c.sentence.as_ref().is_none_or(|s| test.binary_search(s).is_ok());
            let of = set.clips.iter().filter(|c| c.emotion == emotion && !held_out(c));
            let mut names: Vec<&str> = of.map(|c| if set.is_ravdess { c.stem() } else { &c.name }).collect();
            names.sort();
            names.shuffle(&mut stream(1 + f as u64, 0x7365_6e74, emotion.index() as u64));
            let count = (names.len() as f64 * VALIDATION_PART).round() as usize;
            validation.extend(names.into_iter().take(count).map(str::to_owned));
        }
        validation.sort();
        Parts { test, validation }
    };
    Ok((0..folds).map(part).collect())
}

/// Stratified: each emotion gives its share, rounded down; what is missing to the share of the whole comes from the
/// emotions with the largest remainders.
fn draw_clips(set: &SpeechSet, seed: u64) -> Parts {
    let key = |i: usize| if set.is_ravdess { set.clips[i].stem().to_string() } else { set.clips[i].name.clone() };
    let mut groups: BTreeMap<Emotion, Vec<usize>> = BTreeMap::new();
    for (i, clip) in set.clips.iter().enumerate() {
        groups.entry(clip.emotion).or_default().push(i);
    }
    for (emotion, group) in &mut groups {
        group.sort_by_key(|&i| key(i));
        group.shuffle(&mut stream(seed, 0x7370_6c69, emotion.index() as u64));
        // A repeated recording follows its twin, so that no cut falls between them (but for the last of a group).
        let repeats: Vec<usize> = group.iter().copied().filter(|&i| set.clips[i].same_as.is_some()).collect();
        for repeat in repeats {
            if let Some(twin) = set.clips[repeat].same_as
                && group.contains(&twin)
            {
                group.retain(|&i| i != repeat);
                let at = group.iter().position(|&i| i == twin).unwrap_or_default();
                group.insert(at, repeat);
            }
        }
    }
    let shares = |total: f64, groups: &BTreeMap<Emotion, Vec<usize>>| -> BTreeMap<Emotion, usize> {
        let all: usize = groups.values().map(Vec::len).sum();
        let exact: Vec<(Emotion, f64)> =
            groups.iter().map(|(&e, g)| (e, total * g.len() as f64 / all.max(1) as f64)).collect();
        let mut counts: BTreeMap<Emotion, usize> = exact.iter().map(|&(e, x)| (e, x as usize)).collect();
        let mut order = exact;
        order.shuffle(&mut stream(seed, 0x7368_6172, 0));
        order.sort_by(|a, b| b.1.fract().total_cmp(&a.1.fract()));
        let missing = (total.round() as usize).saturating_sub(counts.values().sum());
        for (emotion, _) in order.into_iter().take(missing) {
            *counts.entry(emotion).or_default() += 1;
        }
        counts
    };
    let mut take = |part: f64| {
        let total = groups.values().map(Vec::len).sum::<usize>() as f64 * part;
        let counts = shares(total.round(), &groups);
        let mut taken = Vec::new();
        for (emotion, group) in &mut groups {
            let mut count = counts.get(emotion).copied().unwrap_or_default().min(group.len());
            // Never between a recording and its repetition: exchange the repetition's pair with what stands behind.
            let splits_pair = |group: &[usize], at: usize| {
                at > 0 && at < group.len() && set.clips[group[at - 1]].same_as == Some(group[at])
            };
            if splits_pair(group, count) {
                let pair = count - 1;
                if group.len() > count + 1 {
                    group[pair..].rotate_left(2);
                } else {
                    count -= 1;
                }
            }
            taken.extend(group.drain(..count).map(key));
        }
        taken.sort();
        taken
    };
    let test = take(TEST_PART);
    let validation = take(VALIDATION_PART);
    Parts { test, validation }
}

/// Deals the speakers of each sex to five folds in turn, women from the first fold on and men from the last backwards, so
/// that both sexes and the number of speakers are as even as they can be.
fn draw_speakers(set: &SpeechSet) -> Result<Vec<Parts>> {
    let speakers = set.speakers();
    if speakers.len() < RUNS {
        return Err(Error::new(
            ErrorKind::Data,
            format!(
                "the set has {} known speakers; expected at least {RUNS} to hold speakers out (RAVDESS file names, folders \
                 of speakers, or a table with a column \"speaker\" name them)",
                speakers.len()
            ),
        ));
    }
    let mut by_sex: BTreeMap<Option<Sex>, Vec<String>> = BTreeMap::new();
    for (name, (sex, _)) in &speakers {
        by_sex.entry(*sex).or_default().push(name.clone());
    }
    for (i, group) in by_sex.values_mut().enumerate() {
        group.shuffle(&mut stream(0, 0x666f_6c64, i as u64));
    }
    let mut folds: Vec<Vec<String>> = vec![Vec::new(); RUNS];
    for (i, group) in by_sex.values().enumerate() {
        for (k, name) in group.iter().enumerate() {
            let fold = if i % 2 == 0 { k % RUNS } else { RUNS - 1 - k % RUNS };
            folds[fold].push(name.clone());
        }
    }
    let mut parts = Vec::new();
    for (f, test) in folds.iter().enumerate() {
        let mut validation = Vec::new();
        for (i, group) in by_sex.values().enumerate() {
            let mut rest: Vec<&String> = group.iter().filter(|name| !test.contains(name)).collect();
            rest.shuffle(&mut stream(1 + f as u64, 0x666f_6c64, i as u64));
            // A small set keeps at least half of its training speakers.
            let count = VALIDATION_SPEAKERS.min(rest.len() / 4);
            validation.extend(rest.into_iter().take(count).cloned());
        }
        let mut test = test.clone();
        test.sort();
        validation.sort();
        parts.push(Parts { test, validation });
    }
    Ok(parts)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::speech::Corpus;
    use crate::data::speech::tests::ravdess;

    /// RAVDESS's names without its sound.
    fn names() -> SpeechSet {
        let mut set = SpeechSet { is_ravdess: true, ..SpeechSet::default() };
        for actor in 1..=24 {
            for emotion in 1..=8 {
                for intensity in 1..=if emotion == 1 { 1 } else { 2 } {
                    for (sentence, repetition) in [(1, 1), (1, 2), (2, 1), (2, 2)] {
                        let stem =
                            format!("03-01-{emotion:02}-{intensity:02}-{sentence:02}-{repetition:02}-{actor:02}");
                        set.clips.push(SpeechClip {
                            samples: Vec::new(),
                            emotion: Emotion::RAVDESS[emotion - 1],
                            speaker: Some(format!("{actor:02}")),
                            sex: Some(if actor % 2 == 1 { Sex::Male } else { Sex::Female }),
                            same_as: (stem == "03-01-03-01-02-02-07").then(|| set.clips.len() - 1),
                            name: format!("Actor_{actor:02}/{stem}.wav"),
                            sentence: Some(sentence.to_string()),
                            corpus: 0,
                            hash: [0; 8],
                        });
                    }
                }
            }
        }
        set
    }

    #[test]
    fn the_committed_splits_are_the_drawn_ones() {
        let set = names();
        let drawn = Splits {
            random: draw(&set, Protocol::Random).unwrap().random,
            speaker: draw(&set, Protocol::Speaker).unwrap().speaker,
            emobox: draw(&set, Protocol::EmoBox).unwrap().emobox,
            sentence: draw(&set, Protocol::Sentence).unwrap().sentence,
        };
        if std::env::var_os("WRITE_SPLITS").is_some() {
            let path = concat!(env!("CARGO_MANIFEST_DIR"), "/splits/ravdess.json");
            std::fs::write(path, serde_json::to_string_pretty(&drawn).unwrap() + "\n").unwrap();
        } else {
            assert_eq!(drawn, committed().unwrap());
        }
    }

    #[test]
    fn random_splits_are_the_papers_and_stratified() {
        let set = names();
        assert_eq!(set.clips.len(), 1440);
        for seed in 0..RUNS {
            let fold = set.fold(Protocol::Random, seed).unwrap();
            assert_eq!((fold.train_and_validation().len(), fold.test.len()), (1152, 288));
            assert_eq!(fold.validation.len(), 115);
            for emotion in Emotion::RAVDESS {
                let count = fold.test.iter().filter(|&&i| set.clips[i].emotion == emotion).count();
                assert!(if emotion == Emotion::Neutral { count == 19 } else { (38..=39).contains(&count) }, "{count}");
            }
            let side = |stem: &str| fold.test.iter().any(|&i| set.clips[i].stem() == stem);
            assert_eq!(side("03-01-03-01-02-01-07"), side("03-01-03-01-02-02-07"));
        }
    }

    #[test]
    fn speaker_folds_hold_each_actor_out_once_and_share_none() {
        let set = names();
        let mut held_out = Vec::new();
        for k in 0..RUNS {
            let fold = set.fold(Protocol::Speaker, k).unwrap();
            let actors = |indices: &[usize]| {
                let mut actors: Vec<_> = indices.iter().filter_map(|&i| set.clips[i].speaker.clone()).collect();
                actors.sort();
                actors.dedup();
                actors
            };
            let (train, validation, test) = (actors(&fold.train), actors(&fold.validation), actors(&fold.test));
            assert!(train.iter().all(|a| !test.contains(a) && !validation.contains(a)));
            assert!(validation.iter().all(|a| !test.contains(a)));
            assert_eq!(validation.len(), 4);
            let women = test.iter().filter(|a| a.parse::<u32>().unwrap() % 2 == 0).count();
            assert!((2..=3).contains(&women) && (2..=3).contains(&(test.len() - women)), "{test:?}");
            held_out.extend(test);
        }
        held_out.sort();
        held_out.dedup();
        assert_eq!(held_out.len(), 24);
    }

    #[test]
    fn emobox_holds_its_own_actors_out() {
        let set = names();
        assert_eq!(Protocol::EmoBox.runs(&set).unwrap(), 6);
        let mut held_out = Vec::new();
        for (k, actors) in EMOBOX.iter().enumerate() {
            let fold = set.fold(Protocol::EmoBox, k).unwrap();
            let speakers = |part: &[usize]| -> std::collections::BTreeSet<u8> {
                part.iter().map(|&i| set.clips[i].speaker.as_ref().unwrap().parse().unwrap()).collect()
            };
            assert_eq!(speakers(&fold.test), actors.iter().copied().collect());
            assert_eq!((fold.test.len(), fold.validation.len(), fold.train.len()), (240, 240, 960));
            assert!(speakers(&fold.validation).is_disjoint(&speakers(&fold.train)));
            assert!(speakers(&fold.test).is_disjoint(&speakers(&fold.train)));
            held_out.extend(*actors);
        }
        held_out.sort_unstable();
        assert_eq!(held_out, (1..=24).collect::<Vec<u8>>());
        assert!(set.fold(Protocol::EmoBox, 6).is_err());
        let other = SpeechSet { is_ravdess: false, ..names() };
        assert!(other.fold(Protocol::EmoBox, 0).unwrap_err().to_string().contains("RAVDESS alone"));
    }

    #[test]
    fn a_sentence_is_held_out_with_all_its_clips() {
        let set = names();
        assert_eq!(Protocol::Sentence.runs(&set).unwrap(), 2);
        for run in 0..2 {
            let fold = set.fold(Protocol::Sentence, run).unwrap();
            assert_eq!((fold.test.len(), fold.validation.len(), fold.train.len()), (720, 75, 645));
            let said = |part: &[usize]| part.iter().map(|&i| set.clips[i].sentence.clone()).collect::<Vec<_>>();
            assert!(said(&fold.train).iter().all(|s| !said(&fold.test).contains(s)));
        }
        let mut unknown = names();
        unknown.clips.iter_mut().for_each(|c| c.sentence = None);
        unknown.is_ravdess = false;
        assert!(unknown.fold(Protocol::Sentence, 0).unwrap_err().to_string().contains("0 known sentences"));
    }

    #[test]
    fn corpora_are_divided_each_by_itself_and_one_can_be_held_out() {
        let mut set = names();
        let own = set.clips.len();
        for speaker in 0..6 {
            for (k, emotion) in [Emotion::Angry, Emotion::Happy, Emotion::Sad].into_iter().enumerate() {
                set.clips.push(SpeechClip {
                    emotion,
                    // names that RAVDESS has too: another corpus's speakers are other people
                    speaker: Some(format!("{:02}", speaker + 1)),
                    sex: None,
                    name: format!("other/{speaker}-{k}.wav"),
                    sentence: None,
                    corpus: 1,
                    same_as: None,
                    samples: Vec::new(),
                    hash: [0; 8],
                });
            }
        }
        let corpus = |name: &str, is_ravdess| Corpus { name: name.to_owned(), is_ravdess };
        set.corpora = vec![corpus("ravdess", true), corpus("other", false)];
        set.is_ravdess = false;
        for run in 0..RUNS {
            let fold = set.fold(Protocol::Speaker, run).unwrap();
            let alone = names().fold(Protocol::Speaker, run).unwrap();
            let of_ravdess: Vec<usize> = fold.test.iter().copied().filter(|&i| i < own).collect();
            assert_eq!(of_ravdess, alone.test, "the committed folds of RAVDESS hold beside other corpora");
            let people = |part: &[usize]| -> std::collections::BTreeSet<(usize, String)> {
                part.iter().map(|&i| (set.clips[i].corpus, set.clips[i].speaker.clone().unwrap())).collect()
            };
            assert!(people(&fold.test).is_disjoint(&people(&fold.train)));
            assert!(people(&fold.validation).is_disjoint(&people(&fold.train)));
            assert!(fold.test.iter().any(|&i| i >= own), "the other corpus is tested too");
        }
        // EmoBox's folds are RAVDESS's: the other corpus is learnt from
        let fold = set.fold(Protocol::EmoBox, 0).unwrap();
        assert!(fold.test.iter().all(|&i| i < own) && (own..set.clips.len()).all(|i| fold.train.contains(&i)));
        assert_eq!(Protocol::Corpus.runs(&set).unwrap(), 2);
        let fold = set.fold(Protocol::Corpus, 1).unwrap();
        assert_eq!(fold.test, (own..set.clips.len()).collect::<Vec<_>>());
        assert_eq!((fold.train.len(), fold.validation.len()), (1200, 240));
        assert!(names().fold(Protocol::Corpus, 0).unwrap_err().to_string().contains("one corpus"));
        // three speakers cannot be held out in five folds: they are learnt from in all
        set.clips.retain(|c| c.corpus == 0 || c.speaker.as_deref() < Some("04"));
        let fold = set.fold(Protocol::Speaker, 0).unwrap();
        assert!(fold.test.iter().all(|&i| i < own) && (own..set.clips.len()).all(|i| fold.train.contains(&i)));
    }

    #[test]
    fn sets_without_speakers_and_runs_that_do_not_exist_are_refused() {
        let mut set = names();
        assert_eq!(set.fold(Protocol::Random, 5).unwrap_err().kind(), ErrorKind::Setting);
        set.is_ravdess = false;
        assert_eq!(set.fold(Protocol::Random, 0).unwrap().test.len(), 288);
        assert_eq!(set.fold(Protocol::Speaker, 4).unwrap().validation.len(), 240);
        set.clips.iter_mut().for_each(|c| c.speaker = None);
        let error = set.fold(Protocol::Speaker, 0).unwrap_err().to_string();
        assert!(error.contains("0 known speakers"), "{error}");
    }

    #[test]
    fn the_committed_names_are_those_of_the_files() {
        let Some(path) = ravdess() else { return };
        let splits = committed().unwrap();
        let mut stems = Vec::new();
        for actor in std::fs::read_dir(path).unwrap() {
            for file in std::fs::read_dir(actor.unwrap().path()).unwrap() {
                stems.push(file.unwrap().path().file_stem().unwrap().to_string_lossy().into_owned());
            }
        }
        stems.sort();
        for parts in &splits.random {
            assert!(parts.test.iter().chain(&parts.validation).all(|n| stems.binary_search(n).is_ok()));
        }
    }
}
