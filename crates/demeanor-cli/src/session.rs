//! A live session: what comes goes into an [`Inbox`] where only the newest frame stays, a worker reads it, and whoever
//! shows it looks at a [`View`].

use std::collections::VecDeque;
use std::io::{self, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};
use demeanor::estimate::{EstimateRecord, fresh_voice};
use demeanor::face::watch::{FaceEstimate, Stage};
use demeanor::fuse::Fused;
use demeanor::pipeline::Pipeline;
use demeanor::speech::listen::VoiceEstimate;
use demeanor::{Audio, Frame, Hz, PixelLayout, Scores};
use demeanor_media::sound::silence_damage;

use crate::interrupt;
use crate::latency::{Latency, ms};
use crate::output::Output;
use crate::record::Record;
use crate::terminal;
use crate::timeline::account::Account;
use crate::timeline::{LASTING, clock};

/// What a dashboard remembers of the fused estimates.
pub const MINUTE: Duration = Duration::from_secs(60);

/// How much sound may wait; what is older is dropped. A worker that keeps up never gets near it.
const MOST_SOUND: Duration = Duration::from_secs(5);

/// In the account of a session a frame stands for this long at most: nobody knows what was while it was paused, or while the
/// camera was gone.
const LONGEST_FRAME: Duration = Duration::from_secs(1);

struct Waiting {
    width: usize,
    height: usize,
    data: Vec<u8>,
    time: Duration,
    arrived: Instant,
}

struct Heard {
    rate: u32,
    channels: usize,
    samples: Vec<f32>,
    time: Duration,
}

#[derive(Default)]
struct Arrived {
    picture: Option<Waiting>,
    sound: VecDeque<Heard>,
    spare: Vec<Vec<u8>>,
    pictures: u64,
    dropped: u64,
    said: String,
    closed: bool,
}

