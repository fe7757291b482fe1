//! Times the whole way from samples to outputs on this machine: `testdata/bench/speech.py` runs it beside librosa and
//! PyTorch.
//!
//! `time_speech FOLDER HZ`: the folder holds `recipe.json` (how speech is prepared), `network.json` and
//! `weights.safetensors` as for `time_network`, and `sound.bin` (mono f32, little-endian, at HZ). It answers stdin as
//! `time_network` does; a run is resampling, preparation and the network.

use std::error::Error;
use std::hint::black_box;
use std::path::PathBuf;

use demeanor::input::{Audio, Hz};
use demeanor::nn::Network;
use demeanor::speech::prepare::{SpeechPreparer, SpeechRecipe};

mod folder;

struct Chain {
    preparer: SpeechPreparer,
    network: Network,
}

impl Chain {
    fn run(&mut self, sound: &Audio<'_>) -> Result<&[f32], Box<dyn Error>> {
        let input = self.preparer.prepare(sound)?;
        Ok(self.network.run_steps(input.values(), input.frames())?)
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let usage = "time_speech FOLDER HZ";
    let folder = PathBuf::from(std::env::args().nth(1).ok_or(usage)?);
    let rate = Hz(std::env::args().nth(2).ok_or(usage)?.parse()?);
    let recipe: SpeechRecipe = serde_json::from_slice(&std::fs::read(folder.join("recipe.json"))?)?;
    let (description, tensors) = folder::network(&folder)?;
    let samples = folder::floats(&std::fs::read(folder.join("sound.bin"))?);
    let sound = Audio::new(&samples, 1, rate)?;
    let mut chain = Chain {
        preparer: SpeechPreparer::new(&recipe)?,
        network: Network::new(&description.layers, description.input, &tensors)?,
    };
    folder::serve(
        &mut chain,
        |chain| Ok(chain.run(&sound)?.to_vec()),
        |chain, _| {
            black_box(chain.run(black_box(&sound))?);
            Ok(())
        },
    )
}
