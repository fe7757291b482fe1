//! The whole pipeline: the same however it is fed, without allocations while it sees, and whole with a sense missing.

mod seeded;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::time::Duration;

use demeanor::face::net::FaceModel;
use demeanor::pipeline::{Pipeline, Settings};
use demeanor::speech::net::SpeechModel;
use demeanor::{Audio, ErrorKind, Frame, Hz, PixelLayout};

/// Counts the allocations of each thread.
struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

// SAFETY: every call is passed on to the system's allocator unchanged; counting touches nothing but a thread's own cell.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let _ = ALLOCATIONS.try_with(|count| count.set(count.get() + 1));
        // SAFETY: the caller keeps alloc's contract.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller keeps dealloc's contract.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        let _ = ALLOCATIONS.try_with(|count| count.set(count.get() + 1));
        // SAFETY: the caller keeps realloc's contract.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const WIDTH: usize = 640;
const HEIGHT: usize = 480;

/// The face of the portrait, 100x100, grey.
fn face() -> Vec<u8> {
    let file = include_bytes!("../../../testdata/pictures/face.ppm");
    file[file.len() - 30_000..].chunks_exact(3).map(|p| p[1]).collect()
}

/// The face, 2.4 times as large, at places of a grey picture.
fn scene(face: &[u8], places: &[(usize, usize)]) -> Vec<u8> {
    let mut picture = vec![110; WIDTH * HEIGHT];
    for &(left, top) in places {
        for y in 0..240 {
            for x in 0..240 {
                picture[(top + y) * WIDTH + left + x] = face[(y * 10 / 24) * 100 + x * 10 / 24];
            }
        }
    }
    picture
}

fn time(frame: u32) -> Duration {
    Duration::from_secs(u64::from(frame)) / 30
}

fn pipeline(settings: Settings) -> Pipeline {
    let face = FaceModel::load(&seeded::face()).expect("a face model");
    let speech = SpeechModel::load(&seeded::speech()).expect("a speech model");
    Pipeline::new(Some(face), Some(speech), settings).expect("settings in range")
}

/// The recording of a made voice, 16-bit mono.
fn voice() -> (Vec<f32>, Hz) {
    let wav = include_bytes!("../../../testdata/demo-voice.wav");
    let samples = wav[44..].chunks_exact(2).map(|b| f32::from(i16::from_le_bytes([b[0], b[1]])) / 32768.0);
    (samples.collect(), Hz(16_000))
}

#[test]
fn a_face_is_found_followed_and_read() {
    let face = face();
    let mut p = pipeline(Settings::default());
    for i in 0..60 {
        let data = scene(&face, &[(40 + 2 * i as usize, 90), (380, 120)]);
        p.see(&Frame::new(&data, WIDTH, HEIGHT, PixelLayout::Grey8).expect("a frame"), time(i)).expect("seen");
    }
    let estimate = p.estimate();
    assert_eq!(estimate.faces.iter().map(|f| f.id).collect::<Vec<_>>(), [1, 2]);
    for face in estimate.faces {
        let scores = face.scores.expect("read");
        assert!((scores.iter().map(|(_, s)| s).sum::<f32>() - 1.0).abs() < 1e-5);
    }
    assert!(estimate.voice.is_none());
    let fused = estimate.fused.expect("a face is known");
    assert_eq!(fused.speech_weight, 0.0);
}

#[test]
fn seeing_a_frame_allocates_nothing_after_warm_up() {
    let face = face();
    let mut p = pipeline(Settings::default());
    let scenes: Vec<_> = (0..20).map(|i| scene(&face, &[(40 + 6 * i, 90 + i), (380, 120)])).collect();
    // there and back, so that it moves without jumps
    let at = |i: u32| &scenes[if i % 40 < 20 { i % 40 } else { 39 - i % 40 } as usize];
    let mut see = |i: u32| {
        let frame = Frame::new(at(i), WIDTH, HEIGHT, PixelLayout::Grey8).expect("a frame");
        let before = ALLOCATIONS.get();
        p.see(&frame, time(i)).expect("seen");
        let faces = p.estimate().faces.len();
        (ALLOCATIONS.get() - before, faces)
    };
    for i in 0..90 {
        see(i);
    }
    let mut with_both = 0;
    for i in 90..240 {
        let (allocations, faces) = see(i);
        assert_eq!(allocations, 0, "frame {i}");
        with_both += u32::from(faces == 2);
    }
    assert!(with_both > 100, "both faces in {with_both} of 150 frames");
}

