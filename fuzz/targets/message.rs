//! What a client of `/v1/live` sends: from bytes to frames and sound.
#![no_main]

#[path = "../../crates/demeanor-cli/src/server/message.rs"]
mod message;

use bytes::Bytes;
use message::{Piece, parse};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let Ok((time, piece)) = parse(&Bytes::copy_from_slice(bytes)) else { return };
    assert!(time.as_secs() < 1 << 32);
    match piece {
        Piece::File(file) => assert_eq!(file, bytes[9..]),
        Piece::Pixels(width, height, layout, pixels) => {
            assert!(width > 0 && height > 0);
            assert_eq!(pixels.len(), width * height * layout.bytes());
            assert_eq!(pixels, bytes[17..]);
        }
        Piece::Sound(rate, channels, samples) => {
            assert!(rate > 0 && channels > 0 && samples.len().is_multiple_of(channels));
            assert!(samples.len() * 2 <= bytes.len() && samples.iter().all(|s| s.is_finite()));
        }
    }
});
