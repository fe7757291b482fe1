//! The convolutions that a network of pictures begins with, as products of bfloat16 blocks.
//!
//! Factors are rounded to bfloat16 (8 bits of fraction), as in training; sums are f32. Maps stand in planes of 32
//! channels, so that a pixel of a plane is one cache line and 16 pixels in a row are a tile as they stand. All pictures of a
//! batch are done together, layer by layer, so that weights are fetched from memory once for all of them.

use std::sync::Arc;

use crate::error::Result;
use crate::model::Tensors;
use crate::nn::map::Map;
use crate::nn::spec::{Conv, Layer, MAX_VALUES, Norm};
use crate::simd::block::{BLOCK, Blocks, Left, Right, STEP};
use crate::simd::{Aligned, Bf16, Isa, LANES, Simd, SimdOp, from_bf16, to_bf16};

/// Channels of a plane.
const PLANE: usize = 32;

/// Convolutions and residual blocks ready to run. Each step takes the map of its own number and gives the next one.
#[derive(Debug, Clone)]
pub(crate) struct Trunk {
    isa: Isa,
    side: [usize; 2],
    /// How many pictures there is room for.
    most: usize,
    steps: Vec<Step>,
    maps: Vec<Planes>,
    /// Sums before pooling.
    raw: Planes,
    channels: usize,
}

/// One convolution and what follows it.
#[derive(Debug, Clone)]
struct Step {
    /// A map that is added before a last ReLU.
    add: Option<usize>,
    relu: bool,
    pool: bool,
    kernel: [usize; 2],
    inputs: usize,
    outputs: usize,
    /// `[outputs / 32][planes x taps][2][16 pairs][16 columns][2]`
    weights: Arc<Aligned<Bf16>>,
    bias: Arc<Aligned<f32>>,
    /// Places of the windows' pixels, counted in numbers from that of the result.
    offsets: Vec<isize>,
}

/// Where the pixels of a plane lie; the same for all maps of a height and width.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Geometry {
    height: usize,
    width: usize,
    /// Rows of zeros above the first row; the next picture's serve as those below.
    above: usize,
    /// Columns of zeros before each row; the next row's serve as those behind.
    before: usize,
}

impl Geometry {
    fn pitch(self) -> usize {
        self.width + self.before
    }

    /// Pixels from picture to picture.
    fn picture(self) -> usize {
        (self.height + self.above) * self.pitch()
    }

    /// Pixels that are read, and never written, before the first picture and behind the last.
    fn slack(self) -> usize {
        (self.above + 1) * self.pitch() + self.before + BLOCK
    }

    /// The place of a pixel.
    fn at(self, picture: usize, y: usize, x: usize) -> usize {
        self.slack() + picture * self.picture() + (y + self.above) * self.pitch() + self.before + x
    }

    /// Pixels of a plane of so many pictures.
    fn plane(self, count: usize) -> usize {
        count.saturating_mul(self.picture()).saturating_add(2 * self.slack())
    }
}

/// A map `[planes][pixels][32]`, zeros wherever no picture is.
#[derive(Debug, Clone)]
struct Planes {
    geometry: Geometry,
    planes: usize,
    most: usize,
    data: Aligned<Bf16>,
}

impl Planes {
    fn new(geometry: Geometry, channels: usize, most: usize) -> Self {
        let planes = channels.div_ceil(PLANE);
        Planes { geometry, planes, most, data: Aligned::zeros(planes * geometry.plane(most) * PLANE) }
    }

    /// Numbers from plane to plane.
    fn plane(&self) -> usize {
        self.geometry.plane(self.most) * PLANE
    }
}

impl Trunk {
    /// How many of these layers a trunk can do, for pictures of one channel; the rest is for other kernels.
    pub(crate) fn length(layers: &[Layer]) -> usize {
        let first = matches!(layers.first(), Some(Layer::Conv(conv)) if taps(conv) <= STEP);
        layers.iter().take_while(|layer| first && does(layer)).count()
    }

