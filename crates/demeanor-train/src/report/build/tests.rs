use super::*;
use crate::data::Split;
use crate::data::splits::Protocol;
use crate::evaluate::Conditions;
use crate::predictions::{self, SPEAKER};
use crate::report::{html::html, markdown::markdown};
use crate::robust::Strength;
use demeanor::Scores;

const LABELS: [Emotion; 3] = [Emotion::Happy, Emotion::Sad, Emotion::Neutral];
const HOSTILE: &str = "<script>alert('&')</script>|`x`\u{1b}[31m.wav";

/// 12 speakers, 5 clips each, in two runs; every third clip is read wrongly.
fn found() -> Predictions {
    let rows = (0..60).map(|i| {
        let label = LABELS[i % 3];
        let read = if i % 3 == 1 && i % 2 == 0 { Emotion::Happy } else { label };
        let logits = LABELS.map(|l| if l == read { 1.0 + (i % 7) as f32 * 0.4 } else { 0.0 });
        let sex = if (i / 5) % 2 == 0 { "female" } else { "male" };
        Prediction {
            path: if i == 4 { HOSTILE.to_owned() } else { format!("clip-{i:02}.wav") },
            run: i / 30,
            label,
            scores: Scores::from_logits(&LABELS, &logits, 1.0).unwrap(),
            hash: [i as u8; 8],
            attributes: [(SPEAKER, format!("{:02}", i / 5)), ("sex", sex.to_owned())]
                .map(|(name, value)| (name.to_owned(), value))
                .into(),
            votes: None,
        }
    });
    Predictions { labels: LABELS.to_vec(), rows: rows.collect(), left_out: [(Emotion::Calm, 2)].into() }
}

fn context() -> Context {
    let mut source = Source { command: "demeanor eval speech <dir>".to_owned(), ..Source::default() };
    let found = found();
    source.data.push(data_source("set".to_owned(), &found));
    Context {
        source,
        leaks: vec!["Training files: not recorded.".to_owned()],
        warnings: vec!["Mind the <gap>.".to_owned()],
        robustness: [("white noise", 10.0), ("white noise", 5.0), ("hum", 0.0)]
            .map(|(kind, level)| Spoilt {
                kind: kind.to_owned(),
                level: format!("{level} dB"),
                strength: Some(Strength { value: level, axis: "ratio (dB)", untouched: None }),
                found: Predictions { rows: found.rows[..40].to_vec(), ..found.clone() },
            })
            .to_vec(),
        not_run: vec!["MP3 at 32 kbit/s: no <ffmpeg>".to_owned()],
        against: vec![(
            "other".to_owned(),
            Answers::read("path,predicted\nclip-00.wav,sad\nclip-01.wav,sad\n".as_bytes()).unwrap(),
        )],
    }
}

fn table<'a>(report: &'a Report, id: &str) -> &'a Table {
    let blocks = report.sections.iter().flat_map(|s| &s.blocks);
    let tables = blocks.filter_map(|b| if let Block::Table(t) = b { Some(t) } else { None });
    tables.into_iter().find(|t| t.id == id).unwrap_or_else(|| panic!("no table {id}"))
}

fn value(cell: &Cell) -> (f64, Option<[f64; 2]>) {
    match cell {
        Cell::Value { value, interval_95 } => (*value, *interval_95),
        other => panic!("{other:?} is no value"),
    }
}

#[test]
fn figures_are_those_of_the_predictions_and_lie_in_their_intervals() {
    let found = found();
    let report = speech("test-v1", Some(Protocol::Speaker), &Conditions::default(), &found, None, &context()).unwrap();
    let right = found.rows.iter().filter(|r| r.is_right()).count() as f64;
    let overall = table(&report, "overall");
    assert_eq!(overall.rows.len(), 1);
    let (accuracy, interval) = value(&overall.rows[0][2]);
    assert!((accuracy - right / 60.0).abs() < 1e-12);
    let [low, high] = interval.unwrap();
    assert!(low < accuracy && accuracy < high && high - low < 0.4, "{low} {accuracy} {high}");
    assert!(overall.caption.contains("over speakers"));
    let (recall, _) = value(&table(&report, "emotions").rows[1][3]);
    assert!((recall - 0.5).abs() < 1e-12, "half of the sad ones are read as happy");
    let sexes = table(&report, "group-sex");
    assert_eq!(sexes.rows.iter().map(|r| r[0].clone()).collect::<Vec<_>>(), [Cell::text("female"), Cell::text("male")]);
    assert_eq!(table(&report, "group-speaker").rows.len(), 12);
    // a gap between two persons has an interval too, of files
    let gaps = markdown(&report);
    let speakers = gaps.lines().find(|l| l.starts_with("Gap between 0") || l.starts_with("Gap between 1")).unwrap();
    let ends: Vec<f64> = speakers
        .split_once("interval ")
        .and_then(|(_, rest)| rest.split_once(')'))
        .map(|(ends, _)| ends.split(" to ").map(|end| end.parse().unwrap()).collect())
        .unwrap();
    assert!(ends[0] < ends[1], "{speakers}");
    assert_eq!(table(&report, "runs").rows.len(), 3);
    assert_eq!(table(&report, "mistakes").rows.len(), 10);
    let spoilt = table(&report, "robustness");
    assert_eq!(spoilt.rows.len(), 1 + 3);
    assert_eq!(value(&spoilt.rows[0][1]), (accuracy, interval));
    assert!((value(&spoilt.rows[1][1]).0 - accuracy - value(&spoilt.rows[1][2]).0).abs() < 1e-12);
    let blocks = &report.sections.iter().find(|s| s.id == "robustness").unwrap().blocks;
    let charts = blocks.iter().find_map(|b| if let Block::Charts { charts, .. } = b { Some(charts) } else { None });
    let [noise] = &charts.unwrap()[..] else { panic!("one kind has two strengths") };
    let names: Vec<&str> = noise.series.iter().map(|s| s.name.as_str()).collect();
    assert_eq!(names, ["accuracy", "calibration error", "the paper's claim"]);
    assert_eq!(noise.series[2].points[0].y, 0.605);
    for series in &noise.series[..2] {
        assert_eq!(series.points.iter().map(|p| p.x).collect::<Vec<_>>(), [5.0, 10.0], "{}", series.name);
        assert!(series.points.iter().all(|p| p.interval_95.is_some()));
    }
    let other = &table(&report, "against").rows[0];
    assert_eq!((&other[1], &other[2]), (&Cell::Count(2), &Cell::Count(0)));
    assert_eq!((value(&other[3]).0, value(&other[4]).0, value(&other[5]).0), (0.5, 1.0, 0.5));
    assert_eq!((&other[8], &other[9]), (&Cell::Count(0), &Cell::Count(1)));
    assert!((10..12).all(|at| (value(&other[at]).0 - 1.0).abs() < 1e-9));
    let text = markdown(&report);
    assert!(text.contains("random split was not run beside it") && text.contains("2 calm"), "{text}");
}

