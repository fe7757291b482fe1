//! Model files: the container, and the header behind its hash.
#![no_main]

use demeanor::model::{self, Header, Tensors};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let _ = model::read(bytes);
    // the hash keeps altered headers out, so headers are tried alone too
    if let Ok(header) = serde_json::from_slice::<Header>(bytes)
        && header.check().is_ok()
    {
        let _ = header.check_tensors(&Tensors::new());
    }
});
