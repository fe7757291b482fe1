//! The files in which a command writes timelines, of one source by their names, of many in a folder.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use anyhow::{Context, Result, bail};

use crate::claim::Claims;
use crate::output::Sink;
use crate::sources::Source;
use crate::table::TableFiles;
use crate::terminal;
use crate::timeline::{Timeline, eaf, plot, textgrid, vtt};

/// Options for the files of timelines.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct ExportArgs {
    /// Write annotation tiers for ELAN
    #[arg(long, value_name = "FILE", num_args = 0..=1, default_missing_value = "-")]
    pub eaf: Option<PathBuf>,
    /// Write interval tiers for Praat
    #[arg(long, value_name = "FILE", num_args = 0..=1, default_missing_value = "-")]
    pub textgrid: Option<PathBuf>,
    /// Write WebVTT subtitles
    #[arg(long, value_name = "FILE", num_args = 0..=1, default_missing_value = "-")]
    pub vtt: Option<PathBuf>,
    /// Write the timeline as an SVG picture
    #[arg(long, value_name = "FILE.svg", num_args = 0..=1, default_missing_value = "-")]
    pub plot: Option<PathBuf>,
    /// Write into this folder, for any number of files: the kinds that are asked for, each named after what it was made from,
    /// CSV when no kind is asked for, and a table of all, summary.csv
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
}

/// The name of the table of all, without its ending.
const SUMMARY: &str = "summary";

impl ExportArgs {
    /// The options with FILE and what they were given.
    pub fn named(&self) -> [(&'static str, &Option<PathBuf>); 4] {
        [("eaf", &self.eaf), ("textgrid", &self.textgrid), ("vtt", &self.vtt), ("plot", &self.plot)]
    }
}

/// The table of all in the folder `--out`; `-` as the Parquet file is one beside it.
pub fn summary(folder: &Path, parquet: Option<PathBuf>) -> TableFiles {
    let inside = |ending: &str| folder.join(format!("{SUMMARY}.{ending}"));
    let parquet = parquet.map(|path| if is_stdout(&path) { inside("parquet") } else { path });
    TableFiles { csv: Some(inside("csv")), parquet }
}

/// The files of one source; `-` is stdout.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Files {
    /// A table.
    pub csv: Option<PathBuf>,
    /// For ELAN.
    pub eaf: Option<PathBuf>,
    /// For Praat.
    pub textgrid: Option<PathBuf>,
    /// Subtitles.
    pub vtt: Option<PathBuf>,
    /// A picture.
    pub plot: Option<PathBuf>,
    /// The film, drawn on.
    pub annotate: Option<PathBuf>,
}

impl Files {
    /// Those with a path.
    pub fn paths(&self) -> impl Iterator<Item = &Path> {
        let Files { csv, eaf, textgrid, vtt, plot, annotate } = self;
        [csv, eaf, textgrid, vtt, plot, annotate].into_iter().flatten().map(PathBuf::as_path)
    }

    /// The same kinds, each named after `stem` with its own ending.
    fn of_stem(&self, stem: &Path) -> Files {
        let with = |kind: &Option<PathBuf>, ending: &str| {
            kind.as_ref().map(|_| {
                let mut name = stem.as_os_str().to_owned();
                name.push(".");
                name.push(ending);
                PathBuf::from(name)
            })
        };
        Files {
            csv: with(&self.csv, "csv"),
            eaf: with(&self.eaf, "eaf"),
            textgrid: with(&self.textgrid, "TextGrid"),
            vtt: with(&self.vtt, "vtt"),
            plot: with(&self.plot, "svg"),
            annotate: with(&self.annotate, "mp4"),
        }
    }
}

/// Whether a path is that of stdout.
pub fn is_stdout(path: &Path) -> bool {
    path.as_os_str() == "-"
}

/// The files of each source: those that were named, for one; for any number in the folder `--out`, where they are claimed.
/// `wanted` has those that were asked for.
///
/// # Errors
/// When files are named for several sources, or with a folder, or one of them cannot be claimed.
pub fn files(wanted: &Files, args: &ExportArgs, sources: &[Source], claims: &mut Claims) -> Result<Vec<Files>> {
    let Some(folder) = &args.out else {
        let Some(path) = wanted.paths().next() else {
            return Ok(vec![Files::default(); sources.len()]);
        };
        if sources.len() != 1 {
            bail!(
                "{} files are read, and {} can hold what was found in one; name a folder for all of them with --out DIR",
                sources.len(),
                if is_stdout(path) { "stdout".to_owned() } else { terminal::shown(path) }
            );
        }
        for path in wanted.paths() {
            claims.writes(path)?;
        }
        return Ok(vec![wanted.clone()]);
    };
    if let Some(path) = wanted.paths().find(|path| !is_stdout(path)) {
        bail!(
            "with --out the files get their names by themselves; leave out {} behind its option, or put what is read first",
            terminal::shown(path)
        );
    }
    let mut wanted = wanted.clone();
    if wanted == Files::default() {
        wanted.csv = Some("-".into());
    }
    std::fs::create_dir_all(folder).with_context(|| format!("cannot make the folder {}", terminal::shown(folder)))?;
    let is_summary = |stem: &Path| {
        stem.parent() == Some(folder) && stem.file_name().is_some_and(|n| n.eq_ignore_ascii_case(SUMMARY))
    };
    let all = stems(folder, sources, |stem| {
        is_summary(stem) || wanted.of_stem(stem).paths().any(|path| claims.is_read(path))
    });
    let all: Vec<_> = all.iter().map(|stem| wanted.of_stem(stem)).collect();
    for path in all.iter().flat_map(Files::paths) {
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)
                .with_context(|| format!("cannot make the folder {}", terminal::shown(folder)))?;
        }
        claims.writes(path)?;
    }
    Ok(all)
}

