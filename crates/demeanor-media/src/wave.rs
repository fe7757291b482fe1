//! The headers of WAVE files and their large kin, read so that the samples are found whatever the header says of their
//! length: pipes and recorders that lost power leave 0 or the largest number there.
//!
//! RIFF WAVE (Microsoft and IBM 1991), RF64 and BW64 (EBU Tech 3306, ITU-R BS.2088), Sony Wave64.

use std::io::{self, Cursor, Read};

/// A format chunk that is longer holds no format.
const LONGEST_FORMAT: u64 = 1 << 16;

/// Samples in a WAVE file.
pub struct Wave {
    /// A header of the plain kind, which says nothing of the length.
    pub header: Vec<u8>,
    /// How many bytes of samples there are said to be; none when that was not known.
    pub length: Option<u64>,
    /// Whether the header says that there are none.
    pub is_unfinished: bool,
}

/// Which kind of header a file begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Riff,
    /// RF64 and BW64.
    Long,
    Wave64,
}

/// The rest of the GUIDs of Wave64, behind the four letters.
const RIFF_GUID: [u8; 12] = [0x2e, 0x91, 0xcf, 0x11, 0xa5, 0xd6, 0x28, 0xdb, 0x04, 0xc1, 0x00, 0x00];

fn kind(head: &[u8]) -> Option<Kind> {
    let form = head.get(8..12) == Some(b"WAVE");
    match head.get(..4)? {
        b"RIFF" if form => Some(Kind::Riff),
        b"RF64" | b"BW64" if form => Some(Kind::Long),
        b"riff" if head.get(4..16) == Some(&RIFF_GUID) => Some(Kind::Wave64),
        _ => None,
    }
}

/// Whether a file that begins so is one of them.
pub fn is_wave(head: &[u8]) -> bool {
    kind(head).is_some()
}

/// Reads a header up to the first sample.
///
/// # Errors
/// When it ends before that, or has no format.
pub fn open(source: &mut impl Read) -> io::Result<Wave> {
    let mut start = [0; 12];
    source.read_exact(&mut start)?;
    let mut head = start.to_vec();
    if start.starts_with(b"riff") {
        head.resize(40, 0);
        source.read_exact(&mut head[12..])?;
    }
    let damaged = |why: &str| io::Error::new(io::ErrorKind::InvalidData, why.to_owned());
    let kind = kind(&head).ok_or_else(|| damaged("it is no WAVE file"))?;
    let mut format = None;
    let mut long = None;
    loop {
        let (name, size) = chunk(source, kind)?;
        match &name {
            b"data" => {
                let format: Vec<u8> = format.ok_or_else(|| damaged("its format is missing before the samples"))?;
                let length = match size {
                    // as ffmpeg, sox, and others write what they do not know
                    0x7fff_f000..=0x7fff_ffff | 0xffff_f000..=0xffff_ffff if kind != Kind::Wave64 => {
                        long.filter(|l| *l > 0)
                    }
                    0 => None,
                    _ if size >= 1 << 62 => None,
                    size => Some(size),
                };
                return Ok(Wave { header: header(&format), length, is_unfinished: size == 0 });
            }
            b"fmt " if size <= LONGEST_FORMAT => {
                let mut bytes = vec![0; size as usize];
                source.read_exact(&mut bytes)?;
                skip(source, padding(size, kind))?;
                format = Some(bytes);
            }
            b"ds64" if kind == Kind::Long && (16..=LONGEST_FORMAT).contains(&size) => {
                let mut bytes = vec![0; size as usize];
                source.read_exact(&mut bytes)?;
                skip(source, padding(size, kind))?;
                long = bytes[8..].first_chunk().map(|b| u64::from_le_bytes(*b));
            }
            _ => skip(source, size.saturating_add(padding(size, kind)))?,
        }
    }
}

/// The name of the next chunk, and how many bytes it holds.
fn chunk(source: &mut impl Read, kind: Kind) -> io::Result<([u8; 4], u64)> {
    let mut name = [0; 4];
    source.read_exact(&mut name)?;
    if kind == Kind::Wave64 {
        let mut rest = [0; 20];
        source.read_exact(&mut rest)?;
        let size = rest[12..].first_chunk().map_or(0, |b| u64::from_le_bytes(*b));
        return Ok((name, size.saturating_sub(24)));
    }
    let mut size = [0; 4];
    source.read_exact(&mut size)?;
    Ok((name, u64::from(u32::from_le_bytes(size))))
}

