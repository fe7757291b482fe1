//! `demeanor train` from the outside, on a set of pictures that is made here.
#![cfg(feature = "train")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

const RECIPE: &str = r#"
name = "tiny"
labels = ["happy", "sad"]
[input.face]
size = 16
scaling = "standardise"
margin = 0.0
[[network]]
layer = "conv"
out = 8
kernel = [3, 3]
pool = [2, 2]
[[network]]
layer = "global_average"
[[network]]
layer = "dense"
units = 2
[augment.face]
shift = 0.05
[data]
without_twins = false
[train]
epochs = 4
batch = 8
optimiser = { kind = "adam", rate = 0.02 }
best = "accuracy"
search = { rates = [0.02, 0.0001], epochs = 1 }
"#;

/// A folder with a set of two kinds of stripes and a recipe.
fn folder(name: &str) -> PathBuf {
    let folder = std::env::temp_dir().join(format!("demeanor-train-{name}-{}", std::process::id()));
    let _ = fs::remove_dir_all(&folder);
    for (split, count) in [("train", 24), ("validation", 8), ("test", 4)] {
        for emotion in ["happy", "sad"] {
            let into = folder.join("data").join(split).join(emotion);
            fs::create_dir_all(&into).unwrap();
            for i in 0..count {
                let picture = image::GrayImage::from_fn(48, 48, |x, y| {
                    let along = if emotion == "happy" { x } else { y };
                    let noise = (x * 7 + y * 13 + i * 29) % 17;
                    image::Luma([(along / 4 % 2 * 160 + noise * 4) as u8])
                });
                picture.save(into.join(format!("{i}.png"))).unwrap();
            }
        }
    }
    fs::write(folder.join("recipe.toml"), RECIPE).unwrap();
    folder
}