/// A place for each source: its name below the folder that was named, without the ending, in `folder`; numbered where it is
/// taken.
pub fn stems(folder: &Path, sources: &[Source], is_taken: impl Fn(&Path) -> bool) -> Vec<PathBuf> {
    // file systems differ in whether upper and lower case are alike
    let alike = |path: &Path| path.to_string_lossy().to_lowercase();
    let mut taken = HashSet::new();
    let stem = |source: &Source| {
        let below = match source {
            Source::Stdin => Path::new("stdin"),
            Source::File { below, .. } => below,
        };
        let name = below.file_stem().unwrap_or(OsStr::new("unnamed"));
        let folder = folder.join(below.parent().unwrap_or(Path::new("")));
        for number in 1u32.. {
            let mut name = name.to_owned();
            if number > 1 {
                name.push(format!("-{number}"));
            }
            let stem = folder.join(name);
            if !is_taken(&stem) && taken.insert(alike(&stem)) {
                return stem;
            }
        }
        folder.join(name)
    };
    sources.iter().map(stem).collect()
}

/// The files of a timeline that is not complete yet. One that fails says so and takes none of the others with it.
#[derive(Default)]
pub struct Exports {
    eaf: Sink,
    textgrid: Sink,
    vtt: Sink,
    plot: Sink,
    path: PathBuf,
}

impl Exports {
    /// Begins them, where they are wanted.
    ///
    /// # Errors
    /// When one cannot be created.
    pub fn create(files: &Files, overwrite: bool) -> Result<Exports> {
        let create = |path: &Option<PathBuf>| Sink::create(path.as_deref(), overwrite);
        Ok(Exports {
            eaf: create(&files.eaf)?,
            textgrid: create(&files.textgrid)?,
            vtt: create(&files.vtt)?,
            plot: create(&files.plot)?,
            path: files.eaf.clone().unwrap_or_else(|| "-".into()),
        })
    }

    fn all(&mut self) -> [&mut Sink; 4] {
        let Exports { eaf, textgrid, vtt, plot, .. } = self;
        [eaf, textgrid, vtt, plot]
    }

    /// Whether any of them still takes something.
    pub fn any_open(&mut self) -> bool {
        self.all().iter().any(|sink| sink.is_open())
    }

    /// Completes them; whether all went well.
    pub fn finish(mut self, timeline: &Timeline, media: &OsStr) -> bool {
        let document = eaf::Document { media, path: &self.path, written: SystemTime::now() };
        self.eaf.write(|w| eaf::write(w, timeline, &document));
        self.textgrid.write(|w| textgrid::write(w, timeline));
        self.vtt.write(|w| vtt::write(w, timeline));
        self.plot.write(|w| plot::write(w, timeline, &media.to_string_lossy()));
        self.all().iter_mut().fold(true, |well, sink| {
            sink.finish();
            well && !sink.has_failed()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(below: &str) -> Source {
        Source::File { path: Path::new("/films").join(below), below: below.into() }
    }

    #[test]
    fn each_source_has_a_name_of_its_own() {
        let sources = ["a.mp4", "A.mkv", "sub/a.mp4", "b.mp4", "a-2.avi"].map(source);
        let stems = stems(Path::new("out"), &sources, |stem| stem.ends_with("b"));
        let names: Vec<_> = stems.iter().map(|s| s.to_str().expect("text")).collect();
        assert_eq!(names, ["out/a", "out/A-2", "out/sub/a", "out/b-2", "out/a-2-2"]);
    }

    #[test]
    fn files_of_many_sources_need_a_folder() {
        let folder = tempfile::tempdir().expect("a folder");
        let (one, two) = (vec![source("a.mp4")], vec![source("a.mp4"), source("b.mp4")]);
        let named = Files { vtt: Some(folder.path().join("x.vtt")), ..Files::default() };
        let files = |wanted: &Files, args: &ExportArgs, sources: &[Source]| {
            super::files(wanted, args, sources, &mut Claims::default()).map_err(|e| e.to_string())
        };
        let plain = ExportArgs::default();
        assert_eq!(files(&named, &plain, &one).as_deref(), Ok(&[named.clone()][..]));
        assert!(files(&named, &plain, &two).expect_err("two").contains("--out DIR"));
        let inside = ExportArgs { out: Some(folder.path().join("out")), ..ExportArgs::default() };
        assert!(files(&named, &inside, &two).expect_err("named").contains("leave out"));
        let asked = Files { vtt: Some("-".into()), ..Files::default() };
        let found = files(&asked, &inside, &two).expect("a folder");
        assert_eq!(found[1].paths().collect::<Vec<_>>(), [folder.path().join("out/b.vtt")]);
        let found = files(&asked, &inside, &[source("Summary.mp4"), source("sub/summary.mp4")]).expect("a folder");
        assert_eq!(found[0].vtt, Some(folder.path().join("out/Summary-2.vtt")), "that is the table of all");
        assert_eq!(found[1].vtt, Some(folder.path().join("out/sub/summary.vtt")));
        let found = files(&Files::default(), &inside, &one).expect("a folder");
        assert_eq!(
            found[0].paths().collect::<Vec<_>>(),
            [folder.path().join("out/a.csv")],
            "a table when nothing is asked for"
        );
    }
}