/// Bytes behind a chunk that fill it up.
fn padding(size: u64, kind: Kind) -> u64 {
    match kind {
        Kind::Wave64 => size.wrapping_neg() % 8,
        _ => size % 2,
    }
}

fn skip(source: &mut impl Read, count: u64) -> io::Result<()> {
    let skipped = io::copy(&mut source.by_ref().take(count), &mut io::sink())?;
    if skipped < count { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(()) }
}

fn header(format: &[u8]) -> Vec<u8> {
    let mut header = b"RIFF\xff\xff\xff\xffWAVEfmt ".to_vec();
    header.extend((format.len() as u32).to_le_bytes());
    header.extend(format);
    if format.len() % 2 == 1 {
        header.push(0);
    }
    header.extend(b"data\xff\xff\xff\xff");
    header
}

impl Wave {
    /// The same sound as a plain WAVE file that goes on to its end; `rest` is what follows the header that was read.
    pub fn plain(&self, rest: impl Read + Send + Sync + 'static) -> impl Read + Send + Sync + 'static {
        Cursor::new(self.header.clone()).chain(rest.take(self.length.unwrap_or(u64::MAX)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn riff(name: &[u8], chunks: &[(&[u8], u32, &[u8])]) -> Vec<u8> {
        let mut bytes = [name, b"\xff\xff\xff\xffWAVE"].concat();
        for (name, size, content) in chunks {
            bytes.extend(*name);
            bytes.extend(size.to_le_bytes());
            bytes.extend(*content);
            bytes.extend(&[0; 1][..content.len() % 2]);
        }
        bytes
    }

    const FORMAT: &[u8] = &[1, 0, 1, 0, 0x80, 0x3e, 0, 0, 0, 0x7d, 0, 0, 2, 0, 16, 0];

    #[test]
    fn samples_are_found_whatever_the_header_says_of_their_length() {
        let fmt = (&b"fmt "[..], 16, FORMAT);
        for (size, length, unfinished) in [
            (6, Some(6), false),
            (0, None, true),
            (u32::MAX, None, false),
            (0x7fff_ffff, None, false),
            (0x7fff_f024, None, false),
            (1_000_000, Some(1_000_000), false),
        ] {
            let bytes = riff(b"RIFF", &[(b"LIST", 3, b"abc"), fmt, (b"data", size, b"123456")]);
            let mut source = Cursor::new(bytes);
            let wave = open(&mut source).unwrap();
            assert_eq!((wave.length, wave.is_unfinished), (length, unfinished), "{size:x}");
            let mut rest = Vec::new();
            wave.plain(source).read_to_end(&mut rest).unwrap();
            assert!(rest.starts_with(b"RIFF") && rest.ends_with(b"data\xff\xff\xff\xff123456"));
        }
        let ds64 = [0, 0, 0, 0, 0, 0, 0, 0, 6, 0, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        let bytes = riff(b"RF64", &[(b"ds64", 28, &ds64), fmt, (b"data", u32::MAX, b"123456LIST")]);
        assert!(is_wave(&bytes));
        let mut source = Cursor::new(bytes);
        let wave = open(&mut source).unwrap();
        assert_eq!(wave.length, Some(6));
        let mut rest = Vec::new();
        wave.plain(source).read_to_end(&mut rest).unwrap();
        assert!(rest.ends_with(b"123456"));
    }

    #[test]
    fn wave64_is_read() {
        let mut bytes = b"riff".to_vec();
        bytes.extend(RIFF_GUID);
        bytes.extend(200u64.to_le_bytes());
        bytes.extend([0; 16]);
        for (name, content) in [(b"fmt ", FORMAT), (b"data", b"123456")] {
            bytes.extend(name);
            bytes.extend([0; 12]);
            bytes.extend((content.len() as u64 + 24).to_le_bytes());
            bytes.extend(content);
        }
        let mut source = Cursor::new(bytes);
        assert_eq!(open(&mut source).unwrap().length, Some(6));
    }

    #[test]
    fn what_is_damaged_is_an_error() {
        for bytes in [
            riff(b"RIFF", &[]),
            riff(b"RIFF", &[(b"data", 4, b"1234")]),
            riff(b"RIFF", &[(b"fmt ", 16, b"123")]),
            b"RIFF".to_vec(),
        ] {
            assert!(open(&mut Cursor::new(bytes)).is_err());
        }
    }
}
