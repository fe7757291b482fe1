//! What is wrong with a data set, and what should be known of it before figures are believed.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};

use demeanor::{Emotion, Picture, Result};
use rayon::prelude::*;
use serde::Serialize;

use super::Split;
use super::faces::{FacePicture, FaceSet};
use super::speech::{LeftOut, RATE, SpeechSet};

/// What a check of pictures found.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FaceCheck {
    /// How many pictures.
    pub pictures: usize,
    /// Pictures of each emotion in train, validation and test.
    pub counts: BTreeMap<Emotion, [usize; 3]>,
    /// Pictures with FER+ votes.
    pub with_votes: usize,
    /// Names of pictures whose pixels are all equal.
    pub blank: Vec<String>,
    /// Pictures that equal an earlier one in every pixel; blank ones are not counted.
    pub duplicates: usize,
    /// Those of them that are labelled differently from the earlier one.
    pub duplicates_labelled_otherwise: usize,
    /// Pairs of twins: correlation more than 0.9, mirror images included.
    pub twin_pairs: usize,
    /// Pairs of twins with different labels.
    pub twin_pairs_labelled_otherwise: usize,
    /// Validation pictures with a twin in train.
    pub validation_twins_in_train: usize,
    /// Test pictures with a twin in train.
    pub test_twins_in_train: usize,
    /// Test pictures with a twin in validation.
    pub test_twins_in_validation: usize,
    /// Twins across splits, as pairs of names; the first twenty.
    pub examples: Vec<[String; 2]>,
    /// How the set was read.
    pub notes: Vec<String>,
}

/// Checks a set of pictures, and marks its twins on the way ([`FaceSet::mark_twins`]).
///
/// # Errors
/// Those of reading a picture that is too large to keep.
pub fn faces(set: &mut FaceSet) -> Result<FaceCheck> {
    let pairs = set.mark_twins()?;
    let pictures = &set.pictures;
    let keys = pictures.par_iter().map(|p| Ok(key(&*p.pixels.picture()?))).collect::<Result<Vec<_>>>()?;
    let mut counts: BTreeMap<Emotion, [usize; 3]> = BTreeMap::new();
    let mut first: HashMap<u64, &FacePicture> = HashMap::new();
    let (mut duplicates, mut otherwise) = (0, 0);
    for (picture, key) in pictures.iter().zip(keys) {
        counts.entry(picture.emotion).or_default()[picture.split.index()] += 1;
        if picture.pixels.is_blank() {
            continue;
        }
        let earlier = first.entry(key).or_insert(picture);
        if !std::ptr::eq(*earlier, picture) && earlier.pixels.picture()? == picture.pixels.picture()? {
            duplicates += 1;
            otherwise += usize::from(earlier.emotion != picture.emotion);
        }
    }
    let twins_in =
        |of: Split, other: Split| pictures.iter().filter(|p| p.split == of && p.twin_in[other.index()]).count();
    let across = pairs.iter().filter(|t| pictures[t.a].split != pictures[t.b].split);
    Ok(FaceCheck {
        pictures: pictures.len(),
        counts,
        with_votes: pictures.iter().filter(|p| p.votes.is_some()).count(),
        blank: pictures.iter().filter(|p| p.pixels.is_blank()).map(|p| p.name.clone()).collect(),
        duplicates,
        duplicates_labelled_otherwise: otherwise,
        twin_pairs: pairs.len(),
        twin_pairs_labelled_otherwise: pairs.iter().filter(|t| pictures[t.a].emotion != pictures[t.b].emotion).count(),
        validation_twins_in_train: twins_in(Split::Validation, Split::Train),
        test_twins_in_train: twins_in(Split::Test, Split::Train),
        test_twins_in_validation: twins_in(Split::Test, Split::Validation),
        examples: across.take(20).map(|t| [pictures[t.a].name.clone(), pictures[t.b].name.clone()]).collect(),
        notes: set.notes.clone(),
    })
}

/// A number that equal pictures share.
fn key(picture: &Picture) -> u64 {
    let mut hasher = DefaultHasher::new();
    (picture.width(), picture.height(), picture.layout(), picture.pixels()).hash(&mut hasher);
    hasher.finish()
}

