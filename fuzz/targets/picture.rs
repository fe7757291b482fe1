//! Picture files: from bytes to upright pixels.
#![no_main]

use demeanor::ErrorKind;
use demeanor_media::picture;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    match picture::read(bytes) {
        Ok(picture) => assert_eq!(
            picture.pixels().len(),
            picture.width() * picture.height() * picture.layout().bytes()
        ),
        Err(error) => assert_eq!(error.kind(), ErrorKind::File),
    }
});
