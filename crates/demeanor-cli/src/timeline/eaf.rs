//! ELAN's annotation format (EAF 3.0): a tier for each lane.

use std::io::{self, Write};
use std::path::Path;
use std::time::{Duration, SystemTime};

use super::{Timeline, xml};

/// Writes the document for the film at `media`.
pub fn write(out: &mut dyn Write, timeline: &Timeline, media: &str, written: SystemTime) -> io::Result<()> {
    writeln!(out, r#"<?xml version="1.0" encoding="UTF-8"?>"#)?;
    writeln!(
        out,
        r#"<ANNOTATION_DOCUMENT AUTHOR="demeanor" DATE="{}" FORMAT="3.0" VERSION="3.0" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:noNamespaceSchemaLocation="http://www.mpi.nl/tools/elan/EAFv3.0.xsd">"#,
        date(written)
    )?;
    writeln!(out, r#"    <HEADER MEDIA_FILE="" TIME_UNITS="milliseconds">"#)?;
    let (url, relative) = urls(media);
    writeln!(
        out,
        r#"        <MEDIA_DESCRIPTOR MEDIA_URL="{}" MIME_TYPE="{}"{}/>"#,
        xml(&url),
        mime(media),
        relative.map(|r| format!(r#" RELATIVE_MEDIA_URL="{}""#, xml(&r))).unwrap_or_default()
    )?;
    let count: usize = timeline.lanes().map(|(_, lane)| lane.spans().len()).sum();
    writeln!(out, r#"        <PROPERTY NAME="lastUsedAnnotationId">{count}</PROPERTY>"#)?;
    writeln!(out, "    </HEADER>")?;

    // slots in order of time, two for each span; each is numbered by where it stands
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
    let mut number = 0;
    for (who, lane) in timeline.lanes() {
        writeln!(out, r#"    <TIER LINGUISTIC_TYPE_REF="reading" TIER_ID="{who}">"#)?;
        for span in lane.spans() {
            writeln!(out, "        <ANNOTATION>")?;
            writeln!(
                out,
                r#"            <ALIGNABLE_ANNOTATION ANNOTATION_ID="a{}" TIME_SLOT_REF1="ts{}" TIME_SLOT_REF2="ts{}">"#,
                number + 1,
                place[2 * number],
                place[2 * number + 1]
            )?;
            writeln!(out, "                <ANNOTATION_VALUE>{}</ANNOTATION_VALUE>", span.reading)?;
            writeln!(out, "            </ALIGNABLE_ANNOTATION>\n        </ANNOTATION>")?;
            number += 1;
        }
        writeln!(out, "    </TIER>")?;
    }
    writeln!(
        out,
        r#"    <LINGUISTIC_TYPE GRAPHIC_REFERENCES="false" LINGUISTIC_TYPE_ID="reading" TIME_ALIGNABLE="true"/>"#
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
    writeln!(out, "</ANNOTATION_DOCUMENT>")
}

/// The film's URL, and its name relative to a document beside it.
fn urls(media: &str) -> (String, Option<String>) {
    if demeanor_media::capture::is_url(media) {
        return (media.to_owned(), None);
    }
    let path = Path::new(media);
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let slashed = absolute.to_string_lossy().replace('\\', "/");
    let url = format!("file://{}{}", if slashed.starts_with('/') { "" } else { "/" }, escaped(&slashed));
    let relative = path.file_name().map(|name| format!("./{}", escaped(&name.to_string_lossy())));
    (url, relative)
}

/// A path as part of a URL.
fn escaped(path: &str) -> String {
    path.bytes()
        .map(|b| match b {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'.' | b'-' | b'_' | b'~' | b':' => {
                char::from(b).to_string()
            }
            _ => format!("%{b:02X}"),
        })
        .collect()
}

fn mime(media: &str) -> &'static str {
    let extension = media.rsplit('.').next().unwrap_or_default().to_ascii_lowercase();
    match extension.as_str() {
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
        write(&mut text, &example(), "a film & more.mp4", SystemTime::UNIX_EPOCH).expect("a buffer");
        let text = String::from_utf8(text).expect("text");
        assert!(text.contains(r#"DATE="1970-01-01T00:00:00+00:00""#));
        assert!(text.contains(r#"RELATIVE_MEDIA_URL="./a%20film%20%26%20more.mp4""#));
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
        assert_eq!(text.matches("<TIER ").count(), 4);
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
