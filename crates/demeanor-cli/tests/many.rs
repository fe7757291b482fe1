//! Many files in one call: folders on many threads, tables of all, timelines in one folder, and whether the programs that
//! researchers use read what is written.

mod films;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;

/// A folder with models.
fn folder() -> &'static PathBuf {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| films::folder("many"))
}

/// A film of two seconds; `None`, said aloud, where there is no ffmpeg.
fn film() -> Option<&'static PathBuf> {
    static FILM: OnceLock<Option<PathBuf>> = OnceLock::new();
    films::short_film(&FILM, || folder().join("film.mp4"))
}

/// The program in a folder, with arguments split at blanks.
fn demeanor(inside: &Path, arguments: &str) -> (Option<i32>, String, String) {
    let mut program = Command::new(env!("CARGO_BIN_EXE_demeanor"));
    program.args(arguments.split_whitespace()).stdin(Stdio::null()).current_dir(inside).env("NO_COLOR", "1");
    match arguments.split_whitespace().next() {
        Some("face") => {
            program.arg("--model").arg(folder().join("face.safetensors"));
        }
        Some("speech") => {
            program.arg("--model").arg(folder().join("speech.safetensors"));
        }
        _ => films::with_models(&mut program, folder()),
    }
    told(program.output().expect("demeanor runs"))
}

/// Status, stdout, stderr.
fn told(output: Output) -> (Option<i32>, String, String) {
    let text = |bytes| String::from_utf8(bytes).expect("text");
    let (out, err) = (text(output.stdout), text(output.stderr));
    assert!(!err.contains("panicked"), "{err}");
    (output.status.code(), out, err)
}

/// All files below a folder, by their names.
fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    fn add(root: &Path, folder: &Path, found: &mut BTreeMap<String, Vec<u8>>) {
        for entry in fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                add(root, &path, found);
            } else {
                let name = path.strip_prefix(root).expect("below").to_string_lossy().replace('\\', "/");
                found.insert(name, fs::read(&path).expect("a file"));
            }
        }
    }
    let mut found = BTreeMap::new();
    add(folder, folder, &mut found);
    found
}

/// The rows of a table, by the names of its columns.
fn rows(csv: &[u8]) -> Vec<BTreeMap<String, String>> {
    let mut reader = csv::Reader::from_reader(csv);
    let names = reader.headers().expect("a header").clone();
    let row = |row: csv::Result<csv::StringRecord>| {
        let row = row.expect("a row as long as the header");
        names.iter().zip(&row).map(|(name, field)| (name.to_owned(), field.to_owned())).collect()
    };
    reader.records().map(row).collect()
}

/// A folder with three films, one of them below, a broken one, and something else.
fn films_folder(place: &Path) -> Option<()> {
    let film = film()?;
    fs::create_dir_all(place.join("films/sub")).expect("folders");
    for name in ["a.mp4", "b.mov", "sub/a.mp4"] {
        fs::copy(film, place.join("films").join(name)).expect("copied");
    }
    fs::write(place.join("films/c.mkv"), "this is no film").expect("written");
    fs::write(place.join("films/notes.txt"), "notes").expect("written");
    Some(())
}

