//! The program `demeanor`.

#![forbid(unsafe_code)]

use std::process::ExitCode;

fn main() -> ExitCode {
    ExitCode::from(demeanor_cli::run(std::env::args_os()))
}
