//! When a track of an MP4 file plays: its edit list (ISO 14496-12, 8.6.6), which says how late it begins, what of it is
//! left out, and what is played behind what. Encoders write one to leave out the silence with which they begin.

use std::io::{self, Read, Seek, SeekFrom};

/// A track with more edits than this is damaged.
const MOST_EDITS: u32 = 100_000;

/// The boxes that hold what is looked for are no larger.
const LARGEST_BOX: u64 = 256 << 20;

/// A stretch of a track, in seconds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Edit {
    /// When it plays.
    pub plays_s: f64,
    /// Where it begins in the track.
    pub from_s: f64,
    /// Where it ends in the track.
    pub until_s: f64,
}

/// The edits of a file's tracks of sound, in order; a track without an edit list has none.
///
/// # Errors
/// When the file cannot be read, or its structure is damaged.
pub fn of_sound_tracks(file: &mut (impl Read + Seek)) -> io::Result<Vec<Vec<Edit>>> {
    let end = file.seek(SeekFrom::End(0))?;
    let mut tracks = Vec::new();
    let Some(movie) = find(file, 0..end, b"moov")? else {
        return Ok(tracks);
    };
    let scale = match find(file, movie.clone(), b"mvhd")? {
        Some(range) => timescale(&read(file, range)?),
        None => None,
    };
    let mut at = movie.start;
    while let Some((name, inside)) = next(file, at..movie.end)? {
        at = inside.end;
        if &name == b"trak" {
            tracks.extend(sound_track(file, inside, scale)?);
        }
    }
    Ok(tracks)
}

fn sound_track(
    file: &mut (impl Read + Seek),
    track: std::ops::Range<u64>,
    movie: Option<f64>,
) -> io::Result<Option<Vec<Edit>>> {
    let Some(media) = find(file, track.clone(), b"mdia")? else {
        return Ok(None);
    };
    let Some(handler) = find(file, media.clone(), b"hdlr")? else {
        return Ok(None);
    };
    if read(file, handler)?.get(8..12) != Some(b"soun") {
        return Ok(None);
    }
    let own = match find(file, media, b"mdhd")? {
        Some(range) => timescale(&read(file, range)?),
        None => None,
    };
    let Some(list) = find(file, track, b"edts")? else {
        return Ok(Some(Vec::new()));
    };
    let Some(list) = find(file, list, b"elst")? else {
        return Ok(Some(Vec::new()));
    };
    let list = read(file, list)?;
    Ok(Some(movie.zip(own).map_or(Vec::new(), |(movie, own)| edits(&list, movie, own))))
}

/// Ticks per second, from a `mvhd` or `mdhd` box.
fn timescale(bytes: &[u8]) -> Option<f64> {
    let at = if *bytes.first()? == 1 { 20 } else { 12 };
    let ticks = u32::from_be_bytes(*bytes.get(at..)?.first_chunk()?);
    (ticks > 0).then_some(f64::from(ticks))
}

fn edits(list: &[u8], movie: f64, own: f64) -> Vec<Edit> {
    let long = list.first() == Some(&1);
    let count = list.get(4..).and_then(<[u8]>::first_chunk).map_or(0, |b| u32::from_be_bytes(*b)).min(MOST_EDITS);
    let mut rows = list.get(8..).unwrap_or_default().chunks_exact(if long { 20 } else { 12 });
    let (mut edits, mut plays_s) = (Vec::new(), 0.0);
    for row in rows.by_ref().take(count as usize) {
        let number = |at: usize, wide: usize| row[at..at + wide].iter().fold(0u64, |n, b| n << 8 | u64::from(*b));
        let (length, from) = if long {
            (number(0, 8), number(8, 8) as i64)
        } else {
            (number(0, 4), i64::from(number(4, 4) as u32 as i32))
        };
        let length_s = length as f64 / movie;
        if from >= 0 {
            let from_s = from as f64 / own;
            // fragments follow: to the end
            let until_s = if length == 0 { f64::INFINITY } else { from_s + length_s };
            edits.push(Edit { plays_s, from_s, until_s });
        }
        plays_s += length_s;
    }
    edits
}

