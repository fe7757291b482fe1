//! Nothing of the user's is lost: inputs and earlier results stay, records keep every whole line, and an output that fails
//! takes no other with it.

mod films;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// A folder with models.
fn folder() -> &'static PathBuf {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| films::folder("outputs"))
}

/// A film of two seconds; `None`, said aloud, where there is no ffmpeg.
fn film() -> Option<&'static PathBuf> {
    static FILM: OnceLock<Option<PathBuf>> = OnceLock::new();
    films::short_film(&FILM, || folder().join("film.mp4"))
}

/// The program with models, in a folder.
fn demeanor(command: &str, inside: &Path) -> Command {
    let mut program = Command::new(env!("CARGO_BIN_EXE_demeanor"));
    program.arg(command).stdin(Stdio::null()).current_dir(inside).env("NO_COLOR", "1");
    films::with_models(&mut program, folder());
    program
}

fn run(mut command: Command) -> (Option<i32>, String, String) {
    told(command.output().expect("demeanor runs"))
}

/// Status, stdout, stderr.
fn told(output: Output) -> (Option<i32>, String, String) {
    let text = |bytes| String::from_utf8(bytes).expect("text");
    let (out, err) = (text(output.stdout), text(output.stderr));
    assert!(!err.contains("panicked"), "{err}");
    (output.status.code(), out, err)
}

/// What is in a file of lines, each of which must be a whole estimate.
fn whole_lines(path: &Path) -> usize {
    let text = fs::read_to_string(path).expect("the record");
    assert!(text.is_empty() || text.ends_with('\n'), "half a line: {:?}", text.lines().last());
    for line in text.lines() {
        let line: serde_json::Value = serde_json::from_str(line).expect("a whole line of JSON");
        assert!(line["time_s"].is_number());
    }
    text.lines().count()
}

#[test]
fn no_output_is_written_over_an_input() {
    let Some(film) = film() else { return };
    let place = tempfile::tempdir().expect("a folder");
    let copy = place.path().join("f.mp4");
    fs::copy(film, &copy).expect("copied");
    let bytes = fs::read(&copy).expect("a film");
    #[cfg(unix)]
    {
        std::os::unix::fs::symlink("f.mp4", place.path().join("soft")).expect("a link");
        fs::hard_link(&copy, place.path().join("hard")).expect("a link");
    }
    let names: &[&str] = if cfg!(unix) { &["f.mp4", "./f.mp4", "soft", "hard"] } else { &["f.mp4", "./f.mp4"] };
    for option in ["--csv", "--eaf", "--textgrid", "--vtt", "--plot", "--annotate"] {
        for name in names {
            for more in [&[][..], &["-y"]] {
                let mut command = demeanor("video", place.path());
                command.arg("f.mp4").args([option, name]).args(more);
                let (status, out, err) = run(command);
                assert_eq!(status, Some(2), "{option} {name}: {out}{err}");
                assert!(err.contains("which is read") && out.is_empty(), "{err}");
            }
        }
    }
    for (command, input) in [("live", "--camera"), ("live", "--mic")] {
        let mut command = demeanor(command, place.path());
        command.args([input, "f.mp4", "--record", "soft", "-y", "--json"]);
        let (status, out, err) = run(command);
        assert!(status == Some(2) && out.is_empty(), "{err}");
    }
    // models are inputs too
    let mut command = demeanor("demo", place.path());
    command.args(["--record", "../m", "-y"]).current_dir(place.path());
    fs::copy(folder().join("face.safetensors"), place.path().join("m")).expect("copied");
    command = {
        let mut command = Command::new(env!("CARGO_BIN_EXE_demeanor"));
        command.current_dir(place.path()).args(["demo", "--face-model", "m", "--record", "./m", "-y"]);
        command
    };
    let (status, _, err) = run(command);
    assert!(status == Some(2) && err.contains("which is read"), "{err}");
    assert_eq!(fs::read(&copy).expect("a film"), bytes, "the film is as it was");
    // stdout that leads into the film
    #[cfg(unix)]
    {
        let mut command = demeanor("video", place.path());
        command.arg("f.mp4").stdout(fs::File::options().append(true).open(&copy).expect("the film"));
        let (status, _, err) = run(command);
        assert!(status == Some(2) && err.contains("which is read"), "{err}");
        assert_eq!(fs::read(&copy).expect("a film"), bytes, "the film is as it was");
    }
}

#[test]
fn two_outputs_have_two_names() {
    let Some(film) = film() else { return };
    let place = tempfile::tempdir().expect("a folder");
    for (one, other) in [(["--csv", "x"], ["--eaf", "x"]), (["--vtt", "x"], ["--annotate", "./x"])] {
        let mut command = demeanor("video", place.path());
        command.arg(film).args(one).args(other);
        let began = Instant::now();
        let (status, out, err) = run(command);
        assert_eq!(status, Some(2), "{out}{err}");
        assert!(err.contains("two outputs") && out.is_empty() && began.elapsed() < Duration::from_secs(5), "{err}");
        assert_eq!(fs::read_dir(place.path()).expect("a folder").count(), 0);
    }
}