#[test]
fn films_of_a_folder_go_into_one_folder_with_a_table_of_all() {
    let place = tempfile::tempdir().expect("a folder");
    let place = place.path();
    let Some(()) = films_folder(place) else { return };
    let kinds = "--csv --eaf --textgrid --vtt --plot --annotate";
    let (status, out, err) = demeanor(place, &format!("video films --out out {kinds} --threads 3"));
    assert_eq!(status, Some(2), "one is broken: {out}{err}");
    assert!(err.contains("c.mkv") && err.contains("left out 1 file (1 .txt)"), "{err}");
    // what is said comes in the order of the films
    let names: Vec<_> = out.lines().filter_map(|l| l.strip_prefix("films/")?.split(':').next()).collect();
    assert_eq!(names, ["a.mp4", "b.mov", "sub/a.mp4"], "{out}");
    let found = files(&place.join("out"));
    let mut wanted = vec!["summary.csv".to_owned()];
    for stem in ["a", "b", "sub/a"] {
        wanted.extend(["csv", "eaf", "TextGrid", "vtt", "svg", "mp4"].map(|ending| format!("{stem}.{ending}")));
    }
    wanted.sort();
    assert_eq!(found.keys().cloned().collect::<Vec<_>>(), wanted);
    let summary = rows(&found["summary.csv"]);
    let of: Vec<_> = summary.iter().map(|row| (row["file"].as_str(), row["face_id"].as_str())).collect();
    assert_eq!(of, [("films/a.mp4", "1"), ("films/b.mov", "1"), ("films/c.mkv", ""), ("films/sub/a.mp4", "1")]);
    let first = &summary[0];
    assert!((first["duration_s"].parse::<f64>().expect("seconds") - 2.0).abs() < 0.1, "{first:?}");
    assert!(first["seen_s"].parse::<f64>().expect("seconds") > 1.0 && first["problem"].is_empty(), "{first:?}");
    let shares = first.iter().filter(|(name, _)| name.starts_with("share_"));
    let sum: f64 = shares.map(|(_, share)| share.parse::<f64>().expect("a share")).sum();
    assert!((sum - 1.0).abs() < 2e-3, "{first:?}");
    assert!(summary[2]["problem"].contains("no film or recording"), "{:?}", summary[2]);
    // one thread says and writes the same, but for the dates in ELAN's files and the bytes of the encoder
    let (_, alone, _) = demeanor(place, &format!("video films --out again {kinds} --threads 1"));
    assert_eq!(alone, out);
    for (name, bytes) in files(&place.join("again")) {
        if !name.ends_with(".eaf") && !name.ends_with(".mp4") {
            assert!(bytes == found[&name], "{name}");
        }
    }
    // earlier results stay, unless asked
    let (status, _, err) = demeanor(place, "video films --out out");
    assert!(status == Some(2) && err.contains("is there already"), "{err}");
    let (status, _, err) = demeanor(place, "video films/a.mp4 --out out --quiet -y");
    assert!(status == Some(0) && err.is_empty(), "{err}");
    assert_eq!(rows(&fs::read(place.join("out/summary.csv")).expect("the table")).len(), 1);
}

#[test]
fn several_films_need_a_folder_and_name_themselves_in_json() {
    let place = tempfile::tempdir().expect("a folder");
    let place = place.path();
    let Some(()) = films_folder(place) else { return };
    let (status, _, err) = demeanor(place, "video films/a.mp4 films/b.mov --csv all.csv");
    assert!(status == Some(2) && err.contains("--out DIR"), "{err}");
    // an option takes the film for its file
    let (status, _, err) = demeanor(place, "video --eaf films/a.mp4 films/b.mov --out out");
    assert!(status == Some(2) && err.contains("leave out films/a.mp4"), "{err}");
    assert!(!place.join("all.csv").exists() && !place.join("out").exists());
    let (status, out, err) = demeanor(place, "video films/a.mp4 films/b.mov --json --to 0.5");
    assert_eq!(status, Some(0), "{err}");
    let lines: Vec<serde_json::Value> = out.lines().map(|l| serde_json::from_str(l).expect("JSON")).collect();
    let files: Vec<_> = lines.iter().map(|l| l["file"].as_str().expect("a file")).collect();
    assert!(files.len() > 20 && files.is_sorted(), "{files:?}");
    assert!(files.contains(&"films/a.mp4") && files.contains(&"films/b.mov"));
    // one film alone is as it always was
    let (_, out, _) = demeanor(place, "video films/a.mp4 --json --to 0.5");
    assert!(!out.contains("\"file\""));
}

#[cfg(feature = "parquet")]
#[test]
fn the_table_of_all_is_parquet_too() {
    let place = tempfile::tempdir().expect("a folder");
    let place = place.path();
    let Some(()) = films_folder(place) else { return };
    let (_, _, err) = demeanor(place, "video films --out out --parquet --quiet");
    let bytes = fs::read(place.join("out/summary.parquet")).unwrap_or_else(|e| panic!("{e}: {err}"));
    assert!(bytes.starts_with(b"PAR1") && bytes.ends_with(b"PAR1"));
    let script = "import pandas, sys\n\
        p = pandas.read_parquet(sys.argv[1]); c = pandas.read_csv(sys.argv[2])\n\
        assert list(p.columns) == list(c.columns), (p.columns, c.columns)\n\
        assert len(p) == len(c) == 4\n\
        assert abs(p.share_happy.sum() - c.share_happy.sum()) < 1e-3\n\
        assert list(p.file) == list(c.file)\n";
    python(&["pandas", "pyarrow"], script, &[&place.join("out/summary.parquet"), &place.join("out/summary.csv")]);
}