impl fmt::Display for FaceCheck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} pictures, {} with FER+ votes", self.pictures, self.with_votes)?;
        writeln!(f, "{:<10}{:>8}{:>12}{:>8}", "", "train", "validation", "test")?;
        let mut sums = [0; 3];
        for (emotion, counts) in &self.counts {
            writeln!(f, "{:<10}{:>8}{:>12}{:>8}", emotion.name(), counts[0], counts[1], counts[2])?;
            sums.iter_mut().zip(counts).for_each(|(s, c)| *s += c);
        }
        writeln!(f, "{:<10}{:>8}{:>12}{:>8}", "all", sums[0], sums[1], sums[2])?;
        writeln!(f, "blank pictures: {}{}", self.blank.len(), named(&self.blank))?;
        writeln!(
            f,
            "exact duplicates: {}, of which {} are labelled otherwise",
            self.duplicates, self.duplicates_labelled_otherwise
        )?;
        writeln!(
            f,
            "twins (the same photograph, mirror images included): {} pairs, of which {} are labelled otherwise",
            self.twin_pairs, self.twin_pairs_labelled_otherwise
        )?;
        writeln!(
            f,
            "twins across splits: {} validation and {} test pictures have one in train, {} test pictures in validation",
            self.validation_twins_in_train, self.test_twins_in_train, self.test_twins_in_validation
        )?;
        if self.test_twins_in_train > 0 {
            writeln!(
                f,
                "  figures on the whole test split are flattered by them: report the part without twins as well"
            )?;
        }
        self.notes.iter().try_for_each(|note| writeln!(f, "note: {note}"))
    }
}

/// Up to three names in brackets.
fn named(names: &[String]) -> String {
    match names {
        [] => String::new(),
        [a] => format!(" ({a})"),
        [a, b] => format!(" ({a}, {b})"),
        [a, b, c] => format!(" ({a}, {b}, {c})"),
        [a, b, c, rest @ ..] => format!(" ({a}, {b}, {c} and {} more)", rest.len()),
    }
}

/// What a check of recordings found.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SpeechCheck {
    /// How many recordings.
    pub clips: usize,
    /// Recordings of each emotion.
    pub counts: BTreeMap<Emotion, usize>,
    /// Known speakers.
    pub speakers: usize,
    /// Recordings of unknown speakers.
    pub without_speaker: usize,
    /// Whether all names are those of RAVDESS, so that the committed splits are used.
    pub is_ravdess: bool,
    /// Shortest, mean and longest recording, in seconds.
    pub seconds: [f64; 3],
    /// Names of recordings of nothing but zeros.
    pub silent: Vec<String>,
    /// Names of recordings whose largest sample is at full scale: they may be clipped.
    pub clipped: Vec<String>,
    /// Recordings that equal an earlier one, as pairs of names.
    pub duplicates: Vec<[String; 2]>,
    /// What was left out.
    pub left_out: LeftOut,
    /// How the set was read.
    pub notes: Vec<String>,
}

/// Checks a set of recordings.
pub fn speech(set: &SpeechSet) -> SpeechCheck {
    let mut counts: BTreeMap<Emotion, usize> = BTreeMap::new();
    set.clips.iter().for_each(|c| *counts.entry(c.emotion).or_default() += 1);
    let lengths: Vec<f64> = set.clips.iter().map(|c| c.samples.len() as f64 / f64::from(RATE.0)).collect();
    let peak = |samples: &[f32]| samples.iter().fold(0.0_f32, |m, s| m.max(s.abs()));
    let with_peak =
        |test: fn(f32) -> bool| set.clips.iter().filter(|c| test(peak(&c.samples))).map(|c| c.name.clone()).collect();
    SpeechCheck {
        clips: set.clips.len(),
        counts,
        speakers: set.speakers().len(),
        without_speaker: set.clips.iter().filter(|c| c.speaker.is_none()).count(),
        is_ravdess: set.is_ravdess,
        seconds: [
            lengths.iter().copied().fold(f64::INFINITY, f64::min),
            lengths.iter().sum::<f64>() / lengths.len().max(1) as f64,
            lengths.iter().copied().fold(0.0, f64::max),
        ],
        silent: with_peak(|p| p == 0.0),
        clipped: with_peak(|p| p >= 0.999),
        duplicates: set
            .clips
            .iter()
            .filter_map(|c| c.same_as.map(|i| [c.name.clone(), set.clips[i].name.clone()]))
            .collect(),
        left_out: set.left_out,
        notes: set.notes.clone(),
    }
}

