//! The forward pass against PyTorch's: `testdata/network/goldens.py` made the file.

use std::collections::HashMap;

use demeanor::model::Tensors;
use demeanor::nn::{Layer, Network};
use safetensors::SafeTensors;

#[derive(serde::Deserialize)]
struct Case {
    layers: Vec<Layer>,
    input: [usize; 3],
}

#[test]
fn networks_give_what_pytorch_gives() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../testdata/network/goldens.safetensors");
    let bytes = std::fs::read(path).unwrap();
    let (_, metadata) = SafeTensors::read_metadata(&bytes).unwrap();
    let cases: HashMap<String, Case> = serde_json::from_str(&metadata.metadata().as_ref().unwrap()["cases"]).unwrap();
    assert_eq!(cases.len(), 13);
    let file = SafeTensors::deserialize(&bytes).unwrap();
    for (name, case) in cases {
        let prefix = format!("{name}/");
        let mut tensors = Tensors::new();
        let mut others = HashMap::new();
        for (full, view) in file.iter() {
            let Some(own) = full.strip_prefix(&prefix) else { continue };
            let values: Vec<f32> = view.data().as_chunks().0.iter().map(|&b| f32::from_le_bytes(b)).collect();
            if own == "input" || own == "output" {
                others.insert(own.to_string(), values);
            } else {
                tensors.insert(own, view.shape(), values).unwrap();
            }
        }
        let mut network = Network::new(&case.layers, case.input, &tensors).unwrap();
        let found = network.run(&others["input"], case.input[2]).unwrap();
        let expected = &others["output"];
        assert_eq!(found.len(), expected.len(), "{name}");
        for (n, (a, b)) in found.iter().zip(expected).enumerate() {
            assert!((a - b).abs() < 1e-5 * b.abs().max(1.0), "{name}: number {n} is {a}, PyTorch gives {b}");
        }
    }
}
