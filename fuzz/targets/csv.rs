//! CSV files of pictures, of votes, and of recordings.
#![no_main]

use demeanor_train::data::faces::{FaceSet, parse_votes};
use demeanor_train::data::speech::parse_manifest;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let _ = FaceSet::parse(bytes);
    let _ = parse_votes(bytes);
    let _ = parse_manifest(bytes);
});
