//! A model file: weights, recipe, labels, calibration and version in one.
//!
//! The container is safetensors; the key `demeanor` of its metadata holds a [`Header`] as JSON. Tensors are f32 or f16.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;

use half::f16;
use half::slice::HalfFloatSliceExt;
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::emotion::Emotion;
use crate::error::{Error, ErrorKind, Result};
use crate::face::prepare::FaceRecipe;
use crate::nn::spec::{self, Layer, MAX_VALUES, Shape};
use crate::speech::prepare::{Features, SpeechRecipe};

/// The version of the file format that this program writes and the newest that it reads.
pub const FORMAT: u32 = 1;

/// Everything in a model file that is not weights.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Header {
    /// Version of the file format.
    pub format: u32,
    /// Name and version of the model, such as `face-v1`.
    pub name: String,
    /// How inputs are prepared; decides which sense the model is for.
    pub input: InputRecipe,
    /// The emotion of each output, in order.
    pub labels: Vec<Emotion>,
    /// The layers, in order.
    pub network: Vec<Layer>,
    /// What logits are divided by before the softmax, so that scores are calibrated; more than 0.
    pub temperature: f32,
    /// The licence of the weights.
    pub licence: String,
    /// The training recipe (TOML) that made the weights.
    pub recipe: String,
    /// SHA-256, in hexadecimal, of this header as JSON with this field empty, then of each tensor in order of name: its
    /// name, type and shape as a line of text (`0.weight F32 [32, 1, 3, 3]`), then its bytes. [`write`] sets it.
    pub sha256: String,
}

/// How the inputs of a model are prepared.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum InputRecipe {
    /// Pictures of faces.
    Face(FaceRecipe),
    /// Stretches of speech.
    Speech(SpeechRecipe),
}

impl InputRecipe {
    /// The shape `[channels, height, width]` of the largest input: a square picture, or rows x frames of speech.
    pub fn shape(&self) -> [usize; 3] {
        match self {
            InputRecipe::Face(recipe) => [1, recipe.size, recipe.size],
            InputRecipe::Speech(recipe) => {
                let rows = match recipe.features {
                    Features::Mfcc { coefficients, deltas, .. } => {
                        coefficients.saturating_mul(deltas.saturating_add(1))
                    }
                    Features::LogMel { bands, .. } => bands,
                };
                [1, rows, recipe.max_frames]
            }
        }
    }
}

impl Header {
    /// Checks everything that can be checked without the tensors: version, labels, temperature, shapes of the network.
    ///
    /// # Errors
    /// [`ErrorKind::Version`] for a format that this program does not know, [`ErrorKind::Model`] or [`ErrorKind::Shape`]
    /// for the rest.
    pub fn check(&self) -> Result<()> {
        check_version(self.format)?;
        let labels = &self.labels;
        if labels.is_empty() || labels.iter().enumerate().any(|(i, label)| labels[..i].contains(label)) {
            return Err(Error::new(ErrorKind::Model, "the model's labels are none, or one stands twice"));
        }
        if !(self.temperature.is_finite() && self.temperature > 0.0) {
            return Err(Error::new(
                ErrorKind::Model,
                format!("the model's temperature is {}; expected a finite number more than 0", self.temperature),
            ));
        }
        let input = self.input.shape();
        let most = 1 << 16;
        if !input.iter().all(|side| (1..=most).contains(side)) {
            return Err(Error::new(
                ErrorKind::Model,
                format!("the model's input would be {input:?}; expected sides of 1 to {most}"),
            ));
        }
        if let InputRecipe::Speech(recipe) = &self.input {
            for (what, numbers) in [("means", &recipe.mean), ("deviations", &recipe.deviation)] {
                if !(numbers.is_empty() || numbers.len() == input[1]) || numbers.iter().any(|v| !v.is_finite()) {
                    return Err(Error::new(
                        ErrorKind::Model,
                        format!("the recipe has {} {what}; expected {} finite ones, or none", numbers.len(), input[1]),
                    ));
                }
            }
        }
        match spec::shapes(&self.network, input)?.last() {
            Some(Shape::Row(outputs)) if *outputs == labels.len() => Ok(()),
            Some(shape) => Err(Error::new(
                ErrorKind::Model,
                format!("the network gives {shape}; expected one output for each of the {} labels", labels.len()),
            )),
            None => Err(Error::new(ErrorKind::Model, "the network has no layers")),
        }
    }