/// Where what comes waits for the worker: all sound, and the newest frame. Clones are the same inbox.
#[derive(Clone)]
pub struct Inbox {
    arrived: Arc<(Mutex<Arrived>, Condvar)>,
    began: Instant,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // what a thread that failed left behind is still the newest there is
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Inbox {
    fn new() -> Inbox {
        Inbox { arrived: Arc::default(), began: Instant::now() }
    }

    /// Leaves a grey picture, in place of one that nobody has read yet. Gives back bytes that may be filled again.
    pub fn picture(
        &self,
        width: usize,
        height: usize,
        data: Vec<u8>,
        time: Duration,
        arrived: Instant,
    ) -> Option<Vec<u8>> {
        let mut here = lock(&self.arrived.0);
        here.pictures += 1;
        let unread = here.picture.replace(Waiting { width, height, data, time, arrived });
        self.arrived.1.notify_one();
        if unread.is_some() {
            here.dropped += 1;
        }
        unread.map(|w| w.data).or_else(|| here.spare.pop())
    }

    /// Leaves sound.
    pub fn sound(&self, rate: u32, channels: usize, samples: Vec<f32>, time: Duration) {
        let mut here = lock(&self.arrived.0);
        here.sound.push_back(Heard { rate, channels, samples, time });
        while here.sound.front().is_some_and(|first| time.saturating_sub(first.time) > MOST_SOUND) {
            here.sound.pop_front();
        }
        self.arrived.1.notify_one();
    }

    /// Says something about the devices; nothing when all is well.
    pub fn say(&self, text: String) {
        lock(&self.arrived.0).said = text;
    }

    /// Nothing more will come, or nobody wants it.
    pub fn close(&self) {
        lock(&self.arrived.0).closed = true;
        self.arrived.1.notify_all();
    }

    /// Whether it is closed.
    pub fn is_closed(&self) -> bool {
        lock(&self.arrived.0).closed
    }

    /// Time since the session began.
    pub fn running_for(&self) -> Duration {
        self.began.elapsed()
    }

    /// What waits; waits a little for it. `None` when it is closed and empty.
    fn take(&self) -> Option<(VecDeque<Heard>, Option<Waiting>)> {
        let mut here = lock(&self.arrived.0);
        if here.picture.is_none() && here.sound.is_empty() && !here.closed {
            here =
                self.arrived.1.wait_timeout(here, Duration::from_millis(100)).unwrap_or_else(PoisonError::into_inner).0;
        }
        let (sound, picture) = (std::mem::take(&mut here.sound), here.picture.take());
        if here.closed && sound.is_empty() && picture.is_none() { None } else { Some((sound, picture)) }
    }
}

/// What a dashboard shows.
#[derive(Debug, Clone, Default)]
pub struct View {
    /// Time of the last frame or sound.
    pub time: Duration,
    /// The faces in view.
    pub faces: Vec<FaceEstimate>,
    /// The voice.
    pub voice: Option<VoiceEstimate>,
    /// Both together.
    pub fused: Option<Fused>,
    /// The fused scores of the last minute, about five a second.
    pub minute: VecDeque<(Duration, Scores)>,
    /// Width and height of the pictures that are read.
    pub size: (usize, usize),
    /// What is to be said about the devices.
    pub said: String,
    /// Whether a baseline is being taken, until this time.
    pub resting_until: Option<Duration>,
    /// The figures so far.
    pub report: Report,
}

/// The figures of a session.
#[derive(Debug, Clone, Default)]
pub struct Report {
    /// Frames that came.
    pub came: u64,
    /// Frames that were dropped because one was being read.
    pub dropped: u64,
    /// Frames that were read.
    pub read: u64,
    /// How long the session lasted.
    pub lasted: Duration,
    /// Whether a face or voice was read.
    pub found: bool,
    /// Whether a source was gone in the end.
    pub lost: bool,
    /// What went wrong on the way and did not end the session.
    pub problems: Vec<String>,
    /// From a whole frame in this program to its estimate.
    pub whole: Latency,
    /// Of that: waiting for the worker.
    pub waiting: Latency,
    /// Of that: finding and following faces.
    pub finding: Latency,
    /// Of that: preparing and reading them.
    pub reading: Latency,
    /// A piece of sound.
    pub hearing: Latency,
    /// What was seen and heard in all, in words; empty until the end.
    pub account: String,
}

impl Report {
    /// The figures in words.
    pub fn lines(&self) -> Vec<String> {
        let mut lines = vec![format!(
            "{} frames came in {:.1} s ({:.1} frames/s), {} were read, {} dropped",
            self.came,
            self.lasted.as_secs_f64(),
            self.came as f64 / self.lasted.as_secs_f64().max(1e-9),
            self.read,
            self.dropped
        )];
        for (name, latency) in [
            ("from frame to estimate", &self.whole),
            ("  waiting", &self.waiting),
            ("  finding faces", &self.finding),
            ("  reading faces", &self.reading),
            ("a piece of sound", &self.hearing),
        ] {
            if latency.count() > 0 {
                lines.push(format!(
                    "{name}: median {} ms, p95 {} ms, longest {} ms",
                    ms(latency.quantile(0.5)),
                    ms(latency.quantile(0.95)),
                    ms(latency.longest())
                ));
            }
        }
        lines
    }
}

/// What stdout gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lines {
    /// A line of JSON for each estimate.
    Json,
    /// A readable line a second.
    Words,
    /// The dashboard, beside which nothing may be written.
    Dashboard,
}

impl Lines {
    /// What the options ask for; a dashboard where stdout `shows` one.
    pub fn of(json: bool, shows: bool) -> Lines {
        match (json, shows) {
            (true, _) => Lines::Json,
            (false, true) => Lines::Dashboard,
            (false, false) => Lines::Words,
        }
    }
}

/// What is told each line of JSON.
pub type Teller = Box<dyn Fn(&str) + Send>;

/// What the one who shows may ask of the worker.
#[derive(Default)]
struct Asked {
    paused: AtomicBool,
    rest: Mutex<Option<Duration>>,
    teller: Mutex<Option<Teller>>,
}

/// A session that has begun.
pub struct Session {
    inbox: Inbox,
    view: Arc<Mutex<View>>,
    asked: Arc<Asked>,
    worker: Option<JoinHandle<Result<()>>>,
    min_score: f32,
    length: Option<Duration>,
}

