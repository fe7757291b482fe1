//! CSV files of pictures, and of votes.
#![no_main]

use demeanor_train::data::faces::{FaceSet, parse_votes};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let _ = FaceSet::parse(bytes);
    let _ = parse_votes(bytes);
});
