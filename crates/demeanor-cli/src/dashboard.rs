//! The live dashboard: faces, voice, both together over the last minute, and how fast it goes.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use demeanor::{Emotion, Reading, Scores};
use ratatui::Frame;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEventKind, KeyModifiers};
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::symbols::Marker;
use ratatui::text::{Line, Span};
use ratatui::widgets::{Axis, Block, Chart, Dataset, GraphType, Paragraph, Wrap};

use crate::latency::ms;
use crate::session::{MINUTE, Report, Session, View, voice_now};
use crate::terminal;
use crate::timeline::{clock, plot};

/// Between two pictures of the dashboard.
const PICTURE: Duration = Duration::from_millis(66);

/// Shows the session until it is over or somebody quits.
///
/// # Errors
/// When the terminal fails, or the session does.
pub fn run(session: Session, notice: &str, rest: Duration) -> Result<Report> {
    let mut terminal = ratatui::try_init().context("cannot use the terminal")?;
    let shown = show(&mut terminal, &session, notice, rest);
    ratatui::restore();
    let report = session.finish();
    shown?;
    report
}

fn show(terminal: &mut ratatui::DefaultTerminal, session: &Session, notice: &str, rest: Duration) -> Result<()> {
    let coloured = terminal::coloured();
    let mut latencies = false;
    let mut pace = Pace::default();
    while !session.is_over() {
        let view = session.view();
        pace.count(view.report.read);
        let look = Look {
            view: &view,
            notice,
            latencies,
            paused: session.is_paused(),
            per_second: pace.per_second,
            min_score: session.min_score(),
            coloured,
        };
        terminal.draw(|frame| draw(frame, &look)).context("cannot use the terminal")?;
        let until = Instant::now() + PICTURE;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            if !event::poll(left).context("cannot read the keyboard")? {
                break;
            }
            let Event::Key(key) = event::read().context("cannot read the keyboard")? else { continue };
            if key.kind == KeyEventKind::Release {
                continue;
            }
            match key.code {
                KeyCode::Char('c') if key.modifiers.contains(KeyModifiers::CONTROL) => return Ok(()),
                KeyCode::Char('q') | KeyCode::Esc => return Ok(()),
                KeyCode::Char('p' | ' ') => session.pause(),
                KeyCode::Char('b') => session.rest(rest),
                KeyCode::Char('l') => latencies = !latencies,
                _ => {}
            }
        }
    }
    Ok(())
}

/// Frames read in the last second.
#[derive(Default)]
struct Pace {
    since: Option<(Instant, u64)>,
    per_second: f64,
}

impl Pace {
    fn count(&mut self, read: u64) {
        let (at, before) = *self.since.get_or_insert((Instant::now(), read));
        let passed = at.elapsed();
        if passed >= Duration::from_secs(1) {
            self.per_second = (read - before) as f64 / passed.as_secs_f64();
            self.since = Some((Instant::now(), read));
        }
    }
}

struct Look<'a> {
    view: &'a View,
    notice: &'a str,
    latencies: bool,
    paused: bool,
    per_second: f64,
    min_score: f32,
    coloured: bool,
}

impl Look<'_> {
    fn colour(&self, emotion: Emotion) -> Color {
        if !self.coloured {
            return Color::Reset;
        }
        let [r, g, b] = plot::rgb(emotion);
        Color::Rgb(r, g, b)
    }

    fn style(&self, reading: Reading) -> Style {
        let style = Style::default().add_modifier(Modifier::BOLD);
        match reading {
            Reading::Emotion(emotion) => style.fg(self.colour(emotion)),
            Reading::Unsure => style,
        }
    }
}

fn draw(frame: &mut Frame<'_>, look: &Look<'_>) {
    let area = frame.area();
    let notice_rows = if area.width >= look.notice.len() as u16 { 1 } else { 2 };
    let foot = if look.latencies { 6 } else { 2 };
    let [notice, middle, plot, foot] = Layout::vertical([
        Constraint::Length(notice_rows),
        Constraint::Min(12),
        Constraint::Percentage(30),
        Constraint::Length(foot),
    ])
    .areas(area);
    frame.render_widget(Paragraph::new(look.notice).wrap(Wrap { trim: true }).style(dim()), notice);
    let [faces, voice] = Layout::horizontal([Constraint::Percentage(62), Constraint::Percentage(38)]).areas(middle);
    draw_faces(frame, faces, look);
    draw_voice(frame, voice, look);
    draw_minute(frame, plot, look);
    draw_foot(frame, foot, look);
}

fn dim() -> Style {
    Style::default().add_modifier(Modifier::DIM)
}

