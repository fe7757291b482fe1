//! Times a network on this machine, side by side with another program: `testdata/bench/network.py` runs it.
//!
//! `time_network FOLDER [--stream]`: the folder holds `network.json` (`{"layers": [...], "input": [c, h, w]}`),
//! `weights.safetensors` and `input.bin` (f32, little-endian, step by step: `[width][channels][height]`). For each line
//! `COUNT` on stdin it runs the network that often and prints the best and the median time in milliseconds; with
//! `--stream` a run is one step of a sequence. For the line `output` it prints the outputs.

use std::error::Error;
use std::hint::black_box;
use std::io::BufRead;
use std::path::PathBuf;
use std::time::Instant;

use demeanor::model::Tensors;
use demeanor::nn::{Layer, Network, Stream};

#[derive(serde::Deserialize)]
struct Description {
    layers: Vec<Layer>,
    input: [usize; 3],
}

fn main() -> Result<(), Box<dyn Error>> {
    let folder = PathBuf::from(std::env::args().nth(1).ok_or("time_network FOLDER [--stream]")?);
    let stream = std::env::args().any(|argument| argument == "--stream");
    let description: Description = serde_json::from_slice(&std::fs::read(folder.join("network.json"))?)?;
    let bytes = std::fs::read(folder.join("weights.safetensors"))?;
    let mut tensors = Tensors::new();
    for (name, view) in safetensors::SafeTensors::deserialize(&bytes)?.iter() {
        match view.dtype() {
            safetensors::Dtype::F16 => {
                let values: Vec<f32> =
                    view.data().as_chunks().0.iter().map(|&b| half::f16::from_le_bytes(b).to_f32()).collect();
                tensors.insert_half(name, view.shape(), &values)?;
            }
            _ => {
                let values = view.data().as_chunks().0.iter().map(|&b| f32::from_le_bytes(b)).collect();
                tensors.insert(name, view.shape(), values)?;
            }
        }
    }
    let input: Vec<f32> =
        std::fs::read(folder.join("input.bin"))?.as_chunks().0.iter().map(|&b| f32::from_le_bytes(b)).collect();
    let [channels, height, width] = description.input;
    let rows = channels * height;
    let mut network = Network::new(&description.layers, description.input, &tensors)?;
    let mut steps = stream.then(|| Stream::new(&description.layers, rows, &tensors)).transpose()?;
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        if line.trim() == "output" {
            let output: Vec<String> = network.run_steps(&input, width)?.iter().map(f32::to_string).collect();
            println!("{}", output.join(" "));
            continue;
        }
        let count: usize = line.trim().parse()?;
        let mut times = Vec::with_capacity(count);
        for n in 0..count {
            let start = Instant::now();
            match &mut steps {
                Some(steps) => {
                    let at = n % width * rows;
                    black_box(steps.step(black_box(&input[at..at + rows]))?);
                }
                None => {
                    black_box(network.run_steps(black_box(&input), width)?);
                }
            }
            times.push(start.elapsed().as_secs_f64() * 1e3);
        }
        times.sort_by(f64::total_cmp);
        println!("{} {}", times[0], times[count / 2]);
    }
    Ok(())
}
