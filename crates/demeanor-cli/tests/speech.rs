//! `demeanor speech` from outside: what it prints, and what it says to bad input.
//!
//! The model's weights are drawn from a fixed sequence: what it says means nothing, where and how it says it does.

mod program;

use std::f32::consts::TAU;
use std::path::{Path, PathBuf};

use demeanor::model::InputRecipe;
use demeanor::nn::{Dense, Layer};
use demeanor::speech::prepare::{Features, Level, SpeechRecipe};
use demeanor::{Emotion, Hz};
use program::Run;
use serde_json::Value;

fn speech(arguments: &str) -> String {
    format!("speech --model m.safetensors {arguments}")
}

fn run(folder: &Path, arguments: &str) -> Run {
    program::run(folder, &speech(arguments))
}

fn run_with(folder: &Path, arguments: &str, input: &[u8]) -> Run {
    program::run_with(folder, &speech(arguments), input)
}

/// An empty folder with a model in it.
fn folder(name: &str) -> PathBuf {
    let folder = program::folder(&format!("speech-{name}"));
    std::fs::write(folder.join("m.safetensors"), speech_model()).unwrap();
    folder
}

fn testdata(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/speech").join(name)
}

fn speech_model() -> Vec<u8> {
    let input = InputRecipe::Speech(SpeechRecipe {
        rate: Hz(16_000),
        high_pass_hz: None,
        trim_db: Some(30.0),
        level: Level::Peak,
        frame: 400,
        hop: 160,
        fft: 512,
        features: Features::LogMel { bands: 16, floor: 1e-4 },
        max_frames: 300,
        mean: Vec::new(),
        deviation: Vec::new(),
    });
    let network = vec![Layer::MeanMax, Layer::Dense(Dense { units: 8, relu: false })];
    program::drawn_model(input, network, &Emotion::RAVDESS, 0.1)
}

/// The two synthetic voices of the repository: mono at 16 kHz.
fn voices() -> Vec<f32> {
    let bytes = std::fs::read(testdata("two_voices.wav")).unwrap();
    let at = bytes.windows(4).position(|w| w == b"data").unwrap() + 8;
    bytes[at..].as_chunks::<2>().0.iter().map(|b| f32::from(i16::from_le_bytes(*b)) / 32_768.0).collect()
}

/// A wav file. `format` 1 is whole numbers, 3 floating-point ones.
fn wav(format: u16, bits: u16, channels: u16, rate: u32, data: &[u8]) -> Vec<u8> {
    let group = channels * bits / 8;
    let mut file = Vec::new();
    file.extend(b"RIFF");
    file.extend((36 + data.len() as u32).to_le_bytes());
    file.extend(b"WAVEfmt ");
    file.extend(16u32.to_le_bytes());
    file.extend(format.to_le_bytes());
    file.extend(channels.to_le_bytes());
    file.extend(rate.to_le_bytes());
    file.extend((rate.wrapping_mul(u32::from(group))).to_le_bytes());
    file.extend(group.to_le_bytes());
    file.extend(bits.to_le_bytes());
    file.extend(b"data");
    file.extend((data.len() as u32).to_le_bytes());
    file.extend(data);
    file
}

fn s16(samples: &[f32]) -> Vec<u8> {
    samples.iter().flat_map(|s| ((s.clamp(-1.0, 1.0) * 32_767.0) as i16).to_le_bytes()).collect()
}

fn f32s(samples: &[f32]) -> Vec<u8> {
    samples.iter().flat_map(|s| s.to_le_bytes()).collect()
}

/// Repeats or drops samples: crude, but a voice stays a voice.
fn at_rate(samples: &[f32], rate: usize) -> Vec<f32> {
    (0..samples.len() * rate / 16_000).map(|n| samples[n * 16_000 / rate]).collect()
}