#[test]
fn earlier_results_are_replaced_only_when_asked() {
    let Some(film) = film() else { return };
    let place = tempfile::tempdir().expect("a folder");
    let csv = place.path().join("r.csv");
    fs::write(&csv, "the work of a day\n").expect("written");
    let video = |more: &[&str]| {
        let mut command = demeanor("video", place.path());
        command.arg(film).args(["--csv", "r.csv"]).args(more);
        run(command)
    };
    let (status, _, err) = video(&[]);
    assert!(status == Some(2) && err.contains("there already") && err.contains("--overwrite"), "{err}");
    assert_eq!(fs::read_to_string(&csv).expect("the CSV"), "the work of a day\n");
    let (status, _, err) = video(&["-y"]);
    assert!(status == Some(0), "{err}");
    assert!(fs::read_to_string(&csv).expect("the CSV").starts_with("frame,"));
    // pictures: neither what was read nor what was there
    let pictures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/portrait.png");
    for folder in ["one", "two"] {
        fs::create_dir(place.path().join(folder)).expect("a folder");
        fs::copy(&pictures, place.path().join(folder).join("a.png")).expect("copied");
    }
    let before = fs::read(&pictures).expect("a picture");
    let face = |more: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_demeanor"));
        command.current_dir(place.path()).args(["face", "two/a.png", "one/a.png", "--annotate", "one", "--model"]);
        run({
            command.arg(folder().join("face.safetensors")).args(more);
            command
        })
    };
    let (status, _, err) = face(&[]);
    assert_eq!(status, Some(0), "{err}");
    for folder in ["one", "two"] {
        assert_eq!(fs::read(place.path().join(folder).join("a.png")).expect("a picture"), before, "{folder}");
    }
    assert!(place.path().join("one/a-2.png").is_file() && place.path().join("one/a-3.png").is_file());
    let (status, out, err) = face(&[]);
    assert!(status == Some(2) && out.is_empty() && err.contains("there already"), "{err}");
    assert_eq!(face(&["-y"]).0, Some(0));
}

#[test]
fn a_live_record_grows_under_its_own_name_and_outlives_a_kill() {
    let place = tempfile::tempdir().expect("a folder");
    let record = place.path().join("r.jsonl");
    let mut command = demeanor("demo", place.path());
    command.args(["--json", "--again", "--record", "r.jsonl"]).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().expect("demeanor runs");
    let mut stdout = child.stdout.take().expect("a pipe");
    let drain = std::thread::spawn(move || std::io::copy(&mut stdout, &mut std::io::sink()));
    let began = Instant::now();
    let lines = |path: &Path| fs::read_to_string(path).map_or(0, |t| t.lines().count());
    while lines(&record) < 10 {
        assert!(began.elapsed() < Duration::from_secs(60), "nothing is in the record after a minute");
        std::thread::sleep(Duration::from_millis(20));
    }
    child.kill().expect("killed");
    child.wait().expect("ended");
    drain.join().expect("a thread").expect("a pipe");
    assert!(whole_lines(&record) >= 10);
    assert_eq!(fs::read_dir(place.path()).expect("a folder").count(), 1, "nothing but the record");
    let (status, _, err) = run({
        let mut command = demeanor("demo", place.path());
        command.args(["--record", "r.jsonl"]);
        command
    });
    assert!(status == Some(2) && err.contains("there already"), "a session cannot be had again: {err}");
}

/// A file system of a few kilobytes.
#[cfg(target_os = "linux")]
struct SmallDisk(tempfile::TempDir);

#[cfg(target_os = "linux")]
impl SmallDisk {
    /// `None`, said aloud, where nothing may be mounted.
    fn new(kilobytes: u32) -> Option<SmallDisk> {
        let place = tempfile::tempdir().expect("a folder");
        let size = format!("size={kilobytes}k");
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(place.path()).output();
        if mounted.is_ok_and(|m| m.status.success()) {
            Some(SmallDisk(place))
        } else {
            eprintln!("skipped: no file system can be mounted here, so none can be filled");
            None
        }
    }

    fn path(&self) -> &Path {
        self.0.path()
    }
}

