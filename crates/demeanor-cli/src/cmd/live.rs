//! `demeanor live`: camera and microphone, as they come.

use std::ffi::OsString;
use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Result, bail};
use demeanor_media::capture::{Capture, Ended, Event, Inputs, Picture};
use demeanor_media::devices::{self, Wanted};

use crate::dashboard;
use crate::interrupt;
use crate::output::Output;
use crate::senses::SenseArgs;
use crate::session::{Inbox, Report, Session};
use crate::terminal::{self, Outcome};

/// What the first line says.
pub const NOTICE: &str = "demeanor estimates what faces and voices show. Nothing leaves this machine, and no picture or \
                          sound is stored. People in view should know that it runs.";

/// Watch a camera and listen to a microphone, live
///
/// Needs the ffmpeg program. On a terminal a dashboard is shown, else a line a second; --json streams a line for each
/// frame, as `video` does. Frames that come while one is being read are dropped, never queued. Keys: q quits, p pauses,
/// b takes the next seconds as the person's resting face and voice, l shows latencies. Nothing is stored or sent. In the EU,
/// inferring emotions at work or in education is prohibited, and people must be told wherever it is done.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The camera: a device (see --list), a file or URL played at its own pace, or none
    #[arg(long, value_name = "NAME|FILE")]
    camera: Option<OsString>,
    /// The microphone: a device (see --list), a file or URL played at its own pace, or none
    #[arg(long, value_name = "NAME|FILE")]
    mic: Option<OsString>,
    /// List cameras and microphones
    #[arg(long)]
    list: bool,
    /// Print a line of JSON for each estimate instead of the dashboard
    #[arg(long)]
    json: bool,
    /// Save the estimates, as lines of JSON: never pictures or sound
    #[arg(long, value_name = "FILE")]
    record: Option<PathBuf>,
    /// Say at the end how many frames were read and dropped, and the latency of each stage
    #[arg(long)]
    stats: bool,
    /// Stop after this many seconds
    #[arg(long = "for", value_name = "SECONDS", value_parser = seconds)]
    length: Option<Duration>,
    #[command(flatten)]
    senses: SenseArgs,
}

fn seconds(text: &str) -> Result<Duration, String> {
    let length = text.parse().ok().and_then(|s| Duration::try_from_secs_f64(s).ok());
    length.filter(|l| !l.is_zero()).ok_or_else(|| "expected seconds, more than 0".to_owned())
}

/// Watches until the end, or somebody quits.
pub fn run(args: Args) -> Result<Outcome> {
    if args.list {
        return list();
    }
    let tries = Wanted { camera: args.camera.clone(), mic: args.mic.clone() }.inputs();
    let (Some(_), Some(best)) = (tries.last(), tries.first()) else {
        bail!("neither a camera nor a microphone: nothing to watch; leave out --camera none or --mic none");
    };
    let pipeline = args.senses.pipeline(best.picture.is_some(), best.sound.is_some())?;
    interrupt::listen();
    terminal::note(NOTICE);
    let json = args.json.then(|| Output::create("-".as_ref())).transpose()?;
    let record = args.record.as_deref().map(Output::create).transpose()?;
    let begun = begin(&tries)?;
    let shows = !args.json && std::io::stdout().is_terminal();
    let rest = args.senses.baseline.map_or(Duration::from_secs(5), |(from, until)| until - from);
    let session = Session::new(pipeline, args.senses.min_score, json, record, !args.json && !shows, args.length);
    let inbox = session.inbox();
    let pump = std::thread::spawn(move || pump(begun, &inbox));
    let report = if shows { dashboard::run(session, NOTICE, rest)? } else { session.run_plain()? };
    let pumped = pump.join();
    if let Ok(Some(warning)) = pumped {
        terminal::warn(warning);
    }
    end(report, args.stats)
}

/// The report and the exit status.
pub fn end(report: Report, stats: bool) -> Result<Outcome> {
    if stats {
        for line in report.lines() {
            terminal::note(line);
        }
    }
    if report.found {
        Ok(Outcome::Read)
    } else {
        terminal::note("no face and no voice was found");
        Ok(Outcome::Nothing)
    }
}

