//! Load for `demeanor serve`, and what it does to latency and memory: `just soak`, docs/stream.md.
//!
//! ```text
//! cargo run --release -p demeanor-cli --example load -- live 127.0.0.1:8642 frame.jpg --clients 6 --rate 10 --seconds 30
//! cargo run --release -p demeanor-cli --example load -- rest 127.0.0.1:8642 frame.jpg --clients 4 --seconds 30
//! ```
//!
//! `live` sends frames over WebSockets and takes the time from a frame to its estimate; `rest` posts pictures, as fast as they are
//! answered or at a rate of all clients together, in which case waiting for a client that is late counts too. `--pid` names the
//! server, whose memory is told then.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use clap::Parser;
use tungstenite::Message;

#[derive(Parser, Clone)]
struct Args {
    /// What is asked
    what: What,
    /// Where the server is
    address: String,
    /// The picture that is sent
    picture: PathBuf,
    /// Clients at a time
    #[arg(long, default_value_t = 1)]
    clients: u32,
    /// Frames a second of each live client; pictures a second of all others together, 0 for as many as are answered
    #[arg(long, default_value_t = 0.0)]
    rate: f64,
    /// How long
    #[arg(long, default_value_t = 30.0)]
    seconds: f64,
    /// The process of the server
    #[arg(long)]
    pid: Option<u32>,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum What {
    Live,
    Rest,
}

/// What a client saw: times from a question to its answer, and how many were refused.
#[derive(Default)]
struct Seen {
    times: Vec<Duration>,
    refused: u64,
}

fn main() -> Result<()> {
    let args = Args::parse();
    let picture = std::fs::read(&args.picture).with_context(|| format!("cannot read {}", args.picture.display()))?;
    let before = args.pid.map(memory).transpose()?;
    let (until, mut most) = (Duration::from_secs_f64(args.seconds), before.unwrap_or(0));
    let began = Instant::now();
    let clients: Vec<_> = (0..args.clients)
        .map(|number| {
            let (args, picture) = (args.clone(), picture.clone());
            thread::spawn(move || match args.what {
                What::Live => live(&args, &picture, number, began + until),
                What::Rest => rest(&args, &picture, number, began + until),
            })
        })
        .collect();
    while began.elapsed() < until {
        thread::sleep(Duration::from_millis(200));
        if let Some(pid) = args.pid {
            most = most.max(memory(pid)?);
        }
    }
    let seen = clients
        .into_iter()
        .map(|client| client.join().map_err(|_| anyhow::anyhow!("a client failed"))?)
        .collect::<Result<Vec<_>>>()?;
    let took = began.elapsed().as_secs_f64();
    let mut all: Vec<Duration> = seen.iter().flat_map(|s| s.times.iter().copied()).collect();
    all.sort_unstable();
    let refused: u64 = seen.iter().map(|s| s.refused).sum();
    let fewest = seen.iter().map(|s| s.times.len()).min().unwrap_or(0);
    let ms = |share: f64| {
        let at = ((all.len() as f64 * share) as usize).min(all.len().saturating_sub(1));
        all.get(at).map_or(f64::NAN, |t| 1e3 * t.as_secs_f64())
    };
    println!(
        "{} answers in {took:.1} s ({:.1}/s; the slowest client {fewest}), {refused} refused; median {:.1} ms, p95 {:.1} ms, p99 {:.1} ms, longest {:.1} ms",
        all.len(),
        all.len() as f64 / took,
        ms(0.5),
        ms(0.95),
        ms(0.99),
        ms(1.0),
    );
    if let (Some(pid), Some(before)) = (args.pid, before) {
        let (after, mb) = (memory(pid)?, |bytes: u64| bytes as f64 / 1e6);
        println!("memory {:.1} MB before, {:.1} MB at most, {:.1} MB after", mb(before), mb(most), mb(after));
    }
    if all.is_empty() {
        bail!("nothing was answered");
    }
    Ok(())
}

/// What a process holds of the memory, in bytes.
fn memory(pid: u32) -> Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).context("the server is gone")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
    let kib: u64 = line.trim().trim_end_matches(" kB").parse()?;
    Ok(1024 * kib)
}

/// Sends frames at a rate; each is answered.
fn live(args: &Args, picture: &[u8], number: u32, until: Instant) -> Result<Seen> {
    let stream = TcpStream::connect(&args.address)?;
    stream.set_nodelay(true)?;
    let (mut socket, _) = tungstenite::client(format!("ws://{}/v1/live", args.address), stream)
        .map_err(|e| anyhow::anyhow!("no WebSocket: {e}"))?;
    socket.read()?;
    let rate = if args.rate > 0.0 { args.rate } else { 30.0 };
    // clients do not send at the same moment
    let began = Instant::now() + Duration::from_secs_f64(f64::from(number) / (rate * f64::from(args.clients)));
    let mut seen = Seen::default();
    for frame in 0u32.. {
        let due = began + Duration::from_secs_f64(f64::from(frame) / rate);
        if due >= until {
            break;
        }
        // a client that is late drops frames, as a camera does
        if due + Duration::from_secs_f64(1.0 / rate) < Instant::now() {
            seen.refused += 1;
            continue;
        }
        thread::sleep(due.saturating_duration_since(Instant::now()));
        let time = f64::from(frame) / rate;
        let sent = Instant::now();
        socket.send(Message::binary([&[1][..], &time.to_le_bytes(), picture].concat()))?;
        let answer = socket.read()?;
        if answer.to_text()?.contains("\"error\"") {
            bail!("the server says {answer}");
        }
        seen.times.push(sent.elapsed());
    }
    Ok(seen)
}

/// Posts pictures on one connection.
fn rest(args: &Args, picture: &[u8], number: u32, until: Instant) -> Result<Seen> {
    let stream = TcpStream::connect(&args.address)?;
    stream.set_nodelay(true)?;
    let mut answers = BufReader::new(stream.try_clone()?);
    let mut stream = stream;
    let head = format!(
        "POST /v1/face HTTP/1.1\r\nHost: {}\r\nContent-Type: image/jpeg\r\nContent-Length: {}\r\n\r\n",
        args.address,
        picture.len()
    );
    let request = [head.as_bytes(), picture].concat();
    let began = Instant::now();
    let mut seen = Seen::default();
    for turn in 0u32.. {
        let mut asked = Instant::now();
        if args.rate > 0.0 {
            let due = f64::from(turn * args.clients + number) / args.rate;
            asked = began + Duration::from_secs_f64(due);
            thread::sleep(asked.saturating_duration_since(Instant::now()));
        }
        if asked >= until {
            break;
        }
        stream.write_all(&request)?;
        match answer(&mut answers)? {
            200 => seen.times.push(asked.elapsed()),
            429 => seen.refused += 1,
            status => bail!("the server answers {status}"),
        }
    }
    Ok(seen)
}

/// Reads an answer to its end: its status.
fn answer(from: &mut impl BufRead) -> Result<u16> {
    let (mut line, mut length, mut status) = (String::new(), 0, 0);
    loop {
        line.clear();
        if from.read_line(&mut line)? == 0 {
            bail!("the server closed the connection");
        }
        let text = line.trim();
        if status == 0 {
            status = text.split(' ').nth(1).and_then(|s| s.parse().ok()).context("no status")?;
        } else if let Some(value) = text.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse()?;
        } else if text.is_empty() {
            break;
        }
    }
    std::io::copy(&mut from.take(length), &mut std::io::sink())?;
    Ok(status)
}