/// The inside of the first box of a name.
fn find(
    file: &mut (impl Read + Seek),
    range: std::ops::Range<u64>,
    name: &[u8; 4],
) -> io::Result<Option<std::ops::Range<u64>>> {
    let mut at = range.start;
    while let Some((found, inside)) = next(file, at..range.end)? {
        if found == *name {
            return Ok(Some(inside));
        }
        at = inside.end;
    }
    Ok(None)
}

/// The next box: its name and its inside.
fn next(
    file: &mut (impl Read + Seek),
    range: std::ops::Range<u64>,
) -> io::Result<Option<([u8; 4], std::ops::Range<u64>)>> {
    if range.end.saturating_sub(range.start) < 8 {
        return Ok(None);
    }
    file.seek(SeekFrom::Start(range.start))?;
    let mut head = [0; 8];
    file.read_exact(&mut head)?;
    let [a, b, c, d, name @ ..] = head;
    let (mut size, mut start) = (u64::from(u32::from_be_bytes([a, b, c, d])), range.start + 8);
    if size == 1 {
        let mut long = [0; 8];
        file.read_exact(&mut long)?;
        (size, start) = (u64::from_be_bytes(long), start + 8);
    }
    let end = if size == 0 { range.end } else { range.start.saturating_add(size) };
    if end < start || end > range.end {
        // cut off
        return Ok(None);
    }
    Ok(Some((name, start..end)))
}

fn read(file: &mut (impl Read + Seek), range: std::ops::Range<u64>) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.seek(SeekFrom::Start(range.start))?;
    file.take((range.end - range.start).min(LARGEST_BOX)).read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    fn boxed(name: &[u8; 4], content: &[u8]) -> Vec<u8> {
        [&(content.len() as u32 + 8).to_be_bytes()[..], name, content].concat()
    }

    fn header(scale: u32) -> Vec<u8> {
        [&[0; 12][..], &scale.to_be_bytes(), &[0; 80]].concat()
    }

    fn film(handler: &[u8; 4], rows: &[(u32, i32)]) -> Vec<u8> {
        let mut list = [&[0; 4][..], &(rows.len() as u32).to_be_bytes()].concat();
        for (length, from) in rows {
            list.extend([length.to_be_bytes(), from.to_be_bytes(), [0, 1, 0, 0]].concat());
        }
        let media = [boxed(b"mdhd", &header(16_000)), boxed(b"hdlr", &[&[0; 8][..], handler, &[0; 12]].concat())];
        let track = [boxed(b"edts", &boxed(b"elst", &list)), boxed(b"mdia", &media.concat())];
        let movie = [boxed(b"mvhd", &header(1000)), boxed(b"trak", &track.concat())];
        [boxed(b"ftyp", b"isom"), boxed(b"mdat", &[7; 100]), boxed(b"moov", &movie.concat())].concat()
    }

    #[test]
    fn edits_say_when_a_track_plays() {
        let bytes = film(b"soun", &[(5000, -1), (2000, 1600), (3000, 64_000)]);
        let found = of_sound_tracks(&mut Cursor::new(&bytes)).unwrap();
        let wanted =
            [Edit { plays_s: 5.0, from_s: 0.1, until_s: 2.1 }, Edit { plays_s: 7.0, from_s: 4.0, until_s: 7.0 }];
        assert_eq!(found, [wanted.to_vec()]);
        let open = of_sound_tracks(&mut Cursor::new(film(b"soun", &[(0, 1600)]))).unwrap();
        assert_eq!(open[0][0].until_s, f64::INFINITY);
        assert!(of_sound_tracks(&mut Cursor::new(film(b"vide", &[(5, 0)]))).unwrap().is_empty());
        for length in 0..bytes.len() {
            // whatever is cut off, nothing breaks
            let _ = of_sound_tracks(&mut Cursor::new(&bytes[..length]));
        }
    }
}
