//! What the timing programs share: a network written to a folder by a script of testdata/bench, and the loop that times it.

use std::error::Error;
use std::io::BufRead;
use std::path::Path;
use std::time::Instant;

use demeanor::model::Tensors;
use demeanor::nn::Layer;

#[derive(serde::Deserialize)]
pub struct Description {
    pub layers: Vec<Layer>,
    pub input: [usize; 3],
}

/// `network.json` and `weights.safetensors`.
pub fn network(folder: &Path) -> Result<(Description, Tensors), Box<dyn Error>> {
    let description = serde_json::from_slice(&std::fs::read(folder.join("network.json"))?)?;
    let bytes = std::fs::read(folder.join("weights.safetensors"))?;
    let mut tensors = Tensors::new();
    for (name, view) in safetensors::SafeTensors::deserialize(&bytes)?.iter() {
        match view.dtype() {
            safetensors::Dtype::F16 => {
                let values: Vec<f32> =
                    view.data().as_chunks().0.iter().map(|&b| half::f16::from_le_bytes(b).to_f32()).collect();
                tensors.insert_half(name, view.shape(), &values)?;
            }
            _ => tensors.insert(name, view.shape(), floats(view.data()))?,
        }
    }
    Ok((description, tensors))
}

/// Little-endian numbers.
pub fn floats(bytes: &[u8]) -> Vec<f32> {
    bytes.as_chunks().0.iter().map(|&b| f32::from_le_bytes(b)).collect()
}

/// Answers the lines of stdin: for `output` the numbers that `outputs` gives; for a count, the best and the median time,
/// in milliseconds, of as many runs.
pub fn serve<T>(
    thing: &mut T,
    mut outputs: impl FnMut(&mut T) -> Result<Vec<f32>, Box<dyn Error>>,
    mut run: impl FnMut(&mut T, usize) -> Result<(), Box<dyn Error>>,
) -> Result<(), Box<dyn Error>> {
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        if line.trim() == "output" {
            let output: Vec<String> = outputs(thing)?.iter().map(f32::to_string).collect();
            println!("{}", output.join(" "));
            continue;
        }
        let count: usize = line.trim().parse()?;
        let mut times = Vec::with_capacity(count);
        for n in 0..count {
            let start = Instant::now();
            run(thing, n)?;
            times.push(start.elapsed().as_secs_f64() * 1e3);
        }
        times.sort_by(f64::total_cmp);
        println!("{} {}", times[0], times[count / 2]);
    }
    Ok(())
}