    /// Whether the maps of these layers (as many as [`Trunk::length`] says) for so many pictures are of a sensible size; each
    /// layer has its own.
    pub(crate) fn fits(layers: &[Layer], [height, width]: [usize; 2], most: usize) -> bool {
        let reach = reach(layers);
        let mut geometry = Geometry { height, width, above: reach[0], before: reach[1] };
        let size =
            |geometry: Geometry, channels: usize| channels.next_multiple_of(PLANE).saturating_mul(geometry.plane(most));
        let mut total = size(geometry, PLANE);
        let convs = layers.iter().flat_map(|layer| match layer {
            Layer::Residual { body, .. } => body.as_slice(),
            conv => std::slice::from_ref(conv),
        });
        for layer in convs {
            let Layer::Conv(conv) = layer else { continue };
            if conv.pool.is_some() {
                total = total.saturating_add(size(geometry, conv.out));
                geometry = Geometry { height: geometry.height / 2, width: geometry.width / 2, ..geometry };
            }
            total = total.saturating_add(size(geometry, conv.out));
        }
        total <= 2 * MAX_VALUES
    }

    /// A trunk of these layers (as many as [`Trunk::length`] says, at least one) for pictures `[1, height, width]`, up to
    /// `most` at a time.
    pub(crate) fn new(
        isa: Isa,
        layers: &[Layer],
        [height, width]: [usize; 2],
        most: usize,
        tensors: &Tensors,
    ) -> Result<Self> {
        let reach = reach(layers);
        let geometry = Geometry { height, width, above: reach[0], before: reach[1] };
        let mut trunk = Trunk {
            isa,
            side: [height, width],
            most,
            steps: Vec::new(),
            maps: vec![Planes::new(geometry, PLANE, most)],
            raw: Planes::new(geometry, 0, most),
            channels: 1,
        };
        trunk.layers(layers, "", None, tensors)?;
        let pooled = trunk.steps.iter().zip(&trunk.maps).filter(|(step, _)| step.pool);
        let largest = pooled.map(|(step, from)| (from.geometry, step.outputs));
        if let Some((geometry, outputs)) = largest.max_by_key(|(geometry, outputs)| geometry.plane(most) * outputs) {
            trunk.raw = Planes::new(geometry, outputs, most);
        }
        Ok(trunk)
    }