/// A capture from which something came, and what it was opened with.
struct Begun {
    capture: Capture,
    inputs: Inputs,
    first: Event,
}

/// Opens the first of the inputs that gives something.
fn begin(tries: &[Inputs]) -> Result<Begun> {
    let mut problems = Vec::new();
    for inputs in tries {
        let mut capture = Capture::start(inputs, false)?;
        let first = loop {
            match capture.next_within(Duration::from_millis(100)) {
                Ok(Some(event)) => break Some(event),
                Ok(None) if interrupt::asked() => bail!("interrupted before anything came from {}", inputs.name),
                Ok(None) => {}
                Err(Ended) => break None,
            }
        };
        match first {
            Some(first) => {
                for problem in problems {
                    terminal::warn(format_args!("{problem}; going on with {}", inputs.name));
                }
                return Ok(Begun { capture, inputs: inputs.clone(), first });
            }
            None => match capture.finish() {
                Ok(_) => problems.push(format!("{} gave nothing", inputs.name)),
                Err(problem) => problems.push(terminal::whole(&problem.into())),
            },
        }
    }
    bail!("{}", problems.first().map_or("nothing could be opened", String::as_str))
}

/// Brings what comes to the session. A device that goes away is waited for; a file ends. Gives a warning about a file.
fn pump(begun: Begun, inbox: &Inbox) -> Option<String> {
    let Begun { mut capture, inputs, first } = begun;
    let mut offset = Duration::ZERO;
    let mut next = Some(first);
    loop {
        while !inbox.is_closed() {
            let event = match next.take() {
                Some(event) => event,
                None => match capture.next_within(Duration::from_millis(100)) {
                    Ok(Some(event)) => event,
                    Ok(None) => continue,
                    Err(Ended) => break,
                },
            };
            match event {
                Event::Picture { what: Picture::Grey, width, height, data, time, arrived } => {
                    if let Some(spare) = inbox.picture(width, height, data, offset + time, arrived) {
                        capture.recycle(spare);
                    }
                }
                Event::Picture { data, .. } => capture.recycle(data),
                Event::Sound { rate, channels, samples, time } => inbox.sound(rate, channels, samples, offset + time),
            }
        }
        if inbox.is_closed() {
            return None;
        }
        let ended = capture.finish();
        if !inputs.live {
            inbox.close();
            return ended.unwrap_or_else(|e| Some(terminal::whole(&e.into())));
        }
        // the device is gone: wait for it
        let mut pause = Duration::from_millis(250);
        loop {
            inbox.say(format!("{} is gone; waiting for it to come back", inputs.name));
            let waited = std::time::Instant::now();
            while waited.elapsed() < pause {
                if inbox.is_closed() {
                    return None;
                }
                std::thread::sleep(Duration::from_millis(50));
            }
            pause = (pause * 2).min(Duration::from_secs(3));
            let Ok(mut again) = Capture::start(&inputs, false) else { continue };
            let first = loop {
                match again.next_within(Duration::from_millis(100)) {
                    Ok(Some(event)) => break Some(event),
                    Ok(None) if inbox.is_closed() => return None,
                    Ok(None) => {}
                    Err(Ended) => break None,
                }
            };
            if first.is_some() {
                offset = inbox.running_for();
                inbox.say(String::new());
                (capture, next) = (again, first);
                break;
            }
        }
    }
}

fn list() -> Result<Outcome> {
    let (cameras, microphones) = (devices::cameras()?, devices::microphones()?);
    let mut out = terminal::out();
    for (what, option, devices) in [("cameras", "--camera", &cameras), ("microphones", "--mic", &microphones)] {
        if devices.is_empty() {
            writeln!(out, "no {what} found")?;
        } else {
            writeln!(out, "{what}, for {option}:")?;
            for device in devices {
                writeln!(out, "  {}  {}", device.name, device.title)?;
            }
        }
    }
    out.flush()?;
    Ok(if cameras.is_empty() && microphones.is_empty() { Outcome::Nothing } else { Outcome::Read })
}
