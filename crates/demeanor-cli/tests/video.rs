//! `demeanor video` on films that ffmpeg makes: outputs, and what films have wrong with them.

mod films;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use serde_json::Value;

/// Films and models, made once.
struct Stage {
    folder: PathBuf,
}

/// `None`, said aloud, where there is no ffmpeg.
fn stage() -> Option<&'static Stage> {
    static STAGE: OnceLock<Option<Stage>> = OnceLock::new();
    let stage = STAGE.get_or_init(|| {
        if !films::ffmpeg_is_there() {
            return None;
        }
        let stage = Stage { folder: films::folder("video") };
        // a portrait that moves, with a tone
        stage.film(
            "face.mp4",
            &[
                "-loop",
                "1",
                "-i",
                films::PORTRAIT,
                "-i",
                films::VOICE,
                "-filter_complex",
                "[0:v]scale=480:480,pad=1000:480:(ow-iw)/2:0:gray,crop=640:480:180+60*sin(t*2):0[v]",
                "-map",
                "[v]",
                "-map",
                "1:a",
                "-r",
                "30",
                "-t",
                "4",
                "-c:v",
                "libx264",
                "-preset",
                "ultrafast",
                "-pix_fmt",
                "yuv420p",
                "-c:a",
                "aac",
            ],
        );
        Some(stage)
    });
    if stage.is_none() {
        eprintln!("skipped: there is no ffmpeg");
    }
    stage.as_ref()
}

impl Stage {
    fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Makes a film with ffmpeg.
    fn film(&self, name: &str, args: &[&str]) -> PathBuf {
        films::film(self.path(name), args)
    }

    fn command(&self, film: &Path, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_demeanor"));
        command.arg("video").arg(film).args(args).current_dir(&self.folder);
        films::with_models(&mut command, &self.folder);
        command
    }

    fn video(&self, film: &Path, args: &[&str]) -> Told {
        Told::of(self.command(film, args).output().expect("demeanor runs"))
    }
}

struct Told {
    status: Option<i32>,
    out: String,
    err: String,
}

impl Told {
    fn of(output: Output) -> Told {
        Told {
            status: output.status.code(),
            out: String::from_utf8(output.stdout).expect("text"),
            err: String::from_utf8(output.stderr).expect("text"),
        }
    }

    #[track_caller]
    fn with_status(self, status: i32) -> Told {
        assert_eq!(self.status, Some(status), "stdout:\n{}\nstderr:\n{}", self.out, self.err);
        assert!(!self.err.contains("panicked"), "{}", self.err);
        self
    }

    fn json(&self) -> Vec<serde_json::Value> {
        self.out.lines().map(|l| serde_json::from_str(l).expect("a line of JSON")).collect()
    }
}

#[test]
fn a_film_becomes_a_timeline_in_every_form() {
    let Some(stage) = stage() else { return };
    let film = stage.path("face.mp4");
    let told = stage
        .video(
            &film,
            &[
                "--csv",
                "all.csv",
                "--eaf",
                "all.eaf",
                "--textgrid",
                "all.TextGrid",
                "--vtt",
                "all.vtt",
                "--plot",
                "all.svg",
                "--annotate",
                "all.mp4",
                "--stats",
                "--min-score",
                "0.1",
            ],
        )
        .with_status(0);
    assert!(told.out.contains("face 1") && told.out.contains("120 frames, 1 face\n"), "{}", told.out);
    assert!(told.out.contains("\nvoice ") && told.out.contains("\ntogether "), "{}", told.out);
    let csv = fs::read_to_string(stage.path("all.csv")).expect("the CSV");
    let mut rows = csv.lines();
    assert!(rows.next().expect("a header").starts_with("frame,face_id,timestamp,confidence,success,angry,"));
    let rows: Vec<Vec<&str>> = rows.map(|r| r.split(',').collect()).collect();
    assert_eq!(rows.len(), 120);
    let seen = rows.iter().filter(|r| r[1] == "1" && r[4] == "1").count();
    assert!(seen > 100, "face 1 in {seen} of 120 frames");
    assert!((rows[119][2].parse::<f64>().expect("seconds") - 119.0 / 30.0).abs() < 0.002);
    for (file, start) in
        [("all.eaf", "<?xml"), ("all.TextGrid", "File type"), ("all.vtt", "WEBVTT"), ("all.svg", "<svg")]
    {
        let text = fs::read_to_string(stage.path(file)).expect(file);
        assert!(text.starts_with(start) && text.contains("face 1"), "{file}");
    }
    let probe =
        Command::new("ffmpeg").args(["-hide_banner", "-i"]).arg(stage.path("all.mp4")).output().expect("ffmpeg runs");
    let probe = String::from_utf8_lossy(&probe.stderr);
    assert!(
        probe.contains("640x480") && probe.contains("Audio: aac") && probe.contains("Duration: 00:00:04.0"),
        "{probe}"
    );
}

