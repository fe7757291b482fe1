//! `demeanor data`: what a data set holds, and what is wrong with it.

use std::fmt::Display;
use std::io::Write;
use std::path::{Path, PathBuf};

use clap::{Subcommand, ValueEnum};
use demeanor_train::data::check;
use demeanor_train::data::faces::{FaceSet, LoadOptions};
use demeanor_train::data::speech::SpeechSet;
use serde::Serialize;

use crate::sources;
use crate::terminal::{self, Outcome};

/// Checks data sets
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Counts what a set holds, and what is wrong with it: blanks, duplicates, twins
    ///
    /// A duplicate has the very pixels of another picture. A twin shows the same photograph, perhaps mirrored or edited:
    /// where one of a pair is trained on and the other tested with, the test is too easy.
    Check {
        /// Pictures: fer2013.csv, icml_face_data.csv or a folder SPLIT/EMOTION/*.png. Speech: a folder of recordings
        #[arg(value_name = "DIR|FILE")]
        path: PathBuf,
        /// What the set holds [default: face, unless the folder holds recordings]
        #[arg(long, value_enum)]
        sense: Option<Sense>,
        /// A table of FER+ votes [default: fer2013plus.csv beside the set, if it is there]
        #[arg(long, value_name = "FILE")]
        votes: Option<PathBuf>,
        /// One JSON object
        #[arg(long)]
        json: bool,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Sense {
    Face,
    Speech,
}

pub fn run(args: Args) -> anyhow::Result<Outcome> {
    let Command::Check { path, sense, votes, json } = args.command;
    let sense = sense.unwrap_or_else(|| if holds_recordings(&path) { Sense::Speech } else { Sense::Face });
    match sense {
        Sense::Face => {
            let mut set = FaceSet::load(&path, &LoadOptions { votes, ..LoadOptions::default() })?;
            print(&check::faces(&mut set)?, json)
        }
        Sense::Speech => {
            let set = SpeechSet::load(&path)?;
            print(&check::speech(&set), json)
        }
    }
}

fn holds_recordings(path: &Path) -> bool {
    path.is_dir() && sources::find(path, demeanor_media::sound::EXTENSIONS, "recordings").is_ok()
}

fn print(report: &(impl Serialize + Display), json: bool) -> anyhow::Result<Outcome> {
    let mut out = terminal::out();
    if json {
        serde_json::to_writer(&mut out, report)?;
        writeln!(out)?;
    } else {
        write!(out, "{report}")?;
    }
    out.flush()?;
    Ok(Outcome::Read)
}