#[test]
fn recordings_are_written_as_films_are() {
    let place = tempfile::tempdir().expect("a folder");
    let place = place.path();
    fs::create_dir(place.join("voices")).expect("a folder");
    for name in ["one.wav", "two.wav"] {
        fs::copy(films::VOICE, place.join("voices").join(name)).expect("copied");
    }
    fs::write(place.join("voices/silence.wav"), silence()).expect("written");
    fs::write(place.join("voices/broken.wav"), "no sound").expect("written");
    let kinds = "--csv --eaf --textgrid --vtt --plot";
    let (status, out, err) = demeanor(place, &format!("speech voices --out out {kinds} --threads 2"));
    assert_eq!(status, Some(2), "one is broken: {out}{err}");
    let found = files(&place.join("out"));
    for stem in ["one", "two", "silence"] {
        for ending in ["csv", "eaf", "TextGrid", "vtt", "svg"] {
            assert!(found.contains_key(&format!("{stem}.{ending}")), "{stem}.{ending} of {:?}", found.keys());
        }
    }
    let all = rows(&found["summary.csv"]);
    let names: Vec<_> = all.iter().map(|row| row["file"].as_str()).collect();
    assert_eq!(names, ["broken.wav", "one.wav", "silence.wav", "two.wav"].map(|n| format!("voices/{n}")));
    let number = |row: &BTreeMap<String, String>, name: &str| row[name].parse::<f64>().expect("a number");
    assert!(number(&all[1], "speech_s") > 1.0 && number(&all[1], "utterances") >= 1.0, "{:?}", all[1]);
    assert_eq!((number(&all[2], "utterances"), number(&all[2], "speech_s")), (0.0, 0.0));
    assert!(!all[0]["problem"].is_empty());
    // the table of one has the lines that are printed
    let table = rows(&found["one.csv"]);
    let printed = out.lines().filter(|l| l.starts_with("voices/one.wav")).count();
    assert_eq!(table.len(), printed);
    assert!(table[0]["start_s"].parse::<f64>().expect("seconds") < number(&table[0], "end_s"));
    let svg = String::from_utf8(found["one.svg"].clone()).expect("text");
    assert!(svg.contains(">voice<") && svg.contains("one.wav"));
    // one table of all utterances, with a row for what has none
    let (status, _, _) = demeanor(place, "speech voices --csv all.csv");
    assert_eq!(status, Some(2));
    let table = rows(&fs::read(place.join("all.csv")).expect("the table"));
    let files: Vec<_> = table.iter().map(|row| row["file"].clone()).collect();
    assert!(
        files.is_sorted()
            && files.iter().any(|f| f.ends_with("silence.wav"))
            && files.iter().any(|f| f.ends_with("broken.wav"))
    );
    // windows slide, and their spans do not overlap
    let (status, out, err) = demeanor(place, "speech voices/one.wav --window 1 --hop 0.25 --csv w.csv --vtt w.vtt");
    assert_eq!(status, Some(0), "{err}");
    assert_eq!(rows(&fs::read(place.join("w.csv")).expect("the table")).len(), out.lines().count());
    let vtt = fs::read_to_string(place.join("w.vtt")).expect("the cues");
    let times: Vec<_> = vtt.lines().filter_map(|l| l.split_once(" --> ")).collect();
    assert!(times.windows(2).all(|w| w[0].1 <= w[1].0), "{times:?}");
    // one output alone goes to stdout
    let (status, out, _) = demeanor(place, "speech voices/one.wav --vtt");
    assert!(status == Some(0) && out.starts_with("WEBVTT\n") && !out.contains("reads as"), "{out}");
    let (status, _, err) = demeanor(place, "speech voices/one.wav --vtt --json");
    assert!(status == Some(2) && err.contains("only one output"), "{err}");
    let (status, _, err) = demeanor(place, "speech voices --vtt x.vtt");
    assert!(status == Some(2) && err.contains("--out DIR"), "{err}");
}

/// A second of silence.
fn silence() -> Vec<u8> {
    let mut wav =
        b"RIFF\x24\x7d\0\0WAVEfmt \x10\0\0\0\x01\0\x01\0\x80\x3e\0\0\0\x7d\0\0\x02\0\x10\0data\0\x7d\0\0".to_vec();
    wav.extend([0; 32_000]);
    wav
}

#[test]
fn faces_go_into_a_table_on_any_number_of_threads() {
    let place = tempfile::tempdir().expect("a folder");
    let place = place.path();
    fs::create_dir(place.join("pictures")).expect("a folder");
    for i in 0..24 {
        fs::copy(films::PORTRAIT, place.join(format!("pictures/p{i:02}.png"))).expect("copied");
    }
    fs::write(place.join("pictures/p05.png"), "no picture").expect("written");
    image::GrayImage::new(64, 64).save(place.join("pictures/p07.png")).expect("written");
    let run = |threads: usize| {
        let (status, out, err) = demeanor(
            place,
            &format!("face pictures --csv t{threads}.csv --annotate a{threads} --threads {threads} --quiet"),
        );
        assert_eq!(status, Some(2), "{err}");
        (
            out,
            err,
            files(&place.join(format!("a{threads}"))),
            fs::read(place.join(format!("t{threads}.csv"))).expect("CSV"),
        )
    };
    let (one, five) = (run(1), run(5));
    assert_eq!(one.0, five.0);
    assert_eq!(one.1, five.1, "warnings stand in the order of the pictures too");
    assert!(one.2 == five.2 && one.3 == five.3);
    let table = rows(&one.3);
    assert_eq!(table.len(), 24);
    assert!(table[0]["face_id"] == "1" && table[0]["success"] == "1" && !table[0]["nose_x"].is_empty());
    assert!(table[7]["success"] == "0" && table[7]["emotion"].is_empty() && table[7]["problem"].is_empty());
    assert!(table[5]["success"] == "0" && table[5]["problem"].contains("picture"), "{:?}", table[5]);
    let (status, out, _) = demeanor(place, "face pictures/p00.png --csv");
    assert!(status == Some(0) && rows(out.as_bytes()).len() == 1, "{out}");
}

