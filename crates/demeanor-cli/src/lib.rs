//! The program `demeanor`: files, cameras, microphones and the terminal around the library. The binary and the script of the
//! Python package both call [`run`].

#![forbid(unsafe_code)]

mod annotate;
mod claim;
mod cmd;
mod dashboard;
mod detector;
mod draw;
mod exports;
mod film;
mod interrupt;
mod latency;
mod layout;
mod model;
mod output;
mod progress;
mod record;
mod senses;
#[cfg(feature = "serve")]
mod server;
mod session;
mod sources;
mod spread;
mod summary;
mod table;
mod terminal;
mod timeline;
mod write;

use std::ffi::OsString;

use clap::{Parser, Subcommand};
use demeanor::simd::Isa;

use terminal::Outcome;

/// Reads the emotion that a face and a voice express: live, offline, on a plain CPU.
///
/// It reads what is shown, not what is felt. Results go to stdout, everything else to stderr. Exit status: 0 when
/// something was read, 1 when no face or voice was found, 2 when there was an error; a file that cannot be read does not
/// stop the others, but makes the status 2.
#[derive(Debug, Parser)]
#[command(name = "demeanor", version, max_term_width = 100, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
    /// The instruction set of all kernels: portable, avx2, avx512 or amx [default: the fastest that the processor has]
    #[arg(long, global = true, value_name = "NAME", env = "DEMEANOR_ISA", hide_env_values = true)]
    isa: Option<Isa>,
}

/// One line here and one file in `cmd/` per command.
#[derive(Debug, Subcommand)]
enum Command {
    Face(cmd::face::Args),
    Speech(cmd::speech::Args),
    #[cfg(feature = "train")]
    Train(cmd::train::Args),
    Live(Box<cmd::live::Args>),
    #[cfg(feature = "serve")]
    Serve(Box<cmd::serve::Args>),
    Video(Box<cmd::video::Args>),
    Demo(Box<cmd::demo::Args>),
    Model(cmd::model::Args),
    #[cfg(feature = "train")]
    Eval(cmd::eval::Args),
    Bench(cmd::bench::Args),
    #[cfg(feature = "train")]
    Data(cmd::data::Args),
    Completions(cmd::shell::CompletionsArgs),
    Man(cmd::shell::ManArgs),
}

fn obey(command: Command) -> anyhow::Result<Outcome> {
    match command {
        Command::Face(args) => cmd::face::run(args),
        Command::Speech(args) => cmd::speech::run(args),
        #[cfg(feature = "train")]
        Command::Train(args) => cmd::train::run(args),
        Command::Live(args) => cmd::live::run(*args),
        #[cfg(feature = "serve")]
        Command::Serve(args) => cmd::serve::run(*args),
        Command::Video(args) => cmd::video::run(*args),
        Command::Demo(args) => cmd::demo::run(*args),
        Command::Model(args) => cmd::model::run(args),
        #[cfg(feature = "train")]
        Command::Eval(args) => cmd::eval::run(args),
        Command::Bench(args) => cmd::bench::run(args),
        #[cfg(feature = "train")]
        Command::Data(args) => cmd::data::run(args),
        Command::Completions(args) => cmd::shell::completions(args),
        Command::Man(args) => cmd::shell::man(args),
    }
}

/// Runs the program with its arguments, the first of which is its own name, and returns its exit status.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> u8 {
    let cli = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli,
        // a wrong argument, or what --help and --version say; a closed pipe is no error
        Err(error) => {
            let _ = error.print();
            return u8::try_from(error.exit_code()).unwrap_or(2);
        }
    };
    let chosen = cli.isa.map_or(Ok(()), Isa::choose);
    terminal::finish(chosen.map_err(anyhow::Error::from).and_then(|()| obey(cli.command)))
}
