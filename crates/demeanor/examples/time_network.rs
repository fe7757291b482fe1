//! Times a network on this machine, side by side with another program: `testdata/bench/network.py` runs it.
//!
//! `time_network FOLDER [--stream | --pictures single|fast]`: the folder holds `network.json` (`{"layers": [...], "input": [c, h, w]}`),
//! `weights.safetensors` and `input.bin` (f32, little-endian, step by step: `[width][channels][height]`). For each line
//! `COUNT` on stdin it runs the network that often and prints the best and the median time in milliseconds; with
//! `--stream` a run is one step of a sequence, with `--pictures` it is all pictures of `input.bin` (`[count][height][width]`)
//! together, in this precision. For the line `output` it prints the outputs.

use std::error::Error;
use std::hint::black_box;
use std::path::PathBuf;

use demeanor::nn::{Network, Precision, Stream};

mod folder;

fn main() -> Result<(), Box<dyn Error>> {
    let folder =
        PathBuf::from(std::env::args().nth(1).ok_or("time_network FOLDER [--stream | --pictures single|fast]")?);
    let (description, tensors) = folder::network(&folder)?;
    let input = folder::floats(&std::fs::read(folder.join("input.bin"))?);
    let [channels, height, width] = description.input;
    let rows = channels * height;
    if let Some(precision) = std::env::args().skip_while(|argument| argument != "--pictures").nth(1) {
        let (side, precision) = ([height, width], precision.parse::<Precision>()?);
        let count = input.len() / (height * width);
        let mut network = Network::of_pictures(&description.layers, side, count, &tensors, precision)?;
        return folder::serve(
            &mut network,
            |network| Ok(network.run_pictures(&input)?.to_vec()),
            |network, _| {
                black_box(network.run_pictures(black_box(&input))?);
                Ok(())
            },
        );
    }
    let mut network = Network::new(&description.layers, description.input, &tensors)?;
    let outputs = |network: &mut Network| Ok(network.run_steps(&input, width)?.to_vec());
    if !std::env::args().any(|argument| argument == "--stream") {
        return folder::serve(&mut network, outputs, |network, _| {
            black_box(network.run_steps(black_box(&input), width)?);
            Ok(())
        });
    }
    let mut both = (network, Stream::new(&description.layers, rows, &tensors)?);
    folder::serve(
        &mut both,
        |(network, _)| outputs(network),
        |(_, stream), n| {
            let at = n % width * rows;
            black_box(stream.step(black_box(&input[at..at + rows]))?);
            Ok(())
        },
    )
}
