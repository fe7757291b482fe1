//! Which detector a command finds faces with.

use std::path::PathBuf;

use anyhow::{Context, bail};
use clap::ValueEnum;
use demeanor::face::detect::{BlazeFaceModel, Detector, HaarSettings};

use crate::model;

/// A detector by the name of its option.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Name {
    /// A small network: finds faces tilted, turned, dim and small, and their landmarks
    Blazeface,
    /// OpenCV's cascade of Haar features: upright faces in good light, as the paper has it
    Haar,
}

/// Options of all commands that find faces.
#[derive(Debug, Clone, clap::Args)]
pub struct DetectorArgs {
    /// What finds the faces [default: blazeface where it is built in]
    #[arg(long, value_enum, value_name = "NAME")]
    pub detector: Option<Name>,
    /// A model file for blazeface [default: the built-in one]
    #[arg(long, value_name = "FILE")]
    pub detector_model: Option<PathBuf>,
    /// Look for heads that lie on their side or stand on their top too; takes longer
    #[arg(long)]
    pub any_rotation: bool,
}

impl DetectorArgs {
    /// Which detector it is.
    pub fn name(&self) -> Name {
        match self.detector {
            Some(name) => name,
            None if self.detector_model.is_some() || demeanor_models::detector().is_some() => Name::Blazeface,
            None => Name::Haar,
        }
    }

    /// The model of the detector; none for the cascade.
    ///
    /// # Errors
    /// When its model cannot be used, or an option does not fit it.
    pub fn model(&self) -> anyhow::Result<Option<BlazeFaceModel>> {
        if self.name() == Name::Haar {
            if self.detector_model.is_some() || self.any_rotation {
                bail!("--detector haar knows neither --detector-model nor --any-rotation; leave them out");
            }
            return Ok(None);
        }
        let model = match (&self.detector_model, demeanor_models::detector()) {
            (Some(path), _) => {
                let bytes = model::named_bytes(path)?;
                BlazeFaceModel::load(&bytes).with_context(|| format!("cannot use the model {}", path.display()))?
            }
            (None, Some(built_in)) => {
                BlazeFaceModel::load(built_in.bytes).context("cannot use the built-in detector")?
            }
            (None, None) => bail!(
                "no detector model is built into this program; name a file with --detector-model FILE, or use --detector haar"
            ),
        };
        Ok(Some(model))
    }
}

/// The detector of a model; without one the cascade, which searches by these settings.
pub fn of(model: Option<&BlazeFaceModel>, settings: HaarSettings) -> demeanor::Result<Detector> {
    model.map_or_else(|| Detector::haar(settings), |model| Ok(Detector::blazeface(model)))
}