impl Session {
    /// Begins a session. `json` is where lines of JSON go, when `lines` asks for them.
    pub fn new(
        pipeline: Pipeline,
        min_score: f32,
        json: Option<Output>,
        record: Option<Record>,
        lines: Lines,
        length: Option<Duration>,
    ) -> Session {
        let (inbox, view, asked) = (Inbox::new(), Arc::<Mutex<View>>::default(), Arc::<Asked>::default());
        let worker = Worker {
            pipeline,
            min_score,
            json,
            record,
            next_line: (lines == Lines::Words).then_some(Duration::ZERO),
            may_speak: lines != Lines::Dashboard,
            inbox: inbox.clone(),
            view: view.clone(),
            asked: asked.clone(),
            report: Report::default(),
            minute: VecDeque::new(),
            resting_until: None,
            last: Duration::ZERO,
            account: Account::new(LASTING, min_score, Some(LONGEST_FRAME)),
            heard: false,
        };
        let worker = std::thread::spawn(move || worker.work());
        Session { inbox, view, asked, worker: Some(worker), min_score, length }
    }

    /// Where frames and sound are left.
    pub fn inbox(&self) -> Inbox {
        self.inbox.clone()
    }

    /// What there is to show now.
    pub fn view(&self) -> View {
        lock(&self.view).clone()
    }

    /// Below this score it is "unsure".
    pub fn min_score(&self) -> f32 {
        self.min_score
    }

    /// Whether it is paused.
    pub fn is_paused(&self) -> bool {
        self.asked.paused.load(Ordering::Relaxed)
    }

    /// Pauses, or goes on.
    pub fn pause(&self) {
        self.asked.paused.fetch_xor(true, Ordering::Relaxed);
    }

    /// Takes what comes for so long as the baseline.
    pub fn rest(&self, length: Duration) {
        *lock(&self.asked.rest) = Some(length);
    }

    /// Tells somebody each line of JSON from now on.
    pub fn tell(&self, teller: Teller) {
        *lock(&self.asked.teller) = Some(teller);
    }

    /// Whether the session is over: the source ended, its time is up, or somebody asked.
    pub fn is_over(&self) -> bool {
        self.worker.as_ref().is_none_or(JoinHandle::is_finished)
            || interrupt::asked()
            || self.length.is_some_and(|length| self.inbox.running_for() >= length)
    }

    /// Ends the session: files are completed.
    ///
    /// # Errors
    /// When the worker failed.
    pub fn finish(mut self) -> Result<Report> {
        self.inbox.close();
        if let Some(worker) = self.worker.take() {
            worker.join().map_err(|_| anyhow!("the thread that reads frames failed"))??;
        }
        let report = lock(&self.view).report.clone();
        Ok(report)
    }

    /// Waits for the end without showing anything.
    ///
    /// # Errors
    /// As [`Session::finish`].
    pub fn run_plain(self) -> Result<Report> {
        while !self.is_over() {
            std::thread::sleep(Duration::from_millis(20));
        }
        self.finish()
    }
}

/// Reads what comes.
struct Worker {
    pipeline: Pipeline,
    min_score: f32,
    json: Option<Output>,
    record: Option<Record>,
    /// Whether problems are said as they come, rather than in the end.
    may_speak: bool,
    /// When the next readable line is due, where there are such lines.
    next_line: Option<Duration>,
    inbox: Inbox,
    view: Arc<Mutex<View>>,
    asked: Arc<Asked>,
    report: Report,
    minute: VecDeque<(Duration, Scores)>,
    resting_until: Option<Duration>,
    last: Duration,
    /// What was seen and heard in all.
    account: Account,
    /// Whether any sound came.
    heard: bool,
}

impl Worker {
    fn work(mut self) -> Result<()> {
        let worked = self.run();
        // whoever brings frames and whoever shows them end with this
        self.inbox.close();
        worked
    }

    fn run(&mut self) -> Result<()> {
        while let Some((sound, picture)) = self.inbox.take() {
            if self.asked.paused.load(Ordering::Relaxed) {
                self.show(picture.as_ref())?;
                continue;
            }
            if let Some(length) = lock(&self.asked.rest).take() {
                let now = picture.as_ref().map_or(self.last, |p| p.time);
                self.pipeline.rest(now, now + length);
                self.resting_until = Some(now + length);
            }
            let sound_alone = picture.is_none() && !sound.is_empty();
            for heard in sound {
                self.hear(heard)?;
            }
            if let Some(picture) = &picture {
                self.see(picture)?;
            }
            if picture.is_some() || sound_alone {
                self.write(picture.as_ref())?;
            }
            self.show(picture.as_ref())?;
            if let Some(picture) = picture {
                lock(&self.inbox.arrived.0).spare.push(picture.data);
            }
        }
        self.pipeline.end_of_sound()?;
        self.take_utterances();
        self.account.finish();
        let mut text = Vec::new();
        self.account.write(&mut text, "session")?;
        self.report.account = String::from_utf8_lossy(&text).into_owned();
        self.show(None)?;
        if let Some(output) = self.json.take()
            && let Err(error) = output.finish()
        {
            self.goes_on_without(error)?;
        }
        if let Some(record) = self.record.take()
            && let Err(error) = record.finish()
        {
            self.problem(&error);
        }
        self.show(None)?;
        Ok(())
    }