#[test]
fn json_has_a_line_for_each_frame_and_is_the_same_every_time() {
    let Some(stage) = stage() else { return };
    let film = stage.path("face.mp4");
    let first = stage.video(&film, &["--json"]).with_status(0);
    let lines = first.json();
    assert_eq!(lines.len(), 120);
    let last = &lines[119];
    assert!((last["time_s"].as_f64().expect("a time") - 119.0 / 30.0).abs() < 1e-3);
    assert_eq!(last["frame"], 120);
    let face = &last["faces"][0];
    assert_eq!(face["id"], 1);
    let sum: f64 = face["scores"].as_object().expect("scores").values().map(|v| v.as_f64().expect("a score")).sum();
    assert!((sum - 1.0).abs() < 1e-4);
    let second = stage.video(&film, &["--json"]).with_status(0);
    assert!(first.out == second.out, "the same film gives the same estimates");
}

#[test]
fn ids_times_and_turns_are_right_at_any_rate_and_size() {
    let Some(stage) = stage() else { return };
    let source = stage.path("face.mp4");
    let source = source.to_str().expect("a name");
    // (name, arguments, frames, longest side of the picture)
    let films: &[(&str, &[&str], usize, f64)] = &[
        ("slow.mp4", &["-r", "5"], 20, 640.0),
        ("fast.mp4", &["-r", "120"], 480, 640.0),
        (
            "large.mp4",
            &["-vf", "scale=3840:2160:force_original_aspect_ratio=increase,crop=3840:2160", "-t", "1.5"],
            45,
            3840.0,
        ),
        ("varying.mkv", &["-vf", "select='if(lt(t,2),not(mod(n,4)),1)'", "-vsync", "vfr"], 75, 640.0),
        (
            "small.webm",
            &["-vf", "scale=320:240", "-c:v", "libvpx", "-deadline", "realtime", "-c:a", "libopus"],
            120,
            320.0,
        ),
        ("old.avi", &["-c:v", "mpeg4", "-c:a", "libmp3lame"], 120, 640.0),
    ];
    for (name, args, frames, side) in films {
        let mut all = vec!["-i", source];
        if !args.contains(&"-c:v") {
            all.extend(["-c:v", "libx264", "-preset", "ultrafast"]);
        }
        all.extend(*args);
        let film = stage.film(name, &all);
        let lines = stage.video(&film, &["--json", "--min-face", "40"]).with_status(0).json();
        assert!(lines.len().abs_diff(*frames) <= 2, "{name}: {} frames, expected about {frames}", lines.len());
        let times: Vec<f64> = lines.iter().map(|l| l["time_s"].as_f64().expect("a time")).collect();
        assert!(times.is_sorted(), "{name}");
        let faces: Vec<_> = lines.iter().flat_map(|l| l["faces"].as_array().expect("faces")).collect();
        assert!(faces.len() * 10 > frames * 6, "{name}: {} faces in {frames} frames", faces.len());
        let others: Vec<_> = faces.iter().filter(|f| f["id"] != 1).collect();
        assert!(others.is_empty(), "{name}: {} with another id, such as {:?}", others.len(), others.first());
        let reach = faces
            .iter()
            .map(|f| f["region"]["x"].as_f64().expect("x") + f["region"]["width"].as_f64().expect("width"))
            .fold(0.0, f64::max);
        assert!(reach < *side && reach > side * 0.3, "{name}: boxes reach {reach} of {side} pixels");
        if *name == "varying.mkv" {
            let steps: Vec<f64> = times.windows(2).map(|w| w[1] - w[0]).collect();
            assert!((steps[3] - 4.0 / 30.0).abs() < 0.01 && (steps[70] - 1.0 / 30.0).abs() < 0.01, "{steps:?}");
        }
    }
}

