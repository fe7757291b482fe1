//! The built-in models of `demeanor`. Each has a folder of its own with a card, metrics and the recipe that made it.
//!
//! ```
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let model = demeanor::FaceModel::load(demeanor_models::FACE)?;
//! assert!(model.header().licence.contains("FER-2013"));
//! # Ok(()) }
//! ```
//!
//! Weights have licences of their own, which come from the data that they were trained on: the header of each model file says
//! it, and LICENSE.md. Without the feature `speech` no weights trained on RAVDESS (CC BY-NC-SA 4.0: no commercial use) are
//! built in.
//!
//! Released weights are never edited: a new model is a new folder, and a new line among those of [`all`]. Older models, and
//! those of the runs of a protocol, are folders of the repository beside these; they are loaded as files.

#![forbid(unsafe_code)]
#![warn(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout, clippy::print_stderr)]

/// What a model reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Sense {
    /// Pictures of faces.
    Face,
    /// Stretches of speech.
    Speech,
}

impl Sense {
    /// The word for it, which is also the name of the Cargo feature that builds its models in.
    pub const fn name(self) -> &'static str {
        match self {
            Sense::Face => "face",
            Sense::Speech => "speech",
        }
    }
}

/// A model that is built into the program.
#[derive(Debug, Clone, Copy)]
pub struct BuiltIn {
    /// Name and version, such as `face-v1`.
    pub name: &'static str,
    /// What it reads.
    pub sense: Sense,
    /// Whether it was made for utterances that are still going on; such a one is used where it is named.
    pub streaming: bool,
    /// The model file.
    pub bytes: &'static [u8],
    /// The model card, in Markdown.
    pub card: &'static str,
    /// What was measured of it, in JSON.
    pub metrics: &'static str,
    /// The training recipe that made it, in TOML.
    pub recipe: &'static str,
}

/// A model that finds faces and is built into the program.
#[derive(Debug, Clone, Copy)]
pub struct BuiltInDetector {
    /// Name and version, such as `blazeface-v1.1`.
    pub name: &'static str,
    /// The model file.
    pub bytes: &'static [u8],
    /// The model card, in Markdown.
    pub card: &'static str,
    /// Whose the weights are, and what was changed.
    pub notice: &'static str,
    /// The text of their licence.
    pub licence: &'static str,
}

// A static, as below: a constant is copied into each crate that asks for it.
#[cfg(feature = "face")]
static DETECTOR: BuiltInDetector = BuiltInDetector {
    name: "blazeface-v1.1",
    bytes: include_bytes!("../blazeface-v1.1/model.safetensors"),
    card: include_str!("../blazeface-v1.1/card.md"),
    notice: include_str!("../blazeface-v1.1/NOTICE"),
    licence: include_str!("../blazeface-v1.1/LICENSE-APACHE"),
};

/// The built-in model that finds faces.
pub fn detector() -> Option<&'static BuiltInDetector> {
    #[cfg(feature = "face")]
    return Some(&DETECTOR);
    #[cfg(not(feature = "face"))]
    None
}

/// The model in a folder of this crate.
#[allow(unused_macros)]
macro_rules! built_in {
    ($sense:ident, $name:literal) => {
        built_in!($sense, $name, false)
    };
    ($sense:ident, $name:literal, $streaming:literal) => {
        BuiltIn {
            name: $name,
            sense: Sense::$sense,
            streaming: $streaming,
            bytes: include_bytes!(concat!("../", $name, "/model.safetensors")),
            card: include_str!(concat!("../", $name, "/card.md")),
            metrics: include_str!(concat!("../", $name, "/metrics.json")),
            recipe: include_str!(concat!("../", $name, "/recipe.toml")),
        }
    };
}

// A static, so that the bytes of each model are in a program once.
static ALL: &[BuiltIn] = &[
    #[cfg(feature = "face")]
    built_in!(Face, "face-v2.1"),
    #[cfg(feature = "speech")]
    built_in!(Speech, "speech-v2"),
    #[cfg(feature = "speech")]
    built_in!(Speech, "speech-v2-stream", true),
];

/// The models that are built in: of each sense the oldest first.
pub fn all() -> &'static [BuiltIn] {
    ALL
}

/// The newest built-in model of a sense that reads a whole: a picture, an utterance.
pub fn newest(sense: Sense) -> Option<&'static BuiltIn> {
    all().iter().rfind(|m| m.sense == sense && !m.streaming)
}

/// The file of the newest built-in face model.
#[cfg(feature = "face")]
pub static FACE: &[u8] = ALL[0].bytes;

/// The file of the newest built-in speech model.
#[cfg(feature = "speech")]
pub static SPEECH: &[u8] = ALL[cfg!(feature = "face") as usize].bytes;

/// The file of the newest built-in face model, where one is built in.
pub fn face() -> Option<&'static [u8]> {
    newest(Sense::Face).map(|m| m.bytes)
}

/// The file of the newest built-in speech model, where one is built in.
pub fn speech() -> Option<&'static [u8]> {
    newest(Sense::Speech).map(|m| m.bytes)
}

/// The built-in model of this name.
pub fn named(name: &str) -> Option<&'static BuiltIn> {
    all().iter().find(|m| m.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_models_are_named() {
        #[cfg(feature = "face")]
        assert!(std::ptr::eq(FACE, face().unwrap()));
        #[cfg(feature = "speech")]
        assert!(std::ptr::eq(SPEECH, speech().unwrap()));
        assert!(all().iter().all(|model| named(model.name).is_some_and(|m| std::ptr::eq(m, model))));
    }
}
