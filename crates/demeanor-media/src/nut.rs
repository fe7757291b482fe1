//! Raw pictures and samples with their true times, as `ffmpeg` writes them: the NUT container.
//!
//! NUT is the one container of ffmpeg's that carries uncompressed pictures and sound together on a pipe, each packet with
//! an exact time, and writes a packet at once. This reads version 3 as ffmpeg writes it, following the specification
//! "NUT Open Container Format 20130327" (names in brackets are the specification's). Checksums are skipped: it is a pipe.

use std::io::{self, Read, Result};
use std::time::Duration;

const MAIN: u64 = 0x4E4D_7A56_1F5F_04AD;
const STREAM: u64 = 0x4E53_1140_5BF2_F9DB;
const SYNCPOINT: u64 = 0x4E4B_E4AD_EECA_4569;

/// [frame_flags]
const CODED_PTS: u64 = 8;
const STREAM_ID: u64 = 16;
const SIZE_MSB: u64 = 32;
const CHECKSUM: u64 = 64;
const RESERVED: u64 = 128;
const SIDE_DATA: u64 = 256;
const HEADER_INDEX: u64 = 1024;
const MATCH_TIME: u64 = 2048;
const CODED: u64 = 4096;
const INVALID: u64 = 8192;

/// No header is larger; guards against what is not NUT.
const LARGEST_HEADER: u64 = 1 << 20;
/// No raw picture is larger: 16384 x 16384 pixels in RGB.
const LARGEST_PACKET: u64 = 3 << 28;

/// Bytes that are made room for before they have come: a large raw picture.
const ROOM: u64 = 1 << 24;

/// What a stream carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Pictures of this size in pixels.
    Picture {
        /// Width in pixels.
        width: usize,
        /// Height in pixels.
        height: usize,
    },
    /// Sound of this rate and channel count.
    Sound {
        /// Samples per second and channel.
        rate: u32,
        /// Channels, interleaved.
        channels: usize,
    },
    /// Something else.
    Other,
}

/// A packet's stream and time; its bytes are in the caller's buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Packet {
    /// The stream's place in [`Nut::kinds`].
    pub stream: usize,
    /// From the start of the film; a time before it counts as 0.
    pub time: Duration,
}

#[derive(Debug, Clone)]
struct Stream {
    kind: Kind,
    base: (u64, u64),
    msb_shift: u32,
    last: i64,
}

/// A row of the table that a frame's first byte points into [frame code].
#[derive(Debug, Clone, Copy)]
struct Code {
    flags: u64,
    stream: u64,
    size_mul: u64,
    size_lsb: u64,
    pts_delta: i64,
    reserved: u64,
    header: usize,
}

/// Reads packets from a pipe.
pub struct Nut<R> {
    input: R,
    bases: Vec<(u64, u64)>,
    codes: Vec<Code>,
    elided: Vec<Vec<u8>>,
    streams: Vec<Option<Stream>>,
}

impl<R: Read> Nut<R> {
    /// Reads the headers, up to the first packet. `None` when the pipe closed before a packet came.
    ///
    /// # Errors
    /// [`io::ErrorKind::InvalidData`] when it is no NUT, or damaged; those of reading.
    pub fn open(mut input: R) -> Result<Option<Self>> {
        let mut id = [0; 25];
        match input.read_exact(&mut id) {
            Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
            other => other?,
        }
        demand(&id == b"nut/multimedia container\0", || {
            "ffmpeg did not write NUT; is it a working ffmpeg?".to_owned()
        })?;
        let mut nut = Nut { input, bases: Vec::new(), codes: Vec::new(), elided: Vec::new(), streams: Vec::new() };
        while nut.streams.is_empty() || nut.streams.iter().any(Option::is_none) {
            let Some(byte) = byte_or_end(&mut nut.input)? else { return Ok(None) };
            demand(byte == b'N', || "NUT packet before the stream headers".to_owned())?;
            if nut.header()?.is_none() {
                return Ok(None);
            }
        }
        Ok(Some(nut))
    }