#[test]
fn a_turned_film_is_read_upright() {
    let Some(stage) = stage() else { return };
    let source = stage.path("face.mp4");
    // stored lying on its side, with the note that it must be turned, as phones do; versions of ffmpeg differ in how that
    // is noted and in its sign, so both turns are tried, of which one is upright
    let lying =
        stage.film("lying.mp4", &["-i", source.to_str().expect("a name"), "-vf", "transpose=1", "-c:v", "libx264"]);
    let lying = lying.to_str().expect("a name");
    let mut upright = 0;
    for turn in ["90", "270"] {
        let name = format!("turned-{turn}.mp4");
        let new = Command::new("ffmpeg")
            .args(["-loglevel", "quiet", "-nostdin", "-y", "-display_rotation", turn, "-i", lying, "-c", "copy"])
            .arg(stage.path(&name))
            .status();
        if !new.is_ok_and(|s| s.success()) {
            stage.film(&name, &["-i", lying, "-c", "copy", "-metadata:s:v", &format!("rotate={turn}")]);
        }
        let out = format!("turned-{turn}-out.mp4");
        let told = stage.video(&stage.path(&name), &["--json", "--annotate", &out]);
        // faces that stand on their top are found too: upright is where the mouth lies below the eyes
        let upright_face = |face: &Value| {
            let y = |name: &str| face["landmarks"][name][1].as_f64().expect("a landmark");
            y("mouth") > y("left_eye").max(y("right_eye"))
        };
        let faces =
            told.json().iter().filter(|l| l["faces"].as_array().is_some_and(|f| f.iter().any(upright_face))).count();
        upright += u32::from(faces > 100);
        let probe = Command::new("ffmpeg").arg("-i").arg(stage.path(&out)).output().expect("ffmpeg runs");
        assert!(String::from_utf8_lossy(&probe.stderr).contains("640x480"));
    }
    assert_eq!(upright, 1);
}

#[test]
fn films_with_something_missing() {
    let Some(stage) = stage() else { return };
    let source = stage.path("face.mp4");
    let source = source.to_str().expect("a name");
    let silent = stage.film("silent.mp4", &["-i", source, "-an", "-c", "copy"]);
    let told = stage.video(&silent, &[]).with_status(0);
    assert!(told.err.contains("has no sound") && told.out.contains("face 1"), "{}{}", told.out, told.err);
    let blind = stage.film("blind.m4a", &["-i", source, "-vn", "-c", "copy"]);
    let told = stage.video(&blind, &["--annotate", "blind.mp4"]).with_status(0);
    assert!(told.err.contains("has no pictures") && told.out.contains("voice "), "{}", told.err);
    assert!(!stage.path("blind.mp4").exists());
    // no face, for a while, and a voice that is none
    let empty = stage.film(
        "empty.mp4",
        &[
            "-f",
            "lavfi",
            "-i",
            "testsrc=size=640x480:rate=30",
            "-f",
            "lavfi",
            "-i",
            "anoisesrc=a=0.01",
            "-t",
            "20",
            "-c:v",
            "libx264",
            "-preset",
            "ultrafast",
            "-pix_fmt",
            "yuv420p",
        ],
    );
    let told = stage.video(&empty, &["--csv"]).with_status(1);
    assert_eq!(told.out.lines().count(), 601);
    assert!(
        told.out.lines().skip(1).all(|row| row.split(',').nth(1) == Some("0") && row.split(',').nth(4) == Some("0"))
    );
    assert!(told.err.contains("no face and no voice"));
}