impl fmt::Display for SpeechCheck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} recordings of {} speakers", self.clips, self.speakers)?;
        if self.without_speaker > 0 {
            writeln!(f, "  {} have no known speaker", self.without_speaker)?;
        }
        for (emotion, count) in &self.counts {
            writeln!(f, "{:<10}{count:>6}", emotion.name())?;
        }
        let [shortest, mean, longest] = self.seconds;
        writeln!(f, "length: {shortest:.2} to {longest:.2} s, mean {mean:.2} s")?;
        writeln!(f, "silent recordings: {}{}", self.silent.len(), named(&self.silent))?;
        writeln!(f, "recordings that reach full scale: {}{}", self.clipped.len(), named(&self.clipped))?;
        let pairs: Vec<String> = self.duplicates.iter().map(|[a, b]| format!("{a} = {b}")).collect();
        writeln!(f, "exact duplicates: {}{}", pairs.len(), named(&pairs))?;
        writeln!(f, "left out: {}", self.left_out)?;
        let which = if self.is_ravdess { "the committed ones of RAVDESS" } else { "drawn from names and speakers" };
        writeln!(f, "splits: {which}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::faces::LoadOptions;
    use crate::data::pixels::tests::grey;

    fn picture(name: &str, split: Split, emotion: Emotion, pixel: impl Fn(usize) -> u8) -> FacePicture {
        FacePicture {
            pixels: grey(pixel),
            emotion,
            votes: None,
            split,
            name: name.into(),
            row: None,
            twin_in: [false; 3],
            about: Default::default(),
        }
    }

    #[test]
    fn blanks_duplicates_and_twins_are_counted() {
        let wave = |p: usize| (128.0 + 90.0 * ((p % 48) as f32 * 0.4).sin() + (p / 48) as f32 * 0.7) as u8;
        let mirrored = |p: usize| wave(p / 48 * 48 + 47 - p % 48) / 2 + 40;
        let other = |p: usize| ((p * p) % 253) as u8;
        let pictures = vec![
            picture("a", Split::Train, Emotion::Happy, wave),
            picture("b", Split::Train, Emotion::Sad, wave),
            picture("c", Split::Test, Emotion::Happy, mirrored),
            picture("d", Split::Test, Emotion::Happy, other),
            picture("e", Split::Validation, Emotion::Happy, |_| 7),
            picture("f", Split::Train, Emotion::Happy, |_| 7),
        ];
        let mut set = FaceSet { pictures, notes: vec!["read so".into()] };
        let check = faces(&mut set).unwrap();
        assert_eq!((check.duplicates, check.duplicates_labelled_otherwise), (1, 1));
        assert_eq!(check.blank, ["e", "f"]);
        assert_eq!((check.twin_pairs, check.twin_pairs_labelled_otherwise), (3, 2));
        assert_eq!((check.test_twins_in_train, check.validation_twins_in_train), (1, 0));
        assert_eq!(set.clean_indices(Split::Test), [3]);
        assert_eq!(set.clean_indices(Split::Train), [5]);
        let text = check.to_string();
        assert!(text.contains("blank pictures: 2 (e, f)") && text.contains("note: read so"), "{text}");
    }

    #[test]
    fn the_twins_of_fer_2013_are_those_of_the_list() {
        let path = std::path::Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data/fer2013"));
        if !path.is_dir() {
            eprintln!("skipped: the twins of FER-2013, because ../shared is absent");
            return;
        }
        let mut set = FaceSet::load(path, &LoadOptions::default()).unwrap();
        let start = std::time::Instant::now();
        let check = faces(&mut set).unwrap();
        eprintln!("checked in {:?}\n{check}", start.elapsed());
        let list = std::fs::read_to_string(path.join("near_duplicates.csv")).unwrap();
        // file, split, twin, twin_split, correlation
        let rows: Vec<Vec<&str>> = list.lines().skip(1).map(|l| l.split(',').collect()).collect();
        let listed = |split: &str, other: &str| {
            let mut names: Vec<&str> = rows.iter().filter(|r| r[1] == split && r[3] == other).map(|r| r[0]).collect();
            names.sort_unstable();
            names.dedup();
            names
        };
        let found = |split: Split, other: Split| {
            let twins = set.pictures.iter().filter(|p| p.split == split && p.twin_in[other.index()]);
            twins.map(|p| p.name.rsplit('/').next().unwrap()).collect::<Vec<_>>()
        };
        assert_eq!(check.test_twins_in_train, 521);
        let test = listed("test", "train");
        assert!(test.iter().all(|n| found(Split::Test, Split::Train).contains(n)));
        let validation = listed("validation", "train");
        assert!(validation.iter().all(|n| found(Split::Validation, Split::Train).contains(n)));
        assert_eq!(check.blank.len(), 12);
    }
}
