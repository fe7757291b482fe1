//! Recordings: from bytes to utterances and their features. The first byte says whether they are raw samples.
#![no_main]

use demeanor::speech::detect::{RATE, Utterance, VoiceDetector, VoiceSettings};
use demeanor::speech::prepare::{Features, Level, SpeechPreparer, SpeechRecipe};
use demeanor::{Error, ErrorKind, Hz};
use demeanor_media::{Raw, Recording};

const ENCODINGS: [&str; 5] = ["u8", "s16le", "s24be", "f32le", "f64be"];

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let Some((&first, rest)) = bytes.split_first() else { return };
    let encoding = ENCODINGS.get(usize::from(first)).and_then(|name| name.parse().ok());
    let raw = encoding.map(|encoding| Raw { rate: Hz(44_100), channels: 2, encoding });
    let stream = std::io::Cursor::new(if raw.is_some() { rest } else { bytes }.to_vec());
    let recipe = SpeechRecipe {
        rate: RATE,
        high_pass_hz: None,
        trim_db: Some(30.0),
        level: Level::Peak,
        frame: 400,
        hop: 160,
        fft: 512,
        features: Features::LogMel { bands: 40, floor: 1e-4 },
        max_frames: 300,
        mean: Vec::new(),
        deviation: Vec::new(),
    };
    let mut preparer = SpeechPreparer::new(&recipe).unwrap();
    let mut settings = VoiceSettings::default();
    (settings.begin, settings.hold) = (0.1, 0.05);
    let mut detector = VoiceDetector::new(settings).unwrap();
    let mut each = |utterance: Utterance<'_>| -> Result<(), Error> {
        match preparer.prepare(&utterance.audio) {
            Ok(input) => assert!(input.values().iter().all(|v| v.is_finite())),
            Err(error) => assert_eq!(error.kind(), ErrorKind::Sound),
        }
        Ok(())
    };
    if let Ok(recording) = Recording::stream(stream) {
        let heard = recording.hear(raw, RATE, &mut |_, _| {}, &mut |piece| detector.push(piece, &mut each));
        if heard.is_ok() {
            detector.finish(&mut each).unwrap();
        }
    }
});
