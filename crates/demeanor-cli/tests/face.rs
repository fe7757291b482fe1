//! `demeanor face` as a user runs it: formats, damage, statuses, output.

mod program;

use std::path::Path;

use program::{face_model, folder, folder_with, pictures, program, run, run_with};
use serde_json::{Value, json};

/// Everything about a picture but its name.
fn faces(folder: &Path, file: &str) -> Value {
    let run = run(folder, &format!("face --json --model m.safetensors {file}"));
    run.ends(0, "");
    let mut line = run.json().remove(0);
    assert_eq!(line["file"].take(), json!(file));
    line
}

fn centre(line: &Value) -> (f64, f64) {
    let region = &line["faces"][0]["region"];
    let number = |name: &str| region[name].as_f64().unwrap();
    (number("x") + number("width") / 2.0, number("y") + number("height") / 2.0)
}

#[test]
fn every_format_shows_the_same_face() {
    let names = [
        "rgb.png",
        "grey.png",
        "baseline.jpg",
        "progressive.jpg",
        "cmyk.jpg",
        "palette.png",
        "lossless.webp",
        "lossy.webp",
        "still.gif",
        "face.bmp",
        "face.tiff",
        "sixteen_bit.png",
        "sixteen_bit_rgb.png",
        "alpha.png",
        "grey_alpha.png",
        "animated.gif",
        "animated.webp",
        "animated.png",
    ];
    let folder = folder_with("formats", &names);
    let expected = faces(&folder, "rgb.png");
    assert_eq!(expected["faces"].as_array().unwrap().len(), 1, "{expected}");
    for name in names {
        let found = faces(&folder, name);
        assert_eq!((&found["width"], &found["height"]), (&json!(160), &json!(160)), "{name}");
        assert_eq!(found["faces"].as_array().unwrap().len(), 1, "{name}: {found}");
        let ((x, y), (found_x, found_y)) = (centre(&expected), centre(&found));
        assert!((x - found_x).abs() < 6.0 && (y - found_y).abs() < 6.0, "{name}: {found}");
    }
    // the very same pixels give the very same reading
    for name in ["lossless.webp", "animated.webp", "animated.png", "face.tiff", "sixteen_bit_rgb.png"] {
        assert_eq!(faces(&folder, name), expected, "{name}");
    }
    assert_eq!(faces(&folder, "sixteen_bit.png"), faces(&folder, "grey.png"));
}

#[test]
fn pictures_are_turned_upright() {
    let names: Vec<_> = (1..=8).map(|i| format!("orientation_{i}.jpg")).collect();
    let folder = folder_with("orientations", &names.iter().map(String::as_str).collect::<Vec<_>>());
    let expected = faces(&folder, &names[0]);
    for name in &names {
        let found = faces(&folder, name);
        assert_eq!((&found["width"], &found["height"]), (&json!(160), &json!(200)), "{name}");
        let ((x, y), (found_x, found_y)) = (centre(&expected), centre(&found));
        assert!((x - found_x).abs() < 6.0 && (y - found_y).abs() < 6.0, "{name}: {found}");
    }
}

#[test]
fn a_picture_in_json_has_the_fields_that_are_documented() {
    let folder = folder_with("fields", &["rgb.png"]);
    let line = faces(&folder, "rgb.png");
    let names = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&line), ["faces", "file", "height", "width"]);
    let face = &line["faces"][0];
    assert_eq!(names(face), ["confidence", "emotion", "landmarks", "quality", "region", "score", "scores"]);
    assert_eq!(names(&face["region"]), ["height", "width", "x", "y"]);
    let scores = face["scores"].as_object().unwrap();
    let mut emotions: Vec<_> = scores.keys().map(String::as_str).collect();
    emotions.sort_unstable();
    assert_eq!(emotions, ["angry", "disgust", "fear", "happy", "neutral", "sad", "surprise"]);
    let sum: f64 = scores.values().map(|v| v.as_f64().unwrap()).sum();
    assert!((sum - 1.0).abs() < 1e-4, "{sum}");
    let top = scores.values().map(|v| v.as_f64().unwrap()).fold(0.0, f64::max);
    assert_eq!(face["score"].as_f64().unwrap(), top);
    // in the order of the documentation
    let raw = run(&folder, "face --json --model m.safetensors rgb.png").out;
    let order = [
        "\"file\"",
        "\"width\"",
        "\"height\"",
        "\"faces\"",
        "\"region\"",
        "\"x\"",
        "\"y\"",
        "\"emotion\"",
        "\"score\"",
        "\"scores\"",
    ];
    let places: Vec<_> = order.iter().map(|name| raw.find(name).unwrap()).collect();
    assert!(places.is_sorted(), "{raw}");
}

