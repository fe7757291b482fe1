//! One path: a training batch is what the library prepares of the same pictures and recordings, for every recipe of the
//! repository and for random ones.

use std::path::Path;
use std::sync::Arc;

use demeanor::face::prepare::{FaceRecipe, Scaling};
use demeanor::model::InputRecipe;
use demeanor::speech::prepare::{Features, Level, SpeechRecipe};
use demeanor::{Emotion, Hz, Picture, PixelLayout, face, speech};
use demeanor_train::classic::ClassicRecipe;
use demeanor_train::data::Split;
use demeanor_train::data::batches::{FaceSource, FaceTargets, Place, Source, SpeechSource};
use demeanor_train::data::faces::{FacePicture, FaceSet};
use demeanor_train::data::speech::{SpeechClip, SpeechSet};
use demeanor_train::recipe::Recipe;
use proptest::prelude::*;

const PLACE: Place = Place { seed: 1, epoch: 2, first: 3 };

fn face_set(shapes: &[(usize, usize, PixelLayout)]) -> FaceSet {
    let picture = |(i, &(width, height, layout)): (usize, &(usize, usize, PixelLayout))| {
        let bytes = (0..width * height * layout.bytes()).map(|p| ((p * p / 3 + p * (31 + i)) % 251) as u8).collect();
        FacePicture {
            pixels: Picture::new(bytes, width, height, layout).unwrap().into(),
            emotion: Emotion::FER[i % 7],
            votes: None,
            split: Split::Train,
            name: format!("{i}"),
            row: None,
            twin_in: [false; 3],
            about: Default::default(),
        }
    };
    FaceSet { pictures: shapes.iter().enumerate().map(picture).collect(), notes: Vec::new() }
}

fn faces_agree(recipe: &FaceRecipe, shapes: &[(usize, usize, PixelLayout)]) {
    let set = Arc::new(face_set(shapes));
    let source = FaceSource {
        set: set.clone(),
        recipe: recipe.clone(),
        labels: Emotion::FER.to_vec(),
        augment: None,
        targets: FaceTargets::Label,
    };
    let all: Vec<usize> = (0..shapes.len()).collect();
    let batch = source.batch(&all, PLACE).unwrap().batch;
    assert_eq!(batch.values.len(), shapes.len() * recipe.size * recipe.size);
    for (picture, values) in set.pictures.iter().zip(batch.values.chunks_exact(recipe.size * recipe.size)) {
        let picture = picture.pixels.picture().unwrap();
        let input = face::prepare::prepare(&picture.frame(), None, recipe).unwrap();
        assert_eq!(input.values(), values, "{recipe:?}");
    }
}

fn speech_set(seconds: &[f32]) -> SpeechSet {
    let clip = |(i, &seconds): (usize, &f32)| SpeechClip {
        samples: (0..(seconds * 16_000.0) as usize)
            .map(|t| ((t * (i + 7)) as f32 * 0.01).sin() * (t as f32 * 0.0007).cos() + 0.1)
            .collect(),
        emotion: Emotion::RAVDESS[i % 8],
        speaker: None,
        sex: None,
        name: format!("{i}.wav"),
        sentence: None,
        corpus: 0,
        same_as: None,
        hash: [0; 8],
    };
    SpeechSet { clips: seconds.iter().enumerate().map(clip).collect(), ..SpeechSet::default() }
}

fn speech_agrees(recipe: &SpeechRecipe, is_standardised: bool, seconds: &[f32]) {
    let set = Arc::new(speech_set(seconds));
    let all: Vec<usize> = (0..seconds.len()).collect();
    let mut recipe = SpeechRecipe { mean: Vec::new(), deviation: Vec::new(), ..recipe.clone() };
    if is_standardised {
        (recipe.mean, recipe.deviation) = set.statistics(&all, &recipe).unwrap();
    }
    let source = SpeechSource::new(set.clone(), recipe.clone(), Emotion::RAVDESS.to_vec(), None, Vec::new());
    let batch = source.batch(&all, PLACE).unwrap().batch;
    let (rows, width) = (recipe.rows(), batch.width);
    for (i, clip) in set.clips.iter().enumerate() {
        let input = speech::prepare::prepare(&clip.audio().unwrap(), &recipe).unwrap();
        assert_eq!(batch.widths[i], input.frames(), "{recipe:?}");
        let plane = &batch.values[i * rows * width..][..rows * width];
        for (at, value) in plane.iter().enumerate() {
            let (row, t) = (at / width, at % width);
            let expected = if t < input.frames() { input.values()[t * rows + row] } else { 0.0 };
            assert_eq!(*value, expected, "{recipe:?}, frame {t}, row {row}");
        }
    }
}

