//! `demeanor eval` and `demeanor data` on sets of a few pictures.
#![cfg(feature = "train")]

mod program;

use std::path::Path;

use program::{folder_with, run};

/// A folder tree of eight pictures: train and test hold the same two photographs, test two more.
fn set(name: &str) -> std::path::PathBuf {
    let folder = folder_with(name, &[]);
    for (index, (split, emotion, seed)) in [
        ("train", "happy", 1),
        ("train", "sad", 2),
        ("validation", "happy", 3),
        ("validation", "sad", 4),
        ("test", "happy", 1),
        ("test", "sad", 2),
        ("test", "happy", 5),
        ("test", "sad", 6),
    ]
    .into_iter()
    .enumerate()
    {
        write(&folder.join(format!("set/{split}/{emotion}/{index}.png")), seed);
    }
    folder
}

/// A picture of noise that depends on the seed alone.
fn write(path: &Path, seed: u32) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    let mut state = seed;
    let pixels = std::iter::repeat_with(|| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    });
    image::GrayImage::from_raw(48, 48, pixels.take(48 * 48).collect()).unwrap().save(path).unwrap();
}

#[test]
fn a_split_is_measured_with_and_without_twins() {
    let folder = set("eval");
    let found = run(&folder, "eval face set --split test --model m.safetensors --json");
    let found = found.ends(0, "").json().remove(0);
    assert_eq!((found["model"].as_str(), found["split"].as_str()), (Some("test-v1"), Some("test")));
    assert_eq!((found["samples"].as_u64(), found["clean"]["samples"].as_u64()), (Some(4), Some(2)));
    for part in [&found, &found["clean"]] {
        for field in ["accuracy", "balanced_accuracy", "macro_f1", "ece"] {
            assert!((0.0..=1.0).contains(&part[field].as_f64().unwrap()), "{field} in {part}");
        }
        let classes = part["per_class"].as_array().unwrap();
        assert_eq!(classes.len(), part["confusion"].as_array().unwrap().len());
        for field in ["emotion", "precision", "recall", "f1", "support"] {
            assert!(!classes[0][field].is_null(), "{field}");
        }
    }
    let text = run(&folder, "eval face set --model m.safetensors --plot confusion.svg");
    assert!(text.ends(0, "").out.contains("without twins"), "{text:#?}");
    assert!(std::fs::read_to_string(folder.join("confusion.svg")).unwrap().contains("<svg"));
}

#[test]
fn a_set_is_checked() {
    let folder = set("check");
    let found = run(&folder, "data check set --json").json().remove(0);
    assert_eq!((found["pictures"].as_u64(), found["test_twins_in_train"].as_u64()), (Some(8), Some(2)), "{found}");
    assert!(run(&folder, "data check set").ends(0, "").out.contains("8 pictures"));
}

#[test]
fn what_cannot_be_measured_is_told() {
    let folder = set("eval-errors");
    for (arguments, says) in [
        ("eval face nowhere --model m.safetensors", "nowhere"),
        ("eval face set --model nobody", "nobody"),
        ("eval face set --split best --model m.safetensors", "best"),
        ("eval speech set --model nowhere", "nowhere"),
        ("eval speech set --noise nan", "-60 to 120"),
        ("eval speech set --noise 10 --noise-kind loud", "white, pink, brown, babble or music"),
        ("eval speech set --noise-kind babble", "--noise"),
        ("eval speech set --first 0", "0.05 to 600"),
        ("data check nowhere", "nowhere"),
    ] {
        run(&folder, arguments).ends(2, says);
    }
    std::fs::write(folder.join("bad.csv"), "emotion,pixels,Usage\n0,1 2 3,Training\n9,1,Training\n").unwrap();
    run(&folder, "data check bad.csv").ends(2, "line 2").ends(2, "and 1 more");
}