#[test]
fn under_the_threshold_it_reads_as_unsure() {
    let folder = folder_with("unsure", &["rgb.png"]);
    let sure = run(&folder, "face --json --model m.safetensors --min-score 0 rgb.png").json().remove(0);
    let unsure = run(&folder, "face --json --model m.safetensors --min-score 1 rgb.png").json().remove(0);
    assert_ne!(sure["faces"][0]["emotion"], json!("unsure"));
    assert_eq!(unsure["faces"][0]["emotion"], json!("unsure"));
    assert_eq!(sure["faces"][0]["score"], unsure["faces"][0]["score"]);
    let text = run(&folder, "face --model m.safetensors --min-score 1 rgb.png");
    assert!(text.ends(0, "").out.contains("reads as unsure"), "{text:#?}");
}

#[test]
fn a_face_is_a_line_and_a_picture_without_one_is_status_1() {
    let folder = folder_with("lines", &["rgb.png", "one_pixel.png"]);
    let found = run(&folder, "face --model m.safetensors rgb.png");
    found.ends(0, "");
    assert_eq!(found.out.lines().count(), 1);
    assert!(found.out.starts_with("rgb.png: face at "), "{found:#?}");
    let none = run(&folder, "face --model m.safetensors one_pixel.png");
    none.ends(1, "one_pixel.png: no face found");
    assert_eq!(none.out, "");
    let none = run(&folder, "face --json --model m.safetensors one_pixel.png");
    none.ends(1, "--whole");
    assert_eq!(none.json(), [json!({"file": "one_pixel.png", "width": 1, "height": 1, "faces": []})]);
    // one of them is enough
    run(&folder, "face --model m.safetensors one_pixel.png rgb.png").ends(0, "one_pixel.png");
}

#[test]
fn whole_pictures_are_read_without_detection() {
    let folder = folder_with("whole", &["one_pixel.png", "rgb.png", "one_bit.png"]);
    let found = run(&folder, "face --json --whole --model m.safetensors one_pixel.png rgb.png one_bit.png");
    found.ends(0, "");
    for (line, side) in found.json().iter().zip([1.0, 160.0, 160.0]) {
        assert_eq!(line["faces"][0]["region"], json!({"x": 0.0, "y": 0.0, "width": side, "height": side}));
    }
}

#[test]
fn folders_patterns_and_stdin() {
    let folder = folder_with("sources", &[]);
    std::fs::create_dir_all(folder.join("in/b/c")).unwrap();
    for (from, to) in [("rgb.png", "in/z.PNG"), ("grey.png", "in/a.png"), ("baseline.jpg", "in/b/c/x.jpg")] {
        std::fs::copy(pictures().join(from), folder.join(to)).unwrap();
    }
    std::fs::write(folder.join("in/notes.txt"), "not a picture").unwrap();
    let files = |arguments: &str| -> Vec<String> {
        let run = run(&folder, &format!("face --json --model m.safetensors {arguments}"));
        run.ends(0, "");
        run.json().iter().map(|line| line["file"].as_str().unwrap().replace('\\', "/")).collect()
    };
    assert_eq!(files("in"), ["in/a.png", "in/b/c/x.jpg", "in/z.PNG"]);
    assert_eq!(files("in/*.png"), ["in/a.png"]);
    assert_eq!(files("in/**/*.jpg in/a.png"), ["in/b/c/x.jpg", "in/a.png"]);
    let bytes = std::fs::read(pictures().join("rgb.png")).unwrap();
    let run = run_with(&folder, "face --json --model m.safetensors -", &bytes);
    assert_eq!(run.ends(0, "").json()[0]["file"], json!("-"));
}

