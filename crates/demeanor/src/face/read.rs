//! Pictures to faces with scores: detection, preparation and network in their order. For frames in time see
//! [`watch`](crate::face::watch).

use crate::emotion::Scores;
use crate::error::Result;
use crate::face::detect::{Detection, Detector, DetectorKind, HaarSettings, Landmarks, Search};
use crate::face::net::FaceModel;
use crate::face::prepare::FacePreparer;
use crate::input::{Frame, Region};

/// A face and what it reads as.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Face {
    /// Where it is, in pixels of the frame.
    pub region: Region,
    /// How sure the detector is, 0 to 1; none where the picture was read whole.
    pub confidence: Option<f32>,
    /// Eyes, nose, mouth and ears, where the detector gives them.
    pub landmarks: Option<Landmarks>,
    /// How much there was to be read, 0 to 1: [`FaceInput::quality`](crate::face::prepare::FaceInput::quality).
    pub quality: f32,
    /// What it reads as.
    pub scores: Scores,
}

/// Finds and reads the faces of pictures that have nothing to do with each other.
#[derive(Debug)]
pub struct FaceReader {
    detector: Detector,
    search: Search,
    min_face_px: Option<u32>,
    model: FaceModel,
    preparer: FacePreparer,
    found: Vec<Detection>,
    more: bool,
}

impl FaceReader {
    /// A reader with a model. It finds faces with the cascade until it is given [another
    /// detector](FaceReader::with_detector).
    ///
    /// # Errors
    /// [`Setting`](crate::ErrorKind::Setting) when a setting of the model's recipe is out of its range,
    /// [`Cascade`](crate::ErrorKind::Cascade) when the built-in detector is damaged.
    pub fn new(model: FaceModel) -> Result<Self> {
        let preparer = FacePreparer::new(model.recipe())?;
        let detector = Detector::haar(HaarSettings::default())?;
        let (search, found) = (Search::default(), Vec::new());
        Ok(FaceReader { detector, search, min_face_px: None, model, preparer, found, more: false })
    }

    /// The same with another detector.
    #[must_use]
    pub fn with_detector(mut self, detector: Detector) -> Self {
        self.detector = detector;
        self
    }

    /// The same with another smallest face to look for, in pixels; without it 32 (with the cascade 30), in large pictures a
    /// 40th of the shorter side.
    #[must_use]
    pub fn with_min_face(mut self, pixels: u32) -> Self {
        self.min_face_px = Some(pixels);
        self
    }

    /// The same, looking for heads that lie on their side or stand on their top too, or not. The cascade cannot.
    #[must_use]
    pub fn with_any_rotation(mut self, any: bool) -> Self {
        self.search.any_rotation = any;
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
        let usual = if self.detector.kind() == DetectorKind::Haar { 30 } else { self.search.min_face_px };
        let min_face_px = self.min_face_px.unwrap_or((shorter / 40).max(usual));
        self.more = self.detector.detect(frame, &Search { min_face_px, ..self.search }, &mut self.found)?;
        self.found.sort_by(|a, b| (b.region.width * b.region.height).total_cmp(&(a.region.width * a.region.height)));
        let mut faces = Vec::with_capacity(self.found.len());
        for found in &self.found {
            let input = self.preparer.prepare(frame, Some(found))?;
            let quality = input.quality();
            let scores = self.model.read(input)?;
            let Detection { region, confidence, landmarks, .. } = *found;
            faces.push(Face { region, confidence: Some(confidence), landmarks, quality, scores });
        }
        Ok(faces)
    }

    /// Whether the last picture had more faces than are read: the surest [`MAX_FACES`](crate::face::detect::MAX_FACES) were.
    pub fn has_more_faces(&self) -> bool {
        self.more
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
    pub fn read_whole(&mut self, frame: &Frame<'_>) -> Result<Face> {
        let input = self.preparer.prepare(frame, None)?;
        let quality = input.quality();
        let scores = self.model.read(input)?;
        Ok(Face { region: Region::whole(frame), confidence: None, landmarks: None, quality, scores })
    }
}
