//! `demeanor serve`: estimates for other programs.

use std::io::Write;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::interrupt;
use crate::senses::SenseArgs;
use crate::server::{self, Begin, Guard, Limits};
use crate::terminal::{self, Outcome};

/// Estimates for other programs, over HTTP and WebSockets
///
/// POST a picture to /v1/face, a recording to /v1/speech, a film to /v1/video; stream frames and sound to /v1/live. The answers are
/// those of --json. /openapi.json describes them, docs/stream.md shows clients. It listens on this machine alone unless a token is
/// asked for. Nothing that is sent is stored, but for films until they are read. Ctrl-C ends it.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Where to listen; an address that others reach needs --token
    #[arg(long, value_name = "ADDRESS:PORT", default_value = server::ADDRESS)]
    listen: SocketAddr,
    #[command(flatten)]
    who: WhoArgs,
    /// The largest body, in MiB
    #[arg(long, value_name = "MIB", default_value_t = 16, value_parser = clap::value_parser!(u32).range(1..=1024))]
    max_body: u32,
    /// The largest film, in MiB
    #[arg(long, value_name = "MIB", default_value_t = 2048, value_parser = clap::value_parser!(u32).range(1..))]
    max_film: u32,
    /// The longest recording, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 600, value_parser = clap::value_parser!(u32).range(1..))]
    max_seconds: u32,
    /// The memory that the decoding of a picture may take, in MB
    #[arg(long, value_name = "MB", default_value_t = 256, value_parser = clap::value_parser!(u32).range(1..))]
    max_memory: u32,
    /// Connections at a time
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = clap::value_parser!(u16).range(1..))]
    max_connections: u16,
    /// Threads that read pictures and recordings [default: all cores]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: Option<u16>,
    #[command(flatten)]
    senses: SenseArgs,
}

/// Who may ask a server.
#[derive(Debug, Clone, clap::Args)]
pub struct WhoArgs {
    /// A file that holds the token which requests must show, as "Authorization: Bearer TOKEN" or in the first message of a
    /// WebSocket; it is made, with a new token, where there is none
    #[arg(long, value_name = "FILE")]
    token: Option<PathBuf>,
    /// Another name of this machine that requests may give as their host; several times for several
    #[arg(long, value_name = "NAME")]
    host: Vec<String>,
    /// The origin of a page that may ask, such as https://example.org; several times for several
    #[arg(long, value_name = "ORIGIN")]
    allow_origin: Vec<String>,
}

impl WhoArgs {
    /// Refuses these options where nothing is served.
    ///
    /// # Errors
    /// When any of them is given.
    pub fn needs_serve(&self) -> Result<()> {
        if self.token.is_some() || !self.host.is_empty() || !self.allow_origin.is_empty() {
            bail!("--token, --host and --allow-origin say who may ask a server; add --serve");
        }
        Ok(())
    }

    /// Who may ask a server at this address.
    ///
    /// # Errors
    /// When others could reach it without a token, or the token cannot be read.
    pub fn guard(&self, address: SocketAddr) -> Result<Guard> {
        if !address.ip().is_loopback() && self.token.is_none() {
            bail!(
                "{address} can be reached from other machines: ask for a token with --token FILE, or listen on 127.0.0.1"
            );
        }
        let token = self.token.as_deref().map(token).transpose()?;
        Ok(Guard::new(address, &self.host, &self.allow_origin, token))
    }
}

/// The token of a file; a new one where there is no file.
fn token(path: &std::path::Path) -> Result<String> {
    let name = terminal::shown(path);
    if !path.exists() {
        let token = server::random_name(24);
        let mut options = std::fs::OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file = options.open(path).with_context(|| format!("cannot make the token file {name}"))?;
        writeln!(file, "{token}").with_context(|| format!("cannot write the token file {name}"))?;
        terminal::note(format_args!("made a new token in {name}"));
        return Ok(token);
    }
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read the token file {name}"))?;
    let token = text.trim();
    if token.len() < 16 || !token.bytes().all(|b| b.is_ascii_graphic()) {
        bail!("the token in {name} has {} characters; expected at least 16, without spaces", token.chars().count());
    }
    Ok(token.to_owned())
}

pub fn run(args: Args) -> Result<Outcome> {
    let guard = args.who.guard(args.listen)?;
    let models = args.senses.load(true, true)?;
    let threads = args.threads.map(usize::from);
    let threads = threads.or_else(|| std::thread::available_parallelism().ok().map(usize::from)).unwrap_or(1);
    let limits = Limits {
        body: (args.max_body as usize) << 20,
        film: u64::from(args.max_film) << 20,
        seconds: f64::from(args.max_seconds),
        memory: u64::from(args.max_memory) << 20,
        connections: args.max_connections,
        time: Duration::from_secs(30),
        threads,
    };
    let listener = server::listen(args.listen)?;
    interrupt::listen();
    let address = listener.local_addr()?;
    let mut out = terminal::out();
    writeln!(out, "listening at http://{address}")?;
    out.flush()?;
    server::serve(Begin { guard, limits, models, senses: args.senses }, listener)?;
    terminal::note("ended");
    Ok(Outcome::Read)
}