    fn hear(&mut self, mut heard: Heard) -> Result<()> {
        if heard.samples.is_empty() || heard.channels == 0 || heard.rate == 0 {
            return Ok(());
        }
        silence_damage(&mut heard.samples);
        let start = Instant::now();
        self.pipeline.hear(&Audio::new(&heard.samples, heard.channels, Hz(heard.rate))?, heard.time)?;
        self.report.hearing.add(start.elapsed());
        self.heard = true;
        self.take_utterances();
        Ok(())
    }

    fn take_utterances(&mut self) {
        for utterance in self.pipeline.utterances() {
            self.report.found = true;
            self.account.utterance(utterance.start, utterance.end, &utterance.scores);
        }
    }

    fn see(&mut self, picture: &Waiting) -> Result<()> {
        let time = picture.time.max(self.last);
        self.last = time;
        let layout = if picture.data.len() == 3 * picture.width * picture.height {
            PixelLayout::Rgb8
        } else {
            PixelLayout::Grey8
        };
        let frame = Frame::new(&picture.data, picture.width, picture.height, layout)?;
        let start = Instant::now();
        let (mut found, mut read) = (start, start);
        self.pipeline.see_staged(&frame, time, &mut |stage| match stage {
            Stage::Found => found = Instant::now(),
            Stage::Read => read = Instant::now(),
        })?;
        let estimate = self.pipeline.estimate();
        let end = Instant::now();
        self.report.found |= estimate.faces.iter().any(|f| f.scores.is_some());
        self.report.read += 1;
        self.report.whole.add(end - picture.arrived);
        self.report.waiting.add(start.saturating_duration_since(picture.arrived));
        self.report.finding.add(found - start);
        self.report.reading.add(read - found);
        Ok(())
    }

    /// Lines of JSON, and readable ones.
    fn write(&mut self, picture: Option<&Waiting>) -> Result<()> {
        let estimate = self.pipeline.estimate();
        // of the newest that was seen or heard, so that the times of lines never go back
        let time = estimate.time;
        let line = EstimateRecord::new(&estimate, time, picture.map(|_| self.report.read), 1.0, self.min_score);
        if picture.is_some() {
            self.account.see(&line, self.heard);
        }
        self.account.reaches(time);
        let mut text = String::new();
        {
            let teller = lock(&self.asked.teller);
            if teller.is_some() || self.json.is_some() || self.record.as_ref().is_some_and(Record::is_open) {
                text = serde_json::to_string(&line).map_err(io::Error::from)?;
            }
            if let Some(tell) = &*teller {
                tell(&text);
            }
            text.push('\n');
        }
        // the record first: what cannot be had again does not wait for who reads stdout
        if let Some(record) = &mut self.record
            && let Err(error) = record.line(text.as_bytes())
        {
            self.problem(&error);
        }
        if let Some(output) = &mut self.json {
            // a stream is read as it comes
            let written = output.write(|w| w.write_all(text.as_bytes())).and_then(|()| output.flush());
            if let Err(error) = written {
                self.json = None;
                self.goes_on_without(error)?;
            }
        }
        if let Some(next) = self.next_line
            && time >= next
        {
            self.next_line = Some(time + Duration::from_secs(1));
            let mut out = terminal::out();
            if let Err(error) = writeln!(out, "{}", in_words(&line, time)).and_then(|()| out.flush()) {
                self.next_line = None;
                self.goes_on_without(error.into())?;
            }
        }
        Ok(())
    }

