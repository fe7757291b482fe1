//! Which model a command uses: a file that was named, or the newest built-in one.

use std::borrow::Cow;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use anyhow::{Context, bail};
use demeanor::face::net::FaceModel;
use demeanor::speech::net::SpeechModel;
use demeanor_models::Sense;

/// The most bytes that a model file may have.
const MAX_FILE: u64 = 1 << 30;

/// The bytes of a model: of the file, of the built-in model of that name, or of the newest built-in model of the sense.
///
/// # Errors
/// When the file cannot be read, or nothing is built in.
pub fn bytes(named: Option<&Path>, sense: Sense) -> anyhow::Result<Cow<'static, [u8]>> {
    match named {
        Some(path) => named_bytes(path),
        None => match demeanor_models::newest(sense) {
            Some(model) => Ok(Cow::Borrowed(model.bytes)),
            None => bail!(
                "no {sense} model is built into this program; name a model file with --model FILE, or build the \
                 program with the feature that adds one: --features {sense}",
                sense = sense.name()
            ),
        },
    }
}

/// The bytes of a file, or of a built-in model of that name when there is no such file.
///
/// # Errors
/// When there is neither.
pub fn named_bytes(path: &Path) -> anyhow::Result<Cow<'static, [u8]>> {
    if let Some(model) = path.to_str().and_then(demeanor_models::named)
        && !path.exists()
    {
        return Ok(Cow::Borrowed(model.bytes));
    }
    if let Some(detector) = demeanor_models::detector()
        && path.as_os_str() == detector.name
        && !path.exists()
    {
        return Ok(Cow::Borrowed(detector.bytes));
    }
    let cannot = || format!("cannot read the model file {}", path.display());
    if !path.exists() {
        let names: Vec<_> = demeanor_models::all().iter().map(|m| m.name).collect();
        bail!(
            "cannot read the model file {}: no such file, and no built-in model of that name ({}); older models, and those of the runs of a protocol, \
             are files of the repository, in crates/demeanor-models",
            path.display(),
            names.join(", ")
        );
    }
    if path.is_dir() {
        bail!("{} is a folder; name the model file in it", path.display());
    }
    let mut bytes = Vec::new();
    File::open(path).and_then(|file| file.take(MAX_FILE).read_to_end(&mut bytes)).with_context(cannot)?;
    if bytes.len() as u64 >= MAX_FILE {
        bail!("{} is larger than any model file: over {} MB", path.display(), MAX_FILE >> 20);
    }
    Ok(Cow::Owned(bytes))
}

/// The face model of a command's `--model`.
///
/// # Errors
/// When there is none, or its file is damaged, too new, or for another sense.
pub fn face(named: Option<&Path>) -> anyhow::Result<FaceModel> {
    let bytes = bytes(named, Sense::Face)?;
    FaceModel::load(&bytes).with_context(|| match named {
        Some(path) => format!("cannot use the model {}", path.display()),
        None => "cannot use the built-in face model".to_owned(),
    })
}

/// The speech model of a command's `--model`.
///
/// # Errors
/// When there is none, or its file is damaged, too new, or for another sense.
pub fn speech(named: Option<&Path>) -> anyhow::Result<SpeechModel> {
    let bytes = bytes(named, Sense::Speech)?;
    SpeechModel::load(&bytes).with_context(|| match named {
        Some(path) => format!("cannot use the model {}", path.display()),
        None => "cannot use the built-in speech model".to_owned(),
    })
}