/// Two segments, near where the two voices speak.
fn has_two_voices(run: &Run) {
    run.ends(0, "");
    let lines = run.json();
    assert_eq!(lines.len(), 1, "{run:#?}");
    let segments = lines[0]["segments"].as_array().unwrap();
    assert_eq!(segments.len(), 2, "{run:#?}");
    for (segment, (start, end)) in segments.iter().zip([(0.5, 4.1), (5.6, 8.0)]) {
        assert!((segment["start_s"].as_f64().unwrap() - start).abs() < 0.7, "{segment}");
        assert!((segment["end_s"].as_f64().unwrap() - end).abs() < 0.7, "{segment}");
    }
}

/// A voice is found; how many utterances does not matter.
fn has_a_voice(run: &Run) {
    run.ends(0, "");
    assert!(!run.json()[0]["segments"].as_array().unwrap().is_empty(), "{run:#?}");
}

#[test]
fn every_container_reads_alike() {
    let folder = folder("containers");
    for ending in ["wav", "flac", "mp3", "m4a", "ogg"] {
        let name = format!("two_voices.{ending}");
        std::fs::copy(testdata(&name), folder.join(&name)).unwrap();
        let run = run(&folder, &format!("--json {name}"));
        has_two_voices(&run);
        let line = &run.json()[0];
        assert_eq!(line["file"], name);
        assert_eq!(line["model"], "test-v1");
        assert!((line["duration_s"].as_f64().unwrap() - 8.51).abs() < 0.1, "{line}");
        for segment in line["segments"].as_array().unwrap() {
            let scores = segment["scores"].as_object().unwrap();
            assert_eq!(scores.len(), 8);
            let sum: f64 = scores.values().map(|s| s.as_f64().unwrap()).sum();
            assert!((sum - 1.0).abs() < 1e-4, "{segment}");
            let top = scores.values().map(|s| s.as_f64().unwrap()).fold(0.0, f64::max);
            assert!((segment["score"].as_f64().unwrap() - top).abs() < 1e-6, "{segment}");
            let emotion = segment["emotion"].as_str().unwrap();
            assert!(emotion == "unsure" || scores.contains_key(emotion), "{segment}");
        }
    }
    // A folder, and the same files from stdin.
    let all = run(&folder, "--json .");
    assert_eq!(all.ends(0, "").json().len(), 5);
    for ending in ["wav", "flac", "mp3", "ogg"] {
        let bytes = std::fs::read(testdata(&format!("two_voices.{ending}"))).unwrap();
        has_two_voices(&run_with(&folder, "--json -", &bytes));
    }
}

#[test]
fn rates_channels_and_depths() {
    let folder = folder("rates");
    let voices = voices();
    let file = |name: &str, bytes: Vec<u8>| {
        std::fs::write(folder.join(name), bytes).unwrap();
        run(&folder, &format!("--json {name}"))
    };
    for rate in [8_000, 11_025, 22_050, 44_100, 96_000, 192_000] {
        has_two_voices(&file("rate.wav", wav(1, 16, 1, rate, &s16(&at_rate(&voices, rate as usize)))));
    }
    for channels in [2u16, 6, 8] {
        let all: Vec<f32> = voices.iter().flat_map(|&s| vec![s; usize::from(channels)]).collect();
        has_two_voices(&file("channels.wav", wav(1, 16, channels, 16_000, &s16(&all))));
    }
    let u8s: Vec<u8> = voices.iter().map(|s| (s * 127.0 + 128.0) as u8).collect();
    has_a_voice(&file("u8.wav", wav(1, 8, 1, 16_000, &u8s)));
    let s24: Vec<u8> = voices.iter().flat_map(|s| ((s * 8_388_607.0) as i32).to_le_bytes()[..3].to_vec()).collect();
    has_two_voices(&file("s24.wav", wav(1, 24, 1, 16_000, &s24)));
    let s32: Vec<u8> = voices.iter().flat_map(|s| ((f64::from(*s) * 2_147_483_647.0) as i32).to_le_bytes()).collect();
    has_two_voices(&file("s32.wav", wav(1, 32, 1, 16_000, &s32)));
    has_two_voices(&file("f32.wav", wav(3, 32, 1, 16_000, &f32s(&voices))));
    // Far above full scale, cut off there.
    let clipped: Vec<f32> = voices.iter().map(|s| (s * 20.0).clamp(-1.0, 1.0)).collect();
    has_a_voice(&file("clipped.wav", wav(1, 16, 1, 16_000, &s16(&clipped))));
    // Far below full scale.
    let quiet: Vec<f32> = voices.iter().map(|s| s * 0.01).collect();
    has_two_voices(&file("quiet.wav", wav(3, 32, 1, 16_000, &f32s(&quiet))));
}