    /// Stdout takes no more: the session goes on for the record's sake, and ends where there is none.
    fn goes_on_without(&mut self, error: anyhow::Error) -> Result<()> {
        if !self.record.as_ref().is_some_and(Record::is_open) {
            return Err(error);
        }
        if !terminal::is_closed_pipe(&error) {
            self.problem(&error);
        }
        Ok(())
    }

    /// Something went wrong that does not end the session.
    fn problem(&mut self, error: &anyhow::Error) {
        let text = terminal::whole(error);
        if self.may_speak {
            terminal::warn(&text);
        }
        self.report.problems.push(text);
    }

    fn show(&mut self, picture: Option<&Waiting>) -> Result<()> {
        let estimate = self.pipeline.estimate();
        if let Some(fused) = estimate.fused
            && self.minute.back().is_none_or(|(last, _)| estimate.time >= *last + Duration::from_millis(200))
        {
            self.minute.push_back((estimate.time, fused.scores));
            while self.minute.front().is_some_and(|(first, _)| estimate.time.saturating_sub(*first) > MINUTE) {
                self.minute.pop_front();
            }
        }
        if self.resting_until.is_some_and(|until| estimate.time >= until) {
            self.resting_until = None;
        }
        {
            let arrived = lock(&self.inbox.arrived.0);
            (self.report.came, self.report.dropped) = (arrived.pictures, arrived.dropped);
        }
        self.report.lasted = self.inbox.running_for();
        let said = lock(&self.inbox.arrived.0).said.clone();
        let mut view = lock(&self.view);
        view.time = estimate.time;
        view.faces.clear();
        view.faces.extend_from_slice(estimate.faces);
        view.voice = estimate.voice;
        view.fused = estimate.fused;
        view.minute.clone_from(&self.minute);
        if let Some(picture) = picture {
            view.size = (picture.width, picture.height);
        }
        view.said = match self.report.problems.last() {
            Some(problem) if said.is_empty() => problem.clone(),
            _ => said,
        };
        view.resting_until = self.resting_until;
        view.report.clone_from(&self.report);
        Ok(())
    }
}

/// `0:03.2  face 1 reads as happy (71 %); voice silent; together happy (70 %)`
fn in_words(line: &EstimateRecord, time: Duration) -> String {
    let percent = |score: f32| (100.0 * score).round();
    let mut parts = Vec::new();
    for face in &line.faces {
        if let (Some(emotion), Some(score)) = (face.emotion, face.score) {
            parts.push(format!("face {} reads as {emotion} ({} %)", face.id, percent(score)));
        }
    }
    if parts.is_empty() {
        parts.push("no face".to_owned());
    }
    if let Some(voice) = &line.voice {
        parts.push(match (voice.emotion, voice.score) {
            (Some(emotion), Some(score)) => format!("voice reads as {emotion} ({} %)", percent(score)),
            _ if voice.speaking => "voice speaks".to_owned(),
            _ => "voice silent".to_owned(),
        });
    }
    if let Some(fused) = &line.fused {
        parts.push(format!("together {} ({} %)", fused.emotion, percent(fused.score)));
    }
    format!("{:>8}  {}", clock(time), parts.join("; "))
}

/// The voice's scores, where they are young enough.
pub fn voice_now(view: &View) -> Option<Scores> {
    view.voice.and_then(|v| fresh_voice(&v, view.time))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_newest_frame_waits_and_no_sound_is_lost() {
        let inbox = Inbox::new();
        for i in 0..5u8 {
            let time = Duration::from_millis(u64::from(i) * 33);
            let back = inbox.picture(2, 1, vec![i; 2], time, Instant::now());
            assert_eq!(back.is_some(), i > 0);
            inbox.sound(16_000, 1, vec![0.0; 16], time);
        }
        let (sound, picture) = inbox.take().expect("something waits");
        assert_eq!(sound.len(), 5);
        assert_eq!(picture.expect("a picture").data, [4, 4]);
        assert_eq!(lock(&inbox.arrived.0).dropped, 4);
        inbox.close();
        assert!(inbox.take().is_none());
    }

    #[test]
    fn old_sound_is_dropped_when_nobody_listens() {
        let inbox = Inbox::new();
        for i in 0..1000u64 {
            inbox.sound(16_000, 1, vec![0.0; 1600], Duration::from_millis(100 * i));
        }
        assert!(inbox.take().expect("something waits").0.len() <= 52);
    }
}
