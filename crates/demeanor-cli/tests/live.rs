//! `demeanor live` and `demeanor demo`: played at their own pace, with devices that go away.

mod films;

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::OnceLock;

/// A folder with models.
fn folder() -> &'static PathBuf {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| films::folder("live"))
}

/// A film of two seconds; `None`, said aloud, where there is no ffmpeg.
fn film() -> Option<&'static PathBuf> {
    static FILM: OnceLock<Option<PathBuf>> = OnceLock::new();
    films::short_film(&FILM, || folder().join("film.mkv"))
}

fn demeanor(command: &str) -> Command {
    let mut program = Command::new(env!("CARGO_BIN_EXE_demeanor"));
    program.arg(command).stdin(Stdio::null());
    films::with_models(&mut program, folder());
    program
}

/// Status, stdout, stderr.
fn told(command: &mut Command) -> (Option<i32>, String, String) {
    let output = command.output().expect("demeanor runs");
    let text = |bytes| String::from_utf8(bytes).expect("text");
    (output.status.code(), text(output.stdout), text(output.stderr))
}

#[test]
fn the_demo_plays_without_ffmpeg() {
    let (status, out, err) = told(demeanor("demo").arg("--stats").env("DEMEANOR_FFMPEG", "/no/such/ffmpeg"));
    assert_eq!(status, Some(0), "{out}{err}");
    assert!(out.lines().count() >= 8 && out.contains("face 1 reads as") && out.contains("voice reads as"), "{out}");
    // the session in a few lines, at the end
    let account: Vec<_> = out.lines().skip_while(|l| !l.starts_with("session: ")).collect();
    assert!(account.len() >= 3 && account[1].starts_with("face 1 ") && account[1].contains(" change"), "{out}");
    assert!(account.iter().any(|l| l.starts_with("voice ") && l.contains(" s of speech in ")), "{out}");
    assert!(err.starts_with("demeanor demo:") && err.contains("from frame to estimate: median"), "{err}");
}

#[test]
fn a_file_is_played_at_its_own_pace_and_estimates_alone_are_recorded() {
    let Some(film) = film() else { return };
    let record = folder().join("record.jsonl");
    let mut command = demeanor("live");
    command.arg("--camera").arg(film).args(["--json", "--stats", "--record"]).arg(&record);
    let began = std::time::Instant::now();
    let (status, out, err) = told(&mut command);
    assert!(began.elapsed().as_secs_f64() > 1.5, "played too fast");
    assert_eq!(status, Some(0), "{out}{err}");
    assert!(err.starts_with("demeanor estimates") && err.contains("Nothing leaves this machine"), "{err}");
    assert!(err.contains("frames came") && err.contains("p95") && err.contains("\nsession: 0:"), "{err}");
    assert!(!out.is_empty());
    for line in out.lines() {
        let line: serde_json::Value = serde_json::from_str(line).expect("a line of JSON");
        assert!(line["time_s"].is_number() && line["faces"].is_array());
    }
    assert_eq!(fs::read_to_string(record).expect("the record"), out);
}

#[cfg(unix)]
#[test]
fn a_device_that_goes_away_is_waited_for() {
    use std::os::unix::fs::PermissionsExt;
    let Some(film) = film() else { return };
    // an ffmpeg whose camera gives a film and is then unplugged; the third time it comes back
    let count = folder().join("count");
    let _ = fs::remove_file(&count);
    let script = folder().join("ffmpeg.sh");
    let text = format!(
        "#!/bin/sh\n\
         case \"$*\" in *-devices*) exec ffmpeg \"$@\";; esac\n\
         echo x >> '{count}'\n\
         if [ $(wc -l < '{count}') -eq 2 ]; then echo '[error] /dev/video0: No such device' >&2; exit 1; fi\n\
         if [ $(wc -l < '{count}') -gt 2 ]; then loop='-stream_loop -1'; fi\n\
         exec ffmpeg -loglevel error -re $loop -i '{film}' -map 0:v:0 -map 0:a:0 -c:v rawvideo -vf format=gray \
         -c:a pcm_f32le -f nut pipe:1\n",
        count = count.display(),
        film = film.display(),
    );
    fs::write(&script, text).expect("a script");
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).expect("a program");
    let mut command = demeanor("live");
    command.args(["--camera", "/dev/video0", "--json", "--for", "7"]).env("DEMEANOR_FFMPEG", &script);
    let (status, out, err) = told(&mut command);
    assert_eq!(status, Some(0), "{out}{err}");
    let times: Vec<f64> = out
        .lines()
        .map(|l| serde_json::from_str::<serde_json::Value>(l).expect("JSON")["time_s"].as_f64().expect("a time"))
        .collect();
    assert!(times.is_sorted(), "{times:?}");
    assert!(fs::read_to_string(&count).expect("the count").lines().count() >= 3);
    assert!(times.last().is_some_and(|&t| t > 2.5), "estimates go on after it came back: {times:?}");
    assert!(err.contains("is gone") && err.contains("is back"), "{err}");
}

#[cfg(unix)]
#[test]
fn a_device_that_stays_away_is_an_error_and_keeps_what_was_recorded() {
    use std::os::unix::fs::PermissionsExt;
    let Some(film) = film() else { return };
    let count = folder().join("count-away");
    let _ = fs::remove_file(&count);
    let script = folder().join("ffmpeg-away.sh");
    let text = format!(
        "#!/bin/sh\n\
         case \"$*\" in *-devices*) exec ffmpeg \"$@\";; esac\n\
         echo x >> '{count}'\n\
         if [ $(wc -l < '{count}') -gt 1 ]; then echo '[error] /dev/video0: No such device' >&2; exit 1; fi\n\
         ffmpeg -loglevel error -re -i '{film}' -map 0:v:0 -c:v rawvideo -vf format=gray -f nut pipe:1\n\
         echo '[error] ioctl(VIDIOC_DQBUF): No such device' >&2\n",
        count = count.display(),
        film = film.display(),
    );
    fs::write(&script, text).expect("a script");
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).expect("a program");
    let record = folder().join("away.jsonl");
    let mut command = demeanor("live");
    command.args(["--camera", "/dev/video0", "--mic", "none", "--json", "--for", "5", "--record"]).arg(&record);
    let (status, out, err) = told(command.env("DEMEANOR_FFMPEG", &script));
    assert_eq!(status, Some(2), "{out}{err}");
    assert!(err.contains("is gone") && err.contains("VIDIOC_DQBUF"), "its last words are said: {err}");
    assert!(fs::read_to_string(&count).expect("the count").lines().count() >= 3, "it was tried again");
    assert_eq!(fs::read_to_string(record).expect("the record"), out);
}

#[test]
fn what_is_missing_is_named_with_what_to_do() {
    let (status, _, err) =
        told(demeanor("live").env("DEMEANOR_FFMPEG", "/no/such/ffmpeg").args(["--camera", "/dev/video9"]));
    assert_eq!(status, Some(2));
    assert!(err.contains("install it") && err.contains("apt install ffmpeg"), "{err}");
    let (status, _, err) = told(demeanor("live").args(["--camera", "none", "--mic", "none"]));
    assert_eq!(status, Some(2));
    assert!(err.contains("nothing to watch"), "{err}");
    let Some(_) = film() else { return };
    if cfg!(target_os = "linux") && !PathBuf::from("/dev/video99").exists() {
        let (status, _, err) = told(demeanor("live").args(["--camera", "99", "--mic", "none"]));
        assert_eq!(status, Some(2));
        assert!(err.contains("/dev/video99") && err.contains("--list"), "{err}");
    }
}