#[test]
fn a_page_needs_nothing_else_and_names_are_escaped() {
    let found = found();
    let report =
        speech("test-v1", Some(Protocol::Speaker), &Conditions::default(), &found, Some(&found), &context()).unwrap();
    let page = html(&report);
    assert!(!page.contains("<script") && page.contains("&lt;script&gt;"), "names are escaped");
    assert!(!page.contains('\u{1b}') && page.contains("Mind the &lt;gap&gt;."));
    for outside in ["src=", "url(", "@import", "<link", "http-equiv=\"refresh\""] {
        assert!(!page.contains(outside), "{outside}");
    }
    let links = page.matches("href=\"").count();
    assert_eq!(links, page.matches("href=\"#").count());
    let addresses = page.matches("http").count();
    assert_eq!(addresses, page.matches("xmlns=\"http://www.w3.org/2000/svg\"").count() + 1);
    for tag in ["table", "figure", "section", "svg", "tr", "td", "p"] {
        let open = page.matches(&format!("<{tag}>")).count() + page.matches(&format!("<{tag} ")).count();
        assert_eq!(open, page.matches(&format!("</{tag}>")).count(), "{tag}");
    }
    let text = markdown(&report);
    assert!(text.lines().filter(|l| l.contains("alert")).all(|l| l.contains("\\|") && l.ends_with('|')), "{text}");
    let mut json = Vec::new();
    report.write_json(&mut json).unwrap();
    let back: Report = serde_json::from_slice(&json).unwrap();
    assert_eq!(back, report);
}

#[test]
fn labels_that_a_set_lacks_are_stated_and_figures_without_them_stand_beside() {
    let mut found = found();
    found.rows.retain(|r| r.label != Emotion::Sad);
    found.rows[0].scores = Scores::from_logits(&LABELS, &[1.0, 3.0, 0.0], 1.0).unwrap();
    let report = speech("test-v1", None, &Conditions::default(), &found, None, &Context::default()).unwrap();
    let (open, _) = value(&table(&report, "overall").rows[0][2]);
    let (closed, _) = value(&table(&report, "restricted").rows[0][2]);
    assert!(open < closed && closed == 1.0, "{open} {closed}");
    assert!(markdown(&report).contains("no file here has, so that each answer of them is a mistake: sad"));
}

#[test]
fn a_face_report_has_its_rows_and_says_that_no_groups_are_known() {
    let mut found = found();
    for (i, row) in found.rows.iter_mut().enumerate() {
        row.attributes.clear();
        row.run = 0;
        let near = if i % 10 == 0 { "yes" } else { "no" };
        row.attributes.insert(predictions::NEAR_DUPLICATE.to_owned(), near.to_owned());
        if i % 2 == 0 {
            let voted = if i == 0 { "contempt" } else { row.label.name() };
            row.attributes.insert(predictions::VOTED.to_owned(), voted.to_owned());
            let mut votes = [0.0; Emotion::COUNT];
            votes[row.label.index()] = 0.8;
            row.votes = Some(votes);
        }
    }
    let report = faces("test-v1", Some(Split::Test), &found, &Context::default()).unwrap();
    assert_eq!(table(&report, "overall").rows[1][1], Cell::Count(54));
    let votes = table(&report, "fer-plus");
    assert_eq!((&votes.rows[0][1], &votes.rows[1][1]), (&Cell::Count(30), &Cell::Count(29)));
    assert!(value(&votes.rows[0][2]).0 < value(&votes.rows[1][2]).0);
    assert!(table(&report, "overall").caption.contains("over files"));
    assert!(markdown(&report).contains("names no groups"));
}

#[test]
fn the_coverage_curve_answers_equals_together() {
    let curve = coverage_curve(&[(0.9, true), (0.5, false), (0.9, true), (0.5, true), (0.2, false)]);
    assert_eq!(curve, [(0.4, 1.0, 0.9), (0.8, 0.75, 0.5), (1.0, 0.6, 0.2)]);
    assert!(coverage_curve(&[]).is_empty());
}
