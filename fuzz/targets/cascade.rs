//! Cascades: as they come, and with a right checksum.
#![no_main]

use demeanor::face::detect::{Cascade, HaarDetector, HaarSettings};
use demeanor::{Frame, PixelLayout};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let _ = Cascade::from_bytes(bytes);
    if let Ok(cascade) = Cascade::from_bytes(&Cascade::seal(bytes)) {
        // whatever is taken for a cascade can be run
        let grey: Vec<u8> = (0..40 * 40).map(|i| (i * i % 251) as u8).collect();
        if let Ok(frame) = Frame::new(&grey, 40, 40, PixelLayout::Grey8) {
            let _ = HaarDetector::new(cascade).detect(&frame, &HaarSettings::default(), &mut Vec::new());
        }
    }
});
