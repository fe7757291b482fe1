//! The models that objects of Python use: built in, by name, or files.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use demeanor::face::detect::HaarSettings;
use demeanor::{BlazeFaceModel, Detector};
use demeanor_models::Sense;
use pyo3::prelude::*;
use sha2::{Digest, Sha256};

use crate::errors::{about, raise};

/// The most bytes that a model file may have.
const MAX_FILE: u64 = 1 << 30;

/// Where a model is from.
#[derive(Clone)]
pub struct Origin {
    /// Its name, or its path.
    pub name: String,
    bytes: Option<&'static [u8]>,
    /// Of a file, when it was loaded.
    hash: Option<String>,
}

impl Origin {
    /// The SHA-256 of the model file, in hexadecimal.
    pub fn hash(&self) -> String {
        self.hash.clone().unwrap_or_else(|| hash(self.bytes.unwrap_or_default()))
    }
}

fn hash(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Loads the file or built-in model that was named, or the newest built-in one.
pub fn load<M>(
    py: Python<'_>,
    sense: Sense,
    named: Option<PathBuf>,
    load: impl FnOnce(&[u8]) -> demeanor::Result<M>,
) -> PyResult<(M, Origin)> {
    let built_in = match &named {
        None => demeanor_models::newest(sense),
        Some(path) if !path.exists() => path.to_str().and_then(demeanor_models::named),
        Some(_) => None,
    };
    if let Some(model) = built_in {
        let origin = Origin { name: model.name.to_owned(), bytes: Some(model.bytes), hash: None };
        return Ok((load(model.bytes).map_err(|e| about(py, Some(model.name), &e))?, origin));
    }
    let Some(path) = named else {
        let message = format!("no {} model is built in; name a model file: model=\"FILE\"", sense.name());
        return Err(raise(py, "ModelError", message));
    };
    let bytes = bytes(py, &path)?;
    // the file may change, or the folder in which the name counts
    let name = std::path::absolute(&path).unwrap_or_else(|_| path.clone()).display().to_string();
    let model = load(&bytes).map_err(|e| about(py, Some(&path.display().to_string()), &e))?;
    Ok((model, Origin { name, bytes: None, hash: Some(hash(&bytes)) }))
}

fn bytes(py: Python<'_>, path: &Path) -> PyResult<Vec<u8>> {
    let shown = path.display();
    if !path.exists() {
        let names: Vec<_> = demeanor_models::all().iter().map(|m| m.name).collect();
        let message =
            format!("there is no model file {shown}, and no built-in model of that name ({})", names.join(", "));
        return Err(raise(py, "ModelError", message));
    }
    let fits = path.is_file() && path.metadata().is_ok_and(|m| m.len() < MAX_FILE);
    if !fits {
        let message = format!("{shown} is no model file; expected a file of less than {} MB", MAX_FILE >> 20);
        return Err(raise(py, "ModelError", message));
    }
    std::fs::read(path).map_err(|e| raise(py, "FileError", format!("cannot read the model file {shown}: {e}")))
}

/// The models that find faces.
#[derive(Clone)]
pub enum Finder {
    /// The network.
    BlazeFace(BlazeFaceModel),
    /// The cascade.
    Haar(HaarSettings),
}

impl Finder {
    /// The detector of this name; a cascade searches by these settings.
    pub fn named(py: Python<'_>, name: &str, haar: HaarSettings) -> PyResult<Finder> {
        match name {
            "haar" => Ok(Finder::Haar(haar)),
            "blazeface" => {
                let Some(built_in) = demeanor_models::detector() else {
                    let message = "no detector model is built in; use detector=\"haar\"".to_owned();
                    return Err(raise(py, "ModelError", message));
                };
                let model = BlazeFaceModel::load(built_in.bytes).map_err(|e| about(py, Some(built_in.name), &e))?;
                Ok(Finder::BlazeFace(model))
            }
            other => {
                let message = format!("detector=\"{other}\" is not known; expected \"blazeface\" or \"haar\"");
                Err(raise(py, "SettingError", message))
            }
        }
    }

    /// A detector with these models.
    pub fn detector(&self) -> demeanor::Result<Detector> {
        match self {
            Finder::BlazeFace(model) => Ok(Detector::blazeface(model)),
            Finder::Haar(settings) => Detector::haar(*settings),
        }
    }
}

/// Refuses a threshold that is no score.
pub fn check_min_score(py: Python<'_>, min_score: f32) -> PyResult<()> {
    if (0.0..=1.0).contains(&min_score) {
        return Ok(());
    }
    Err(raise(py, "SettingError", format!("min_score is {min_score}; expected a number from 0 to 1")))
}

/// Refuses another model than the one that was pickled.
pub fn check_same(py: Python<'_>, origin: &Origin, pickled: &str) -> PyResult<()> {
    let found = origin.hash();
    if found == pickled {
        return Ok(());
    }
    let message = format!(
        "this was pickled with a model {} of SHA-256 {pickled}, and the one here has {found}; use the same version of \
         demeanor, or the same model file, on both sides",
        origin.name
    );
    Err(raise(py, "ModelError", message))
}
