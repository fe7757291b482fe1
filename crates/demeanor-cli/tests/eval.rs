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
fn a_report_is_whole_and_its_figures_are_those_of_the_predictions() {
    let folder = set("eval-report");
    std::fs::write(folder.join("groups.csv"), "path,group\ntest/happy/4.png,a\ntest/sad/5.png,b\n").unwrap();
    std::fs::write(folder.join("other.csv"), "path,predicted\ntest/happy/4.png,happy\ntest/sad/5.png,\n").unwrap();
    let arguments = "eval face set --model m.safetensors --report out --groups groups.csv --against other.csv --json";
    let found = run(&folder, arguments);
    let json = found.ends(0, "wrote out").ends(0, "groups for 2 of the 4 files").json().remove(0);
    assert_eq!(json["training_files"]["recorded"], false);
    let read = |name: &str| std::fs::read_to_string(folder.join("out").join(name)).unwrap();
    let table = read("predictions.csv");
    let mut lines = table.lines();
    let head: Vec<&str> = lines.next().unwrap().split(',').collect();
    let correct = head.iter().position(|name| *name == "correct").unwrap();
    let rows: Vec<Vec<&str>> = lines.map(|line| line.split(',').collect()).collect();
    let right = rows.iter().filter(|row| row[correct] == "1").count() as f64;
    assert_eq!(json["accuracy"].as_f64().unwrap(), right / rows.len() as f64);
    let report: serde_json::Value = serde_json::from_str(&read("report.json")).unwrap();
    assert_eq!(report["schema"], 1);
    assert!(report["source"]["command"].as_str().unwrap().contains("--report out"));
    let overall = &report["sections"][0]["blocks"][0];
    assert_eq!(overall["rows"][0][2]["value"], json["accuracy"]);
    let page = read("report.html");
    assert!(page.contains("By group.") && page.contains("McNemar") && !page.contains("<script"));
    assert!(
        read("report.md").contains("training files not recorded")
            || read("report.md").contains("Training files not recorded")
    );
    // the same command, the same bytes
    let first = page;
    run(&folder, arguments).ends(2, "--overwrite");
    std::fs::remove_dir_all(folder.join("out")).unwrap();
    run(&folder, arguments).ends(0, "");
    assert_eq!(first, read("report.html"));
    run(&folder, "eval face set --model m.safetensors --predictions p.csv").ends(0, "");
    assert_eq!(std::fs::read_to_string(folder.join("p.csv")).unwrap().lines().count(), 5);
    run(&folder, "eval face set --model m.safetensors --against other.csv").ends(2, "--report");
    run(&folder, "eval face set --model m.safetensors --groups nowhere.csv").ends(2, "nowhere.csv");
}

#[test]
fn files_that_were_trained_on_stop_an_evaluation() {
    let folder = set("eval-seen");
    // the picture of seed 2, which train and test both hold
    let picture = image::open(folder.join("set/test/sad/5.png")).unwrap().into_luma8();
    let hash = demeanor_train::seen::TrainingFiles::new([demeanor_train::seen::hash(picture.as_raw())]);
    let metrics = serde_json::json!({ "training_files": hash });
    std::fs::write(folder.join("metrics.json"), metrics.to_string()).unwrap();
    let stopped = run(&folder, "eval face set --model m.safetensors");
    stopped.ends(2, "1 of the 4 files were trained on, such as test/sad/5.png").ends(2, "--allow-seen");
    let allowed = run(&folder, "eval face set --model m.safetensors --allow-seen --report out --json");
    let json = allowed.ends(0, "").json().remove(0);
    assert_eq!((json["samples"].as_u64(), json["unseen"]["samples"].as_u64()), (Some(4), Some(3)));
    assert_eq!(json["training_files"]["seen"], 1);
    let page = std::fs::read_to_string(folder.join("out/report.html")).unwrap();
    assert!(page.contains("Read first:") && page.contains("without files that the model was trained on"));
    assert!(run(&folder, "eval face set --model m.safetensors --allow-seen").ends(0, "").out.contains("without them"));
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
