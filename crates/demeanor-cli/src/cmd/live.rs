//! `demeanor live`: camera and microphone, as they come.

use std::ffi::OsString;
use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Result, bail};
use demeanor_media::capture::{Capture, Ended, Event, Inputs, Picture};
use demeanor_media::devices::{self, Wanted};

use crate::claim::{Claims, OverwriteArgs};
use crate::dashboard;
use crate::interrupt;
use crate::output::Output;
use crate::record::Record;
use crate::senses::SenseArgs;
use crate::session::{Inbox, Lines, Report, Session};
use crate::terminal::{self, Outcome};

/// What the first line says.
pub const NOTICE: &str = "demeanor estimates what faces and voices show. Nothing leaves this machine, and no picture or \
                          sound is stored. People in view should know that it runs.";

/// Watch a camera and listen to a microphone, live
///
/// Needs the ffmpeg program. On a terminal a dashboard is shown, else a line a second; --json streams a line for each
/// frame, as `video` does. Frames that come while one is being read are dropped, never queued. Keys: q quits, p pauses,
/// b takes the next seconds as the person's resting face and voice, l shows latencies. At the end a summary is printed, with --json to
/// stderr: for each face, the voice, and both together, the share of time per emotion and the number of changes. Nothing is stored or sent. In the EU,
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
    /// Let other programs watch the estimates, at WS /v1/watch, and OBS, at /overlay; an address that others reach needs --token
    #[cfg(feature = "serve")]
    #[arg(long, value_name = "ADDRESS:PORT", num_args = 0..=1, default_missing_value = crate::server::ADDRESS)]
    serve: Option<std::net::SocketAddr>,
    #[cfg(feature = "serve")]
    #[command(flatten)]
    who: super::serve::WhoArgs,
    #[command(flatten)]
    overwrite: OverwriteArgs,
    #[command(flatten)]
    senses: SenseArgs,
}

/// Whoever watches a session from outside.
#[cfg(feature = "serve")]
type Watchers = Option<crate::server::SessionServer>;

#[cfg(feature = "serve")]
fn watchers(args: &Args) -> Result<Watchers> {
    let Some(address) = args.serve else {
        args.who.needs_serve()?;
        return Ok(None);
    };
    let guard = args.who.guard(address)?;
    let listener = crate::server::listen(address)?;
    let address = listener.local_addr()?;
    terminal::note(format_args!("others can watch at http://{address}/overlay and ws://{address}/v1/watch"));
    Ok(Some(crate::server::SessionServer::begin(guard, listener)))
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
    let mut claims = Claims::new(args.overwrite);
    for device in [&args.camera, &args.mic].into_iter().flatten() {
        claims.reads(device.as_ref());
    }
    record_claims(&mut claims, &args.senses, args.record.as_deref())?;
    let tries = Wanted { camera: args.camera.clone(), mic: args.mic.clone() }.inputs();
    let (Some(_), Some(best)) = (tries.last(), tries.first()) else {
        bail!("neither a camera nor a microphone: nothing to watch; leave out --camera none or --mic none");
    };
    let pipeline = args.senses.pipeline(best.picture.is_some(), best.sound.is_some())?;
    interrupt::listen();
    #[cfg(feature = "serve")]
    let watchers = watchers(&args)?;
    terminal::note(NOTICE);
    let json = args.json.then(|| Output::create("-".as_ref(), false)).transpose()?;
    let record = args.record.as_deref().map(Record::create).transpose()?;
    let begun = begin(&tries)?;
    let shows = !args.json && std::io::stdout().is_terminal();
    let rest = args.senses.baseline.map_or(Duration::from_secs(5), |(from, until)| until - from);
    let session = Session::new(pipeline, args.senses.min_score, json, record, Lines::of(args.json, shows), args.length);
    #[cfg(feature = "serve")]
    if let Some(watchers) = &watchers {
        session.tell(Box::new(watchers.teller()));
    }
    let inbox = session.inbox();
    let pump = std::thread::spawn(move || pump(begun, &inbox, !shows));
    let report = if shows { dashboard::run(session, NOTICE, rest)? } else { session.run_plain()? };
    let mut report = report;
    match pump.join() {
        Ok(Pumped { warning, problem }) => {
            if let Some(warning) = warning {
                terminal::warn(warning);
            }
            if let Some(problem) = problem {
                terminal::problem(&problem);
                report.lost = true;
            }
        }
        Err(_) => report.lost = true,
    }
    #[cfg(feature = "serve")]
    if let Some(watchers) = watchers {
        watchers.end()?;
    }
    end(report, args.stats, shows, args.json)
}

/// Claims the models and the record of a session.
///
/// # Errors
/// When the record is one of the inputs, or there already.
pub fn record_claims(claims: &mut Claims, senses: &SenseArgs, record: Option<&Path>) -> Result<()> {
    for model in senses.models() {
        claims.reads(model);
    }
    claims.writes(Path::new("-"))?;
    record.map_or(Ok(()), |record| claims.writes(record))
}

