//! What the commands say, and the exit status.
//!
//! Results are written to [`out`] with `writeln!(..)?`, so that a closed pipe comes back as an error, which [`finish`]
//! takes for success; everything else is said by [`note`], [`warn`] and [`problem`] on stderr.

use std::fmt::Display;
use std::io::{self, BufWriter, IsTerminal, StdoutLock, Write};
use std::path::Path;

/// How a command ended, short of an error that stopped it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Something was read, or the task is done: status 0.
    Read,
    /// No face or voice was found: status 1.
    Nothing,
    /// Something went wrong that has been reported, such as one file of many that cannot be read: status 2.
    Failed,
}

/// An end that somebody asked for with Ctrl-C before the task was done: status 130, as shells have it.
#[derive(Debug)]
pub struct Interrupted(pub String);

impl Display for Interrupted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Interrupted {}

/// The exit status of a result; an error is reported with its causes.
pub fn finish(result: anyhow::Result<Outcome>) -> u8 {
    match result {
        Ok(Outcome::Read) => 0,
        Ok(Outcome::Nothing) => 1,
        Ok(Outcome::Failed) => 2,
        Err(error) if is_closed_pipe(&error) => 0,
        Err(error) if error.is::<Interrupted>() => {
            note(whole(&error));
            130
        }
        Err(error) => {
            problem(whole(&error));
            2
        }
    }
}

/// An error and its causes in one line. Some errors say their cause in their own words; it is not said again.
pub fn whole(error: &anyhow::Error) -> String {
    let mut words = error.to_string();
    for cause in error.chain().skip(1).map(ToString::to_string) {
        if !words.contains(&cause) {
            words = format!("{words}: {cause}");
        }
    }
    words
}

/// Whether the reader of our output has gone, as `head` does: it has seen enough, and that is success.
pub fn is_closed_pipe(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        let kind = match cause.downcast_ref::<io::Error>() {
            Some(error) => Some(error.kind()),
            None => cause.downcast_ref::<serde_json::Error>().and_then(serde_json::Error::io_error_kind),
        };
        kind == Some(io::ErrorKind::BrokenPipe)
    })
}

/// A path in one line that a terminal does not take for commands: what is no printable text is escaped.
pub fn shown(path: impl AsRef<Path>) -> String {
    let mut text = String::new();
    for chunk in path.as_ref().as_os_str().as_encoded_bytes().utf8_chunks() {
        for c in chunk.valid().chars() {
            // the last two change the direction of what follows
            if c.is_control() || matches!(c, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}') {
                text.extend(c.escape_default());
            } else {
                text.push(c);
            }
        }
        for byte in chunk.invalid() {
            text += &format!("\\x{byte:02x}");
        }
    }
    text
}

/// Stdout, buffered. Flush it when something should be seen at once, and at the end.
pub fn out() -> BufWriter<StdoutLock<'static>> {
    BufWriter::new(io::stdout().lock())
}

/// Whether results may be coloured: on a terminal, unless `NO_COLOR` is set to something.
pub fn coloured() -> bool {
    io::stdout().is_terminal() && wants_colour()
}

fn wants_colour() -> bool {
    std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty()) && std::env::var_os("TERM").is_none_or(|v| v != "dumb")
}

/// Says something on stderr. Unlike `eprintln!` it does not mind when nobody listens.
pub fn note(message: impl Display) {
    let _ = writeln!(io::stderr(), "{message}");
}

/// Says how far something is, over the last such line; only for a stderr that is a terminal.
pub fn note_over(message: impl Display) {
    let _ = write!(io::stderr(), "\r\x1b[K{message}");
}

/// Takes back what [`note_over`] said.
pub fn note_clear() {
    let _ = write!(io::stderr(), "\r\x1b[K");
}

/// A warning: its cause, and the option that helps.
pub fn warn(message: impl Display) {
    labelled("warning", 33, message);
}

/// An error that does not stop the command, or the one that did.
pub fn problem(message: impl Display) {
    labelled("error", 31, message);
}

fn labelled(label: &str, colour: u8, message: impl Display) {
    if io::stderr().is_terminal() && wants_colour() {
        note(format_args!("\x1b[{colour};1m{label}:\x1b[0m {message}"));
    } else {
        note(format_args!("{label}: {message}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_cannot_command_a_terminal() {
        for (name, expected) in [
            ("a b/ü.png", "a b/ü.png"),
            ("a\nb", "a\\nb"),
            ("\u{1b}[31mred", "\\u{1b}[31mred"),
            ("x\u{202e}gnp", "x\\u{202e}gnp"),
        ] {
            assert_eq!(shown(name), expected);
        }
        #[cfg(unix)]
        {
            use std::os::unix::ffi::OsStrExt;
            assert_eq!(shown(std::ffi::OsStr::from_bytes(b"a\xff\xfeb")), "a\\xff\\xfeb");
        }
    }

    #[test]
    fn a_cause_is_said_once() {
        let missing = || io::Error::new(io::ErrorKind::NotFound, "no such file");
        let said = anyhow::Error::new(missing()).context("x.png: no such file").context("reading pictures");
        assert_eq!(whole(&said), "reading pictures: x.png: no such file");
        assert_eq!(whole(&anyhow::Error::new(missing()).context("x.png")), "x.png: no such file");
    }
}