#[test]
fn raw_samples_on_stdin() {
    let folder = folder("raw");
    let voices = voices();
    has_two_voices(&run_with(&folder, "--json --rate 16000 --format s16le -", &s16(&voices)));
    has_two_voices(&run_with(&folder, "--json --rate 16000 --format f32le -", &f32s(&voices)));
    let stereo: Vec<f32> = at_rate(&voices, 48_000).iter().flat_map(|&s| [s, s]).collect();
    has_two_voices(&run_with(&folder, "--json --rate 48000 --channels 2 --format s16le -", &s16(&stereo)));
    // It ends in the middle of a sample.
    let mut bytes = s16(&voices);
    bytes.push(7);
    let run = run_with(&folder, "--json --rate 16000 --format s16le -", &bytes);
    has_two_voices(&run);
    run.ends(0, "in the middle of a sample");
    run_with(&folder, "--rate 16000 --format s16le -", &[1]).ends(2, "no whole sample");
    run_with(&folder, "--rate 16000 --format s16le -", &[]).ends(2, "empty");
    run_with(&folder, "--rate 16000 -", &s16(&voices)).ends(2, "--format");
    run_with(&folder, "--format s16le -", &s16(&voices)).ends(2, "--rate");
    run_with(&folder, "--rate 0 --format s16le -", &s16(&voices)).ends(2, "--rate");
    run_with(&folder, "--rate 16000 --format s12 -", &s16(&voices)).ends(2, "s16le");
}

#[test]
fn text_has_a_line_per_utterance() {
    let folder = folder("text");
    std::fs::copy(testdata("two_voices.wav"), folder.join("v.wav")).unwrap();
    let run = run(&folder, "v.wav --min-score 0");
    run.ends(0, "");
    let lines: Vec<_> = run.out.lines().collect();
    assert_eq!(lines.len(), 2, "{run:#?}");
    for line in lines {
        assert!(line.starts_with("v.wav: ") && line.contains(" s reads as ") && line.contains(" %"), "{line}");
    }
    let unsure = self::run(&folder, "v.wav --min-score 1");
    assert!(unsure.ends(0, "").out.lines().all(|l| l.contains("reads as unsure")), "{unsure:#?}");
}

#[test]
fn windows_slide_over_utterances() {
    let folder = folder("windows");
    std::fs::copy(testdata("two_voices.wav"), folder.join("v.wav")).unwrap();
    let run = run(&folder, "--json --window 1 --hop 0.5 v.wav");
    let lines = run.ends(0, "").json();
    let (windows, files): (Vec<_>, Vec<_>) = lines.iter().partition(|l| l.get("window").is_some());
    assert_eq!(files.len(), 1);
    assert!(windows.len() >= 6, "{run:#?}");
    for line in &windows {
        let window = &line["window"];
        let (start, end) = (window["start_s"].as_f64().unwrap(), window["end_s"].as_f64().unwrap());
        assert!((end - start - 1.0).abs() < 0.002, "{line}");
        let within = |s: &Value| s["start_s"].as_f64().unwrap() <= start && end <= s["end_s"].as_f64().unwrap();
        assert!(files[0]["segments"].as_array().unwrap().iter().any(within), "{line}");
    }
    let text = self::run(&folder, "--window 1 --hop 0.5 v.wav");
    assert_eq!(text.ends(0, "").out.lines().count(), windows.len());
    self::run(&folder, "--hop 0.5 v.wav").ends(2, "--window");
    self::run(&folder, "--window 0 v.wav").ends(2, "seconds");
}