    /// Checks that the tensors are the ones that the network needs, and that all numbers are finite.
    ///
    /// # Errors
    /// [`ErrorKind::Model`] for a tensor that is missing, of another shape, or not needed; [`ErrorKind::NotFinite`] for
    /// a number that is not finite.
    pub fn check_tensors(&self, tensors: &Tensors) -> Result<()> {
        let needed = spec::tensors(&self.network, self.input.shape())?;
        for (name, shape) in &needed {
            tensors.shaped(name, shape)?;
        }
        if let Some((name, _)) = tensors.iter().find(|(name, _)| !needed.iter().any(|(other, _)| other == name)) {
            return Err(Error::new(ErrorKind::Model, format!("tensor {name} belongs to no layer of the network")));
        }
        for (name, tensor) in tensors.iter() {
            if !tensor.is_finite() {
                return Err(Error::new(
                    ErrorKind::NotFinite,
                    format!("tensor {name} holds a number that is not finite"),
                ));
            }
        }
        Ok(())
    }
}

/// The numbers of a tensor as they are stored.
#[derive(Debug, Clone, PartialEq)]
pub enum Values {
    /// Single precision.
    F32(Vec<f32>),
    /// Half precision.
    F16(Vec<f16>),
}

/// A tensor: a shape and as many numbers, the last side running fastest.
#[derive(Debug, Clone, PartialEq)]
pub struct Tensor {
    shape: Vec<usize>,
    values: Values,
}

impl Tensor {
    /// The sides.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// The numbers as they are stored.
    pub fn values(&self) -> &Values {
        &self.values
    }

    /// The numbers in single precision.
    pub fn to_f32(&self) -> Vec<f32> {
        match &self.values {
            Values::F32(values) => values.clone(),
            Values::F16(values) => values.to_f32_vec(),
        }
    }

    fn is_finite(&self) -> bool {
        match &self.values {
            Values::F32(values) => values.iter().all(|v| v.is_finite()),
            // all exponent bits set: infinite or not a number
            Values::F16(values) => values.iter().all(|v| v.to_bits() & 0x7c00 != 0x7c00),
        }
    }

    fn dtype(&self) -> Dtype {
        match self.values {
            Values::F32(_) => Dtype::F32,
            Values::F16(_) => Dtype::F16,
        }
    }

    /// The numbers as little-endian bytes.
    fn bytes(&self) -> Vec<u8> {
        match &self.values {
            Values::F32(values) => values.iter().flat_map(|v| v.to_le_bytes()).collect(),
            Values::F16(values) => values.iter().flat_map(|v| v.to_le_bytes()).collect(),
        }
    }
}

/// Tensors by name.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Tensors {
    by_name: BTreeMap<String, Tensor>,
}

impl Tensors {
    /// No tensors.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a tensor in single precision, or replaces the one of that name.
    ///
    /// # Errors
    /// [`ErrorKind::Shape`] when the shape does not hold as many numbers.
    pub fn insert(&mut self, name: impl Into<String>, shape: &[usize], values: Vec<f32>) -> Result<()> {
        self.add(name.into(), shape, values.len(), Values::F32(values))
    }

    /// Adds a tensor in half precision (each number rounded to the nearest), or replaces the one of that name. A number
    /// beyond the range of f16 becomes infinite, which [`write`] refuses.
    ///
    /// # Errors
    /// [`ErrorKind::Shape`] when the shape does not hold as many numbers.
    pub fn insert_half(&mut self, name: impl Into<String>, shape: &[usize], values: &[f32]) -> Result<()> {
        let halves = values.iter().map(|&v| f16::from_f32(v)).collect();
        self.add(name.into(), shape, values.len(), Values::F16(halves))
    }