/// Runs a script with files; what python3 lacks is said aloud.
fn python(modules: &[&str], script: &str, files: &[&Path]) {
    let program = std::env::var_os("DEMEANOR_TEST_PYTHON").unwrap_or_else(|| "python3".into());
    let import = format!("import {}", modules.join(", "));
    let there = Command::new(&program).args(["-c", &import]).stderr(Stdio::null()).stdout(Stdio::null()).status();
    if !there.is_ok_and(|s| s.success()) {
        eprintln!("skipped: python3 has not all of {}", modules.join(", "));
        return;
    }
    let (status, out, err) =
        told(Command::new(&program).args(["-c", script]).args(files).output().expect("python runs"));
    assert_eq!(status, Some(0), "{out}{err}");
}

/// The files of timelines in the libraries that read them for researchers: the spans are those of the others.
#[test]
fn other_programs_read_what_is_written() {
    let place = tempfile::tempdir().expect("a folder");
    let place = place.path();
    let Some(film) = film() else { return };
    let kinds = "--csv f.csv --eaf f.eaf --textgrid f.TextGrid --vtt f.vtt --min-score 0.1";
    let (status, _, err) = demeanor(place, &format!("video {} {kinds}", film.display()));
    assert_eq!(status, Some(0), "{err}");
    let [csv, eaf, grid, vtt] = ["f.csv", "f.eaf", "f.TextGrid", "f.vtt"].map(|name| place.join(name));
    python(
        &["webvtt"],
        "import sys, webvtt\n\
         cues = list(webvtt.read(sys.argv[1]))\n\
         assert cues and all(c.start < c.end for c in cues), cues\n\
         assert any(c.voice == 'face 1' for c in cues), [c.voice for c in cues]\n",
        &[&vtt],
    );
    python(
        &["pandas"],
        "import sys, pandas\n\
         t = pandas.read_csv(sys.argv[1])\n\
         assert len(t) == 60 and t.success.sum() > 50, t\n\
         assert abs(t.timestamp.iloc[-1] - 59 / 30) < 0.01\n\
         e = ['angry', 'disgust', 'fear', 'happy', 'sad', 'surprise', 'neutral']\n\
         s = t[t.success == 1][e].sum(axis=1)\n\
         assert ((s - 1).abs() < 2e-3).all(), s\n",
        &[&csv],
    );
    python(
        &["pympi", "praatio"],
        "import sys, pympi, os\n\
         from praatio import textgrid\n\
         e = pympi.Elan.Eaf(sys.argv[1])\n\
         assert 'face 1' in e.get_tier_names(), e.get_tier_names()\n\
         g = textgrid.openTextgrid(sys.argv[2], includeEmptyIntervals=False)\n\
         assert set(g.tierNames) <= set(e.get_tier_names()), g.tierNames\n\
         for tier in g.tierNames:\n\
         \x20   a = sorted((s / 1000, t / 1000, v) for s, t, v in e.get_annotation_data_for_tier(tier))\n\
         \x20   b = [(x.start, x.end, x.label) for x in g.getTier(tier).entries]\n\
         \x20   assert len(a) == len(b) and len(a) > 0, (a, b)\n\
         \x20   assert all(abs(p[0] - q[0]) < 2e-3 and abs(p[1] - q[1]) < 2e-3 and p[2] == q[2] for p, q in zip(a, b)), (a, b)\n\
         assert len(e.get_controlled_vocabulary_names()) == 1\n\
         assert e.get_ref_annotation_data_for_tier('face 1 score')\n\
         media = e.get_linked_files()[0]\n\
         assert os.path.exists(media['MEDIA_URL'][len('file://'):]), media\n\
         assert os.path.exists(os.path.join(os.path.dirname(sys.argv[1]), media['RELATIVE_MEDIA_URL'])), media\n",
        &[&eaf, &grid],
    );
}