#[test]
fn damage_is_told_and_does_not_stop_the_batch() {
    for (name, says) in [
        ("empty.png", "is empty"),
        ("text.png", "looks like text"),
        ("truncated.jpg", "truncated"),
        ("truncated.png", "truncated"),
        ("truncated.webp", "WEBP"),
        ("truncated.gif", "GIF"),
        ("giant.png", "60000 x 60000"),
        ("giant.gif", "60000 x 60000"),
        ("giant.bmp", "60000 x 60000"),
        ("giant.ppm", "60000 x 60000"),
        // at an eighth of its size it would be read, were there anything in it
        ("giant.jpg", "cannot be decoded"),
    ] {
        let folder = folder_with(&format!("damage-{name}"), &[name, "rgb.png"]);
        for more in ["", "--json", "--whole"] {
            let run = run(&folder, &format!("face --model m.safetensors {more} {name} rgb.png"));
            run.ends(2, says).ends(2, name);
            assert_eq!(run.out.lines().count(), 1, "{run:#?}");
            assert!(run.out.contains("rgb.png"), "{run:#?}");
        }
        let bytes = std::fs::read(folder.join(name)).unwrap();
        run_with(&folder, "face --model m.safetensors -", &bytes).ends(2, says);
    }
}

#[test]
fn what_is_not_there_is_told() {
    let folder = folder_with("missing", &["rgb.png"]);
    std::fs::create_dir(folder.join("none")).unwrap();
    std::fs::write(folder.join("none/readme.txt"), "no pictures").unwrap();
    for (arguments, says) in [
        ("nobody.png", "nobody.png: no such file or folder"),
        ("none", "heic, heif, avif, jxl, jp2) in the folder none or below"),
        ("*.webp", "no file matches *.webp"),
    ] {
        run(&folder, &format!("face --model m.safetensors {arguments}")).ends(2, says);
        let run = run(&folder, &format!("face --model m.safetensors {arguments} rgb.png"));
        assert!(run.ends(2, says).out.contains("rgb.png"), "{run:#?}");
    }
    run(&folder, "face --model nobody.safetensors rgb.png").ends(2, "cannot read the model file nobody.safetensors");
    run(&folder, "face --model none rgb.png").ends(2, "is a folder");
    run(&folder, "face --model m.safetensors").ends(2, "PATH");
    for bad in ["--min-score 1.5", "--min-score x", "--min-face 0", "--min-face -3"] {
        run(&folder, &format!("face --model m.safetensors {bad} rgb.png")).ends(2, "error");
    }
}

#[test]
fn a_giant_picture_needs_no_memory() {
    // as much as a small picture needs, by the kernel's count
    if !cfg!(target_os = "linux") || std::process::Command::new("/usr/bin/time").arg("--version").output().is_err() {
        eprintln!("skipped: memory is measured with /usr/bin/time on Linux");
        return;
    }
    let folder = folder_with("giant", &["giant.png", "giant.jpg", "giant.gif", "giant.bmp", "giant.ppm"]);
    for name in ["giant.png", "giant.jpg", "giant.gif", "giant.bmp", "giant.ppm"] {
        let output = std::process::Command::new("/usr/bin/time")
            .args(["-f", "peak %M kB", env!("CARGO_BIN_EXE_demeanor"), "face", "--model", "m.safetensors", name])
            .current_dir(&folder)
            .output()
            .unwrap();
        let err = String::from_utf8(output.stderr).unwrap();
        let peak: u64 = err.split("peak ").nth(1).unwrap().split(' ').next().unwrap().parse().unwrap();
        assert!(peak < 60_000, "{name}: {peak} kB");
    }
}