    fn add(&mut self, name: String, shape: &[usize], count: usize, values: Values) -> Result<()> {
        if shape.iter().try_fold(1usize, |product, &side| product.checked_mul(side)) != Some(count) {
            return Err(Error::new(
                ErrorKind::Shape,
                format!("tensor {name} of shape {shape:?} does not hold {count} numbers"),
            ));
        }
        self.by_name.insert(name, Tensor { shape: shape.to_vec(), values });
        Ok(())
    }

    /// The tensor of that name.
    pub fn get(&self, name: &str) -> Option<&Tensor> {
        self.by_name.get(name)
    }

    /// The tensor of that name and shape.
    ///
    /// # Errors
    /// [`ErrorKind::Model`] when there is none, or its shape is another.
    pub fn shaped(&self, name: &str, shape: &[usize]) -> Result<&Tensor> {
        match self.get(name) {
            Some(tensor) if tensor.shape == shape => Ok(tensor),
            Some(tensor) => Err(Error::new(
                ErrorKind::Model,
                format!("tensor {name} is {:?}; the network needs {shape:?}", tensor.shape),
            )),
            None => Err(Error::new(ErrorKind::Model, format!("tensor {name} {shape:?} is missing"))),
        }
    }

    /// All tensors, in order of name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Tensor)> {
        self.by_name.iter().map(|(name, tensor)| (name.as_str(), tensor))
    }

    /// How many tensors there are.
    pub fn len(&self) -> usize {
        self.by_name.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.by_name.is_empty()
    }
}

/// Reads a model file and checks it: version, hash, network, tensors. Needs memory in proportion to the file only.
///
/// # Errors
/// [`ErrorKind::Model`] when the bytes are truncated, altered or no model file; [`ErrorKind::Version`] when the file is of
/// a newer format; [`ErrorKind::Shape`] when the layers do not fit each other; [`ErrorKind::NotFinite`] when a weight is
/// not finite.
pub fn read(bytes: &[u8]) -> Result<(Header, Tensors)> {
    let broken =
        |what: &str| Error::new(ErrorKind::Model, format!("not a whole model file ({} bytes): {what}", bytes.len()));
    let (_, metadata) = SafeTensors::read_metadata(bytes).map_err(|error| {
        broken(&format!("{}; the file is truncated, altered, or of another kind", reason(&error))).with_source(error)
    })?;
    let json = metadata
        .metadata()
        .as_ref()
        .and_then(|entries| entries.get("demeanor"))
        .ok_or_else(|| broken("its metadata has no entry \"demeanor\"; it is of another program"))?;
    // the version first: the header of a newer format may not be readable at all
    #[derive(Deserialize)]
    struct Version {
        format: u32,
    }
    let version: Version = serde_json::from_str(json)
        .map_err(|error| broken("its header has no readable format version").with_source(error))?;
    check_version(version.format)?;
    let header: Header = serde_json::from_str(json)
        .map_err(|error| broken(&format!("its header cannot be read: {error}")).with_source(error))?;

    let file = SafeTensors::deserialize(bytes).map_err(|error| broken(&reason(&error)).with_source(error))?;
    let mut tensors = Tensors::new();
    for (name, view) in file.iter() {
        let data = view.data();
        let values = match view.dtype() {
            Dtype::F32 => {
                Values::F32(data.as_chunks().0.iter().map(|&chunk: &[u8; 4]| f32::from_le_bytes(chunk)).collect())
            }
            Dtype::F16 => {
                Values::F16(data.as_chunks().0.iter().map(|&chunk: &[u8; 2]| f16::from_le_bytes(chunk)).collect())
            }
            other => return Err(broken(&format!("tensor {name} is of type {other:?}; expected F32 or F16"))),
        };
        let count = match &values {
            Values::F32(values) => values.len(),
            Values::F16(values) => values.len(),
        };
        if count > MAX_VALUES {
            return Err(broken(&format!("tensor {name} holds {count} numbers; expected at most {MAX_VALUES}")));
        }
        tensors.add(name.to_string(), view.shape(), count, values)?;
    }
    let found = hash(&header, &tensors)?;
    if found != header.sha256 {
        return Err(broken(&format!(
            "its contents were altered: their SHA-256 is {found}, and the file says {}; fetch or train it again",
            header.sha256
        )));
    }
    header.check()?;
    header.check_tensors(&tensors)?;
    Ok((header, tensors))
}