#[test]
fn what_is_no_voice_gives_status_1() {
    let folder = folder("novoice");
    let noise = |n: usize| ((n as u32).wrapping_mul(2_654_435_761) >> 8) as f32 / 8_388_608.0 - 1.0;
    let chord = |n: usize| {
        let t = n as f32 / 16_000.0;
        let sum: f32 = [220.0, 277.2, 329.6, 440.0, 554.4, 659.3, 880.0].iter().map(|hz| (TAU * hz * t).sin()).sum();
        0.05 * sum * (-2.0 * (t % 0.5)).exp()
    };
    let music: Vec<f32> = (0..80_000).map(chord).collect();
    let hiss: Vec<f32> = (0..80_000).map(|n| noise(n) * 0.1).collect();
    for (name, samples) in [("zeros", vec![0.0; 80_000]), ("one", vec![0.5]), ("music", music), ("noise", hiss)] {
        std::fs::write(folder.join("x.wav"), wav(1, 16, 1, 16_000, &s16(&samples))).unwrap();
        let run = run(&folder, "x.wav");
        run.ends(1, "no voice found");
        assert!(run.out.is_empty(), "{name}: {run:#?}");
        let json = self::run(&folder, "--json x.wav");
        json.ends(1, "no voice found");
        assert_eq!(json.json()[0]["segments"], serde_json::json!([]), "{name}");
    }
}

#[test]
fn broken_files_are_errors_that_say_what_is_wrong() {
    let folder = folder("broken");
    let voices = s16(&voices());
    let file = |name: &str, bytes: &[u8]| {
        std::fs::write(folder.join(name), bytes).unwrap();
        run(&folder, name)
    };
    file("empty.wav", b"").ends(2, "empty");
    file("header.wav", &wav(1, 16, 1, 16_000, b"")).ends(2, "holds no samples");
    file("half_header.wav", &wav(1, 16, 1, 16_000, b"")[..20]).ends(2, "header");
    file("text.wav", b"This is a letter, and no sound at all.\n".repeat(100).as_slice()).ends(2, "text");
    file("zero_hz.wav", &wav(1, 16, 1, 0, &voices)).ends(2, "");
    file("one_hz.wav", &wav(1, 16, 1, 1, &voices)).ends(2, "Hz");
    file("huge_hz.wav", &wav(1, 16, 1, u32::MAX, &voices)).ends(2, "Hz");
    file("no_channels.wav", &wav(1, 16, 0, 16_000, &voices)).ends(2, "");
    file("noise.bin", &voices.iter().rev().map(|b| b ^ 0x5a).collect::<Vec<_>>()).ends(2, "");
    file("matroska.webm", &[0x1a, 0x45, 0xdf, 0xa3, 0, 0, 0, 0]).ends(2, "ffmpeg");
    // what only ffmpeg reads is named where there is none, with how to get it
    std::fs::copy(testdata("opus.ogg"), folder.join("opus.ogg")).unwrap();
    let mut command = program::program(&folder);
    command.args(speech("opus.ogg").split_whitespace()).env("DEMEANOR_FFMPEG", "/no/such/ffmpeg");
    let output = command.output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.code() == Some(2) && said.contains("Opus") && said.contains("apt install ffmpeg"), "{said}");
    run(&folder, "missing.wav").ends(2, "missing.wav");
    std::fs::create_dir(folder.join("nothing")).unwrap();
    run(&folder, "nothing").ends(2, "no sound files");
}

