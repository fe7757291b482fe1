//! BlazeFace: a small convolutional network that gives boxes and six landmarks (Bazarevsky et al. 2019, arXiv:1907.05047).
//!
//! The weights are those of MediaPipe, converted; a model file of the project's container holds them, with how the layers
//! follow each other. The network is convolutional throughout, so it looks at a picture of any size at once: 128x128 is what
//! it was trained with, and a larger one gives what many overlapping squares of that size would.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::rejection::{self, LOOKS, Rejection};
use crate::error::{Error, ErrorKind, Result};
use crate::model::{self, Tensors};
use crate::simd::depthwise::{Picture, PixelMap, Pointwise, Separable, Stem};
use crate::simd::{Aligned, Isa};

/// Numbers of a box: middle, width and height, then six landmarks of two.
const BOX: usize = 16;

/// The kind of model that its header names.
const KIND: &str = "face_detector";

/// The most blocks, channels of a layer and anchors of a place: limits, so that a damaged file cannot ask for all memory.
const MOST: [usize; 3] = [64, 512, 16];

/// Everything in a BlazeFace file that is not weights.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BlazeFaceHeader {
    /// Version of the file format.
    pub format: u32,
    /// `face_detector`.
    pub kind: String,
    /// Name and version of the model, such as `blazeface-v1.1`.
    pub name: String,
    /// How the layers follow each other.
    pub layout: BlazeFaceLayout,
    /// The licence of the weights.
    pub licence: String,
    /// Where the weights are from.
    pub source: String,
    /// SHA-256 as in [`Header::sha256`](crate::model::Header::sha256).
    pub sha256: String,
}

/// How the layers of a BlazeFace follow each other: a 5x5 convolution at stride 2, blocks, and heads.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BlazeFaceLayout {
    /// Side of the square picture that the network was trained with.
    pub size: usize,
    /// Channels after the first convolution.
    pub stem: usize,
    /// The depthwise-separable blocks.
    pub blocks: Vec<BlazeFaceBlock>,
    /// What gives scores and boxes, in the order of the output.
    pub heads: Vec<BlazeFaceHead>,
    /// Whether there are weights that tell what is no face from several looks at it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub rejection: bool,
}

/// A depthwise-separable block.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BlazeFaceBlock {
    /// Output channels.
    pub channels: usize,
    /// 1 or 2.
    pub stride: usize,
    /// Whether the input is added to the output.
    pub residual: bool,
}

/// A head: scores and boxes for each place of a feature map.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BlazeFaceHead {
    /// The number of the block that it follows.
    pub after: usize,
    /// Anchors at each place.
    pub anchors: usize,
}

/// The weights of a BlazeFace, ready to run and shared by all detectors made of it.
#[derive(Debug, Clone)]
pub struct BlazeFaceModel {
    header: Arc<BlazeFaceHeader>,
    layers: Arc<Layers>,
}

#[derive(Debug)]
struct Layers {
    stem: Stem,
    blocks: Vec<Separable>,
    heads: Vec<Head>,
    rejection: Option<Rejection>,
    /// Pixels of the picture from one place of the smallest map to the next: sides of pictures are multiples of it.
    reach: usize,
}

#[derive(Debug)]
struct Head {
    after: usize,
    anchors: usize,
    /// Pixels of the picture from one place to the next.
    stride: usize,
    score: Pointwise,
    /// `[anchors][16][channels]` and `[anchors][16]`: worked out only where something was found.
    weights: Vec<f32>,
    bias: Vec<f32>,
}

impl BlazeFaceModel {
    /// The model in the bytes of a model file.
    ///
    /// # Errors
    /// [`ErrorKind::Model`] when the bytes are truncated, altered or no model file; [`ErrorKind::Version`] when the file is
    /// of a newer format; [`ErrorKind::Recipe`] when it is a model of another kind; [`ErrorKind::Shape`] when the layers
    /// do not fit each other; [`ErrorKind::NotFinite`] when a weight is not finite.
    pub fn load(bytes: &[u8]) -> Result<Self> {
        Self::load_as(bytes, Isa::active())
    }