/// The account of the session, the report and the exit status; after a `dashboard` also what went wrong.
///
/// # Errors
/// When stdout takes nothing.
pub fn end(report: Report, stats: bool, dashboard: bool, json: bool) -> Result<Outcome> {
    if json {
        // stdout is for lines of JSON alone
        terminal::note(report.account.trim_end());
    } else {
        let mut out = terminal::out();
        out.write_all(report.account.as_bytes())?;
        out.flush()?;
    }
    if stats {
        for line in report.lines() {
            terminal::note(line);
        }
    }
    // those of a dashboard could not be said before
    for problem in report.problems.iter().filter(|_| dashboard) {
        terminal::warn(problem);
    }
    if report.lost || !report.problems.is_empty() {
        Ok(Outcome::Failed)
    } else if report.found {
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

/// What is to be said of a source in the end.
#[derive(Default)]
struct Pumped {
    warning: Option<String>,
    /// The source was gone, and stayed so.
    problem: Option<String>,
}

/// Between two tries to open a device again there are at most.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// Brings what comes to the session; a file ends. Where a camera and a microphone are read together and one goes away, the other
/// goes on: each is then opened again by itself.
fn pump(begun: Begun, inbox: &Inbox, may_speak: bool) -> Pumped {
    let Begun { capture, inputs, first } = begun;
    let Some(ended) = bring(capture, Some(first), Duration::ZERO, inbox) else { return Pumped::default() };
    if !inputs.live {
        inbox.close();
        return match ended {
            Ok(warning) => Pumped { warning, problem: None },
            Err(problem) => Pumped { warning: None, problem: Some(problem) },
        };
    }
    let gone = ended.err().unwrap_or_else(|| format!("{} is gone", inputs.name));
    let parts = parts(&inputs);
    let problems: Vec<String> = std::thread::scope(|scope| {
        let keepers: Vec<_> = parts.iter().map(|part| scope.spawn(|| keep(part, &gone, inbox, may_speak))).collect();
        keepers.into_iter().filter_map(|keeper| keeper.join().ok().flatten()).collect()
    });
    Pumped { warning: None, problem: problems.into_iter().next() }
}

/// Brings what a source gives to the session until it ends: how it did; none when the session is over.
fn bring(
    mut capture: Capture,
    mut next: Option<Event>,
    offset: Duration,
    inbox: &Inbox,
) -> Option<Result<Option<String>, String>> {
    while !inbox.is_closed() {
        let event = match next.take() {
            Some(event) => event,
            None => match capture.next_within(Duration::from_millis(100)) {
                Ok(Some(event)) => event,
                Ok(None) => continue,
                Err(Ended) => return Some(capture.finish().map_err(|e| terminal::whole(&e.into()))),
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
    None
}

/// A camera and a microphone that are opened together, each by itself; others as they are.
fn parts(inputs: &Inputs) -> Vec<Inputs> {
    let (Some(picture), Some(sound)) = (inputs.picture, inputs.sound) else { return vec![inputs.clone()] };
    let (Some(camera), Some(microphone)) = (inputs.list.get(picture), inputs.list.get(sound)) else {
        return vec![inputs.clone()];
    };
    if picture == sound {
        return vec![inputs.clone()];
    }
    let (first, second) = inputs.name.split_once(" and ").unwrap_or(("the camera", "the microphone"));
    let part = |list: &Vec<OsString>, name: &str| Inputs {
        list: vec![list.clone()],
        picture: None,
        sound: None,
        name: name.to_owned(),
        ..inputs.clone()
    };
    vec![Inputs { picture: Some(0), ..part(camera, first) }, Inputs { sound: Some(0), ..part(microphone, second) }]
}

/// Opens a device again and again, with growing pauses, as often as it goes away. Why it was gone when the session ended, if
/// it was.
fn keep(inputs: &Inputs, gone: &str, inbox: &Inbox, may_speak: bool) -> Option<String> {
    let mut gone = gone.to_owned();
    loop {
        if may_speak {
            terminal::warn(format_args!("{gone}; trying to open {} again", inputs.name));
        }
        let mut pause = Duration::from_millis(250);
        let (capture, first) = loop {
            inbox.say(format!("{} is gone; trying to open it again", inputs.name));
            let waited = std::time::Instant::now();
            while waited.elapsed() < pause {
                if inbox.is_closed() {
                    return Some(gone);
                }
                std::thread::sleep(Duration::from_millis(50));
            }
            pause = (pause * 2).min(LONGEST_PAUSE);
            let Ok(mut again) = Capture::start(inputs, false) else { continue };
            let first = loop {
                match again.next_within(Duration::from_millis(100)) {
                    Ok(Some(event)) => break Some(event),
                    Ok(None) if inbox.is_closed() => return Some(gone),
                    Ok(None) => {}
                    Err(Ended) => break None,
                }
            };
            if let Some(first) = first {
                break (again, first);
            }
        };
        inbox.say(String::new());
        if may_speak {
            terminal::note(format_args!("{} is back", inputs.name));
        }
        match bring(capture, Some(first), inbox.running_for(), inbox) {
            Some(ended) => gone = ended.err().unwrap_or_else(|| format!("{} is gone", inputs.name)),
            None => return None,
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
