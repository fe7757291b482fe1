//! Runs the program, with a model and a folder of its own per test.
#![allow(dead_code, reason = "each test file uses a part")]

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use demeanor::Emotion;
use demeanor::face::prepare::{FaceRecipe, Scaling};
use demeanor::model::{self, Header, InputRecipe, Tensors};
use demeanor::nn::{Dense, Layer, spec};

/// What a run of the program gave.
#[derive(Debug)]
pub struct Run {
    pub status: i32,
    pub out: String,
    pub err: String,
}

impl Run {
    /// The JSON objects on stdout.
    pub fn json(&self) -> Vec<serde_json::Value> {
        self.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// Fails unless the run ended with this status and said this on stderr; and never may it have panicked.
    pub fn ends(&self, status: i32, says: &str) -> &Self {
        assert!(!self.err.contains("panicked"), "{self:#?}");
        assert_eq!(self.status, status, "{self:#?}");
        assert!(self.err.contains(says), "expected \"{says}\" in {self:#?}");
        self
    }
}

/// The program, in a folder.
pub fn program(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_demeanor"));
    command.current_dir(folder).stdin(Stdio::null()).env("NO_COLOR", "1");
    command
}

/// Runs the program in a folder with arguments split at blanks.
pub fn run(folder: &Path, arguments: &str) -> Run {
    finished(program(folder).args(arguments.split_whitespace()).output().unwrap())
}

/// The same with bytes on stdin.
pub fn run_with(folder: &Path, arguments: &str, input: &[u8]) -> Run {
    let mut command = program(folder);
    command.args(arguments.split_whitespace()).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    // the program may refuse its input before it has read it all
    let _ = child.stdin.take().unwrap().write_all(input);
    finished(child.wait_with_output().unwrap())
}

fn finished(output: Output) -> Run {
    Run {
        status: output.status.code().unwrap_or(-1),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

/// The small pictures of the repository.
pub fn pictures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/pictures")
}

/// An empty folder for a test.
pub fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

/// A folder with a model file `m.safetensors` and these pictures in it.
pub fn folder_with(name: &str, names: &[&str]) -> PathBuf {
    let folder = folder(name);
    std::fs::write(folder.join("m.safetensors"), face_model()).unwrap();
    for name in names {
        std::fs::copy(pictures().join(name), folder.join(name)).unwrap();
    }
    folder
}

/// A face model whose weights are drawn from a fixed sequence. What it says means nothing.
pub fn face_model() -> Vec<u8> {
    let input = InputRecipe::Face(FaceRecipe { size: 24, scaling: Scaling::Standardise, margin: 0.0 });
    let network = vec![Layer::Flatten, Layer::Dense(Dense { units: 7, relu: false })];
    drawn_model(input, network, &Emotion::FER, 0.05)
}

/// A model whose weights are drawn from a fixed sequence, from `-size` to `size`.
pub fn drawn_model(input: InputRecipe, network: Vec<Layer>, labels: &[Emotion], size: f32) -> Vec<u8> {
    let mut tensors = Tensors::new();
    let mut state = 1u32;
    for (name, shape) in spec::tensors(&network, input.shape()).unwrap() {
        let count = shape.iter().product();
        let values = std::iter::repeat_with(|| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) as f32 / (1u32 << 24) as f32 * (2.0 * size) - size
        });
        tensors.insert(name, &shape, values.take(count).collect()).unwrap();
    }
    let licence = "CC0-1.0".to_owned();
    let header = Header { licence, ..Header::new("test-v1", input, labels.to_vec(), network) };
    model::write(&header, &tensors).unwrap()
}