    /// What the streams carry, in order.
    pub fn kinds(&self) -> Vec<Kind> {
        self.streams.iter().flatten().map(|s| s.kind).collect()
    }

    /// The next packet; its bytes replace those in `data`. `None` at the end, also when the pipe closed inside a packet.
    ///
    /// # Errors
    /// As [`Nut::open`].
    pub fn next(&mut self, data: &mut Vec<u8>) -> Result<Option<Packet>> {
        match self.packet(data) {
            Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
            other => other,
        }
    }

    fn packet(&mut self, data: &mut Vec<u8>) -> Result<Option<Packet>> {
        let code = loop {
            let Some(byte) = byte_or_end(&mut self.input)? else { return Ok(None) };
            if byte != b'N' {
                break self.codes[usize::from(byte)];
            }
            if self.header()?.is_none() {
                return Ok(None);
            }
        };
        let mut flags = code.flags;
        demand(flags & INVALID == 0, || "damaged NUT data from ffmpeg: an invalid frame code".to_owned())?;
        if flags & CODED != 0 {
            flags ^= number(&mut self.input)?;
        }
        let stream = if flags & STREAM_ID != 0 { number(&mut self.input)? } else { code.stream } as usize;
        let Some(Some(state)) = self.streams.get_mut(stream) else {
            return Err(damaged(format!("damaged NUT data from ffmpeg: a packet of stream {stream}")));
        };
        let pts = if flags & CODED_PTS != 0 {
            let coded = number(&mut self.input)? as i64;
            let one = 1i64 << state.msb_shift;
            if coded < one {
                let mask = one - 1;
                let delta = state.last.wrapping_sub(mask / 2);
                (coded.wrapping_sub(delta) & mask).wrapping_add(delta)
            } else {
                coded.wrapping_sub(one)
            }
        } else {
            state.last.wrapping_add(code.pts_delta)
        };
        state.last = pts;
        let (num, den) = state.base;
        let mut size = code.size_lsb;
        if flags & SIZE_MSB != 0 {
            size = size.saturating_add(code.size_mul.saturating_mul(number(&mut self.input)?));
        }
        if flags & MATCH_TIME != 0 {
            number(&mut self.input)?;
        }
        let header = if flags & HEADER_INDEX != 0 { number(&mut self.input)? as usize } else { code.header };
        let mut reserved = code.reserved;
        if flags & RESERVED != 0 {
            reserved = number(&mut self.input)?;
        }
        for _ in 0..reserved {
            number(&mut self.input)?;
        }
        if flags & CHECKSUM != 0 {
            self.input.read_exact(&mut [0; 4])?;
        }
        demand(flags & SIDE_DATA == 0, || "ffmpeg wrote NUT with side data, which raw streams do not have".to_owned())?;
        demand(size <= LARGEST_PACKET, || {
            format!("a packet of {size} bytes from ffmpeg; expected at most {LARGEST_PACKET}")
        })?;
        data.clear();
        if size <= 4096 {
            data.extend_from_slice(self.elided.get(header).map_or(&[], |h| h));
        }
        let start = data.len();
        demand(start as u64 <= size, || "damaged NUT data from ffmpeg: a packet shorter than its header".to_owned())?;
        // as it comes: a damaged length asks for no memory that no bytes fill
        let rest = size - start as u64;
        data.reserve(rest.min(ROOM) as usize);
        if (&mut self.input).take(rest).read_to_end(data)? as u64 != rest {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let nanos =
            i128::from(pts.max(0)).saturating_mul(i128::from(num)).saturating_mul(1_000_000_000) / i128::from(den);
        Ok(Some(Packet { stream, time: Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX)) }))
    }

    /// Reads what begins with an N. `None` when the pipe closed inside it.
    fn header(&mut self) -> Result<Option<()>> {
        let read = (|| -> Result<()> {
            let mut code = [b'N', 0, 0, 0, 0, 0, 0, 0];
            self.input.read_exact(&mut code[1..])?;
            let size = number(&mut self.input)?;
            if size > 4096 {
                self.input.read_exact(&mut [0; 4])?;
            }
            demand(size <= LARGEST_HEADER, || format!("damaged NUT data from ffmpeg: a header of {size} bytes"))?;
            let mut content = vec![0; size as usize];
            self.input.read_exact(&mut content)?;
            let mut fields = content.as_slice();
            match u64::from_be_bytes(code) {
                MAIN => self.main(&mut fields),
                STREAM => self.stream(&mut fields),
                SYNCPOINT => self.syncpoint(&mut fields),
                // information and indexes
                _ => Ok(()),
            }
        })();
        match read {
            Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
            other => other.map(Some),
        }
    }

    /// [main_header]
    fn main(&mut self, f: &mut &[u8]) -> Result<()> {
        let version = number(f)?;
        demand((2..=4).contains(&version), || format!("ffmpeg wrote NUT version {version}; expected 2 to 4"))?;
        if version > 3 {
            number(f)?;
        }
        let streams = number(f)?;
        demand(streams <= 16, || format!("{streams} streams from ffmpeg; expected at most 16"))?;
        number(f)?;
        self.bases.clear();
        for _ in 0..number(f)?.min(64) {
            let base = (number(f)?, number(f)?);
            demand(base.1 > 0, || format!("damaged NUT data from ffmpeg: a time base of {}/0", base.0))?;
            self.bases.push(base);
        }
        self.codes.clear();
        let (mut pts_delta, mut mul, mut stream, mut header) = (0i64, 1u64, 0u64, 0u64);
        while self.codes.len() < 256 {
            let flags = number(f)?;
            let fields = number(f)?;
            if fields > 0 {
                pts_delta = signed(f)?;
            }
            if fields > 1 {
                mul = number(f)?;
            }
            if fields > 2 {
                stream = number(f)?;
            }
            let size = if fields > 3 { number(f)? } else { 0 };
            let reserved = if fields > 4 { number(f)? } else { 0 };
            let count = if fields > 5 { number(f)? } else { mul.saturating_sub(size) };
            if fields > 6 {
                signed(f)?;
            }
            if fields > 7 {
                header = number(f)?;
            }
            for _ in 8..fields {
                number(f)?;
            }
            let code =
                Code { flags, stream, size_mul: mul, size_lsb: size, pts_delta, reserved, header: header as usize };
            let mut j = 0;
            demand(count > 0 || self.codes.len() == usize::from(b'N'), || {
                "damaged NUT data from ffmpeg: an empty code row".to_owned()
            })?;
            while j < count && self.codes.len() < 256 {
                if self.codes.len() == usize::from(b'N') {
                    self.codes.push(Code { flags: INVALID, ..code });
                    continue;
                }
                self.codes.push(Code { size_lsb: size.saturating_add(j), ..code });
                j += 1;
            }
        }
        self.elided = vec![Vec::new()];
        // absent in version 2
        if !f.is_empty() {
            for _ in 0..number(f)?.min(127) {
                let length = number(f)? as usize;
                demand(length <= f.len(), || {
                    format!("damaged NUT data from ffmpeg: an elided header of {length} bytes")
                })?;
                let (bytes, rest) = f.split_at(length);
                self.elided.push(bytes.to_vec());
                *f = rest;
            }
        }
        // the headers are repeated through a long film
        self.streams.resize(streams as usize, None);
        Ok(())
    }

    /// [stream_header]
    fn stream(&mut self, f: &mut &[u8]) -> Result<()> {
        let id = number(f)? as usize;
        let class = number(f)?;
        let tag = number(f)? as usize;
        *f = f.get(tag..).unwrap_or_default();
        let base = number(f)? as usize;
        let msb_shift = number(f)? as u32;
        number(f)?;
        number(f)?;
        number(f)?;
        let extra = number(f)? as usize;
        *f = f.get(extra..).unwrap_or_default();
        let kind = match class {
            0 => Kind::Picture { width: number(f)? as usize, height: number(f)? as usize },
            1 => {
                let (num, den) = (number(f)?, number(f)?);
                Kind::Sound { rate: (num / den.max(1)) as u32, channels: number(f)? as usize }
            }
            _ => Kind::Other,
        };
        let Some(&base) = self.bases.get(base) else {
            return Err(damaged("damaged NUT data from ffmpeg: an unknown time base"));
        };
        demand(msb_shift < 32, || format!("damaged NUT data from ffmpeg: a time shift of {msb_shift}"))?;
        let Some(slot) = self.streams.get_mut(id) else {
            return Err(damaged(format!("damaged NUT data from ffmpeg: a header of stream {id}")));
        };
        let last = slot.as_ref().map_or(0, |s| s.last);
        *slot = Some(Stream { kind, base, msb_shift, last });
        Ok(())
    }

    /// [syncpoint]: the times that later ones are relative to.
    fn syncpoint(&mut self, f: &mut &[u8]) -> Result<()> {
        let coded = number(f)?;
        let count = self.bases.len().max(1) as u64;
        let Some(&(num, den)) = self.bases.get((coded % count) as usize) else { return Ok(()) };
        let time = i128::from(coded / count).saturating_mul(i128::from(num));
        for stream in self.streams.iter_mut().flatten() {
            // in the stream's own base, rounded down
            stream.last = (time.saturating_mul(i128::from(stream.base.1))
                / i128::from(den).saturating_mul(i128::from(stream.base.0.max(1)))) as i64;
        }
        Ok(())
    }
}

