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

use crate::emotion::{Emotion, Scores};
use crate::error::{Error, ErrorKind, Result};
use crate::face::prepare::FaceRecipe;
use crate::face::view::View;
use crate::nn::spec::{self, Layer, MAX_VALUES, Shape};
use crate::speech::prepare::SpeechRecipe;

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
    /// The views of a face whose logits' mean is the answer: the face as it is where a file names none. Speech has no others.
    #[serde(default = "View::only", skip_serializing_if = "View::are_only")]
    pub views: Vec<View>,
    /// What is added to the logits, by label, so that the frequencies of the training set are no part of the answer (logit
    /// adjustment, Menon et al. 2021): `-power * ln(frequency)`, times the temperature that the logits had before. Empty
    /// where nothing is added.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub prior: Vec<f32>,
    /// What logits (with the prior's biases) are divided by before the softmax, so that scores are calibrated; more than 0.
    pub temperature: f32,
    /// The licence of the weights.
    pub licence: String,
    /// The training recipe (TOML) that made the weights.
    pub recipe: String,
    /// SHA-256, in hexadecimal, of this header as JSON with this field empty, then of each tensor in order of name: its
    /// name, type and shape as a line of text (`0.weight F32 [32, 1, 3, 3]`), then its bytes. [`write()`] sets it.
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
            InputRecipe::Speech(recipe) => [1, recipe.rows(), recipe.max_frames],
        }
    }
}

