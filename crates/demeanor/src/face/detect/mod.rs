//! Where faces are in a frame.
//!
//! [`Detector`] is either of two: [`BlazeFace`], a small network that finds faces tilted, turned, dim and small, and
//! [`HaarDetector`], a Viola-Jones cascade that finds what OpenCV's finds. `docs/detector.md` compares them.

mod blazeface;
pub(crate) mod cascade;
mod group;
mod haar;
mod level;
mod rejection;
mod search;

pub use blazeface::{BlazeFaceBlock, BlazeFaceHead, BlazeFaceHeader, BlazeFaceLayout, BlazeFaceModel};
pub use cascade::Cascade;
pub use haar::{Agreement, HaarDetector, HaarSettings};
pub use search::BlazeFace;

use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::face::track::Window;
use crate::input::{Frame, Region};

/// The most faces that are found in a frame, unless [`Search::max_faces`] says less.
pub const MAX_FACES: usize = 64;

/// A kind of detector. What a box covers differs between them, so what is cropped around it does too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DetectorKind {
    /// The network: boxes from the forehead to the chin, with landmarks.
    BlazeFace,
    /// The cascade: upright faces, boxes of OpenCV's `haarcascade_frontalface_default`.
    #[default]
    Haar,
}

/// Six places in a face, in pixels of the frame: x to the right, y down. Right and left are the person's own.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Landmarks {
    /// Middle of the right eye.
    pub right_eye: [f32; 2],
    /// Middle of the left eye.
    pub left_eye: [f32; 2],
    /// Tip of the nose.
    pub nose: [f32; 2],
    /// Middle of the mouth.
    pub mouth: [f32; 2],
    /// The right ear, where the face ends at that height.
    pub right_ear: [f32; 2],
    /// The left ear.
    pub left_ear: [f32; 2],
}

impl Landmarks {
    /// By how much the head is tilted, in radians: 0 when the eyes are level, more when the head leans clockwise in the
    /// frame.
    pub fn roll(&self) -> f32 {
        let [x, y] = [0, 1].map(|axis| self.left_eye[axis] - self.right_eye[axis]);
        y.atan2(x)
    }

    /// The landmarks with each place changed.
    pub fn map(&self, place: impl Fn([f32; 2]) -> [f32; 2]) -> Landmarks {
        Landmarks {
            right_eye: place(self.right_eye),
            left_eye: place(self.left_eye),
            nose: place(self.nose),
            mouth: place(self.mouth),
            right_ear: place(self.right_ear),
            left_ear: place(self.left_ear),
        }
    }
}

/// A face that was found.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Detection {
    /// Where it is: a square. The network's may reach over the frame's edge.
    pub region: Region,
    /// How sure the detector is, 0 to 1. The network's score; of the cascade's `n` windows that agree, `n / (n + 4)`.
    pub confidence: f32,
    /// Where eyes, nose, mouth and ears are; the cascade knows none.
    pub landmarks: Option<Landmarks>,
    /// Which detector found it.
    pub by: DetectorKind,
}

impl Detection {
    /// A face in a region whose place somebody else knows, as the cascade would give it.
    pub fn of_region(region: Region) -> Detection {
        Detection { region, confidence: 1.0, landmarks: None, by: DetectorKind::Haar }
    }
}

/// What is looked for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Search {
    /// Side of the smallest face, in pixels of the frame; less takes longer. Below 12 (24 for the cascade) it is that.
    pub min_face_px: u32,
    /// Side of the largest face, in pixels of the frame; none for as large as the frame.
    pub max_face_px: Option<u32>,
    /// Whether to look for heads that lie on their side or stand on their top too. The cascade cannot.
    pub any_rotation: bool,
    /// Faces found with less confidence are left out, 0 to 1.
    pub min_confidence: f32,
    /// How many faces are given at most, the surest first; no more than [`MAX_FACES`].
    pub max_faces: usize,
}

