//! Every container and codec that ffmpeg makes here, and what reads it: the tables of docs/formats.md.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use demeanor::Hz;
use demeanor_media::{Recording, capture, picture};

const DOCUMENT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/formats.md");

fn folder() -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("formats");
    std::fs::create_dir_all(&folder).expect("a folder");
    folder
}

/// Makes a file; `false`, where this ffmpeg has no encoder for it.
fn make(path: &Path, args: &[&str]) -> bool {
    let mut command = Command::new("ffmpeg");
    command.args(["-hide_banner", "-loglevel", "error", "-nostdin", "-y"]).args(args).arg(path);
    command.stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|s| s.success())
}

/// Four seconds, in which a tone sounds from 1 s to 2 s.
const TONE: [&str; 4] = ["-f", "lavfi", "-i", "aevalsrc=0.5*sin(2*PI*440*t)*between(t\\,1\\,2):s=44100:d=4"];

/// Kind, file, arguments, and who reads it.
const SOUNDS: [(&str, &str, &[&str], &str); 29] = [
    ("WAVE, 16 bits", "s16.wav", &[], "Rust"),
    ("WAVE, 8 bits", "u8.wav", &["-c:a", "pcm_u8"], "Rust"),
    ("WAVE, 24 bits", "s24.wav", &["-c:a", "pcm_s24le"], "Rust"),
    ("WAVE, floating point", "f32.wav", &["-c:a", "pcm_f32le"], "Rust"),
    ("WAVE, A-law", "alaw.wav", &["-c:a", "pcm_alaw"], "Rust"),
    ("WAVE, mu-law", "mulaw.wav", &["-c:a", "pcm_mulaw"], "Rust"),
    ("WAVE, IMA ADPCM", "ima.wav", &["-c:a", "adpcm_ima_wav"], "Rust"),
    ("RF64", "long.rf64.wav", &["-rf64", "always"], "Rust"),
    ("Wave64", "long.w64", &["-c:a", "pcm_s16le"], "Rust"),
    ("AIFF", "s.aiff", &[], "Rust"),
    ("CAF, PCM", "s.caf", &["-c:a", "pcm_s16be"], "Rust"),
    ("FLAC", "s.flac", &[], "Rust"),
    ("MP3", "s.mp3", &[], "Rust"),
    ("MP2", "s.mp2", &[], "ffmpeg"),
    ("Ogg Vorbis", "vorbis.ogg", &["-c:a", "libvorbis"], "Rust"),
    ("Ogg FLAC", "flac.ogg", &["-c:a", "flac"], "Rust"),
    ("MP4, AAC", "aac.m4a", &["-c:a", "aac"], "Rust"),
    ("MP4, ALAC", "alac.m4a", &["-c:a", "alac"], "Rust"),
    ("QuickTime, PCM", "pcm.mov", &["-c:a", "pcm_s16le"], "Rust"),
    ("ADTS AAC", "s.aac", &["-c:a", "aac"], "Rust"),
    ("Ogg Opus", "opus.ogg", &["-c:a", "libopus"], "ffmpeg"),
    ("WebM, Opus", "opus.webm", &["-c:a", "libopus"], "ffmpeg"),
    ("Matroska, FLAC", "flac.mka", &["-c:a", "flac"], "ffmpeg"),
    ("AU", "s.au", &[], "ffmpeg"),
    ("Windows Media", "s.wma", &[], "ffmpeg"),
    ("AC-3", "s.ac3", &[], "ffmpeg"),
    ("WavPack", "s.wv", &[], "ffmpeg"),
    ("True Audio", "s.tta", &[], "ffmpeg"),
    ("MPEG transport stream, AAC", "s.ts", &["-c:a", "aac"], "ffmpeg"),
];