fn train(folder: &Path, out: &str, more: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_demeanor"))
        .args(["train", "face", "--recipe"])
        .arg(folder.join("recipe.toml"))
        .arg("--data")
        .arg(folder.join("data"))
        .arg("--out")
        .arg(folder.join(out))
        .args(more)
        .output()
        .unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn a_recipe_and_pictures_become_a_model() {
    let folder = folder("model");
    let output = train(&folder, "out", &[]);
    assert!(output.status.success(), "{}", said(&output));
    assert!(output.stdout.is_empty());
    let out = folder.join("out");
    let model = fs::read(out.join("model.safetensors")).unwrap();
    let (header, _) = demeanor::model::read(&model).unwrap();
    assert_eq!((header.name.as_str(), header.recipe.as_str()), ("tiny", RECIPE));
    assert_eq!(fs::read_to_string(out.join("log.jsonl")).unwrap().lines().count(), 4);
    assert!(fs::read_to_string(out.join("curve.svg")).unwrap().contains("polyline"));
    let metrics: serde_json::Value = serde_json::from_slice(&fs::read(out.join("metrics.json")).unwrap()).unwrap();
    assert_eq!(metrics["validation"]["samples"], 16);
    assert!(metrics["validation"]["accuracy"].as_f64().unwrap() > 0.9, "{metrics}");

    // the same again gives the same model; a run at its end is not run again
    assert!(train(&folder, "again", &[]).status.success());
    assert_eq!(fs::read(folder.join("again/model.safetensors")).unwrap(), model);
    assert!(train(&folder, "again", &["--resume"]).status.success());
    assert_eq!(fs::read(folder.join("again/model.safetensors")).unwrap(), model);

    let seeds = train(&folder, "seeds", &["--seeds", "0..2", "--epochs", "1"]);
    assert!(seeds.status.success() && said(&seeds).contains("2 runs"), "{}", said(&seeds));
    let search = train(&folder, "search", &["--search", "--epochs", "1"]);
    assert!(search.status.success() && said(&search).contains("training with 0.02"), "{}", said(&search));
    fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn a_finished_model_is_replaced_only_when_asked() {
    let folder = folder("finished");
    assert!(train(&folder, "out", &["--epochs", "1"]).status.success());
    let model = || fs::read(folder.join("out/model.safetensors")).unwrap();
    let first = model();
    for more in [&["--seed", "1"][..], &["--seeds", "0..2"]] {
        let before = more[0] == "--seeds";
        if before {
            fs::create_dir_all(folder.join("out/seed1")).unwrap();
            fs::write(folder.join("out/seed1/model.safetensors"), "a model").unwrap();
        }
        let refused = train(&folder, "out", &[&["--epochs", "1"], more].concat());
        assert_eq!(refused.status.code(), Some(2));
        assert!(
            said(&refused).contains("finished model") && said(&refused).contains("--overwrite"),
            "{}",
            said(&refused)
        );
        assert!(model() == first && !folder.join("out/seed0/model.safetensors").exists());
    }
    // what is read is never written over, whatever is asked
    let own = folder.join("out").to_str().unwrap().to_owned();
    let refused = train(&folder, "out", &["--epochs", "1", "--from", &own, "-y"]);
    assert!(refused.status.code() == Some(2) && said(&refused).contains("is read"), "{}", said(&refused));
    assert!(model() == first);
    assert!(train(&folder, "out", &["--epochs", "1", "--seed", "1", "-y"]).status.success());
    assert!(model() != first);
    fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn two_trainings_do_not_share_a_folder() {
    let folder = folder("lock");
    fs::create_dir(folder.join("out")).unwrap();
    let lock = fs::File::create(folder.join("out/.lock")).unwrap();
    lock.lock().unwrap();
    for more in [&[][..], &["-y"], &["--resume"]] {
        let refused = train(&folder, "out", more);
        assert!(refused.status.code() == Some(2) && said(&refused).contains("another training"), "{}", said(&refused));
    }
    drop(lock);
    assert!(train(&folder, "out", &["--epochs", "1"]).status.success());
    fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn a_model_learns_from_others() {
    let folder = folder("teachers");
    assert!(train(&folder, "first", &["--epochs", "1"]).status.success());
    assert!(train(&folder, "second", &["--epochs", "1", "--seed", "1"]).status.success());
    let alone = fs::read_to_string(folder.join("recipe.toml")).unwrap();
    let [first, second] = ["first", "second"].map(|name| folder.join(name).to_str().unwrap().to_owned());
    let refused = train(&folder, "none", &["--teachers", &first]);
    assert!(!refused.status.success() && said(&refused).contains("[train.teachers]"), "{}", said(&refused));

    let taught = alone.replace("epochs = 4", "epochs = 4\nteachers = { share = 0.5, temperature = 2.0 }");
    fs::write(folder.join("recipe.toml"), taught).unwrap();
    let refused = train(&folder, "none", &[]);
    assert!(!refused.status.success() && said(&refused).contains("--teachers"), "{}", said(&refused));
    let refused = train(&folder, "none", &["--teachers", "nowhere"]);
    assert!(!refused.status.success() && said(&refused).contains("nowhere"), "{}", said(&refused));
    let student = train(&folder, "student", &["--teachers", &first, "--teachers", &second]);
    assert!(student.status.success(), "{}", said(&student));
    let metrics = fs::read(folder.join("student/metrics.json")).unwrap();
    let metrics: serde_json::Value = serde_json::from_slice(&metrics).unwrap();
    assert!(metrics["validation"]["accuracy"].as_f64().unwrap() > 0.9, "{metrics}");
    fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn a_run_begins_with_the_weights_of_another() {
    let folder = folder("from");
    assert!(train(&folder, "first", &[]).status.success());
    // hardly a step is taken, so what is known afterwards was known before
    fs::write(folder.join("recipe.toml"), RECIPE.replace("rate = 0.02 }", "rate = 1e-7 }")).unwrap();
    let first = folder.join("first").to_str().unwrap().to_owned();
    let loss = |out: &str, more: &[&str]| {
        let output = train(&folder, out, more);
        assert!(output.status.success(), "{}", said(&output));
        let log = fs::read_to_string(folder.join(out).join("log.jsonl")).unwrap();
        let record: serde_json::Value = serde_json::from_str(log.lines().last().unwrap()).unwrap();
        record["train_loss"].as_f64().unwrap()
    };
    let on = loss("on", &["--epochs", "1", "--from", &first]);
    let anew = loss("anew", &["--epochs", "1"]);
    assert!(2.0 * on < anew, "{on} {anew}");
    let metrics = fs::read_to_string(folder.join("on/metrics.json")).unwrap();
    assert!(metrics.contains("\"from\""), "{metrics}");

    // the mean of a run with itself is itself; with another one it is not
    let anew_folder = folder.join("anew").to_str().unwrap().to_owned();
    assert_eq!(loss("twice", &["--epochs", "1", "--from", &first, "--from", &first]), on);
    let far = loss("far", &["--epochs", "1", "--from", &first, "--from", &anew_folder]);
    assert!((far - on).abs() > 1e-3, "{far} {on}");
    let metrics: serde_json::Value =
        serde_json::from_slice(&fs::read(folder.join("far/metrics.json")).unwrap()).unwrap();
    assert_eq!(metrics["from"], serde_json::json!([first, anew_folder]));

    // a new block changes nothing at first; views are asked for in the new recipe alone
    let block = "[[network]]\nlayer = \"residual\"\n[[network.body]]\nlayer = \"conv\"\nout = 8\nkernel = [3, 3]\nrelu = false\n";
    let average = "[[network]]\nlayer = \"global_average\"";
    let deeper = RECIPE.replace(average, &format!("{block}{average}")).replace("rate = 0.02 }", "rate = 1e-7 }");
    fs::write(
        folder.join("recipe.toml"),
        deeper.replace("[input.face]", "views = [{}, { mirror = true }]\n[input.face]"),
    )
    .unwrap();
    let grown = loss("grown", &["--epochs", "1", "--from", &first]);
    assert!((grown - on).abs() < 1e-3, "{grown} {on}");
    let data = folder.join("data");
    let eval = |precision: &str| {
        let output = Command::new(env!("CARGO_BIN_EXE_demeanor"))
            .args([
                "eval",
                "face",
                data.to_str().unwrap(),
                "--allow-seen",
                "--precision",
                precision,
                "--json",
                "--model",
            ])
            .arg(folder.join("grown/model.safetensors"))
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", said(&output));
        let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        report["accuracy"].as_f64().unwrap()
    };
    assert_eq!([eval("fast"), eval("single")], [1.0, 1.0]);

    fs::write(folder.join("recipe.toml"), RECIPE.replace("out = 8", "out = 16")).unwrap();
    for (at, words) in [("first", "another network"), ("nowhere", "recipe.toml")] {
        let refused = train(&folder, "refused", &["--from", folder.join(at).to_str().unwrap()]);
        assert_eq!(refused.status.code(), Some(2));
        assert!(said(&refused).contains(words), "{}", said(&refused));
        assert!(!folder.join("refused/model.safetensors").exists());
    }
    fs::remove_dir_all(&folder).unwrap();
}

#[cfg(unix)]
#[test]
fn an_interrupted_run_goes_on_as_if_nothing_had_been() {
    const EPOCHS: [&str; 2] = ["--epochs", "60"];
    let folder = folder("interrupt");
    let mut run = Command::new(env!("CARGO_BIN_EXE_demeanor"))
        .args(["train", "face", "--recipe"])
        .arg(folder.join("recipe.toml"))
        .arg("--data")
        .arg(folder.join("data"))
        .arg("--out")
        .arg(folder.join("cut"))
        .args(EPOCHS)
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let log = folder.join("cut/log.jsonl");
    while fs::read_to_string(&log).map_or(0, |l| l.lines().count()) < 3 && run.try_wait().unwrap().is_none() {
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    assert!(Command::new("kill").args(["-INT", &run.id().to_string()]).status().unwrap().success());
    assert_eq!(run.wait().unwrap().code(), Some(130), "60 epochs were over before the interrupt");
    assert!(!folder.join("cut/model.safetensors").exists());
    // hours of work are not begun anew by leaving out an option
    let refused = train(&folder, "cut", &EPOCHS);
    assert!(refused.status.code() == Some(2) && said(&refused).contains("--resume"), "{}", said(&refused));
    let rest = train(&folder, "cut", &[&EPOCHS[..], &["--resume"]].concat());
    assert!(rest.status.success(), "{}", said(&rest));
    assert!(train(&folder, "whole", &EPOCHS).status.success());
    let model = |name: &str| fs::read(folder.join(name).join("model.safetensors")).unwrap();
    assert!(model("cut") == model("whole"), "the resumed run gives another model");
    fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn what_is_wrong_is_said() {
    let folder = folder("wrong");
    let cases: [(&str, &str, &[&str]); 5] = [
        ("batch = 8", "batch = 0", &[]),
        ("labels = [\"happy\", \"sad\"]", "labels = [\"happy\", \"joy\"]", &[]),
        ("epochs = 4", "epochs = 4\nepoch = 3", &[]),
        ("", "", &["--device", "abacus"]),
        ("", "", &["--seeds", "3..3"]),
    ];
    for (from, to, more) in cases {
        fs::write(folder.join("recipe.toml"), RECIPE.replacen(from, to, 1)).unwrap();
        let output = train(&folder, "out", more);
        assert_eq!(output.status.code(), Some(2), "{to} {more:?}");
        assert!(said(&output).to_lowercase().contains("error"), "{}", said(&output));
    }
    fs::write(folder.join("recipe.toml"), RECIPE).unwrap();
    // a recipe for faces given for speech; no data; a file that is no data set
    let speech = Command::new(env!("CARGO_BIN_EXE_demeanor"))
        .args(["train", "speech", "--recipe"])
        .arg(folder.join("recipe.toml"))
        .args(["--data", ".", "--out"])
        .arg(folder.join("out"))
        .output()
        .unwrap();
    assert_eq!(speech.status.code(), Some(2));
    assert!(said(&speech).contains("is for faces, not for speech"), "{}", said(&speech));
    fs::remove_dir_all(folder.join("data")).unwrap();
    assert_eq!(train(&folder, "out", &[]).status.code(), Some(2));
    fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn a_model_of_ones_own_pictures_has_a_name_and_a_licence_of_its_own() {
    let folder = folder("named");
    // as if it were a recipe of the program, which is for FER-2013; and a third emotion that nobody shows
    let recipe = RECIPE
        .replace("name = \"tiny\"", "name = \"face-v2\"\nlicence = \"that of FER-2013\"")
        .replace("[\"happy\", \"sad\"]", "[\"happy\", \"sad\", \"fear\"]")
        .replace("units = 2", "units = 3")
        .replace("epochs = 4", "epochs = 1");
    fs::write(folder.join("recipe.toml"), recipe).unwrap();
    let header = |out: &str| {
        let bytes = fs::read(folder.join(out).join("model.safetensors")).unwrap();
        let (header, _) = demeanor::model::read(&bytes).unwrap();
        (header.name, header.licence)
    };
    let output = train(&folder, "my faces", &[]);
    assert!(output.status.success(), "{}", said(&output));
    assert!(said(&output).contains("the data is your own") && said(&output).contains("--licence"), "{}", said(&output));
    assert!(said(&output).contains("no training examples of fear"), "{}", said(&output));
    assert_eq!(header("my faces"), ("my-faces".to_owned(), "unknown".to_owned()));
    let output = train(&folder, "other", &["--name", "mine-v1", "--licence", "CC0-1.0"]);
    assert!(output.status.success() && !said(&output).contains("your own"), "{}", said(&output));
    assert_eq!(header("other"), ("mine-v1".to_owned(), "CC0-1.0".to_owned()));
    // a longer run has other learning rates: said, with what to do
    let output = train(&folder, "other", &["--name", "mine-v1", "--licence", "CC0-1.0", "--resume", "--epochs", "2"]);
    assert_eq!(output.status.code(), Some(2));
    let text = said(&output);
    assert!(text.contains("a run of 1 epochs, not 2") && text.contains("--from"), "{text}");
    fs::remove_dir_all(&folder).unwrap();
}