#[test]
fn what_is_heard_does_not_depend_on_how_it_is_cut() {
    let (samples, rate) = voice();
    let run = |piece: usize| {
        let mut p = pipeline(Settings::default());
        let mut utterances = Vec::new();
        for (i, part) in samples.chunks(piece).enumerate() {
            let at = Duration::from_secs_f64((i * piece) as f64 / f64::from(rate.0));
            p.hear(&Audio::new(part, 1, rate).expect("sound"), at).expect("heard");
            utterances.extend(p.utterances());
        }
        p.end_of_sound().expect("ended");
        utterances.extend(p.utterances());
        (utterances, p.estimate().voice)
    };
    let whole = run(samples.len());
    assert!(!whole.0.is_empty() && whole.1.expect("a voice").scores.is_some());
    for pair in whole.0.windows(2) {
        assert!(pair[0].end <= pair[1].start);
    }
    for piece in [160, 1600, 1601, 48_000] {
        assert_eq!(run(piece), whole, "pieces of {piece}");
    }
}

#[test]
fn the_same_film_gives_the_same_estimates() {
    let face = face();
    let (samples, rate) = voice();
    let run = || {
        let mut p = pipeline(Settings::default());
        let mut all = Vec::new();
        for i in 0..90 {
            let from = i as usize * 16_000 / 30;
            let part = &samples[from..(i as usize + 1) * 16_000 / 30];
            p.hear(&Audio::new(part, 1, rate).expect("sound"), time(i)).expect("heard");
            let data = scene(&face, &[(100, 100)]);
            p.see(&Frame::new(&data, WIDTH, HEIGHT, PixelLayout::Grey8).expect("a frame"), time(i)).expect("seen");
            let e = p.estimate();
            all.push(format!("{e:?}"));
        }
        all
    };
    let first = run();
    assert!(first[89].contains("speech_weight"));
    assert_eq!(first, run());
}

#[test]
fn a_missing_sense_is_no_error() {
    let data = vec![0; WIDTH * HEIGHT];
    let frame = Frame::new(&data, WIDTH, HEIGHT, PixelLayout::Grey8).expect("a frame");
    let sound = [0.0; 1600];
    let sound = Audio::new(&sound, 1, Hz(16_000)).expect("sound");
    let mut none = Pipeline::new(None, None, Settings::default()).expect("no models");
    none.see(&frame, time(0)).expect("seen");
    none.hear(&sound, time(0)).expect("heard");
    let estimate = none.estimate();
    assert!(estimate.faces.is_empty() && estimate.voice.is_none() && estimate.fused.is_none());

    let mut both = pipeline(Settings::default());
    assert!(both.estimate().fused.is_none());
    both.see(&frame, time(1)).expect("seen");
    assert_eq!(both.see(&frame, time(0)).expect_err("time went back").kind(), ErrorKind::Setting);
    both.hear(&sound, time(0)).expect("heard");
    let voice = both.estimate().voice.expect("a voice is listened to");
    assert!(!voice.is_speaking && voice.scores.is_none() && voice.level_db < -80.0);
    let bad = [f32::NAN; 16];
    let bad = Audio::new(&bad, 1, Hz(16_000)).expect("sound");
    assert_eq!(both.hear(&bad, time(3)).expect_err("no numbers").kind(), ErrorKind::NotFinite);
}

#[test]
fn a_baseline_is_taken_and_used() {
    let face = face();
    let mut settings = Settings::default();
    settings.baseline = Some((Duration::ZERO, Duration::from_secs(1)));
    let (mut plain, mut corrected) = (pipeline(Settings::default()), pipeline(settings));
    let data = scene(&face, &[(200, 100)]);
    let frame = Frame::new(&data, WIDTH, HEIGHT, PixelLayout::Grey8).expect("a frame");
    for i in 0..90 {
        plain.see(&frame, time(i)).expect("seen");
        corrected.see(&frame, time(i)).expect("seen");
        let has = corrected.faces().first().is_some_and(|f| f.has_baseline);
        assert_eq!(has, i >= 30 && has, "frame {i}");
    }
    let (plain, corrected) = (plain.faces()[0], corrected.faces()[0]);
    assert!(corrected.has_baseline && !plain.has_baseline);
    let neutral = |f: &demeanor::face::watch::FaceEstimate| f.scores.expect("read").of(demeanor::Emotion::Neutral);
    // the same face that was seen at rest reads as neutral
    assert!(neutral(&corrected) > 0.3 && neutral(&corrected) >= neutral(&plain), "{plain:?} {corrected:?}");
}