fn damaged(why: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why.into())
}

fn demand(holds: bool, why: impl FnOnce() -> String) -> Result<()> {
    if holds { Ok(()) } else { Err(damaged(why())) }
}

fn byte_or_end(input: &mut impl Read) -> Result<Option<u8>> {
    let mut byte = [0];
    loop {
        match input.read(&mut byte) {
            Ok(0) => return Ok(None),
            Ok(_) => return Ok(Some(byte[0])),
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
}

/// [v]: seven bits a byte, the highest first.
fn number(input: &mut impl Read) -> Result<u64> {
    let mut value = 0u64;
    for _ in 0..10 {
        let mut byte = [0];
        input.read_exact(&mut byte)?;
        value = value << 7 | u64::from(byte[0] & 0x7F);
        if byte[0] & 0x80 == 0 {
            return Ok(value);
        }
    }
    Err(damaged("damaged NUT data from ffmpeg: a number of more than ten bytes"))
}

/// [s]
fn signed(input: &mut impl Read) -> Result<i64> {
    let value = number(input)?.wrapping_add(1);
    let half = (value >> 1) as i64;
    Ok(if value & 1 == 1 { -half } else { half })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_as_specified() {
        for (bytes, value) in [(&[0x05][..], 5), (&[0x81, 0x00], 128), (&[0xFF, 0x7F], 16383)] {
            assert_eq!(number(&mut &*bytes).unwrap(), value);
        }
        for (bytes, value) in [(&[0x00][..], 0), (&[0x01], 1), (&[0x02], -1), (&[0x03], 2), (&[0x04], -2)] {
            assert_eq!(signed(&mut &*bytes).unwrap(), value, "{bytes:?}");
        }
    }

    #[test]
    fn what_is_not_nut_is_refused_or_ends() {
        assert!(Nut::open(&b""[..]).unwrap().is_none());
        assert!(Nut::open(&b"nut/multi"[..]).unwrap().is_none());
        assert!(Nut::open(&[b'x'; 200][..]).is_err());
        let mut cut = b"nut/multimedia container\0".to_vec();
        cut.extend(MAIN.to_be_bytes());
        assert!(Nut::open(&cut[..]).unwrap().is_none());
        // numbers that never end, in the place of a header
        cut.extend([0xFF; 64]);
        assert!(Nut::open(&cut[..]).is_err());
    }
}
