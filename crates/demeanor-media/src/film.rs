//! A film to records: its pictures and its sound go through a pipeline in the order in which they come.

use std::time::{Duration, Instant};

use demeanor::estimate::{EstimateRecord, SegmentRecord, thousandths};
use demeanor::face::watch::Stage;
use demeanor::{Audio, Frame, Hz, Pipeline, PixelLayout, Result};

use crate::capture::{About, Capture, Ended, Event, Inputs, Picture};
use crate::sound::silence_damage;

/// The endings of the films that a folder is searched for.
pub const EXTENSIONS: &[&str] = &[
    "mp4", "m4v", "mov", "qt", "mkv", "webm", "avi", "mpg", "mpeg", "vob", "ts", "mts", "m2ts", "3gp", "3g2", "wmv",
    "asf", "flv", "ogv", "mxf", "dv", "rm", "rmvb", "divx", "y4m",
];

/// Sound alone gets a record this often.
const SOUND_TOLD: Duration = Duration::from_millis(500);

/// A film that is being read.
pub struct Film {
    capture: Capture,
    pipeline: Pipeline,
    min_score: f32,
    /// The most pictures that are read of a second.
    rate: Option<f64>,
    scale: f32,
    frames: u64,
    last_frame: Duration,
    heard_until: Duration,
    bad_samples: u64,
    more_faces: bool,
    any_sound: bool,
    sound_told: Option<Duration>,
    segments: Vec<SegmentRecord>,
    took: Took,
}

/// How long the parts of the last step took.
#[derive(Debug, Clone, Copy, Default)]
pub struct Took {
    /// Finding the faces.
    pub finding: Duration,
    /// Reading them.
    pub reading: Duration,
    /// Hearing.
    pub hearing: Duration,
}

/// A step in the reading of a film.
#[derive(Debug)]
pub enum Step {
    /// A picture was seen.
    Seen(EstimateRecord),
    /// The same picture in colour and in its own size, of a film that was opened [to be drawn on](Film::open_to_draw).
    Picture(Whole),
    /// Sound was heard; a film without pictures is told of twice a second.
    Heard(Option<EstimateRecord>),
    /// Nothing has come yet.
    Waiting,
    /// The film is over.
    Ended,
}

/// A picture of a film in colour and in its own size.
#[derive(Debug)]
pub struct Whole {
    /// Width in pixels.
    pub width: usize,
    /// Height in pixels.
    pub height: usize,
    /// Red, green and blue of each pixel. Give them back with [`Film::recycle`].
    pub data: Vec<u8>,
    /// Its time from the start of the film.
    pub time: Duration,
}

/// What is told of a film beside its records.
#[derive(Debug)]
pub struct End {
    /// Up to where it was read, in seconds from its start.
    pub seconds: f64,
    /// What was said in it.
    pub segments: Vec<SegmentRecord>,
    /// The last of a film without pictures, where it was not told of yet.
    pub record: Option<EstimateRecord>,
    /// What is wrong with it, short of an error.
    pub warnings: Vec<String>,
    /// What ended the reading too early: a decoder that died.
    pub problem: Option<String>,
    /// Whether it was read to its end.
    pub is_whole: bool,
}

impl Film {
    /// Begins to read a film. Below `min_score` an expression reads as unsure.
    ///
    /// # Errors
    /// [`Device`](demeanor::ErrorKind::Device) when `ffmpeg` is not there, [`File`](demeanor::ErrorKind::File) when there is
    /// no such film.
    pub fn open(inputs: &Inputs, pipeline: Pipeline, min_score: f32) -> Result<Film> {
        Self::begin(inputs, pipeline, min_score, false)
    }

    /// The same, with each picture in colour and in its own size after it was seen, to be drawn on.
    ///
    /// # Errors
    /// As [`Film::open`].
    pub fn open_to_draw(inputs: &Inputs, pipeline: Pipeline, min_score: f32) -> Result<Film> {
        Self::begin(inputs, pipeline, min_score, true)
    }

    fn begin(inputs: &Inputs, pipeline: Pipeline, min_score: f32, whole: bool) -> Result<Film> {
        Ok(Film {
            capture: Capture::start(inputs, whole)?,
            pipeline,
            min_score,
            rate: inputs.rate,
            scale: 1.0,
            frames: 0,
            last_frame: Duration::ZERO,
            heard_until: Duration::ZERO,
            bad_samples: 0,
            more_faces: false,
            any_sound: false,
            sound_told: None,
            segments: Vec::new(),
            took: Took::default(),
        })
    }

    /// How far it is read, in time from its start.
    pub fn time(&self) -> Duration {
        self.last_frame.max(self.heard_until)
    }

    /// How long it says that it is.
    pub fn length(&self) -> Option<Duration> {
        self.capture.about().duration
    }

    /// What is known of it; complete once the first step was made.
    pub fn about(&self) -> About {
        self.capture.about()
    }

    /// How many of its pictures were seen.
    pub fn frames(&self) -> u64 {
        self.frames
    }

    /// Whether any sound was heard.
    pub fn has_sound(&self) -> bool {
        self.any_sound
    }

    /// By how much the pictures that are read are smaller than the film.
    pub fn scale(&self) -> f32 {
        self.scale
    }

    /// How long the parts of the last step took.
    pub fn took(&self) -> Took {
        self.took
    }

    /// Gives the bytes of a picture back, to be filled again.
    pub fn recycle(&self, data: Vec<u8>) {
        self.capture.recycle(data);
    }

    /// What reads it.
    pub fn pipeline(&self) -> &Pipeline {
        &self.pipeline
    }

