//! `demeanor completions` and `demeanor man`.

use std::io::Write;
use std::path::PathBuf;

use anyhow::Context;
use clap::CommandFactory;

use crate::terminal::{self, Outcome};

/// Writes the completions of a shell to stdout
///
/// For example: demeanor completions bash > ~/.local/share/bash-completion/completions/demeanor
#[derive(Debug, clap::Args)]
pub struct CompletionsArgs {
    /// The shell
    shell: clap_complete::Shell,
}

/// Writes the man page to stdout
#[derive(Debug, clap::Args)]
pub struct ManArgs {
    /// Write a page for the program and one for each command into this folder instead
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

pub fn completions(args: CompletionsArgs) -> anyhow::Result<Outcome> {
    // written in one piece: the generators panic when a write fails
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut crate::Cli::command(), "demeanor", &mut script);
    let mut out = terminal::out();
    out.write_all(&script)?;
    out.flush()?;
    Ok(Outcome::Read)
}

pub fn man(args: ManArgs) -> anyhow::Result<Outcome> {
    let command = crate::Cli::command();
    if let Some(dir) = &args.out {
        std::fs::create_dir_all(dir).with_context(|| format!("cannot make the folder {}", dir.display()))?;
        clap_mangen::generate_to(command, dir)
            .with_context(|| format!("cannot write the man pages into {}", dir.display()))?;
    } else {
        let mut page = Vec::new();
        clap_mangen::Man::new(command).render(&mut page)?;
        let mut out = terminal::out();
        out.write_all(&page)?;
        out.flush()?;
    }
    Ok(Outcome::Read)
}
