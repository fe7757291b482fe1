//! Films that ffmpeg makes, and models with seeded weights to read them with.

#[path = "../../../demeanor/tests/seeded/mod.rs"]
mod seeded;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

pub const VOICE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../testdata/demo-voice.wav");
pub const PORTRAIT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../testdata/portrait.png");

/// A folder with the models `face.safetensors` and `speech.safetensors`, and nothing of an earlier run.
pub fn folder(name: &str) -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).expect("a folder");
    fs::write(folder.join("face.safetensors"), seeded::face()).expect("a face model");
    fs::write(folder.join("speech.safetensors"), seeded::speech()).expect("a speech model");
    folder
}

/// Lets the program read with the models of the folder.
pub fn with_models(command: &mut Command, folder: &Path) {
    command.arg("--face-model").arg(folder.join("face.safetensors"));
    command.arg("--speech-model").arg(folder.join("speech.safetensors"));
}

/// Whether there is ffmpeg.
pub fn ffmpeg_is_there() -> bool {
    let there = Command::new("ffmpeg").arg("-version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    there.is_ok_and(|s| s.success())
}

/// A film of two seconds, of a portrait and a voice, made once; `None`, said aloud each time, where there is no ffmpeg.
#[allow(dead_code)]
pub fn short_film(film: &OnceLock<Option<PathBuf>>, path: impl FnOnce() -> PathBuf) -> Option<&PathBuf> {
    let film = film.get_or_init(|| {
        ffmpeg_is_there().then(|| {
            let source = ["-loop", "1", "-i", PORTRAIT, "-i", VOICE, "-r", "30", "-t", "2"];
            let picture = ["-vf", "scale=640:-2,crop=640:480:0:0"];
            let codec = ["-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p"];
            self::film(path(), &[&source[..], &picture, &codec].concat())
        })
    });
    if film.is_none() {
        eprintln!("skipped: there is no ffmpeg");
    }
    film.as_ref()
}

/// Makes a film with ffmpeg.
pub fn film(path: PathBuf, args: &[&str]) -> PathBuf {
    let done = Command::new("ffmpeg")
        .args(["-hide_banner", "-loglevel", "error", "-nostdin", "-y"])
        .args(args)
        .arg(&path)
        .output()
        .expect("ffmpeg runs");
    assert!(done.status.success(), "{}: {}", path.display(), String::from_utf8_lossy(&done.stderr));
    path
}