/// A row per label: name, bar, per cent.
fn bars(look: &Look<'_>, scores: &Scores, width: u16) -> Vec<Line<'static>> {
    let room = f32::from(width.saturating_sub(16));
    let row = |(emotion, score): (Emotion, f32)| {
        // eighths of a character
        let eighths = (score * room * 8.0).round() as usize;
        let mut bar = "█".repeat(eighths / 8);
        if !eighths.is_multiple_of(8) {
            bar.push(['▏', '▎', '▍', '▌', '▋', '▊', '▉'][eighths % 8 - 1]);
        }
        Line::from(vec![
            Span::raw(format!("{:<9}", emotion.name())),
            Span::styled(bar, Style::default().fg(look.colour(emotion))),
            Span::styled(format!(" {:.0}%", score * 100.0), dim()),
        ])
    };
    scores.iter().map(row).collect()
}

fn draw_faces(frame: &mut Frame<'_>, area: Rect, look: &Look<'_>) {
    let view = look.view;
    let title = match view.faces.len() {
        0 => " no face ".to_owned(),
        1 => " 1 face ".to_owned(),
        n => format!(" {n} faces "),
    };
    let block = Block::bordered().title(title);
    let inside = block.inner(area);
    frame.render_widget(block, area);
    let columns = (inside.width / 30).clamp(1, 4);
    let rows_each = 9;
    let fit = usize::from(columns * (inside.height / rows_each).max(1));
    let width = inside.width / columns;
    for (i, face) in view.faces.iter().take(fit).enumerate() {
        let i = i as u16;
        let (x, y) = (inside.x + (i % columns) * width, inside.y + (i / columns) * rows_each);
        let height = rows_each.min(inside.bottom().saturating_sub(y));
        let part = Rect { x, y, width: width.saturating_sub(1), height };
        let mut lines = Vec::new();
        match &face.scores {
            Some(scores) => {
                let reading = scores.reading(look.min_score);
                let mut head = vec![
                    Span::raw(format!("face {}  ", face.id)),
                    Span::styled(format!("{reading}"), look.style(reading)),
                ];
                if face.has_baseline {
                    head.push(Span::styled("  from rest", dim()));
                }
                lines.push(Line::from(head));
                lines.extend(bars(look, scores, part.width));
            }
            None => lines.push(Line::from(format!("face {}", face.id))),
        }
        frame.render_widget(Paragraph::new(lines), part);
    }
    if view.faces.len() > fit {
        let more = Rect { y: inside.bottom().saturating_sub(1), height: 1, ..inside };
        frame.render_widget(Paragraph::new(format!("and {} more", view.faces.len() - fit)).style(dim()), more);
    }
}

fn draw_voice(frame: &mut Frame<'_>, area: Rect, look: &Look<'_>) {
    let view = look.view;
    let block = Block::bordered().title(" voice ");
    let inside = block.inner(area);
    frame.render_widget(block, area);
    let Some(voice) = &view.voice else {
        frame.render_widget(Paragraph::new("no sound").style(dim()), inside);
        return;
    };
    let room = inside.width.saturating_sub(16);
    // from -60 dB to full scale
    let level = (f32::from(room) * ((voice.level_db + 60.0) / 60.0).clamp(0.0, 1.0)).round() as usize;
    let mut lines = vec![Line::from(vec![
        Span::raw(format!("{:<9}", "level")),
        Span::raw("▮".repeat(level)),
        Span::styled(format!(" {:.0} dB", voice.level_db), dim()),
    ])];
    match voice_now(view) {
        Some(scores) => {
            let reading = scores.reading(look.min_score);
            let state = if voice.is_speaking { "speaking  " } else { "spoke     " };
            lines.push(Line::from(vec![Span::raw(state), Span::styled(format!("{reading}"), look.style(reading))]));
            lines.extend(bars(look, &scores, inside.width));
        }
        None => lines.push(Line::from(if voice.is_speaking { "speaking" } else { "silent" }).style(dim())),
    }
    frame.render_widget(Paragraph::new(lines), inside);
}

fn draw_minute(frame: &mut Frame<'_>, area: Rect, look: &Look<'_>) {
    let view = look.view;
    let mut title = vec![Span::raw(" together, last minute ")];
    if let Some(fused) = &view.fused {
        let reading = fused.scores.reading(look.min_score);
        title.push(Span::raw(" "));
        title.push(Span::styled(format!("{reading} "), look.style(reading)));
    }
    let block = Block::bordered().title(Line::from(title));
    let now = view.time.as_secs_f64();
    let minute = MINUTE.as_secs_f64();
    // those that reached a quarter, the others would only be clutter
    let curves: Vec<(Emotion, Vec<(f64, f64)>)> = Emotion::ALL
        .into_iter()
        .filter(|&e| view.minute.iter().any(|(_, s)| s.of(e) > 0.25))
        .map(|e| (e, view.minute.iter().map(|(t, s)| (t.as_secs_f64() - now, f64::from(s.of(e)))).collect()))
        .collect();
    let sets = curves
        .iter()
        .map(|(emotion, points)| {
            Dataset::default()
                .name(emotion.name())
                .marker(Marker::Braille)
                .graph_type(GraphType::Line)
                .style(Style::default().fg(look.colour(*emotion)))
                .data(points)
        })
        .collect();
    let chart = Chart::new(sets)
        .block(block)
        .x_axis(Axis::default().bounds([-minute, 0.0]).labels(["-60 s", "-30 s", "now"]).style(dim()))
        .y_axis(Axis::default().bounds([0.0, 1.0]).labels(["0", "1"]).style(dim()));
    frame.render_widget(chart, area);
}

fn draw_foot(frame: &mut Frame<'_>, area: Rect, look: &Look<'_>) {
    let view = look.view;
    let report = &view.report;
    let mut state = format!(
        "{}  {}x{}  {:.0} frames/s, {} dropped  latency {} ms (p95 {} ms)",
        clock(view.time),
        view.size.0,
        view.size.1,
        look.per_second,
        report.dropped,
        ms(report.whole.quantile(0.5)),
        ms(report.whole.quantile(0.95)),
    );
    if look.paused {
        state.push_str("  PAUSED");
    }
    if let Some(until) = view.resting_until {
        let left = until.saturating_sub(view.time).as_secs_f64();
        state.push_str(&format!("  taking the baseline: be at rest for {left:.0} s"));
    }
    if !view.said.is_empty() {
        state = format!("{}  {state}", view.said);
    }
    let mut lines = vec![Line::from(state)];
    if look.latencies {
        for (name, latency) in [
            ("waiting", &report.waiting),
            ("finding faces", &report.finding),
            ("reading faces", &report.reading),
            ("hearing", &report.hearing),
        ] {
            lines.push(Line::from(format!(
                "{name:<14} median {} ms, p95 {} ms, longest {} ms",
                ms(latency.quantile(0.5)),
                ms(latency.quantile(0.95)),
                ms(latency.longest())
            )));
        }
    }
    lines.push(Line::from("q quit   p pause   b baseline   l latency").style(dim()));
    frame.render_widget(Paragraph::new(lines), area);
}

#[cfg(test)]
mod tests {
    use demeanor::Region;
    use demeanor::face::watch::FaceEstimate;
    use demeanor::fuse::Fused;
    use demeanor::speech::listen::VoiceEstimate;
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;

    use super::*;

    fn view() -> View {
        let pairs: Vec<_> = Emotion::FER.iter().map(|&e| (e, if e == Emotion::Happy { 0.7 } else { 0.05 })).collect();
        let scores = Scores::from_weights(&pairs).expect("weights");
        let face = FaceEstimate {
            id: 1,
            region: Region { x: 0.0, y: 0.0, width: 9.0, height: 9.0 },
            is_seen: true,
            confidence: 1.0,
            landmarks: None,
            quality: 1.0,
            scores: Some(scores),
            raw: None,
            read_at: Duration::ZERO,
            has_baseline: false,
        };
        let voice = VoiceEstimate {
            is_speaking: true,
            level_db: -20.0,
            scores: Some(scores),
            read_at: Duration::from_secs(9),
            quality: 1.0,
            has_baseline: false,
        };
        View {
            time: Duration::from_secs(9),
            faces: vec![face, FaceEstimate { id: 2, ..face }],
            voice: Some(voice),
            fused: Some(Fused { scores, face_weight: 1.0, speech_weight: 0.5 }),
            minute: (0..45).map(|i| (Duration::from_millis(200 * i), scores)).collect(),
            size: (640, 480),
            ..View::default()
        }
    }

    fn text(width: u16, height: u16, view: &View, latencies: bool) -> String {
        let mut terminal = Terminal::new(TestBackend::new(width, height)).expect("a terminal");
        let look = Look {
            view,
            notice: crate::cmd::live::NOTICE,
            latencies,
            paused: false,
            per_second: 30.0,
            min_score: 0.4,
            coloured: true,
        };
        terminal.draw(|frame| draw(frame, &look)).expect("drawn");
        terminal.backend().to_string()
    }

    #[test]
    fn the_dashboard_shows_faces_voice_and_latency() {
        let text = text(110, 34, &view(), true);
        for word in [
            "Nothing leaves",
            "face 1",
            "face 2",
            "happy",
            "70%",
            "speaking",
            "-20 dB",
            "together, last minute",
            "30 frames/s",
            "finding faces",
            "q quit",
        ] {
            assert!(text.contains(word), "{word} in\n{text}");
        }
    }

    #[test]
    fn no_size_of_terminal_is_too_small() {
        let mut many = view();
        let face = many.faces[0];
        many.faces = (1..40).map(|id| FaceEstimate { id, ..face }).collect();
        for (width, height) in [(1, 1), (5, 3), (20, 8), (40, 12), (80, 24), (300, 90)] {
            text(width, height, &many, true);
            text(width, height, &View::default(), false);
        }
    }
}
