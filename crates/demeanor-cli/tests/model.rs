//! `demeanor model`, and the texts that the command line makes of itself.

mod program;

use program::{folder, folder_with, run};
use serde_json::json;

#[test]
fn a_model_is_shown() {
    let folder = folder_with("show", &[]);
    let shown = run(&folder, "model show m.safetensors");
    shown.ends(0, "");
    for line in [
        "name         test-v1",
        "labels       angry disgust fear happy sad surprise neutral",
        "input        face, 24 x 24 grey, scaling standardise, margin 0",
        "licence      CC0-1.0",
    ] {
        assert!(shown.out.contains(line), "{line}: {shown:#?}");
    }
    let header = run(&folder, "model show --json m.safetensors").json().remove(0);
    assert_eq!((&header["name"], &header["format"]), (&json!("test-v1"), &json!(1)));
}

#[test]
fn models_are_verified() {
    let folder = folder_with("verify", &["rgb.png"]);
    let run_ = run(&folder, "model verify m.safetensors");
    assert!(run_.ends(0, "").out.starts_with("m.safetensors: whole, test-v1, sha256 "), "{run_:#?}");
    // one that is none does not hide the others
    let run_ = run(&folder, "model verify rgb.png nobody m.safetensors");
    run_.ends(2, "rgb.png").ends(2, "nobody");
    assert_eq!(run_.out.lines().count(), 1);
}

#[test]
fn every_built_in_model_is_whole_and_of_its_name() {
    let folder = folder("built-in");
    run(&folder, "model verify").ends(0, "");
    let listed = run(&folder, "model list --json");
    let detectors = usize::from(demeanor_models::detector().is_some());
    assert_eq!(listed.ends(0, "").out.lines().count(), demeanor_models::all().len() + detectors);
    for (line, model) in listed.json().iter().zip(demeanor_models::all()) {
        let header = run(&folder, &format!("model show --json {}", model.name)).json().remove(0);
        assert_eq!((&line["name"], &header["name"]), (&json!(model.name), &json!(model.name)));
        assert!(header["input"][model.sense.name()].is_object(), "{header}");
        let metrics: serde_json::Value = serde_json::from_str(model.metrics).unwrap();
        let accuracy = [&metrics["test"]["accuracy"], &metrics["speaker"]["accuracy"]["mean"]];
        assert!(accuracy.iter().any(|a| a.is_number()), "{metrics}");
        assert!(!model.card.is_empty() && !model.recipe.is_empty());
        assert!(run(&folder, "model list").out.contains(model.name));
    }
}

#[test]
fn every_stage_is_timed() {
    let folder = folder_with("bench", &[]);
    let report = run(&folder, "bench --json --time 0 --face-model m.safetensors");
    let report = report.ends(0, "").json().remove(0);
    assert!(report["machine"]["threads"].as_u64().unwrap() >= 1);
    let stages = report["stages"].as_array().unwrap();
    for name in ["detect faces, live", "prepare a face", "face network"] {
        let stage = stages.iter().find(|s| s["stage"] == name).unwrap();
        let number = |field: &str| stage[field].as_f64().unwrap();
        assert!(number("runs") >= 5.0 && number("median_ms") >= 0.0 && number("p95_ms") >= number("median_ms"));
    }
}

#[test]
fn completions_for_every_shell() {
    let folder = folder("completions");
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = run(&folder, &format!("completions {shell}"));
        assert!(script.ends(0, "").out.contains("demeanor"), "{shell}");
        assert!(script.out.contains("annotate"), "{shell}");
    }
    run(&folder, "completions tcsh").ends(2, "possible values");
}

#[test]
fn man_pages() {
    let folder = folder("man");
    let page = run(&folder, "man");
    assert!(page.ends(0, "").out.contains(".TH demeanor 1"), "{}", page.out);
    run(&folder, "man --out pages").ends(0, "");
    assert!(std::fs::read_to_string(folder.join("pages/demeanor-face.1")).unwrap().contains("annotate"));
}

#[test]
fn the_command_line_is_explained() {
    let folder = folder("help");
    let help = run(&folder, "--help");
    assert!(help.ends(0, "").out.contains("2 when there was an error"), "{help:#?}");
    assert!(run(&folder, "face --help").ends(0, "").out.contains("--min-score"));
    run(&folder, "--version").ends(0, "");
    run(&folder, "").ends(2, "Usage");
    run(&folder, "dance").ends(2, "unrecognized subcommand");
}