#[test]
fn every_recipe_trains_on_what_use_prepares() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("recipes");
    if !folder.is_dir() {
        eprintln!("skipped: the recipes of the repository, because {} is absent", folder.display());
        return;
    }
    let mut count = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|e| e != "toml") {
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap();
        // the baselines without a network have no input of their own
        if ClassicRecipe::parse(&text).unwrap().is_some() {
            continue;
        }
        match Recipe::parse(&text).unwrap().input {
            InputRecipe::Face(recipe) => {
                faces_agree(&recipe, &[(48, 48, PixelLayout::Grey8), (90, 61, PixelLayout::Rgb8)]);
            }
            InputRecipe::Speech(recipe) => speech_agrees(&recipe, true, &[0.4, 0.9]),
        }
        count += 1;
    }
    assert!(count >= 11, "{count} recipes");
}

/// 8 kHz, as over a telephone: half a second has 51 frames of 10 ms, in training as in use.
#[test]
fn a_recipe_of_another_rate_has_its_own_frames() {
    let recipe = SpeechRecipe {
        rate: Hz(8_000),
        high_pass_hz: None,
        trim_db: None,
        level: Level::Peak,
        frame: 200,
        hop: 80,
        fft: 256,
        features: Features::LogMel { bands: 20, floor: 1e-4 },
        max_frames: 500,
        mean: Vec::new(),
        deviation: Vec::new(),
    };
    let set = speech_set(&[0.5]);
    assert_eq!(speech::prepare::prepare(&set.clips[0].audio().unwrap(), &recipe).unwrap().frames(), 51);
    for is_standardised in [false, true] {
        speech_agrees(&recipe, is_standardised, &[0.5, 0.2]);
    }
}

fn layouts() -> impl Strategy<Value = PixelLayout> {
    prop_oneof![Just(PixelLayout::Grey8), Just(PixelLayout::Rgb8), Just(PixelLayout::Bgr8), Just(PixelLayout::Rgba8)]
}

fn speech_recipes() -> impl Strategy<Value = SpeechRecipe> {
    let features = prop_oneof![
        (1usize..70, 1e-8f32..1e-2).prop_map(|(bands, floor)| Features::LogMel { bands, floor }),
        (13usize..60, 1usize..14, 0usize..3).prop_map(|(bands, coefficients, deltas)| Features::Mfcc {
            bands,
            coefficients,
            deltas
        }),
    ];
    let level = prop_oneof![Just(Level::Keep), Just(Level::Peak), Just(Level::Rms)];
    let rate = prop::sample::select(vec![1_000, 8_000, 11_025, 16_000, 22_050, 44_100, 48_000]);
    let sizes = (8usize..512).prop_flat_map(|half| (Just(2 * half), 2..=2 * half, 16usize..600, 1usize..300));
    let trim_db = prop::option::of(5.0f32..80.0);
    let trim = (trim_db, prop::option::of(10.0f32..250.0));
    (features, level, rate, sizes, trim).prop_map(|(features, level, rate, sizes, (trim_db, high_pass_hz))| {
        let (fft, frame, hop, max_frames) = sizes;
        let (mean, deviation) = (Vec::new(), Vec::new());
        SpeechRecipe {
            rate: Hz(rate),
            high_pass_hz,
            trim_db,
            level,
            frame,
            hop,
            fft,
            features,
            max_frames,
            mean,
            deviation,
        }
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn random_recipes_of_faces(
        size in 1usize..80,
        scaling in prop_oneof![Just(Scaling::Unit), Just(Scaling::MinMax), Just(Scaling::Standardise)],
        margin in -0.4f32..2.0,
        shapes in prop::collection::vec((1usize..90, 1usize..90, layouts()), 1..4),
    ) {
        faces_agree(&FaceRecipe { size, scaling, margin }, &shapes);
    }

    #[test]
    fn random_recipes_of_speech(
        recipe in speech_recipes(),
        is_standardised: bool,
        seconds in prop::collection::vec(0.05f32..0.8, 1..4),
    ) {
        speech_agrees(&recipe, is_standardised, &seconds);
    }
}