    fn load_as(bytes: &[u8], isa: Isa) -> Result<Self> {
        let json = model::header_of(bytes)?;
        if model::kind_of(&json).as_deref() != Some(KIND) {
            return Err(Error::new(
                ErrorKind::Recipe,
                "the model reads emotions or is of an unknown kind; expected one that finds faces",
            ));
        }
        let header: BlazeFaceHeader = serde_json::from_str(&json)
            .map_err(|error| model::broken(bytes, &format!("its header cannot be read: {error}")).with_source(error))?;
        let bare = BlazeFaceHeader { sha256: String::new(), ..header.clone() };
        let tensors = model::tensors_of(bytes, &bare, &header.sha256)?;
        let layers = Layers::new(&header.layout, &tensors, isa)?;
        Ok(BlazeFaceModel { header: Arc::new(header), layers: Arc::new(layers) })
    }

    /// What the model file says of itself.
    pub fn header(&self) -> &BlazeFaceHeader {
        &self.header
    }

    /// Side of the square picture that the network was trained with.
    pub(super) fn size(&self) -> usize {
        self.header.layout.size
    }

    /// The sides of pictures are multiples of this.
    pub(super) fn reach(&self) -> usize {
        self.layers.reach
    }
}

impl Layers {
    fn new(layout: &BlazeFaceLayout, tensors: &Tensors, isa: Isa) -> Result<Layers> {
        let odd = |what: String| Error::new(ErrorKind::Shape, format!("the detector's layers do not fit: {what}"));
        let [most_blocks, most_channels, most_anchors] = MOST;
        let channels_fit = |count: usize| (1..=most_channels).contains(&count);
        let sound = (1..=most_blocks).contains(&layout.blocks.len())
            && (1..=8).contains(&layout.heads.len())
            && channels_fit(layout.stem)
            && layout.blocks.iter().all(|b| channels_fit(b.channels) && (1..=2).contains(&b.stride))
            && layout.heads.iter().all(|h| h.after < layout.blocks.len() && (1..=most_anchors).contains(&h.anchors));
        if !sound {
            return Err(odd(format!("counts, channels, strides or anchors out of range in {layout:?}")));
        }
        let mut used = 0;
        let mut values = |name: String, shape: &[usize]| -> Result<Vec<f32>> {
            used += 1;
            let tensor = tensors.shaped(&name, shape)?;
            if !tensor.is_finite() {
                return Err(Error::new(
                    ErrorKind::NotFinite,
                    format!("tensor {name} holds a number that is not finite"),
                ));
            }
            Ok(tensor.to_f32())
        };
        let stem = Stem::new(
            isa,
            layout.stem,
            &values("stem.weight".into(), &[layout.stem, 3, 5, 5])?,
            &values("stem.bias".into(), &[layout.stem])?,
        );
        let (mut channels, mut stride) = (layout.stem, 2usize);
        let (mut blocks, mut strides) = (Vec::new(), Vec::new());
        for (number, block) in layout.blocks.iter().enumerate() {
            if block.residual && block.channels < channels {
                return Err(odd(format!("block {number} adds {channels} channels to {}", block.channels)));
            }
            stride = stride.saturating_mul(block.stride);
            strides.push(stride);
            let product = Pointwise::new(
                isa,
                channels,
                block.channels,
                &values(format!("{number}.pointwise.weight"), &[block.channels, channels])?,
                &values(format!("{number}.pointwise.bias"), &[block.channels])?,
            );
            blocks.push(Separable::new(
                isa,
                block.stride,
                block.residual,
                &values(format!("{number}.depthwise.weight"), &[channels, 3, 3])?,
                &values(format!("{number}.depthwise.bias"), &[channels])?,
                product,
            ));
            channels = block.channels;
        }
        if stride > 64 || !(16..=1024).contains(&layout.size) || !layout.size.is_multiple_of(stride) {
            return Err(odd(format!("a picture of {0} x {0} is not halved to whole pixels", layout.size)));
        }
        let mut heads = Vec::new();
        for (number, head) in layout.heads.iter().enumerate() {
            let channels = layout.blocks[head.after].channels;
            heads.push(Head {
                after: head.after,
                anchors: head.anchors,
                stride: strides[head.after],
                score: Pointwise::new(
                    isa,
                    channels,
                    head.anchors,
                    &values(format!("heads.{number}.score.weight"), &[head.anchors, channels])?,
                    &values(format!("heads.{number}.score.bias"), &[head.anchors])?,
                ),
                weights: values(format!("heads.{number}.box.weight"), &[head.anchors * BOX, channels])?,
                bias: values(format!("heads.{number}.box.bias"), &[head.anchors * BOX])?,
            });
        }
        // two places at least on each side of the middle of the square
        let mut learnt = None;
        if layout.rejection {
            if layout.size / stride < 4 {
                return Err(odd(format!("a last map of {0} x {0} has no middle to be read", layout.size / stride)));
            }
            let [of_first, of_all] = rejection::counts(channels);
            let first = values("rejection.first.weight".into(), &[of_first])?;
            let least = values("rejection.first.bias".into(), &[1])?;
            let weights = values("rejection.weight".into(), &[of_all])?;
            let bias = values("rejection.bias".into(), &[1])?;
            learnt = Some(Rejection::new((first, least[0]), &weights, bias[0], channels));
        }
        if used != tensors.len() {
            return Err(Error::new(
                ErrorKind::Model,
                format!("the file holds {} tensors, and the layers need {used}", tensors.len()),
            ));
        }
        Ok(Layers { stem, blocks, heads, rejection: learnt, reach: stride })
    }
}