const PICTURES: [(&str, &str, &[&str], &str); 10] = [
    ("PNG", "p.png", &[], "Rust"),
    ("PNG, 16 bits", "deep.png", &["-pix_fmt", "rgb48be"], "Rust"),
    ("JPEG", "p.jpg", &[], "Rust"),
    ("WebP", "p.webp", &[], "Rust"),
    ("GIF", "p.gif", &[], "Rust"),
    ("BMP", "p.bmp", &[], "Rust"),
    ("TIFF", "p.tiff", &[], "Rust"),
    ("TIFF with a palette", "palette.tiff", &["-pix_fmt", "pal8"], "Rust"),
    ("PNM", "p.ppm", &[], "Rust"),
    ("JPEG 2000", "p.jp2", &[], "ffmpeg"),
];

/// The lines of a table in the document.
fn row(kind: &str, file: &str, reader: &str) -> String {
    let ending = file.rsplit('.').next().unwrap_or_default();
    format!("| {kind} | .{ending} | {reader} |")
}

#[test]
fn every_sound_is_read_by_what_the_document_says() {
    let document = std::fs::read_to_string(DOCUMENT).expect("docs/formats.md");
    for (kind, file, _, reader) in SOUNDS {
        assert!(document.contains(&row(kind, file, reader)), "docs/formats.md lacks\n{}", row(kind, file, reader));
    }
    if !capture::is_there() {
        eprintln!("skipped: there is no ffmpeg");
        return;
    }
    let mut wrong = Vec::new();
    for (kind, file, args, reader) in SOUNDS {
        let path = folder().join(file);
        if !make(&path, &[&TONE[..], args].concat()) {
            eprintln!("skipped: {kind}, for which this ffmpeg has no encoder");
            continue;
        }
        let mut samples = Vec::new();
        let mut take = |piece: &demeanor::Audio<'_>| -> demeanor::Result<()> {
            samples.extend_from_slice(piece.samples());
            Ok(())
        };
        let heard = Recording::open(&path).and_then(|r| r.hear(None, Hz(16_000), &mut |_, _| {}, &mut take));
        let heard = match heard {
            Ok(heard) => heard,
            Err(error) => {
                wrong.push(format!("{kind}: {error}"));
                continue;
            }
        };
        if (if heard.with_ffmpeg { "ffmpeg" } else { "Rust" }) != reader {
            wrong.push(format!("{kind}: not read by {reader}"));
        }
        if !heard.warnings.is_empty() || (heard.seconds - 4.0).abs() >= 0.12 {
            wrong.push(format!("{kind}: {} s, {:?}", heard.seconds, heard.warnings));
        }
        let loud = |s: &&f32| s.abs() > 0.1;
        let first = samples.iter().position(|s| loud(&s)).expect("a tone") as f64 / 16_000.0;
        let last = samples.iter().rposition(|s| loud(&s)).expect("a tone") as f64 / 16_000.0;
        if (first - 1.0).abs() >= 0.08 || (last - 2.0).abs() >= 0.08 {
            wrong.push(format!("{kind}: from {first} to {last} s"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn every_picture_is_read_by_what_the_document_says() {
    let document = std::fs::read_to_string(DOCUMENT).expect("docs/formats.md");
    for (kind, file, _, reader) in PICTURES {
        assert!(document.contains(&row(kind, file, reader)), "docs/formats.md lacks\n{}", row(kind, file, reader));
    }
    if !capture::is_there() {
        eprintln!("skipped: there is no ffmpeg");
        return;
    }
    let source = ["-f", "lavfi", "-i", "testsrc=size=64x48", "-frames:v", "1"];
    for (kind, file, args, _) in PICTURES {
        let path = folder().join(file);
        if !make(&path, &[&source[..], args].concat()) {
            eprintln!("skipped: {kind}, for which this ffmpeg has no encoder");
            continue;
        }
        let picture = picture::open(&path).unwrap_or_else(|e| panic!("{kind}: {e}"));
        assert_eq!((picture.width(), picture.height()), (64, 48), "{kind}");
    }
}

/// Sound whose times jump or begin late, and streams that are joined: nothing is lost and nothing moves.
#[test]
fn sound_stands_where_its_times_say() {
    if !capture::is_there() {
        eprintln!("skipped: there is no ffmpeg");
        return;
    }
    let folder = folder();
    let hear = |path: &Path| {
        let mut samples = Vec::new();
        let mut take = |piece: &demeanor::Audio<'_>| -> demeanor::Result<()> {
            samples.extend_from_slice(piece.samples());
            Ok(())
        };
        let heard = Recording::open(path).unwrap().hear(None, Hz(16_000), &mut |_, _| {}, &mut take).unwrap();
        // where it becomes loud after a while of silence, in seconds
        let (mut begins, mut quiet) = (Vec::new(), usize::MAX / 2);
        for (i, sample) in samples.iter().enumerate() {
            if sample.abs() > 0.1 {
                if quiet > 4_000 {
                    begins.push(i as f64 / 16_000.0);
                }
                quiet = 0;
            } else {
                quiet += 1;
            }
        }
        (heard, begins)
    };
    let near = |found: &[f64], wanted: &[f64]| {
        found.len() == wanted.len() && found.iter().zip(wanted).all(|(f, w)| (f - w).abs() < 0.08)
    };
    let tone = |name: &str, args: &[&str]| {
        let path = folder.join(name);
        make(&path, &[&TONE[..], args].concat()).then_some(path)
    };
    // ten seconds are missing in the middle
    let filter = "asetpts='PTS+gte(T,1.5)*10/TB'";
    if let Some(path) = tone("hole.m4a", &["-af", filter, "-c:a", "aac"]) {
        let (heard, begins) = hear(&path);
        assert!((heard.seconds - 14.0).abs() < 0.2 && heard.warnings.is_empty(), "{heard:?}");
        assert!(near(&begins, &[1.0, 11.5]), "{begins:?}");
    }
    // the sound begins three seconds after the pictures
    let pictures = ["-f", "lavfi", "-i", "testsrc=size=64x48:rate=10:duration=7", "-itsoffset", "3"];
    let late = folder.join("late.mp4");
    if make(&late, &[&pictures[..], &TONE, &["-c:v", "mpeg4", "-c:a", "aac"]].concat()) {
        let (heard, begins) = hear(&late);
        assert!(near(&begins, &[4.0]) && heard.warnings.is_empty(), "{begins:?} {heard:?}");
    }
    // streams behind each other, as cat makes them
    for (name, args) in [("join.mp3", &[][..]), ("join.ogg", &["-c:a", "libvorbis"])] {
        let Some(path) = tone(name, args) else { continue };
        let one = std::fs::read(&path).unwrap();
        std::fs::write(&path, [&one[..], &one].concat()).unwrap();
        let (heard, begins) = hear(&path);
        assert!((heard.seconds - 8.0).abs() < 0.3, "{name}: {heard:?}");
        assert!(near(&begins, &[1.0, begins.get(1).copied().unwrap_or(0.0)]), "{name}: {begins:?}");
        assert!(begins.len() == 2 && (begins[1] - 5.0).abs() < 0.2, "{name}: {begins:?}");
    }
    // the default track, and one that is chosen
    let two = folder.join("two.mkv");
    let silence = ["-f", "lavfi", "-i", "anullsrc=r=44100:d=4"];
    let maps = ["-map", "0", "-map", "1", "-disposition:a:0", "0", "-disposition:a:1", "default", "-c:a", "flac"];
    if make(&two, &[&silence[..], &TONE, &maps].concat()) {
        assert_eq!(hear(&two).1.len(), 1, "the default track is heard");
        let count = |track| {
            let mut loud = 0;
            let mut take = |piece: &demeanor::Audio<'_>| -> demeanor::Result<()> {
                loud += piece.samples().iter().filter(|s| s.abs() > 0.1).count();
                Ok(())
            };
            let recording = Recording::open(&two).unwrap().with_track(Some(track));
            recording.hear(None, Hz(16_000), &mut |_, _| {}, &mut take).map(|_| loud)
        };
        assert_eq!(count(1).unwrap(), 0);
        assert!(count(2).unwrap() > 0);
        assert!(count(3).unwrap_err().to_string().contains("no track 3"));
    }
}