impl Default for Search {
    /// For still pictures.
    fn default() -> Self {
        Search { min_face_px: 32, max_face_px: None, any_rotation: false, min_confidence: 0.65, max_faces: MAX_FACES }
    }
}

/// Finds faces. One detector serves frame after frame: it keeps its buffers, and allocates nothing once they have grown to
/// the size of the frames.
#[derive(Debug)]
pub enum Detector {
    /// The network.
    BlazeFace(Box<BlazeFace>),
    /// The cascade, with how it searches; sizes are those of the [`Search`].
    Haar(Box<HaarDetector>, HaarSettings),
}

impl Detector {
    /// A detector that runs the network of a model file.
    pub fn blazeface(model: &BlazeFaceModel) -> Detector {
        Detector::BlazeFace(Box::new(BlazeFace::new(model)))
    }

    /// A detector of upright faces with OpenCV's cascade; `settings` say how it searches.
    ///
    /// # Errors
    /// [`ErrorKind::Cascade`](crate::ErrorKind::Cascade) when the embedded cascade is damaged.
    pub fn haar(settings: HaarSettings) -> Result<Detector> {
        Ok(Detector::Haar(Box::new(HaarDetector::frontal()?), settings))
    }

    /// Which it is.
    pub fn kind(&self) -> DetectorKind {
        match self {
            Detector::BlazeFace(_) => DetectorKind::BlazeFace,
            Detector::Haar(..) => DetectorKind::Haar,
        }
    }

    /// Puts the faces in a frame into `out`, the surest first. What was in `out` is dropped. Whether there were more than
    /// the search's limit.
    ///
    /// # Errors
    /// [`ErrorKind::Setting`](crate::ErrorKind::Setting) when a setting is out of its range.
    pub fn detect(&mut self, frame: &Frame<'_>, search: &Search, out: &mut Vec<Detection>) -> Result<bool> {
        self.detect_within(frame, &Region::whole(frame), search, out)
    }

    /// As [`Detector::detect`], in a part of the frame only; places are in the frame's pixels.
    ///
    /// # Errors
    /// [`ErrorKind::Setting`](crate::ErrorKind::Setting) when a setting is out of its range.
    pub fn detect_within(
        &mut self,
        frame: &Frame<'_>,
        area: &Region,
        search: &Search,
        out: &mut Vec<Detection>,
    ) -> Result<bool> {
        out.clear();
        match self {
            Detector::BlazeFace(detector) => detector.search(frame, area, search, out)?,
            Detector::Haar(detector, settings) => {
                let settings =
                    HaarSettings { min_face_px: search.min_face_px, max_face_px: search.max_face_px, ..*settings };
                out.extend(detector.agreements(frame, area, &settings)?.iter().map(|found| {
                    let confidence = found.neighbours as f32 / (found.neighbours as f32 + 4.0);
                    Detection { confidence, ..Detection::of_region(found.region) }
                }));
            }
        }
        let most = search.max_faces.min(MAX_FACES);
        let more = out.len() > most;
        out.truncate(most);
        Ok(more)
    }

    /// As [`Detector::detect`], around where a face is expected. The network looks once, at that place alone.
    ///
    /// # Errors
    /// [`ErrorKind::Setting`](crate::ErrorKind::Setting) when a setting is out of its range.
    pub fn detect_around(
        &mut self,
        frame: &Frame<'_>,
        window: &Window,
        search: &Search,
        out: &mut Vec<Detection>,
    ) -> Result<()> {
        match self {
            Detector::BlazeFace(detector) => {
                out.clear();
                detector.around(frame, window, search, out)
            }
            Detector::Haar(..) => {
                let search = Search {
                    min_face_px: (window.side * 0.75) as u32,
                    max_face_px: Some((window.side * 1.33).ceil() as u32),
                    ..*search
                };
                self.detect_within(frame, &window.area, &search, out).map(|_| ())
            }
        }
    }
}