/// What an anchor found: pixels of the network's picture.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Hit {
    /// The output for it, before the sigmoid.
    pub logit: f32,
    /// Middle x and y, width, height, then x and y of the landmarks.
    pub values: [f32; BOX],
}

/// Room for running the network.
#[derive(Debug, Default)]
pub(super) struct Workspace {
    /// What the network looks at: red, green and blue, -1 to 1. It fills it with zeros itself when the size changes.
    pub picture: Picture,
    maps: [PixelMap; 2],
    line: Aligned<f32>,
    scores: Vec<f32>,
    features: Vec<f32>,
}

impl BlazeFaceModel {
    /// What it takes for a face before it has looked.
    pub(super) fn prior(&self) -> f32 {
        self.layers.rejection.as_ref().map_or(0.0, |learnt| learnt.bias)
    }

    /// Whether it has learnt what is no face.
    pub(super) fn rejects(&self) -> bool {
        self.layers.rejection.is_some()
    }

    /// What the look of that number, the last that was run, says for a face in the middle of the square; `logit` is the highest
    /// score there. Over all looks and with [`BlazeFaceModel::prior`] it adds up to a score before the sigmoid. Nothing where
    /// the first look shows that the others are in vain.
    pub(super) fn evidence(&self, room: &mut Workspace, look: usize, logit: f32) -> Option<f32> {
        match &self.layers.rejection {
            None => Some(logit / LOOKS as f32),
            Some(learnt) => {
                let Workspace { maps, features, .. } = room;
                learnt.weigh(look, logit, self.last(maps), features)
            }
        }
    }

    /// Adds what a rejection is learnt from to `to`, as [`BlazeFaceModel::evidence`] reads it.
    pub(super) fn features(&self, room: &Workspace, look: usize, logit: f32, to: &mut Vec<f32>) {
        let channels = self.header.layout.blocks.last().map_or(0, |block| block.channels);
        rejection::features(look, logit, self.last(&room.maps), channels, to);
    }

    /// The map of the last block: each one writes what the one before it did not.
    fn last<'a>(&self, maps: &'a [PixelMap; 2]) -> &'a PixelMap {
        &maps[self.layers.blocks.len() % 2]
    }

    /// Adds to `hits` the anchors of the workspace's picture whose logit is `least` or more.
    ///
    /// # Errors
    /// [`ErrorKind::Shape`] when a side of the picture is no multiple of [`BlazeFaceModel::reach`].
    pub(super) fn run(&self, room: &mut Workspace, least: f32, hits: &mut Vec<Hit>) -> Result<()> {
        let layers = &*self.layers;
        let Workspace { picture, maps, line, scores, .. } = room;
        if !picture.height().is_multiple_of(layers.reach) || !picture.width().is_multiple_of(layers.reach) {
            return Err(Error::new(
                ErrorKind::Shape,
                format!(
                    "a picture of {} x {} for a detector that takes multiples of {}",
                    picture.width(),
                    picture.height(),
                    layers.reach
                ),
            ));
        }
        let [one, other] = maps;
        let (mut x, mut y) = (one, other);
        layers.stem.run(picture, x)?;
        for (number, block) in layers.blocks.iter().enumerate() {
            block.run(x, y, line)?;
            std::mem::swap(&mut x, &mut y);
            for head in layers.heads.iter().filter(|head| head.after == number) {
                head.run(x, least, scores, hits)?;
            }
        }
        Ok(())
    }
}