impl Header {
    /// The header of a model of this name, input, labels and network that says nothing else: it sees a face as it is, its
    /// temperature is 1, licence and recipe are empty. [`write()`] sets the hash.
    pub fn new(name: impl Into<String>, input: InputRecipe, labels: Vec<Emotion>, network: Vec<Layer>) -> Self {
        Header {
            format: FORMAT,
            name: name.into(),
            input,
            labels,
            network,
            views: View::only(),
            prior: Vec::new(),
            temperature: 1.0,
            licence: String::new(),
            recipe: String::new(),
            sha256: String::new(),
        }
    }

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
        let prior = &self.prior;
        if !prior.is_empty() && (prior.len() != labels.len() || prior.iter().any(|bias| !bias.is_finite())) {
            return Err(Error::new(
                ErrorKind::Model,
                format!(
                    "the model's prior is {prior:?}; expected a finite number for each of the {} labels, or none",
                    labels.len()
                ),
            ));
        }
        let recipe = match &self.input {
            InputRecipe::Face(recipe) => recipe.check(),
            InputRecipe::Speech(recipe) => recipe.check(),
        };
        recipe.map_err(|error| {
            Error::new(ErrorKind::Model, format!("the model cannot be used: {error}")).with_source(error)
        })?;
        if matches!(self.input, InputRecipe::Speech(_)) && !View::are_only(&self.views) {
            return Err(Error::new(ErrorKind::Model, "the model reads speech, and speech has no views"));
        }
        View::check(&self.views)
            .map_err(|e| Error::new(ErrorKind::Model, format!("the model cannot be used: {e}")).with_source(e))?;
        let input = self.input.shape();
        match spec::shapes(&self.network, input)?.last() {
            Some(Shape::Row(outputs)) if *outputs == labels.len() => Ok(()),
            Some(shape) => Err(Error::new(
                ErrorKind::Model,
                format!("the network gives {shape}; expected one output for each of the {} labels", labels.len()),
            )),
            None => Err(Error::new(ErrorKind::Model, "the network has no layers")),
        }
    }

    /// Logits with the prior's biases, by label.
    pub fn adjusted<'a>(&'a self, logits: &'a [f32]) -> impl Iterator<Item = f32> + 'a {
        let biases = self.prior.iter().copied().chain(std::iter::repeat(0.0));
        logits.iter().zip(biases).map(|(logit, bias)| if bias == 0.0 { *logit } else { logit + bias })
    }

    /// What the outputs of the network say: the softmax of the logits, with the prior's biases, over the temperature.
    /// Allocates nothing.
    ///
    /// # Errors
    /// [`ErrorKind::Shape`] when there is not one logit for each label; [`ErrorKind::NotFinite`] when one is not finite.
    pub fn scores(&self, logits: &[f32]) -> Result<Scores> {
        let mut sums = [0.0; Emotion::COUNT];
        let Some(sums) = sums.get_mut(..logits.len()) else {
            return Scores::from_logits(&self.labels, logits, self.temperature);
        };
        sums.iter_mut().zip(self.adjusted(logits)).for_each(|(sum, logit)| *sum = logit);
        Scores::from_logits(&self.labels, sums, self.temperature)
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

    pub(crate) fn is_finite(&self) -> bool {
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

    fn stored<'a>(&'a self, name: &'a str, bytes: &'a [u8]) -> Stored<'a> {
        (name, self.dtype(), &self.shape, bytes)
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
    /// beyond the range of f16 becomes infinite, which [`write()`] refuses.
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

    /// The tensor of that name, which a network cannot do without.
    pub(crate) fn needed(&self, name: &str) -> Result<&Tensor> {
        self.get(name).ok_or_else(|| Error::new(ErrorKind::Model, format!("tensor {name} is missing")))
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
    let json = header_of(bytes)?;
    if let Some(kind) = kind_of(&json) {
        return Err(Error::new(
            ErrorKind::Recipe,
            format!("the model is of the kind {kind:?}; expected one that reads an emotion"),
        ));
    }
    let header: Header = serde_json::from_str(&json)
        .map_err(|error| broken(bytes, &format!("its header cannot be read: {error}")).with_source(error))?;
    let bare = Header { sha256: String::new(), ..header.clone() };
    let tensors = tensors_of(bytes, &bare, &header.sha256)?;
    header.check()?;
    header.check_tensors(&tensors)?;
    Ok((header, tensors))
}

pub(crate) fn broken(bytes: &[u8], what: &str) -> Error {
    Error::new(ErrorKind::Model, format!("not a whole model file ({} bytes): {what}", bytes.len()))
}

/// The header of a model file, of whatever kind, as JSON; its version is one that this program reads.
pub(crate) fn header_of(bytes: &[u8]) -> Result<String> {
    let (_, metadata) = SafeTensors::read_metadata(bytes).map_err(|error| {
        broken(bytes, &format!("{}; the file is truncated, altered, or of another kind", reason(&error)))
            .with_source(error)
    })?;
    let json = metadata
        .metadata()
        .as_ref()
        .and_then(|entries| entries.get("demeanor"))
        .ok_or_else(|| broken(bytes, "its metadata has no entry \"demeanor\"; it is of another program"))?;
    // the version first: the header of a newer format may not be readable at all
    #[derive(Deserialize)]
    struct Version {
        format: u32,
    }
    let version: Version = serde_json::from_str(json)
        .map_err(|error| broken(bytes, "its header has no readable format version").with_source(error))?;
    check_version(version.format)?;
    Ok(json.clone())
}

/// The kind of a model that does not read emotions, as its header tells it.
pub(crate) fn kind_of(json: &str) -> Option<String> {
    #[derive(Deserialize)]
    struct Kind {
        kind: String,
    }
    serde_json::from_str(json).ok().map(|Kind { kind }| kind)
}

/// The tensors of a model file whose contents have the SHA-256 that it claims; `bare` is its header without that claim.
pub(crate) fn tensors_of(bytes: &[u8], bare: &impl Serialize, claimed: &str) -> Result<Tensors> {
    let file = SafeTensors::deserialize(bytes).map_err(|error| broken(bytes, &reason(&error)).with_source(error))?;
    let mut views: Vec<(&str, TensorView<'_>)> = file.iter().collect();
    views.sort_by_key(|(name, _)| *name);
    let found = hash(bare, views.iter().map(|(name, view)| (*name, view.dtype(), view.shape(), view.data())))?;
    if found != claimed {
        return Err(broken(
            bytes,
            &format!(
                "its contents were altered: their SHA-256 is {found}, and the file says {claimed}; fetch or train it again"
            ),
        ));
    }
    let mut tensors = Tensors::new();
    for (name, view) in views {
        let data = view.data();
        let (count, values) = match view.dtype() {
            Dtype::F32 => {
                let numbers: Vec<f32> = data.as_chunks().0.iter().map(|&bytes| f32::from_le_bytes(bytes)).collect();
                (numbers.len(), Values::F32(numbers))
            }
            Dtype::F16 => {
                let numbers: Vec<f16> = data.as_chunks().0.iter().map(|&bytes| f16::from_le_bytes(bytes)).collect();
                (numbers.len(), Values::F16(numbers))
            }
            other => return Err(broken(bytes, &format!("tensor {name} is of type {other:?}; expected F32 or F16"))),
        };
        if count > MAX_VALUES {
            return Err(broken(bytes, &format!("tensor {name} holds {count} numbers; expected at most {MAX_VALUES}")));
        }
        tensors.add(name.to_string(), view.shape(), count, values)?;
    }
    Ok(tensors)
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
    let bytes: Vec<(&str, &Tensor, Vec<u8>)> =
        tensors.iter().map(|(name, tensor)| (name, tensor, tensor.bytes())).collect();
    let mut header = header.clone();
    let bare = Header { sha256: String::new(), ..header.clone() };
    header.sha256 = hash(&bare, bytes.iter().map(|(name, tensor, bytes)| tensor.stored(name, bytes)))?;
    let failed = |what: &str| Error::new(ErrorKind::Model, format!("the model file cannot be written: {what}"));
    let json = serde_json::to_string(&header).map_err(|error| failed("its header").with_source(error))?;
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

/// A tensor as it stands in a file: name, type, shape, bytes.
type Stored<'a> = (&'a str, Dtype, &'a [usize], &'a [u8]);

/// The hash that [`Header::sha256`] describes, of a header without it; the tensors in order of name.
fn hash<'a>(bare: &impl Serialize, tensors: impl Iterator<Item = Stored<'a>>) -> Result<String> {
    let json = serde_json::to_vec(bare)
        .map_err(|error| Error::new(ErrorKind::Model, "the header cannot be hashed").with_source(error))?;
    let mut hasher = Sha256::new();
    hasher.update(&json);
    for (name, dtype, shape, bytes) in tensors {
        hasher.update(format!("{name} {dtype:?} {shape:?}\n"));
        hasher.update(bytes);
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::face::prepare::Scaling;
    use crate::nn::spec::{Conv, Dense, Norm};

    fn face() -> (Header, Tensors) {
        let conv = Conv {
            out: 3,
            kernel: [3, 3],
            stride: [1, 1],
            norm: Norm::AfterRelu,
            relu: true,
            pool: None,
            branches: false,
            causal: false,
        };
        let network = vec![Layer::Conv(conv), Layer::GlobalAverage, Layer::Dense(Dense { units: 7, relu: false })];
        let input = InputRecipe::Face(FaceRecipe { size: 8, scaling: Scaling::Unit, margin: 0.1 });
        let header = Header {
            temperature: 1.3,
            licence: "MIT".into(),
            recipe: "epochs = 1".into(),
            ..Header::new("face-test", input, Emotion::FER.to_vec(), network)
        };
        let mut tensors = Tensors::new();
        for (name, shape) in spec::tensors(&header.network, header.input.shape()).unwrap() {
            let values: Vec<f32> = (0..shape.iter().product()).map(|i: usize| i as f32 * 0.25 - 1.0).collect();
            if name.starts_with('2') {
                tensors.insert_half(name, &shape, &values).unwrap();
            } else {
                tensors.insert(name, &shape, values).unwrap();
            }
        }
        (header, tensors)
    }

    /// A file of whatever is given, without any check.
    fn pack(header: &str, tensors: &Tensors) -> Vec<u8> {
        let bytes: Vec<_> = tensors.iter().map(|(name, tensor)| (name, tensor, tensor.bytes())).collect();
        let views = bytes.iter().map(|(name, tensor, bytes)| {
            (*name, TensorView::new(tensor.dtype(), tensor.shape.clone(), bytes).unwrap())
        });
        safetensors::serialize(views, Some(HashMap::from([("demeanor".to_string(), header.to_string())]))).unwrap()
    }

    /// The same with a hash that fits.
    fn pack_fitting(header: &Header, tensors: &Tensors) -> Vec<u8> {
        let bytes: Vec<_> = tensors.iter().map(|(name, tensor)| (name, tensor, tensor.bytes())).collect();
        let bare = Header { sha256: String::new(), ..header.clone() };
        let sha256 = hash(&bare, bytes.iter().map(|(name, tensor, bytes)| tensor.stored(name, bytes))).unwrap();
        let header = Header { sha256, ..header.clone() };
        pack(&serde_json::to_string(&header).unwrap(), tensors)
    }

    fn refused(bytes: &[u8], kind: ErrorKind, words: &str) {
        let error = read(bytes).unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
        assert!(error.to_string().contains(words), "\"{error}\" does not say \"{words}\"");
    }

    #[test]
    fn what_is_written_is_read_and_the_bytes_are_the_same_each_time() {
        let (header, tensors) = face();
        let bytes = write(&header, &tensors).unwrap();
        assert_eq!(bytes, write(&header, &tensors).unwrap());
        let (again, found) = read(&bytes).unwrap();
        assert_eq!(again.sha256.len(), 64);
        assert_eq!(Header { sha256: String::new(), ..again }, header);
        assert_eq!(found, tensors);
        assert!(matches!(found.get("2.weight").unwrap().values(), Values::F16(_)));
    }

    #[test]
    fn a_prior_is_added_before_the_temperature_and_none_changes_nothing() {
        let (header, tensors) = face();
        assert!(!serde_json::to_string(&header).unwrap().contains("prior"), "files without a prior stay as they were");
        let logits = [0.3, -1.0, 2.0, 0.5, 0.0, 1.0, -0.2];
        let plain = header.scores(&logits).unwrap();
        assert_eq!(plain, Scores::from_logits(&header.labels, &logits, header.temperature).unwrap());
        let adjusted = Header { prior: vec![0.0, 4.0, 0.0, 0.0, 0.0, 0.0, 0.0], ..header.clone() };
        let found = adjusted.scores(&logits).unwrap();
        assert_eq!(found.top().0, Emotion::Disgust);
        let ratio = found.of(Emotion::Disgust) / found.of(Emotion::Fear);
        assert!((ratio - (1.0f32 / header.temperature).exp()).abs() < 1e-4, "{ratio}");
        assert!(adjusted.scores(&logits[..6]).is_err());
        let (again, _) = read(&write(&adjusted, &tensors).unwrap()).unwrap();
        assert_eq!(again.prior, adjusted.prior);
        let mut broken = adjusted;
        broken.prior[2] = f32::NAN;
        assert_eq!(broken.check().unwrap_err().kind(), ErrorKind::Model);
    }

    #[test]
    fn a_truncated_file_is_refused_wherever_it_ends() {
        let (header, tensors) = face();
        let bytes = write(&header, &tensors).unwrap();
        for length in 0..bytes.len() {
            refused(&bytes[..length], ErrorKind::Model, "not a whole model file");
        }
        let longer = [&bytes[..], b"x"].concat();
        refused(&longer, ErrorKind::Model, "not a whole model file");
    }

    #[test]
    fn an_altered_byte_is_noticed_or_means_nothing() {
        let (header, tensors) = face();
        let bytes = write(&header, &tensors).unwrap();
        let whole = read(&bytes).unwrap();
        for place in 0..bytes.len() {
            for flip in [1, 0x20, 0x80] {
                let mut altered = bytes.clone();
                altered[place] ^= flip;
                if let Ok(found) = read(&altered) {
                    assert!(found == whole, "byte {place} ^ {flip} went unnoticed");
                }
            }
        }
    }

    #[test]
    fn another_kind_of_file_is_refused() {
        refused(b"", ErrorKind::Model, "shorter than 8 bytes");
        refused(b"a text that is no model at all", ErrorKind::Model, "truncated, altered, or of another kind");
        let (_, tensors) = face();
        let bytes: Vec<_> = tensors.iter().map(|(name, tensor)| (name, tensor, tensor.bytes())).collect();
        let views = bytes.iter().map(|(name, tensor, bytes)| {
            (*name, TensorView::new(tensor.dtype(), tensor.shape.clone(), bytes).unwrap())
        });
        refused(&safetensors::serialize(views, None).unwrap(), ErrorKind::Model, "of another program");
        refused(&pack("{}", &tensors), ErrorKind::Model, "no readable format version");
        refused(&pack("{\"format\": 1}", &tensors), ErrorKind::Model, "header cannot be read");
        let view = TensorView::new(Dtype::I32, vec![2], &[0; 8]).unwrap();
        let mut header = face().0;
        header.sha256 = hash(&header, [("0.weight", Dtype::I32, &[2][..], &[0; 8][..])].into_iter()).unwrap();
        let json = serde_json::to_string(&header).unwrap();
        let other = safetensors::serialize([("0.weight", view)], Some(HashMap::from([("demeanor".to_string(), json)])))
            .unwrap();
        refused(&other, ErrorKind::Model, "expected F32 or F16");
    }

    #[test]
    fn a_newer_format_says_what_to_do() {
        let (_, tensors) = face();
        refused(
            &pack("{\"format\": 2, \"shape\": \"unheard of\"}", &tensors),
            ErrorKind::Version,
            "newer version of demeanor",
        );
        refused(&pack("{\"format\": 0}", &tensors), ErrorKind::Version, "does not exist");
        let (mut header, tensors) = face();
        header.format = FORMAT + 1;
        assert_eq!(write(&header, &tensors).unwrap_err().kind(), ErrorKind::Version);
    }

    #[test]
    fn tensors_that_do_not_fit_the_network_are_refused() {
        let (header, tensors) = face();
        let mut missing = tensors.clone();
        missing.by_name.remove("0.scale");
        refused(&pack_fitting(&header, &missing), ErrorKind::Model, "0.scale [3] is missing");
        let mut another = tensors.clone();
        another.insert("2.bias", &[6], vec![0.0; 6]).unwrap();
        refused(&pack_fitting(&header, &another), ErrorKind::Model, "2.bias is [6]; the network needs [7]");
        let mut more = tensors.clone();
        more.insert("9.weight", &[1], vec![0.0]).unwrap();
        refused(&pack_fitting(&header, &more), ErrorKind::Model, "9.weight belongs to no layer");
        for value in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let mut broken = tensors.clone();
            broken.insert("2.bias", &[7], vec![value; 7]).unwrap();
            refused(&pack_fitting(&header, &broken), ErrorKind::NotFinite, "2.bias");
            broken.insert_half("2.bias", &[7], &[value; 7]).unwrap();
            refused(&pack_fitting(&header, &broken), ErrorKind::NotFinite, "2.bias");
            assert_eq!(write(&header, &broken).unwrap_err().kind(), ErrorKind::NotFinite);
        }
        assert!(Tensors::new().insert("a", &[2, 3], vec![0.0; 5]).is_err());
        assert!(Tensors::new().insert("a", &[usize::MAX, 3], vec![0.0; 5]).is_err());
    }

    #[test]
    fn headers_without_sense_are_refused() {
        let check = |change: &dyn Fn(&mut Header), kind: ErrorKind, words: &str| {
            let (mut header, tensors) = face();
            change(&mut header);
            refused(&pack_fitting(&header, &tensors), kind, words);
            assert_eq!(write(&header, &tensors).unwrap_err().kind(), kind);
        };
        check(&|header| header.labels.truncate(6), ErrorKind::Model, "one output for each of the 6 labels");
        check(&|header| header.labels.clear(), ErrorKind::Model, "labels");
        check(&|header| header.labels[1] = header.labels[0], ErrorKind::Model, "stands twice");
        check(&|header| header.temperature = 0.0, ErrorKind::Model, "temperature");
        check(&|header| header.temperature = -1.0, ErrorKind::Model, "temperature");
        check(&|header| header.prior = vec![0.0; 6], ErrorKind::Model, "prior");
        check(&|header| header.views.clear(), ErrorKind::Model, "0 views");
        check(&|header| header.views[0].part = 0.4, ErrorKind::Model, "expected 0.5 to 1");
        check(&|header| header.network.clear(), ErrorKind::Shape, "no layers");
        check(&|header| header.network.truncate(1), ErrorKind::Model, "one output for each");
        let size = |size| {
            move |header: &mut Header| {
                header.input = InputRecipe::Face(FaceRecipe { size, scaling: Scaling::Unit, margin: 0.0 });
            }
        };
        check(&size(0), ErrorKind::Model, "recipe");
        check(&size(usize::MAX >> 12), ErrorKind::Model, "recipe");
        let units = |units| {
            move |header: &mut Header| {
                header.network.insert(2, Layer::Dense(Dense { units, relu: false }));
            }
        };
        check(&units(usize::MAX), ErrorKind::Shape, "2.weight would be");
        check(&units(0), ErrorKind::Shape, "2.weight would be");
        check(
            &|header| {
                for _ in 0..20 {
                    let body = header.network[..1].to_vec();
                    header.network[0] = Layer::Residual { body, shortcut: None };
                }
            },
            ErrorKind::Shape,
            "deep",
        );
        check(
            &|header| {
                let first = header.network[0].clone();
                header.network = vec![first; 1000];
            },
            ErrorKind::Shape,
            "more than",
        );
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200), header in ".*") {
            let _ = read(&bytes);
            let _ = read(&pack(&header, &Tensors::new()));
            let mut whole = (bytes.len() as u64).to_le_bytes().to_vec();
            whole.extend(&bytes);
            let _ = read(&whole);
        }
    }
}
