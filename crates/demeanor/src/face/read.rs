//! Pictures to faces with scores: detection, preparation and network in their order. For frames in time see
//! [`watch`](crate::face::watch).

use crate::emotion::Scores;
use crate::error::Result;
use crate::face::detect::{DetectSettings, Detector};
use crate::face::net::FaceModel;
use crate::face::prepare::FacePreparer;
use crate::input::{Frame, Region};

/// A face and what it reads as.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Face {
    /// Where it is, in pixels of the frame.
    pub region: Region,
    /// What it reads as.
    pub scores: Scores,
}

/// Finds and reads the faces of pictures that have nothing to do with each other.
#[derive(Debug)]
pub struct FaceReader {
    detector: Detector,
    min_face_px: Option<u32>,
    model: FaceModel,
    preparer: FacePreparer,
    regions: Vec<Region>,
}

impl FaceReader {
    /// A reader with a model.
    ///
    /// # Errors
    /// [`Setting`](crate::ErrorKind::Setting) when a setting of the model's recipe is out of its range,
    /// [`Cascade`](crate::ErrorKind::Cascade) when the built-in detector is damaged.
    pub fn new(model: FaceModel) -> Result<Self> {
        let preparer = FacePreparer::new(model.recipe())?;
        Ok(FaceReader { detector: Detector::frontal()?, min_face_px: None, model, preparer, regions: Vec::new() })
    }

    /// The same with another smallest face to look for, in pixels; without it 30, in large pictures a 40th of the shorter
    /// side.
    #[must_use]
    pub fn with_min_face(mut self, pixels: u32) -> Self {
        self.min_face_px = Some(pixels);
        self
    }

    /// The model.
    pub fn model(&self) -> &FaceModel {
        &self.model
    }

    /// The faces of a picture, the largest first.
    ///
    /// # Errors
    /// Those of the detection: [`Setting`](crate::ErrorKind::Setting) when the smallest face is smaller than it can find.
    pub fn read(&mut self, frame: &Frame<'_>) -> Result<Vec<Face>> {
        let shorter = frame.width().min(frame.height()) as u32;
        let min_face_px = self.min_face_px.unwrap_or((shorter / 40).max(30));
        let settings = DetectSettings { min_face_px, ..DetectSettings::default() };
        self.detector.detect(frame, &settings, &mut self.regions)?;
        self.regions.sort_by(|a, b| (b.width * b.height).total_cmp(&(a.width * a.height)));
        let mut faces = Vec::with_capacity(self.regions.len());
        for &region in &self.regions {
            let scores = self.model.read(self.preparer.prepare(frame, Some(&region))?)?;
            faces.push(Face { region, scores });
        }
        Ok(faces)
    }

    /// The faces of many pictures: for each picture as [`FaceReader::read`].
    ///
    /// # Errors
    /// As [`FaceReader::read`], of the first picture that fails.
    pub fn read_all<'a>(&mut self, frames: impl IntoIterator<Item = Frame<'a>>) -> Result<Vec<Vec<Face>>> {
        frames.into_iter().map(|frame| self.read(&frame)).collect()
    }

    /// What a picture reads as that is a face already, such as those of FER-2013: nothing is looked for.
    ///
    /// # Errors
    /// Those of the network.
    pub fn read_whole(&mut self, frame: &Frame<'_>) -> Result<Scores> {
        self.model.read(self.preparer.prepare(frame, None)?)
    }
}