impl Head {
    fn run(&self, map: &PixelMap, least: f32, scores: &mut Vec<f32>, hits: &mut Vec<Hit>) -> Result<()> {
        let wide = self.score.padded();
        if scores.len() < map.width() * wide {
            scores.resize(map.width() * wide, 0.0);
        }
        for row in 0..map.height() {
            let scores = &mut scores[..map.width() * wide];
            self.score.run_row(map, row, scores)?;
            for (column, scores) in scores.chunks_exact(wide).enumerate() {
                for (anchor, &logit) in scores[..self.anchors].iter().enumerate() {
                    if logit >= least {
                        hits.push(self.hit(map.pixel(row, column), [row, column], anchor, logit));
                    }
                }
            }
        }
        Ok(())
    }

    /// The box of an anchor. All of BlazeFace's anchors are one pixel large and stand in the middle of their place.
    fn hit(&self, pixel: &[f32], [row, column]: [usize; 2], anchor: usize, logit: f32) -> Hit {
        let middle = [column, row].map(|place| (place as f32 + 0.5) * self.stride as f32);
        let channels = self.weights.len() / self.bias.len();
        let values = std::array::from_fn(|i| {
            let number = anchor * BOX + i;
            let weights = &self.weights[number * channels..][..channels];
            let sum = weights.iter().zip(pixel).map(|(w, x)| w * x).sum::<f32>() + self.bias[number];
            // width and height are no places
            if i == 2 || i == 3 { sum } else { sum + middle[i % 2] }
        });
        Hit { logit, values }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use std::path::{Path, PathBuf};

    fn beside(path: &str) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path)
    }

    fn named(name: &str) -> Vec<u8> {
        std::fs::read(beside(&format!("crates/demeanor-models/{name}/model.safetensors"))).unwrap()
    }

    fn file() -> Vec<u8> {
        named("blazeface-v1")
    }

    /// A picture of RGB bytes, and how large it is.
    fn png(path: &Path) -> (Vec<u8>, usize, usize) {
        let mut reader =
            png::Decoder::new(std::io::BufReader::new(std::fs::File::open(path).unwrap())).read_info().unwrap();
        let mut data = vec![0; reader.output_buffer_size().unwrap()];
        let info = reader.next_frame(&mut data).unwrap();
        assert_eq!(info.color_type, png::ColorType::Rgb);
        (data, info.width as usize, info.height as usize)
    }

    /// testdata/detect/blazeface/make_goldens.py: the outputs of the reference runtime.
    #[test]
    fn outputs_are_those_of_the_reference_runtime() {
        let goldens = std::fs::read(beside("testdata/detect/blazeface/goldens.safetensors")).unwrap();
        let goldens = safetensors::SafeTensors::deserialize(&goldens).unwrap();
        let numbers = |name: String| -> Vec<f32> {
            let bytes = goldens.tensor(&name).unwrap().data().to_vec();
            bytes.as_chunks().0.iter().map(|&b| f32::from_le_bytes(b)).collect()
        };
        // a rejection beside them changes none
        let files = [file(), named("blazeface-v1.1")];
        for (bytes, isa) in files.iter().flat_map(|bytes| Isa::available().map(move |isa| (bytes, isa))) {
            let model = BlazeFaceModel::load_as(bytes, isa).unwrap();
            let mut room = Workspace::default();
            for name in ["astronaut", "coffee", "noise"] {
                let (pixels, width, height) = png(&beside(&format!("testdata/detect/blazeface/{name}.png")));
                assert_eq!([width, height], [model.size(); 2]);
                room.picture.shape(height, width);
                for y in 0..height {
                    let row = &pixels[y * width * 3..][..width * 3];
                    let to = room.picture.row_mut(y).iter_mut();
                    to.zip(row).for_each(|(to, &from)| *to = f32::from(from) / 127.5 - 1.0);
                }
                let mut hits = Vec::new();
                model.run(&mut room, f32::NEG_INFINITY, &mut hits).unwrap();
                let scores = numbers(format!("{name}.scores"));
                let boxes = numbers(format!("{name}.boxes"));
                assert_eq!([hits.len(), boxes.len()], [scores.len(), scores.len() * BOX]);
                let mut worst = 0f32;
                for (n, hit) in hits.iter().enumerate() {
                    worst = worst.max((hit.logit - scores[n]).abs());
                    // the reference gives places relative to the anchor
                    let (place, stride) = if n < 512 { (n / 2, 8) } else { ((n - 512) / 6, 16) };
                    let across = 128 / stride;
                    let middle = [place % across, place / across].map(|p| (p as f32 + 0.5) * stride as f32);
                    for i in 0..BOX {
                        let shift = if i == 2 || i == 3 { 0.0 } else { middle[i % 2] };
                        worst = worst.max((hit.values[i] - shift - boxes[n * BOX + i]).abs());
                    }
                }
                println!("{name}, {isa}: {} outputs, largest difference {worst:.2e}", 17 * hits.len());
                assert!(worst < 1e-3, "{name}, {isa}: {worst}");
            }
        }
    }

    #[test]
    fn a_damaged_model_is_refused() {
        let bytes = file();
        for length in (0..bytes.len()).step_by(997) {
            assert_eq!(BlazeFaceModel::load(&bytes[..length]).unwrap_err().kind(), ErrorKind::Model);
        }
        let whole = BlazeFaceModel::load(&bytes).unwrap();
        for place in (0..bytes.len()).step_by(211) {
            let mut altered = bytes.clone();
            altered[place] ^= 4;
            if let Ok(model) = BlazeFaceModel::load(&altered) {
                assert_eq!(model.header(), whole.header(), "byte {place} went unnoticed");
            }
        }
        let emotions = std::fs::read(beside("crates/demeanor-models/face-v1/model.safetensors")).unwrap();
        assert_eq!(BlazeFaceModel::load(&emotions).unwrap_err().kind(), ErrorKind::Recipe);
        let error = crate::face::net::FaceModel::load(&bytes).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Recipe);
        assert!(error.to_string().contains("face_detector"), "{error}");
    }

    #[test]
    fn layouts_without_sense_are_refused() {
        let (bytes, model) = (file(), BlazeFaceModel::load(&file()).unwrap());
        let tensors = model::tensors_of(
            &bytes,
            &BlazeFaceHeader { sha256: String::new(), ..model.header().clone() },
            &model.header().sha256,
        )
        .unwrap();
        let refused = |change: &dyn Fn(&mut BlazeFaceLayout)| {
            let mut layout = model.header().layout.clone();
            change(&mut layout);
            assert!(Layers::new(&layout, &tensors, Isa::active()).is_err(), "{layout:?}");
        };
        refused(&|l| l.blocks.clear());
        refused(&|l| l.heads.clear());
        refused(&|l| l.heads[0].after = 99);
        refused(&|l| l.heads[1].anchors = usize::MAX >> 12);
        refused(&|l| l.stem = 0);
        refused(&|l| l.stem = 8);
        refused(&|l| l.size = 100);
        refused(&|l| l.size = usize::MAX >> 12);
        refused(&|l| l.blocks[3].stride = 3);
        refused(&|l| l.blocks[3].channels = 4);
        refused(&|l| l.blocks[3].channels = usize::MAX);
        refused(&|l| l.blocks.truncate(15));
        refused(&|l| l.blocks.iter_mut().for_each(|b| b.stride = 2));
    }

    #[test]
    fn pictures_of_other_sizes_are_refused_when_they_do_not_fit() {
        let model = BlazeFaceModel::load(&file()).unwrap();
        let mut room = Workspace::default();
        for (height, width, fits) in
            [(128, 128, true), (96, 160, true), (16, 16, true), (100, 128, false), (128, 8, false)]
        {
            room.picture.shape(height, width);
            assert_eq!(model.run(&mut room, 0.0, &mut Vec::new()).is_ok(), fits, "{width} x {height}");
        }
    }
}
