//! Model files: the container, and what stands behind its hash: the header, the network that it describes, a run.
#![no_main]

use demeanor::model::{self, Header, Tensors};
use demeanor::nn::{Network, spec};

/// Numbers in tensors and inputs of a network that is run: enough to meet every layer, little enough to be quick.
const MOST: usize = 1 << 14;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let _ = model::read(bytes);
    // the hash keeps altered headers out, so headers are tried alone too
    let Ok(header) = serde_json::from_slice::<Header>(bytes) else { return };
    if header.check().is_err() {
        return;
    }
    let _ = header.check_tensors(&Tensors::new());
    let input = header.input.shape();
    let Ok(needed) = spec::tensors(&header.network, input) else { return };
    let weights: usize = needed.iter().map(|(_, shape)| shape.iter().product::<usize>()).sum();
    let values = input.iter().product::<usize>();
    if weights > MOST || values > MOST {
        return;
    }
    let mut tensors = Tensors::new();
    for (name, shape) in needed {
        let numbers = (0..shape.iter().product()).map(|i: usize| (i % 7) as f32 * 0.1 - 0.3).collect();
        if tensors.insert(name, &shape, numbers).is_err() {
            return;
        }
    }
    if let Ok(mut network) = Network::new(&header.network, input, &tensors) {
        for width in [input[2], 1, input[2] / 2 + 1] {
            let _ = network.run(&vec![0.5; input[0] * input[1] * width], width);
        }
    }
});
