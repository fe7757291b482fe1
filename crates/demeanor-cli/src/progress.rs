//! How far a command is, and how long it will still take: on a terminal a line that is written over, elsewhere a line every
//! ten seconds.

use std::io::{self, IsTerminal};
use std::time::{Duration, Instant};

use crate::terminal;
use crate::timeline::clock;

/// Between two lines on a terminal.
const OVER: Duration = Duration::from_millis(250);
/// Between two lines elsewhere.
const ELSEWHERE: Duration = Duration::from_secs(10);

/// What is said of the progress, and when.
#[derive(Debug)]
pub struct Progress {
    began: Instant,
    told: Option<Instant>,
    on_terminal: bool,
    wanted: bool,
    shown: bool,
}

impl Progress {
    /// Of something that begins now; nothing is said when that is not wanted.
    pub fn new(quiet: bool) -> Progress {
        let on_terminal = io::stderr().is_terminal();
        Progress { began: Instant::now(), told: None, on_terminal, wanted: !quiet, shown: false }
    }

    /// Says how far it is, where that is due; `line` is given how long it has taken.
    pub fn tell(&mut self, line: impl FnOnce(Duration) -> String) {
        let now = Instant::now();
        if !self.wanted || !is_due(self.on_terminal, now - self.began, self.told.map(|told| now - told)) {
            return;
        }
        self.told = Some(now);
        let line = line(now - self.began);
        if self.on_terminal {
            terminal::note_over(line);
            self.shown = true;
        } else {
            terminal::note(line);
        }
    }

    /// Takes a line back that would stand before something else.
    pub fn clear(&mut self) {
        if std::mem::take(&mut self.shown) {
            terminal::note_clear();
        }
    }
}

/// Whether a line is due so long after the beginning and after the line before.
fn is_due(on_terminal: bool, began: Duration, told: Option<Duration>) -> bool {
    // what is over at once needs no progress
    told.unwrap_or(began) >= if on_terminal { OVER } else { ELSEWHERE }
}

/// `41 %, 2:10 left` of something of which that share is done after so long.
pub fn share_and_left(share: f64, took: Duration) -> String {
    let share = share.clamp(0.0, 1.0);
    let left = took.as_secs_f64() * (1.0 - share) / share;
    match Duration::try_from_secs_f64(left) {
        Ok(left) if left < Duration::from_secs(1_000_000) => {
            format!("{:.0} %, {} left", 100.0 * share, whole_seconds(left))
        }
        _ => format!("{:.0} %", 100.0 * share),
    }
}

/// A time without its tenths.
fn whole_seconds(time: Duration) -> String {
    let text = clock(Duration::from_secs(time.as_secs_f64().round() as u64));
    text.trim_end_matches(".0").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_come_often_on_a_terminal_and_every_ten_seconds_elsewhere() {
        let s = Duration::from_secs_f64;
        for (on_terminal, began, told, due) in [
            (true, 0.1, None, false),
            (true, 0.3, None, true),
            (true, 5.0, Some(0.2), false),
            (true, 5.0, Some(0.3), true),
            (false, 9.9, None, false),
            (false, 10.0, None, true),
            (false, 19.9, Some(9.9), false),
            (false, 20.0, Some(10.0), true),
        ] {
            assert_eq!(is_due(on_terminal, s(began), told.map(s)), due, "{on_terminal} {began} {told:?}");
        }
    }

    #[test]
    fn the_time_left_follows_from_the_share() {
        let s = Duration::from_secs;
        for (share, took, text) in [
            (0.25, 20, "25 %, 1:00 left"),
            (0.0, 20, "0 %"),
            (1.0, 20, "100 %, 0:00 left"),
            (0.5, 7200, "50 %, 2:00:00 left"),
        ] {
            assert_eq!(share_and_left(share, s(took)), text);
        }
    }
}
