//! Messages of live connections. The fuzz target `message` has this file too.

use std::time::Duration;

use bytes::Bytes;
use demeanor::PixelLayout;
use demeanor_media::sound::silence_damage;

/// A frame or a piece of sound.
#[derive(Debug, Clone, PartialEq)]
pub enum Piece {
    /// A picture file.
    File(Bytes),
    /// Pixels.
    Pixels(usize, usize, PixelLayout, Bytes),
    /// Interleaved samples.
    Sound(u32, usize, Vec<f32>),
}

/// A message of a client, little-endian: the kind (1 byte), the time in seconds (f64), then for
/// 1, a picture file: its bytes; 2, 3, 4, pixels as grey, RGB, RGBA: width and height (u32 each), then rows from the top;
/// 16, 17, sound as f32 or s16: samples per second (u32), channels (u16), then interleaved samples.
pub fn parse(message: &Bytes) -> Result<(Duration, Piece), String> {
    let short = || format!("a message of {} bytes is too short for its kind", message.len());
    let u32_at = |at: usize| {
        let bytes = message.get(at..at + 4).and_then(|b| b.try_into().ok());
        bytes.map(u32::from_le_bytes).ok_or_else(short)
    };
    let kind = *message.first().ok_or_else(short)?;
    let time = f64::from_le_bytes(message.get(1..9).and_then(|b| b.try_into().ok()).ok_or_else(short)?);
    let time = Duration::try_from_secs_f64(time).ok().filter(|t| t.as_secs() < 1 << 32);
    let time = time.ok_or("the time is no number of seconds from 0 on")?;
    let piece = match kind {
        1 => Piece::File(message.slice(9..)),
        2..=4 => {
            let layout = [PixelLayout::Grey8, PixelLayout::Rgb8, PixelLayout::Rgba8][usize::from(kind) - 2];
            let (width, height) = (u32_at(9)? as usize, u32_at(13)? as usize);
            let pixels = message.slice(17..);
            let needed = width.checked_mul(height).and_then(|n| n.checked_mul(layout.bytes()));
            if needed != Some(pixels.len()) || pixels.is_empty() {
                return Err(format!("{width} x {height} pixels of {layout:?} do not fit {} bytes", pixels.len()));
            }
            Piece::Pixels(width, height, layout, pixels)
        }
        16 | 17 => {
            let channels =
                message.get(13..15).and_then(|b| b.try_into().ok()).map(u16::from_le_bytes).ok_or_else(short)?;
            let (rate, channels, data) = (u32_at(9)?, usize::from(channels), &message[15..]);
            let size = if kind == 16 { 4 } else { 2 };
            if !(1_000..=1_536_000).contains(&rate)
                || channels == 0
                || !data.len().is_multiple_of(size * channels.max(1))
            {
                return Err(format!("{} bytes are no sound of {channels} channels at {rate} Hz", data.len()));
            }
            let samples = data.chunks_exact(size).map(|s| match *s {
                [a, b] => f32::from(i16::from_le_bytes([a, b])) / 32768.0,
                [a, b, c, d] => f32::from_le_bytes([a, b, c, d]),
                _ => 0.0,
            });
            let mut samples: Vec<f32> = samples.collect();
            silence_damage(&mut samples);
            Piece::Sound(rate, channels, samples)
        }
        _ => return Err(format!("no kind {kind} of message; expected 1 to 4 (frames), 16 or 17 (sound)")),
    };
    Ok((time, piece))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn message(kind: u8, time: f64, rest: &[u8]) -> Bytes {
        [&[kind][..], &time.to_le_bytes(), rest].concat().into()
    }

    #[test]
    fn messages_are_read() {
        let pixels = [&2u32.to_le_bytes()[..], &1u32.to_le_bytes(), &[1, 2, 3, 4, 5, 6]].concat();
        let (time, piece) = parse(&message(3, 1.5, &pixels)).unwrap();
        assert_eq!(time, Duration::from_millis(1500));
        assert_eq!(piece, Piece::Pixels(2, 1, PixelLayout::Rgb8, Bytes::from_static(&[1, 2, 3, 4, 5, 6])));
        let sound =
            [&16_000u32.to_le_bytes()[..], &2u16.to_le_bytes(), &i16::MIN.to_le_bytes(), &0i16.to_le_bytes()].concat();
        assert_eq!(parse(&message(17, 0.0, &sound)).unwrap().1, Piece::Sound(16_000, 2, vec![-1.0, 0.0]));
        let odd = [&16_000u32.to_le_bytes()[..], &1u16.to_le_bytes(), &f32::NAN.to_le_bytes()].concat();
        assert_eq!(parse(&message(16, 0.0, &odd)).unwrap().1, Piece::Sound(16_000, 1, vec![0.0]));
    }

    #[test]
    fn broken_messages_are_refused() {
        let large = [&u32::MAX.to_le_bytes()[..], &u32::MAX.to_le_bytes(), &[0; 8]].concat();
        for bad in [
            Bytes::new(),
            Bytes::from_static(&[1]),
            message(1, f64::NAN, &[]),
            message(1, -1.0, &[]),
            message(1, 1e300, &[]),
            message(9, 0.0, &[]),
            message(2, 0.0, &[0; 7]),
            message(2, 0.0, &[0; 8]),
            message(4, 0.0, &large),
            message(16, 0.0, &[0; 6]),
            message(17, 0.0, &[0; 3]),
        ] {
            assert!(parse(&bad).is_err(), "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(
            kind in prop_oneof![0u8..20, any::<u8>()],
            time in prop_oneof![0.0..10.0, any::<f64>()],
            sizes in prop_oneof![(0u32..4, 0u32..4), any::<(u32, u32)>()],
            rest in prop::collection::vec(any::<u8>(), 0..64),
        ) {
            let rest = [&sizes.0.to_le_bytes()[..], &sizes.1.to_le_bytes(), &rest].concat();
            match parse(&message(kind, time, &rest)) {
                Ok((_, Piece::Pixels(width, height, layout, pixels))) => {
                    prop_assert_eq!(pixels.len(), width * height * layout.bytes());
                }
                Ok((_, Piece::Sound(_, channels, samples))) => {
                    prop_assert!(samples.len().is_multiple_of(channels) && samples.iter().all(|s| s.is_finite()));
                }
                Ok((_, Piece::File(file))) => prop_assert_eq!(file, rest),
                Err(error) => prop_assert!(!error.is_empty()),
            }
        }
    }
}