#[test]
fn annotated_pictures_are_written_whole_and_never_over_their_source() {
    let folder = folder_with("annotate", &["rgb.png", "one_pixel.png"]);
    std::fs::create_dir_all(folder.join("in/deep")).unwrap();
    std::fs::copy(folder.join("rgb.png"), folder.join("in/deep/rgb.png")).unwrap();
    std::fs::copy(pictures().join("baseline.jpg"), folder.join("in/deep/rgb.jpg")).unwrap();
    let original = std::fs::read(folder.join("rgb.png")).unwrap();
    run(&folder, "face --model m.safetensors --annotate out rgb.png one_pixel.png in").ends(0, "");
    let mut written: Vec<_> = walk(&folder.join("out"));
    written.sort();
    assert_eq!(written, ["deep/rgb-2.png", "deep/rgb.png", "one_pixel.png", "rgb.png"]);
    let image = image::open(folder.join("out/rgb.png")).unwrap();
    // enlarged, so that the label can be read
    assert_eq!((image.width(), image.height()), (320, 320));
    run(&folder, "face --model m.safetensors --annotate . rgb.png").ends(0, "");
    assert_eq!(std::fs::read(folder.join("rgb.png")).unwrap(), original);
    assert!(folder.join("rgb-2.png").exists());
    run(&folder, "face --model m.safetensors --annotate m.safetensors rgb.png").ends(2, "cannot make the folder");
}

fn walk(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() {
            found.extend(walk(&path).into_iter().map(|below| format!("{name}/{below}")));
        } else {
            found.push(name);
        }
    }
    found
}

#[test]
fn damaged_models_are_refused() {
    let folder = folder_with("models", &["rgb.png"]);
    let whole = face_model();
    let mut altered = whole.clone();
    *altered.last_mut().unwrap() ^= 1;
    let replaced = |from: &str, to: &str| {
        assert_eq!(from.len(), to.len());
        let at = whole.windows(from.len()).position(|w| w == from.as_bytes()).unwrap();
        let mut bytes = whole.clone();
        bytes[at..at + to.len()].copy_from_slice(to.as_bytes());
        bytes
    };
    for (name, bytes, says) in [
        ("empty", Vec::new(), "model"),
        ("truncated", whole[..whole.len() - 100].to_vec(), "truncated"),
        ("head", whole[..20].to_vec(), "model"),
        ("altered", altered, "altered"),
        ("newer", replaced("\\\"format\\\":1", "\\\"format\\\":9"), "newer version"),
        ("recipe", replaced("standardise", "percentiles"), "percentiles"),
        ("header", replaced("test-v1", "best-v1"), "altered"),
        ("text", b"this is no model file at all".to_vec(), "model"),
    ] {
        let file = format!("{name}.safetensors");
        std::fs::write(folder.join(&file), bytes).unwrap();
        let run = run(&folder, &format!("face --model {file} rgb.png"));
        run.ends(2, says).ends(2, &format!("cannot use the model {file}"));
        assert_eq!(run.out, "");
        self::run(&folder, &format!("model verify {file}")).ends(2, says).ends(2, &file);
    }
}

#[test]
fn a_closed_pipe_is_success() {
    let folder = folder_with("pipe", &["rgb.png"]);
    let mut child = program(&folder)
        .args(["face", "--json", "--model", "m.safetensors"])
        .args(["rgb.png"; 8])
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), String::from_utf8(output.stderr).unwrap()), (Some(0), String::new()));
}

#[test]
fn without_a_model_it_says_what_to_do() {
    if demeanor_models::face().is_some() {
        return;
    }
    let folder = folder("no-model");
    run(&folder, "face x.png").ends(2, "--model FILE").ends(2, "--features face");
}
