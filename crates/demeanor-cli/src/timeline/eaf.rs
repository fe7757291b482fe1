//! ELAN's annotation format (EAF 3.0): a tier for each lane, with the readings as a controlled vocabulary; under it a tier
//! with the mean score of each reading and one with all mean scores.

use std::ffi::OsStr;
use std::io::{self, Write};
use std::path::{Component, Path, PathBuf};
use std::time::{Duration, SystemTime};

use demeanor::{Emotion, Reading};

use super::{Lane, Span, Timeline, Who, xml};

/// What a document is written from.
pub struct Document<'a> {
    /// The film or recording; `-` for stdin, which no document can name.
    pub media: &'a OsStr,
    /// Where the document will lie, from where ELAN looks for the film; `-` when that is not known.
    pub path: &'a Path,
    /// When it is written.
    pub written: SystemTime,
}

/// What a tier says of a span.
type Say = fn(&Span) -> String;

/// The tiers under a tier of readings: a name, and what they say.
const UNDER: [(&str, Say); 2] = [
    ("score", |span| format!("{:.3}", span.score())),
    ("scores", |span| {
        let all: Vec<_> = span.scores().map(|(emotion, score)| format!("{emotion} {score:.3}")).collect();
        all.join(", ")
    }),
];

/// Writes the document of a timeline.
pub fn write(out: &mut dyn Write, timeline: &Timeline, document: &Document<'_>) -> io::Result<()> {
    writeln!(out, r#"<?xml version="1.0" encoding="UTF-8"?>"#)?;
    writeln!(
        out,
        r#"<ANNOTATION_DOCUMENT AUTHOR="demeanor" DATE="{}" FORMAT="3.0" VERSION="3.0" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:noNamespaceSchemaLocation="http://www.mpi.nl/tools/elan/EAFv3.0.xsd">"#,
        date(document.written)
    )?;
    writeln!(out, r#"    <HEADER MEDIA_FILE="" TIME_UNITS="milliseconds">"#)?;
    if let Some((url, relative)) = urls(document.media, document.path) {
        writeln!(
            out,
            r#"        <MEDIA_DESCRIPTOR MEDIA_URL="{}" MIME_TYPE="{}"{}/>"#,
            xml(&url),
            mime(document.media),
            relative.map(|r| format!(r#" RELATIVE_MEDIA_URL="{}""#, xml(&r))).unwrap_or_default()
        )?;
    }
    let count: usize = timeline.lanes().map(|(_, lane)| lane.spans().len()).sum();
    writeln!(out, r#"        <PROPERTY NAME="lastUsedAnnotationId">{}</PROPERTY>"#, count * (1 + UNDER.len()))?;
    writeln!(out, "    </HEADER>")?;
    let place = time_order(out, timeline, count)?;
    let mut first = 0;
    for (who, lane) in timeline.lanes() {
        tiers(out, who, lane, first, count, &place)?;
        first += lane.spans().len();
    }
    writeln!(
        out,
        r#"    <LINGUISTIC_TYPE CONTROLLED_VOCABULARY_REF="readings" GRAPHIC_REFERENCES="false" LINGUISTIC_TYPE_ID="reading" TIME_ALIGNABLE="true"/>"#
    )?;
    for (name, _) in UNDER {
        writeln!(
            out,
            r#"    <LINGUISTIC_TYPE CONSTRAINTS="Symbolic_Association" GRAPHIC_REFERENCES="false" LINGUISTIC_TYPE_ID="{name}" TIME_ALIGNABLE="false"/>"#
        )?;
    }
    writeln!(
        out,
        r#"    <LANGUAGE LANG_DEF="http://cdb.iso.org/lg/CDB-00138502-001" LANG_ID="eng" LANG_LABEL="English (eng)"/>"#
    )?;
    for (name, text) in [
        (
            "Time_Subdivision",
            "Time subdivision of parent annotation's time interval, no time gaps allowed within this interval",
        ),
        (
            "Symbolic_Subdivision",
            "Symbolic subdivision of a parent annotation. Annotations refering to the same parent are ordered",
        ),
        ("Symbolic_Association", "1-1 association with a parent annotation"),
        ("Included_In", "Time alignable annotations within the parent annotation's time interval, gaps are allowed"),
    ] {
        writeln!(out, r#"    <CONSTRAINT DESCRIPTION="{}" STEREOTYPE="{name}"/>"#, xml(text))?;
    }
    writeln!(out, r#"    <CONTROLLED_VOCABULARY CV_ID="readings">"#)?;
    writeln!(out, r#"        <DESCRIPTION LANG_REF="eng">What an expression reads as</DESCRIPTION>"#)?;
    for reading in Emotion::ALL.into_iter().map(Reading::Emotion).chain([Reading::Unsure]) {
        writeln!(
            out,
            r#"        <CV_ENTRY_ML CVE_ID="{}"><CVE_VALUE DESCRIPTION="" LANG_REF="eng">{reading}</CVE_VALUE></CV_ENTRY_ML>"#,
            entry(reading)
        )?;
    }
    writeln!(out, "    </CONTROLLED_VOCABULARY>")?;
    writeln!(out, "</ANNOTATION_DOCUMENT>")
}

/// The name of a reading's entry in the vocabulary.
fn entry(reading: Reading) -> String {
    format!("reading-{reading}")
}

/// Writes the slots in order of time, two for each span; gives for each span's start and end the number of its slot.
fn time_order(out: &mut dyn Write, timeline: &Timeline, count: usize) -> io::Result<Vec<usize>> {
    let mut slots: Vec<(u128, usize)> = Vec::with_capacity(2 * count);
    for (number, span) in timeline.lanes().flat_map(|(_, lane)| lane.spans()).enumerate() {
        let start = span.start.as_millis();
        slots.push((start, 2 * number));
        // ELAN wants a span to last
        slots.push((span.end.as_millis().max(start + 1), 2 * number + 1));
    }
    slots.sort_unstable();
    let mut place = vec![0; slots.len()];
    writeln!(out, "    <TIME_ORDER>")?;
    for (i, (ms, slot)) in slots.iter().enumerate() {
        place[*slot] = i + 1;
        writeln!(out, r#"        <TIME_SLOT TIME_SLOT_ID="ts{}" TIME_VALUE="{ms}"/>"#, i + 1)?;
    }
    writeln!(out, "    </TIME_ORDER>")?;
    Ok(place)
}

/// Writes a lane's tiers; `first` is the number of its first span among the `count` of all lanes.
fn tiers(out: &mut dyn Write, who: Who, lane: &Lane, first: usize, count: usize, place: &[usize]) -> io::Result<()> {
    writeln!(out, r#"    <TIER LINGUISTIC_TYPE_REF="reading" TIER_ID="{who}">"#)?;
    for (number, span) in (first..).zip(lane.spans()) {
        writeln!(out, "        <ANNOTATION>")?;
        writeln!(
            out,
            r#"            <ALIGNABLE_ANNOTATION ANNOTATION_ID="a{}" CVE_REF="{}" TIME_SLOT_REF1="ts{}" TIME_SLOT_REF2="ts{}">"#,
            number + 1,
            entry(span.reading),
            place[2 * number],
            place[2 * number + 1]
        )?;
        writeln!(out, "                <ANNOTATION_VALUE>{}</ANNOTATION_VALUE>", span.reading)?;
        writeln!(out, "            </ALIGNABLE_ANNOTATION>\n        </ANNOTATION>")?;
    }
    writeln!(out, "    </TIER>")?;
    for (under, (name, say)) in (1..).zip(UNDER) {
        writeln!(out, r#"    <TIER LINGUISTIC_TYPE_REF="{name}" PARENT_REF="{who}" TIER_ID="{who} {name}">"#)?;
        for (number, span) in (first..).zip(lane.spans()) {
            writeln!(out, "        <ANNOTATION>")?;
            writeln!(
                out,
                r#"            <REF_ANNOTATION ANNOTATION_ID="a{}" ANNOTATION_REF="a{}">"#,
                under * count + number + 1,
                number + 1
            )?;
            writeln!(out, "                <ANNOTATION_VALUE>{}</ANNOTATION_VALUE>", say(span))?;
            writeln!(out, "            </REF_ANNOTATION>\n        </ANNOTATION>")?;
        }
        writeln!(out, "    </TIER>")?;
    }
    Ok(())
}

/// The film's URL, and its place as seen from the document's folder.
fn urls(media: &OsStr, document: &Path) -> Option<(String, Option<String>)> {
    if media == "-" {
        return None;
    }
    if demeanor_media::capture::is_url(&media.to_string_lossy()) {
        return Some((media.to_string_lossy().into_owned(), None));
    }
    let whole = |path: &Path| path.canonicalize().or_else(|_| std::path::absolute(path)).unwrap_or(path.to_owned());
    let film = whole(Path::new(media));
    let url = format!("file://{}", escaped(&film));
    if document.as_os_str() == "-" {
        return Some((url, None));
    }
    let folder = document.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let relative = between(&whole(folder), &film).map(|path| {
        let path = escaped(&path);
        format!("./{}", path.trim_start_matches('/'))
    });
    Some((url, relative))
}

/// The way from a folder to a file, both absolute; none from one drive to another.
fn between(folder: &Path, file: &Path) -> Option<PathBuf> {
    let (from, to): (Vec<_>, Vec<_>) = (folder.components().collect(), file.components().collect());
    let common = from.iter().zip(&to).take_while(|(a, b)| a == b).count();
    if common == 0 || from[common..].iter().any(|c| !matches!(c, Component::Normal(_))) {
        return None;
    }
    Some(from[common..].iter().map(|_| Component::ParentDir).chain(to[common..].iter().copied()).collect())
}

/// A path as that of a URL.
fn escaped(path: &Path) -> String {
    let mut bytes = path.as_os_str().as_encoded_bytes().to_vec();
    if cfg!(windows) {
        bytes.iter_mut().filter(|b| **b == b'\\').for_each(|b| *b = b'/');
        if let Some(rest) = bytes.strip_prefix(b"//?/") {
            bytes = rest.to_vec();
        }
    }
    let slash = if bytes.first() == Some(&b'/') { "" } else { "/" };
    let text = bytes.iter().map(|&b| match b {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'.' | b'-' | b'_' | b'~' | b':' => char::from(b).to_string(),
        _ => format!("%{b:02X}"),
    });
    slash.to_owned() + &text.collect::<String>()
}

fn mime(media: &OsStr) -> &'static str {
    let extension = Path::new(media).extension().unwrap_or_default().to_ascii_lowercase();
    match extension.to_str().unwrap_or_default() {
        "mp4" | "m4v" => "video/mp4",
        "mov" => "video/quicktime",
        "mpg" | "mpeg" => "video/mpeg",
        "webm" => "video/webm",
        "avi" => "video/x-msvideo",
        "wav" => "audio/x-wav",
        "mp3" => "audio/mpeg",
        "m4a" => "audio/mp4",
        _ => "video/*",
    }
}

/// A time in UTC as XML Schema's dateTime.
fn date(time: SystemTime) -> String {
    let seconds = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs();
    let (days, rest) = (seconds / 86_400, seconds % 86_400);
    // civil date from days, after Howard Hinnant
    let z = days + 719_468;
    let (era, doe) = (z / 146_097, z % 146_097);
    let yoe = (doe - doe / 1460 + doe / 36_524 - doe / 146_096) / 365;
    let doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    let mp = (5 * doy + 2) / 153;
    let (day, month) = (doy - (153 * mp + 2) / 5 + 1, if mp < 10 { mp + 3 } else { mp - 9 });
    let year = yoe + era * 400 + u64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}+00:00", rest / 3600, rest / 60 % 60, rest % 60)
}

#[cfg(test)]
mod tests {
    use super::super::tests::example;
    use super::*;

    #[test]
    fn slots_are_in_order_and_every_annotation_has_two() {
        let mut text = Vec::new();
        let document = Document {
            media: OsStr::new("a film & more.mp4"),
            path: Path::new("of/it.eaf"),
            written: SystemTime::UNIX_EPOCH,
        };
        write(&mut text, &example(), &document).expect("a buffer");
        let text = String::from_utf8(text).expect("text");
        assert!(text.contains(r#"DATE="1970-01-01T00:00:00+00:00""#));
        assert!(text.contains(r#"RELATIVE_MEDIA_URL="./../a%20film%20%26%20more.mp4""#), "{text}");
        let attribute = |line: &str, name: &str| {
            line.split_once(&format!("{name}=\"")).and_then(|(_, r)| r.split_once('"')).map(|(v, _)| v.to_owned())
        };
        let times: Vec<u64> =
            text.lines().filter_map(|l| attribute(l, "TIME_VALUE")).map(|v| v.parse().expect("a number")).collect();
        assert_eq!(times.len(), 14);
        assert!(times.is_sorted());
        for line in text.lines().filter(|l| l.contains("<ALIGNABLE_ANNOTATION")) {
            let time = |name| {
                let slot: usize =
                    attribute(line, name).expect("a slot").trim_start_matches("ts").parse().expect("a number");
                times[slot - 1]
            };
            assert!(time("TIME_SLOT_REF1") < time("TIME_SLOT_REF2"));
        }
        assert_eq!(text.matches("<TIER ").count(), 12);
        let mut ids: Vec<_> = text.lines().filter_map(|l| attribute(l, "ANNOTATION_ID")).collect();
        assert_eq!(ids.len(), 21);
        ids.sort();
        ids.dedup();
        assert_eq!(ids.len(), 21, "each has its own");
        for line in text.lines().filter_map(|l| attribute(l, "ANNOTATION_REF").or(attribute(l, "CVE_REF"))) {
            let id = [format!("ANNOTATION_ID=\"{line}\""), format!("CVE_ID=\"{line}\"")];
            assert!(id.iter().any(|id| text.contains(id)), "{line} is there");
        }
        assert!(text.contains("<ANNOTATION_VALUE>0.940</ANNOTATION_VALUE>"));
    }

    #[test]
    fn a_film_is_found_from_where_the_document_lies() {
        for (folder, file, way) in [
            ("/a/b", "/a/b/f.mp4", Some("f.mp4")),
            ("/a/b", "/a/f.mp4", Some("../f.mp4")),
            ("/a/b/c", "/x/f.mp4", Some("../../../x/f.mp4")),
            ("/", "/x/f.mp4", Some("x/f.mp4")),
        ] {
            assert_eq!(between(Path::new(folder), Path::new(file)).as_deref(), way.map(Path::new), "{folder} {file}");
        }
        assert_eq!(urls(OsStr::new("-"), Path::new("x.eaf")), None);
        let url = "https://a.b/c.mp4";
        assert_eq!(urls(OsStr::new(url), Path::new("x.eaf")), Some((url.to_owned(), None)));
    }

    #[test]
    fn dates_are_right() {
        for (seconds, text) in
            [(951_782_400, "2000-02-29T00:00:00+00:00"), (1_795_355_999, "2026-11-22T13:59:59+00:00")]
        {
            assert_eq!(date(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)), text);
        }
    }
}