#[test]
fn films_that_are_cut_off_or_none() {
    let Some(stage) = stage() else { return };
    let source = stage.path("face.mp4");
    let source = source.to_str().expect("a name");
    let whole = stage.film("whole.mkv", &["-i", source, "-c", "copy"]);
    let bytes = fs::read(&whole).expect("the film");
    let cut = stage.path("cut.mkv");
    fs::write(&cut, &bytes[..bytes.len() * 6 / 10]).expect("half a film");
    let told = stage.video(&cut, &["--csv", "cut.csv"]).with_status(0);
    assert!(told.err.contains("cut off"), "{}", told.err);
    assert!(fs::read_to_string(stage.path("cut.csv")).expect("the CSV").lines().count() > 10);
    // whole films whose index is at the end cannot be read without it
    let bytes = fs::read(stage.path("face.mp4")).expect("the film");
    fs::write(stage.path("cut.mp4"), &bytes[..bytes.len() / 2]).expect("half a film");
    let mut noise = Vec::new();
    let mut state = 1u32;
    for _ in 0..100_000 {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        noise.push((state >> 24) as u8);
    }
    fs::write(stage.path("noise.mp4"), noise).expect("noise");
    fs::write(stage.path("nothing.mp4"), b"").expect("nothing");
    fs::write(stage.path("text.mp4"), "this is no film\n".repeat(99)).expect("text");
    fs::create_dir(stage.path("bad")).expect("a folder");
    for (name, word) in [
        ("cut.mp4", "cut.mp4"),
        ("noise.mp4", "no film or recording"),
        ("nothing.mp4", "no film or recording"),
        ("text.mp4", "text.mp4"),
        ("none.mp4", "no such file"),
    ] {
        let told = stage.video(&stage.path(name), &["--csv", "bad/bad.csv"]).with_status(2);
        assert!(told.err.contains(word), "{name}: {}", told.err);
        let left = fs::read_dir(stage.path("bad")).expect("the folder").count();
        assert_eq!(left, 0, "{name} leaves no half file");
    }
}

#[test]
fn a_film_on_stdin() {
    let Some(stage) = stage() else { return };
    let source = stage.path("face.mp4");
    let stream = stage.film("stream.ts", &["-i", source.to_str().expect("a name"), "-c", "copy"]);
    let mut command = stage.command(Path::new("-"), &["--json"]);
    command.stdin(fs::File::open(stream).expect("the film"));
    let told = Told::of(command.output().expect("demeanor runs")).with_status(0);
    let frames = told.json().len();
    assert!((119..=121).contains(&frames), "{frames} frames");
}