    fn layers(&mut self, layers: &[Layer], path: &str, add: Option<usize>, tensors: &Tensors) -> Result<()> {
        for (number, layer) in layers.iter().enumerate() {
            let path = format!("{path}{number}");
            match layer {
                Layer::Conv(conv) => {
                    let add = add.filter(|_| number + 1 == layers.len());
                    let tensor = |name: &str| Ok(tensors.needed(&format!("{path}.{name}"))?.to_f32());
                    self.convolution(conv, &tensor("weight")?, &tensor("bias")?, add);
                }
                Layer::Residual { body, .. } => {
                    let short = self.maps.len() - 1;
                    self.layers(body, &format!("{path}.body."), Some(short), tensors)?;
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn convolution(&mut self, conv: &Conv, weight: &[f32], bias: &[f32], add: Option<usize>) {
        let from = self.maps.len() - 1;
        let geometry = self.maps[from].geometry;
        let [kh, kw] = conv.kernel;
        let (channels, unfolded) = (self.channels, from == 0);
        let inputs = if unfolded { PLANE } else { channels.next_multiple_of(PLANE) };
        let outputs = conv.out.next_multiple_of(BLOCK);
        let taps = if unfolded { 1 } else { kh * kw };
        let mut weights = Aligned::zeros(outputs * inputs * taps);
        let mut to = 0;
        for first in (0..outputs).step_by(BLOCK) {
            for plane in (0..inputs).step_by(PLANE) {
                for tap in 0..taps {
                    for k in 0..STEP {
                        for o in 0..BLOCK.min(conv.out.saturating_sub(first)) {
                            // the numbers of an unfolded pixel are the taps of its window
                            let (c, tap) = if unfolded { (0, k) } else { (plane + k, tap) };
                            if c < channels && tap < kh * kw {
                                let value = weight[((first + o) * channels + c) * kh * kw + tap];
                                weights[to + o / 16 * 512 + k / 2 * 32 + o % 16 * 2 + k % 2] = to_bf16(value);
                            }
                        }
                    }
                    to += STEP * BLOCK;
                }
            }
        }
        let mut padded = Aligned::zeros(outputs);
        padded[..bias.len()].copy_from_slice(bias);
        let mut offsets = Vec::new();
        for plane in 0..inputs / PLANE {
            for tap in 0..taps {
                let (dy, dx) = if unfolded { (0, 0) } else { (tap / kw, tap % kw) };
                let [above, before] = if unfolded { [0, 0] } else { [kh / 2, kw / 2] };
                let pixel = (dy * geometry.pitch() + dx) as isize - (above * geometry.pitch() + before) as isize;
                offsets.push((plane * self.maps[from].plane()) as isize + pixel * PLANE as isize);
            }
        }
        let pool = conv.pool.is_some();
        let scale = if pool { 2 } else { 1 };
        let target = Geometry { height: geometry.height / scale, width: geometry.width / scale, ..geometry };
        self.maps.push(Planes::new(target, outputs, self.most));
        self.channels = conv.out;
        self.steps.push(Step {
            add,
            relu: conv.relu,
            pool,
            kernel: conv.kernel,
            inputs,
            outputs,
            weights: Arc::new(weights),
            bias: Arc::new(padded),
            offsets,
        });
    }

    /// How many pictures it runs at a time.
    pub(crate) fn room(&self) -> usize {
        self.most
    }

    /// Channels, height and width of what [`Trunk::give`] gives.
    pub(crate) fn output(&self) -> [usize; 3] {
        let geometry = self.maps.last().map_or([0, 0], |map| [map.geometry.height, map.geometry.width]);
        [self.channels, geometry[0], geometry[1]]
    }

    /// Runs pictures `[count][height][width]`, as many as there is room for at the most.
    pub(crate) fn run(&mut self, pictures: &[f32], count: usize) {
        self.isa.dispatch(Run { pictures, count: count.min(self.most), trunk: self });
    }

    /// Writes what a picture of the last run came to.
    pub(crate) fn give(&self, picture: usize, to: &mut Map) {
        let Some(from) = self.maps.last() else { return };
        let geometry = from.geometry;
        for b in 0..to.geometry.planes() {
            for y in 0..geometry.height {
                let at = from.plane() * (b * LANES / PLANE) + geometry.at(picture, y, 0) * PLANE + b * LANES % PLANE;
                let row = to.row_mut(b, y);
                for (x, pixel) in row.chunks_exact_mut(LANES).enumerate() {
                    let numbers = &from.data[at + x * PLANE..][..LANES];
                    pixel.iter_mut().zip(numbers).for_each(|(to, &from)| *to = from_bf16(from));
                }
            }
        }
    }
}

/// All steps over some pictures.
struct Run<'a> {
    pictures: &'a [f32],
    count: usize,
    trunk: &'a mut Trunk,
}

impl SimdOp for Run<'_> {
    type Output = ();

    #[inline(always)]
    fn eval<S: Simd>(self, _: S) {
        let Run { pictures, count, trunk } = self;
        let Some(first) = trunk.steps.first() else { return };
        unfold(pictures, trunk.side, count, first.kernel, &mut trunk.maps[0]);
        for (number, step) in trunk.steps.iter().enumerate() {
            let (before, after) = trunk.maps.split_at_mut(number + 1);
            let (from, to) = (&before[number], &mut after[0]);
            if step.pool {
                trunk.raw.geometry = from.geometry;
                trunk.raw.planes = step.outputs / PLANE;
                convolve(trunk.isa, step, from, count, None, &mut trunk.raw);
                pool(&trunk.raw, count, to);
            } else {
                convolve(trunk.isa, step, from, count, step.add.map(|add| &before[add]), to);
            }
        }
    }
}

fn taps(conv: &Conv) -> usize {
    conv.kernel[0] * conv.kernel[1]
}

/// Whether a trunk can do a layer.
fn does(layer: &Layer) -> bool {
    match layer {
        Layer::Conv(conv) => convolves(conv),
        Layer::Residual { body, shortcut: None } => {
            let all = |layer: &Layer| matches!(layer, Layer::Conv(conv) if convolves(conv) && conv.pool.is_none());
            !body.is_empty() && body.iter().all(all)
        }
        _ => false,
    }
}

fn convolves(conv: &Conv) -> bool {
    let pools = match conv.pool {
        None => true,
        // what is pooled is compared as bits, which stand in the order of their numbers where none is negative
        Some(size) => size == [2, 2] && conv.relu,
    };
    pools
        && conv.stride == [1, 1]
        && conv.norm != Norm::AfterRelu
        && !conv.causal
        && conv.kernel.iter().all(|k| k % 2 == 1)
}

/// How far the largest window reaches up and to the left.
fn reach(layers: &[Layer]) -> [usize; 2] {
    layers.iter().fold([0, 0], |[above, before], layer| {
        let [a, b] = match layer {
            Layer::Conv(conv) => conv.kernel.map(|k| k / 2),
            Layer::Residual { body, .. } => reach(body),
            _ => [0, 0],
        };
        [above.max(a), before.max(b)]
    })
}

/// Makes the taps of each window of one-channel pictures the numbers of its pixel.
#[inline(always)]
fn unfold(pictures: &[f32], [height, width]: [usize; 2], count: usize, [kh, kw]: [usize; 2], to: &mut Planes) {
    let geometry = to.geometry;
    for (picture, values) in pictures.chunks_exact(height * width).take(count).enumerate() {
        for y in 0..height {
            for x in 0..width {
                let at = geometry.at(picture, y, x) * PLANE;
                let window = &mut to.data[at..at + PLANE];
                for dy in 0..kh {
                    let Some(row) = (y + dy).checked_sub(kh / 2).filter(|row| *row < height) else {
                        window[dy * kw..][..kw].fill(0);
                        continue;
                    };
                    for dx in 0..kw {
                        let column = (x + dx).checked_sub(kw / 2).filter(|column| *column < width);
                        window[dy * kw + dx] = column.map_or(0, |column| to_bf16(values[row * width + column]));
                    }
                }
            }
        }
    }
}

/// One convolution over all pictures.
#[inline(always)]
fn convolve(isa: Isa, step: &Step, from: &Planes, count: usize, add: Option<&Planes>, to: &mut Planes) {
    let geometry = from.geometry;
    let (first, last) = (geometry.at(0, 0, 0), geometry.at(count - 1, geometry.height - 1, geometry.width - 1));
    let planes = step.inputs / PLANE;
    assert!(from.planes == planes && to.planes * BLOCK == step.outputs && count <= from.most.min(to.most));
    assert!(to.geometry == geometry && add.is_none_or(|add| add.geometry == geometry && add.planes == to.planes));
    // the lowest and the highest pixel that a window of any block may read, in the first and the last plane
    let [above, before] = step.kernel.map(|k| k / 2);
    assert!(first >= above * geometry.pitch() + before);
    assert!(last + BLOCK + above * geometry.pitch() + before <= geometry.plane(from.most));
    assert!(from.data.len() >= planes * from.plane() && step.weights.len() >= step.outputs * step.offsets.len() * STEP);
    let mut sums = Sums([0.0; BLOCK * BLOCK]);
    let mut blocks = Blocks::begin(isa);
    for o in 0..step.outputs / BLOCK {
        let weights = &step.weights[o * step.offsets.len() * STEP * BLOCK..];
        let bias = &step.bias[o * BLOCK..][..BLOCK];
        let plane = o * to.plane();
        let added = add.map(|add| &add.data[o * add.plane()..][..add.plane()]);
        let target = &mut to.data[plane..];
        for pixel in (first..=last).step_by(BLOCK) {
            let left = Left { data: &from.data, start: pixel * PLANE, row: PLANE, steps: &step.offsets };
            let right = Right { data: weights, start: 0, row: 32, step: STEP * BLOCK, second: 512 };
            blocks.multiply(left, right, &mut sums.0, BLOCK, false);
            let pixels = pixel..(pixel + BLOCK).min(last + 1);
            finish(&sums, bias, step.relu, added, geometry, pixels, target);
        }
    }
}

/// The sums of a block of pixels by outputs; begins a cache line.
#[repr(align(64))]
struct Sums([f32; BLOCK * BLOCK]);

/// Adds bias and what else is added, and writes the pixels of a block that are no border.
#[inline(always)]
fn finish(
    sums: &Sums,
    bias: &[f32],
    relu: bool,
    added: Option<&[Bf16]>,
    geometry: Geometry,
    pixels: std::ops::Range<usize>,
    to: &mut [Bf16],
) {
    let (pitch, picture) = (geometry.pitch(), geometry.picture());
    let start = geometry.slack() + geometry.above * pitch + geometry.before;
    let mut x = (pixels.start - start) % picture % pitch;
    let mut y = (pixels.start - start) % picture / pitch;
    let Some(bias) = bias.first_chunk::<BLOCK>() else { return };
    let low = if relu { 0.0 } else { f32::NEG_INFINITY };
    for (pixel, sums) in pixels.zip(sums.0.as_chunks::<BLOCK>().0) {
        if x < geometry.width && y < geometry.height {
            let Some(to) = to[pixel * PLANE..].first_chunk_mut::<PLANE>() else { return };
            match added.and_then(|added| added[pixel * PLANE..].first_chunk::<PLANE>()) {
                None => {
                    for c in 0..PLANE {
                        to[c] = to_bf16((sums[c] + bias[c]).max(low));
                    }
                }
                Some(added) => {
                    for c in 0..PLANE {
                        to[c] = to_bf16(((sums[c] + bias[c]).max(low) + from_bf16(added[c])).max(0.0));
                    }
                }
            }
        }
        x += 1;
        if x == pitch {
            (x, y) = (0, y + 1);
            if y == geometry.height + geometry.above {
                y = 0;
            }
        }
    }
}

/// The largest of each 2 x 2 pixels, none of which is negative; a last odd row or column is left out.
#[inline(always)]
fn pool(from: &Planes, count: usize, to: &mut Planes) {
    let (source, target) = (from.geometry, to.geometry);
    let below = source.pitch() * PLANE;
    for plane in 0..to.planes {
        for picture in 0..count {
            for y in 0..target.height {
                let at = plane * from.plane() + source.at(picture, 2 * y, 0) * PLANE;
                let to_at = plane * to.plane() + target.at(picture, y, 0) * PLANE;
                let row = &mut to.data[to_at..][..target.width * PLANE];
                let upper = &from.data[at..][..2 * target.width * PLANE];
                let lower = &from.data[at + below..][..2 * target.width * PLANE];
                let pairs = upper.as_chunks::<{ 2 * PLANE }>().0.iter().zip(lower.as_chunks::<{ 2 * PLANE }>().0);
                for (to, (upper, lower)) in row.as_chunks_mut::<PLANE>().0.iter_mut().zip(pairs) {
                    for c in 0..PLANE {
                        to[c] = upper[c].max(upper[PLANE + c]).max(lower[c]).max(lower[PLANE + c]);
                    }
                }
            }
        }
    }
}
