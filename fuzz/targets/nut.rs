//! The stream that ffmpeg writes: from bytes to packets.
#![no_main]

use demeanor_media::nut::Nut;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let Ok(Some(mut nut)) = Nut::open(bytes) else { return };
    let streams = nut.kinds().len();
    let mut data = Vec::new();
    while let Ok(Some(packet)) = nut.next(&mut data) {
        assert!(packet.stream < streams && data.len() <= bytes.len());
    }
});