#[test]
fn options_that_make_no_sense_are_refused() {
    let Some(stage) = stage() else { return };
    let film = stage.path("face.mp4");
    let told = stage.video(&film, &["--json", "--csv"]).with_status(2);
    assert!(told.err.contains("only one output"), "{}", told.err);
    stage.video(&film, &["--baseline", "x"]).with_status(2);
    stage.video(&film, &["--min-score", "1.5"]).with_status(2);
    stage.video(&film, &["--csv", "no/such/folder.csv"]).with_status(2);
    let mut command = Command::new(env!("CARGO_BIN_EXE_demeanor"));
    let told = Told::of(command.args(["video", "--csv"]).arg(&film).output().expect("demeanor runs")).with_status(2);
    assert!(told.err.contains("--csv took"), "{}", told.err);
    // the program ffmpeg is missing
    let mut command = stage.command(&film, &[]);
    command.env("DEMEANOR_FFMPEG", "/no/such/ffmpeg");
    let told = Told::of(command.output().expect("demeanor runs")).with_status(2);
    assert!(told.err.contains("apt install ffmpeg"), "{}", told.err);
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_told() {
    let Some(stage) = stage() else { return };
    let film = stage.path("face.mp4");
    for option in ["--csv", "--eaf", "--textgrid", "--vtt", "--plot"] {
        let told = stage.video(&film, &[option, "/dev/full"]).with_status(2);
        assert!(told.err.contains("/dev/full") && told.err.contains("No space"), "{option}: {}", told.err);
    }
    let full = fs::File::options().write(true).open("/dev/full").expect("a full disk");
    let mut command = stage.command(&film, &["--json"]);
    command.stdout(full).stderr(Stdio::piped());
    let told = Told::of(command.output().expect("demeanor runs")).with_status(2);
    assert!(told.err.contains("No space"), "{}", told.err);
}

#[cfg(unix)]
#[test]
fn a_closed_pipe_is_success() {
    let Some(stage) = stage() else { return };
    let film = stage.path("face.mp4");
    let mut child =
        stage.command(&film, &["--json"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("runs");
    drop(child.stdout.take());
    assert_eq!(child.wait().expect("ends").code(), Some(0));
}

#[cfg(unix)]
#[test]
fn an_interrupt_leaves_complete_files() {
    let Some(stage) = stage() else { return };
    // endless: only an interrupt ends it
    let film = stage.film(
        "long.mkv",
        &["-stream_loop", "60", "-i", stage.path("face.mp4").to_str().expect("a name"), "-c", "copy"],
    );
    let inside = stage.path("interrupted");
    fs::create_dir(&inside).expect("a folder");
    let child = stage
        .command(
            &film,
            &[
                "--csv",
                "i.csv",
                "--eaf",
                "i.eaf",
                "--textgrid",
                "i.TextGrid",
                "--vtt",
                "i.vtt",
                "--plot",
                "i.svg",
                "--annotate",
                "i.mp4",
            ],
        )
        .current_dir(&inside)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("demeanor runs");
    // until some of it was read
    let growing = || {
        let entries = fs::read_dir(&inside).expect("the folder").filter_map(Result::ok);
        let csv = |e: &fs::DirEntry| e.path().extension().is_some_and(|e| e == "csv");
        entries.filter(csv).filter_map(|e| Some(e.metadata().ok()?.len())).max().unwrap_or(0)
    };
    let waited = Instant::now();
    while growing() < 10_000 {
        assert!(waited.elapsed() < Duration::from_secs(120), "nothing was read in two minutes");
        std::thread::sleep(Duration::from_millis(20));
    }
    let kill = Command::new("kill").args(["-INT", &child.id().to_string()]).status().expect("kill runs");
    assert!(kill.success());
    let asked = Instant::now();
    let told = Told::of(child.wait_with_output().expect("ends")).with_status(0);
    assert!(asked.elapsed() < Duration::from_secs(60));
    assert!(told.err.contains("interrupted"), "{}", told.err);
    let csv = fs::read_to_string(inside.join("i.csv")).expect("the CSV");
    let fields = csv.lines().next().expect("a header").split(',').count();
    assert!(csv.ends_with('\n') && csv.lines().all(|l| l.split(',').count() == fields));
    assert!(fs::read_to_string(inside.join("i.eaf")).expect("the EAF").trim_end().ends_with("</ANNOTATION_DOCUMENT>"));
    assert!(fs::read_to_string(inside.join("i.svg")).expect("the SVG").trim_end().ends_with("</svg>"));
    let probe =
        Command::new("ffmpeg").args(["-v", "error", "-i"]).arg(inside.join("i.mp4")).args(["-f", "null", "-"]).output();
    let probe = probe.expect("ffmpeg runs");
    assert!(probe.status.success() && probe.stderr.is_empty(), "{}", String::from_utf8_lossy(&probe.stderr));
}