#[test]
fn damage_behind_the_first_samples_is_a_warning() {
    let folder = folder("damage");
    let file = |name: &str, bytes: &[u8]| {
        std::fs::write(folder.join(name), bytes).unwrap();
        run(&folder, &format!("--json {name}"))
    };
    for ending in ["mp3", "flac", "ogg", "m4a", "wav"] {
        let whole = std::fs::read(testdata(&format!("two_voices.{ending}"))).unwrap();
        let run = file(&format!("cut.{ending}"), &whole[..whole.len() * 6 / 10]);
        assert!(!run.err.contains("panicked"), "{run:#?}");
        // An m4a file has its index at the end.
        assert_eq!(run.status, if ending == "m4a" { 2 } else { 0 }, "{run:#?}");
    }
    let mut broken = voices();
    for (at, odd) in [(10_000, f32::NAN), (20_000, f32::INFINITY), (30_000, -1e30)] {
        broken[at..at + 3].fill(odd);
    }
    let run = file("nan.wav", &wav(3, 32, 1, 16_000, &f32s(&broken)));
    run.ends(0, "9 samples are no numbers");
    has_a_voice(&run);
    let run = file("all_nan.wav", &wav(3, 32, 1, 16_000, &f32s(&vec![f32::NAN; 50_000])));
    run.ends(1, "no voice found");
}

#[test]
fn a_broken_file_does_not_stop_the_others() {
    let folder = folder("batch");
    std::fs::write(folder.join("a.wav"), b"").unwrap();
    std::fs::copy(testdata("two_voices.flac"), folder.join("b.flac")).unwrap();
    let run = run(&folder, "--json a.wav b.flac");
    run.ends(2, "a.wav: it is empty");
    assert_eq!(run.json()[0]["segments"].as_array().unwrap().len(), 2);
}

#[test]
fn changed_bytes_never_make_it_panic() {
    let folder = folder("changed");
    let mut state = 7u32;
    let mut next = |below: usize| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as usize % below
    };
    for ending in ["wav", "mp3", "flac", "ogg", "m4a"] {
        let whole = std::fs::read(testdata(&format!("two_voices.{ending}"))).unwrap();
        for round in 0..12 {
            let mut bytes = whole.clone();
            // Half of the files change where headers are.
            let reach = if round % 2 == 0 { 200 } else { bytes.len() };
            for _ in 0..=next(20) {
                bytes[next(reach)] = next(256) as u8;
            }
            std::fs::write(folder.join(format!("{round}.{ending}")), &bytes).unwrap();
        }
    }
    let run = run(&folder, "--json .");
    assert!(!run.err.contains("panicked"), "{run:#?}");
    assert!([0, 2].contains(&run.status), "{run:#?}");
    assert!(run.out.lines().count() > 20, "{run:#?}");
}

#[test]
#[cfg(feature = "train")]
fn a_model_is_measured_under_conditions() {
    let folder = folder("eval");
    let clips = folder.join("clips/happy");
    std::fs::create_dir_all(&clips).unwrap();
    for name in ["two_voices.wav", "voice.wav"] {
        std::fs::copy(testdata(name), clips.join(name)).unwrap();
    }
    let eval = |options: &str| {
        let found = program::run(&folder, &format!("eval speech clips --model m.safetensors --json {options}"));
        found.ends(0, "").json().remove(0)
    };
    let plain = eval("");
    assert_eq!((plain["samples"].as_u64(), plain.get("noise"), plain.get("first_s")), (Some(2), None, None));
    for kind in ["white", "pink", "brown", "babble", "music"] {
        let found = eval(&format!("--noise 10 --noise-kind {kind} --first 1.5"));
        assert_eq!((found["noise"]["kind"].as_str(), found["noise"]["snr_db"].as_f64()), (Some(kind), Some(10.0)));
        assert_eq!((found["samples"].as_u64(), found["first_s"].as_f64()), (Some(2), Some(1.5)), "{found}");
    }
}