    /// Reads on; nobody waits longer than `wait` for the next picture or sound.
    ///
    /// # Errors
    /// Those of the pipeline.
    pub fn next_within(&mut self, wait: Duration) -> Result<Step> {
        let event = match self.capture.next_within(wait) {
            Ok(Some(event)) => event,
            Ok(None) => return Ok(Step::Waiting),
            Err(Ended) => return Ok(Step::Ended),
        };
        match event {
            Event::Picture { what: Picture::Grey, width, height, data, time, .. } => {
                let frame = Frame::new(&data, width, height, PixelLayout::Grey8)?;
                let record = self.see(&frame, time)?;
                self.capture.recycle(data);
                Ok(Step::Seen(record))
            }
            Event::Picture { what: Picture::Whole, width, height, data, time, .. } => {
                Ok(Step::Picture(Whole { width, height, data, time }))
            }
            Event::Sound { rate, channels, samples, time } => {
                Ok(Step::Heard(self.hear(samples, channels, rate, time)?))
            }
        }
    }

    fn see(&mut self, frame: &Frame<'_>, time: Duration) -> Result<EstimateRecord> {
        if self.frames == 0 {
            if let Some((w, h)) = self.capture.size_of_film() {
                // a turned film has its sides exchanged
                self.scale = (w.max(h) as f32 / frame.width().max(frame.height()) as f32).max(1.0);
            }
            let rates = [self.capture.about().rate, self.rate];
            if let Some(rate) = rates.into_iter().flatten().reduce(f64::min)
                && let Ok(between) = Duration::try_from_secs_f64(1.0 / rate)
            {
                self.pipeline.expect_frames(between);
            }
        }
        // a film may repeat or turn back its times where it was cut together
        let time = if self.frames > 0 { time.max(self.last_frame + Duration::from_micros(1)) } else { time };
        self.frames += 1;
        self.last_frame = time;
        let start = Instant::now();
        let (mut found, mut read) = (start, start);
        self.pipeline.see_staged(frame, time, &mut |stage| match stage {
            Stage::Found => found = Instant::now(),
            Stage::Read => read = Instant::now(),
        })?;
        self.took = Took { finding: found - start, reading: read.saturating_duration_since(found), ..self.took };
        self.more_faces |= self.pipeline.has_more_faces();
        Ok(EstimateRecord::new(&self.pipeline.estimate(), time, Some(self.frames), self.scale, self.min_score))
    }

    fn hear(
        &mut self,
        mut samples: Vec<f32>,
        channels: usize,
        rate: u32,
        time: Duration,
    ) -> Result<Option<EstimateRecord>> {
        if samples.is_empty() || channels == 0 || rate == 0 {
            return Ok(None);
        }
        self.any_sound = true;
        self.bad_samples += silence_damage(&mut samples);
        let start = Instant::now();
        self.pipeline.hear(&Audio::new(&samples, channels, Hz(rate))?, time)?;
        self.took.hearing = start.elapsed();
        let lasts = Duration::from_secs_f64((samples.len() / channels) as f64 / f64::from(rate));
        self.heard_until = self.heard_until.max(time + lasts);
        self.take_utterances();
        let due = self.heard_until >= self.sound_told.unwrap_or_default() + SOUND_TOLD;
        Ok((self.frames == 0 && due).then(|| self.sound_record()))
    }

    fn sound_record(&mut self) -> EstimateRecord {
        self.sound_told = Some(self.heard_until);
        EstimateRecord::new(&self.pipeline.estimate(), self.heard_until, None, 1.0, self.min_score)
    }

    fn take_utterances(&mut self) {
        let min_score = self.min_score;
        self.segments.extend(self.pipeline.utterances().map(|utterance| SegmentRecord {
            start_s: thousandths(utterance.start.as_secs_f64()),
            end_s: thousandths(utterance.end.as_secs_f64()),
            emotion: utterance.scores.reading(min_score),
            score: utterance.scores.top().1,
            scores: utterance.scores,
        }));
    }

    /// Ends the reading after [`Step::Ended`].
    ///
    /// # Errors
    /// [`File`](demeanor::ErrorKind::File) when nothing of it could be read.
    pub fn finish(self) -> Result<End> {
        self.end(true)
    }

    /// Ends the reading before the film is over.
    ///
    /// # Errors
    /// Those of the pipeline.
    pub fn stop(self) -> Result<End> {
        self.end(false)
    }

    fn end(mut self, over: bool) -> Result<End> {
        self.pipeline.end_of_sound()?;
        self.take_utterances();
        let seconds = self.time().as_secs_f64();
        let untold = self.frames == 0 && !self.heard_until.is_zero() && self.sound_told != Some(self.heard_until);
        let record = untold.then(|| self.sound_record());
        let (mut warnings, mut is_whole) = (Vec::new(), over);
        let mut problem = None;
        match over.then(|| self.capture.finish()).transpose() {
            Ok(warning) => warnings.extend(warning.flatten()),
            Err(error) if self.frames == 0 && self.heard_until.is_zero() => return Err(error),
            Err(error) => {
                is_whole = false;
                problem = Some(format!("{error}; what was read until then is complete"));
            }
        }
        if self.more_faces {
            warnings.push("there were more faces at once than are followed; only some of them were read".to_owned());
        }
        if self.bad_samples > 0 {
            warnings.push(format!("{} samples of the sound are no numbers; taken for silence", self.bad_samples));
        }
        Ok(End { seconds: thousandths(seconds), segments: self.segments, record, warnings, problem, is_whole })
    }
}