/// A model file of a header and tensors; the header's `sha256` is computed here, whatever it is. The same contents give
/// the same bytes.
///
/// # Errors
/// Whatever [`read`] would refuse: [`ErrorKind::Version`], [`ErrorKind::Model`], [`ErrorKind::Shape`] or
/// [`ErrorKind::NotFinite`].
pub fn write(header: &Header, tensors: &Tensors) -> Result<Vec<u8>> {
    header.check()?;
    header.check_tensors(tensors)?;
    let mut header = header.clone();
    header.sha256 = hash(&header, tensors)?;
    let failed = |what: &str| Error::new(ErrorKind::Model, format!("the model file cannot be written: {what}"));
    let json = serde_json::to_string(&header).map_err(|error| failed("its header").with_source(error))?;
    let bytes: Vec<(&str, &Tensor, Vec<u8>)> =
        tensors.iter().map(|(name, tensor)| (name, tensor, tensor.bytes())).collect();
    let mut views = Vec::with_capacity(bytes.len());
    for (name, tensor, bytes) in &bytes {
        let view = TensorView::new(tensor.dtype(), tensor.shape.clone(), bytes)
            .map_err(|error| failed(&format!("tensor {name}")).with_source(error))?;
        views.push((*name, view));
    }
    safetensors::serialize(views, Some(HashMap::from([("demeanor".to_string(), json)])))
        .map_err(|error| failed("its tensors").with_source(error))
}

fn check_version(format: u32) -> Result<()> {
    match format {
        FORMAT => Ok(()),
        newer if newer > FORMAT => Err(Error::new(
            ErrorKind::Version,
            format!(
                "the model file is of format {newer}, and this program reads format {FORMAT}; \
                 use a newer version of demeanor, or a model made for this one"
            ),
        )),
        older => Err(Error::new(
            ErrorKind::Version,
            format!("the model file is of format {older}, which does not exist; expected {FORMAT}"),
        )),
    }
}

/// The hash that [`Header::sha256`] describes.
fn hash(header: &Header, tensors: &Tensors) -> Result<String> {
    let bare = Header { sha256: String::new(), ..header.clone() };
    let json = serde_json::to_vec(&bare)
        .map_err(|error| Error::new(ErrorKind::Model, "the header cannot be hashed").with_source(error))?;
    let mut hasher = Sha256::new();
    hasher.update(&json);
    let mut buffer = Vec::with_capacity(1 << 12);
    for (name, tensor) in tensors.iter() {
        hasher.update(format!("{name} {:?} {:?}\n", tensor.dtype(), tensor.shape));
        match &tensor.values {
            Values::F32(values) => {
                for part in values.chunks(1 << 10) {
                    buffer.clear();
                    buffer.extend(part.iter().flat_map(|v| v.to_le_bytes()));
                    hasher.update(&buffer);
                }
            }
            Values::F16(values) => {
                for part in values.chunks(1 << 11) {
                    buffer.clear();
                    buffer.extend(part.iter().flat_map(|v| v.to_le_bytes()));
                    hasher.update(&buffer);
                }
            }
        }
    }
    let mut text = String::with_capacity(64);
    for byte in hasher.finalize() {
        // writing to a string cannot fail
        let _ = write!(text, "{byte:02x}");
    }
    Ok(text)
}

/// Why the container was refused, in words for users.
fn reason(error: &safetensors::SafeTensorError) -> String {
    use safetensors::SafeTensorError as E;
    match error {
        E::HeaderTooSmall => "it is shorter than 8 bytes".to_string(),
        E::InvalidHeaderLength => "it ends inside of its header".to_string(),
        E::HeaderTooLarge => "its first 8 bytes are no length of a header".to_string(),
        E::MetadataIncompleteBuffer => "its length is not what its header says".to_string(),
        other => other.to_string(),
    }
}