#[cfg(target_os = "linux")]
impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(self.0.path()).status();
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_keeps_every_whole_line_of_a_record() {
    let Some(disk) = SmallDisk::new(24) else { return };
    let record = disk.path().join("r.jsonl");
    let mut command = demeanor("demo", folder());
    command.args(["--json", "--record"]).arg(&record);
    let (status, out, err) = run(command);
    assert_eq!(status, Some(2), "{err}");
    assert_eq!(err.matches("takes no more").count(), 1, "{err}");
    assert!(err.contains("No space left") && err.contains("are kept, and reading goes on"), "{err}");
    let kept = whole_lines(&record);
    let printed = out.lines().count();
    assert!(kept >= 5 && printed > kept + 20, "{kept} lines are kept, and reading went on to {printed}");
    let text = fs::read_to_string(&record).expect("the record");
    assert_eq!(out.lines().take(kept).collect::<Vec<_>>(), text.lines().collect::<Vec<_>>());
    assert!(err.contains(&format!("the {kept} lines until then are kept")), "{err}");
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_takes_no_other_output_with_it() {
    let Some(film) = film() else { return };
    let place = tempfile::tempdir().expect("a folder");
    // the disk of one output is full, whichever it is; the others are whole, and so is the summary
    let all = ["csv", "eaf", "textgrid", "vtt", "plot"];
    for full in all {
        let inside = place.path().join(full);
        fs::create_dir(&inside).expect("a folder");
        let mut command = demeanor("video", &inside);
        command.arg(film);
        for name in all {
            command.arg(format!("--{name}")).arg(if name == full { "/dev/full" } else { name });
        }
        let (status, out, err) = run(command);
        assert_eq!(status, Some(2), "{full}: {err}");
        assert!(err.contains("/dev/full") && err.contains("No space"), "{full}: {err}");
        assert!(out.contains("60 frames"), "{full}: {out}");
        for name in all.iter().filter(|n| **n != full) {
            let length = fs::metadata(inside.join(name)).map_or(0, |m| m.len());
            assert!(length > 100, "{full} took {name} with it");
        }
        assert_eq!(fs::read_dir(&inside).expect("a folder").count(), all.len() - 1);
    }
    let Some(disk) = SmallDisk::new(8) else { return };
    let mut command = demeanor("video", place.path());
    command.arg(film).args(["--csv", "whole.csv", "--annotate"]).arg(disk.path().join("a.mp4"));
    let (status, out, err) = run(command);
    assert_eq!(status, Some(2), "{err}");
    assert!(err.contains("a.mp4") && out.contains("60 frames"), "{out}{err}");
    assert!(fs::read_to_string(place.path().join("whole.csv")).expect("the CSV").lines().count() > 60);
    assert_eq!(fs::read_dir(disk.path()).expect("the disk").count(), 0, "half a film is none");
}

#[cfg(unix)]
#[test]
fn a_reader_that_has_seen_enough_takes_no_other_output_with_it() {
    let Some(film) = film() else { return };
    let place = tempfile::tempdir().expect("a folder");
    let mut command = demeanor("video", place.path());
    command
        .arg(film)
        .args(["--json", "--eaf", "f.eaf", "--csv", "f.csv"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().expect("demeanor runs");
    drop(child.stdout.take());
    let (status, _, err) = told(child.wait_with_output().expect("ends"));
    assert_eq!(status, Some(0), "{err}");
    assert!(fs::read_to_string(place.path().join("f.eaf")).expect("the EAF").ends_with("</ANNOTATION_DOCUMENT>\n"));
    assert!(fs::read_to_string(place.path().join("f.csv")).expect("the CSV").lines().count() > 60);
    // and a live record goes on
    let mut command = demeanor("demo", place.path());
    command.args(["--json", "--record", "r.jsonl"]).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("demeanor runs");
    drop(child.stdout.take());
    let (status, _, err) = told(child.wait_with_output().expect("ends"));
    assert_eq!(status, Some(0), "{err}");
    assert!(whole_lines(&place.path().join("r.jsonl")) > 100);
}

#[cfg(unix)]
#[test]
fn a_decoder_that_dies_is_said_and_what_was_read_is_kept() {
    use std::os::unix::fs::PermissionsExt;
    let Some(film) = film() else { return };
    let place = tempfile::tempdir().expect("a folder");
    let script = place.path().join("ffmpeg.sh");
    let text = "#!/bin/sh\n\
                case \"$*\" in *'-f nut'*) ;; *) exec ffmpeg \"$@\";; esac\n\
                ffmpeg \"$@\" 2> /dev/null | head -c 3000000\n\
                echo '[error] the last words' >&2\n\
                kill -9 $$\n";
    fs::write(&script, text).expect("a script");
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).expect("a program");
    let mut command = demeanor("video", place.path());
    command.arg(film).args(["--csv", "f.csv"]).env("DEMEANOR_FFMPEG", &script);
    let (status, out, err) = run(command);
    assert_eq!(status, Some(2), "{out}{err}");
    assert!(err.contains("killed by signal 9") && err.contains("the last words"), "{err}");
    assert!(fs::read_to_string(place.path().join("f.csv")).expect("the CSV").lines().count() > 5);
}
