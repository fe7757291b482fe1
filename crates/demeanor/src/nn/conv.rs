//! Convolution, with what usually follows it done while the numbers are still in registers.
//!
//! Direct, without any copying of the input: a tile of pixels by 16 or 32 output channels is kept in registers, and each
//! input number is multiplied with all weights of its channel. The weights stand in the order in which they are used.

use crate::error::{Error, ErrorKind, Result};
use crate::nn::lanes::{Aligned, Form, LANES, Lanes, Work, padded};
use crate::nn::map::Map;

/// Height and width in pixels of a tile, and its blocks of output channels.
type Tile = (usize, usize);

/// The tiles that are compiled, the largest first. Which of them a form has the registers for is [`Form::blocks`].
const TILES: [Tile; 7] = [(1, 12), (2, 6), (1, 8), (1, 6), (3, 3), (2, 2), (1, 1)];

/// Those of them that are compiled for inputs whose channels do not stand in blocks: each more costs compile time, and
/// such an input is the smallest part of a network.
const FLAT_TILES: [Tile; 4] = [(1, 12), (2, 6), (2, 2), (1, 1)];

/// What a convolution is made of.
pub(crate) struct Parts<'a> {
    /// Output channels.
    pub(crate) out: usize,
    /// Input channels.
    pub(crate) channels: usize,
    pub(crate) kernel: [usize; 2],
    pub(crate) stride: [usize; 2],
    /// Rows and columns of zeros before the first ones; the map must have them.
    pub(crate) before: [usize; 2],
    /// `[out, channels, kernel height, kernel width]`.
    pub(crate) weight: &'a [f32],
    /// `[out]`.
    pub(crate) bias: &'a [f32],
    /// `[out]` each: what follows the ReLU.
    pub(crate) affine: Option<(&'a [f32], &'a [f32])>,
    pub(crate) relu: bool,
    /// Whether the largest of each 2 x 2 pixels is kept.
    pub(crate) pool: bool,
    /// Channels that stand side by side in the input map.
    pub(crate) lanes: usize,
}

/// A convolution ready to run.
#[derive(Debug, Clone)]
pub(crate) struct Convolution {
    form: Form,
    kernel: [usize; 2],
    stride: [usize; 2],
    before: [usize; 2],
    relu: bool,
    pool: bool,
    lanes: usize,
    channels: usize,
    out: usize,
    /// Blocks of output channels in each group but the last.
    together: usize,
    /// `[groups][planes][kernel height][kernel width][channels of the plane][blocks of the group][16]`
    weights: Aligned<f32>,
    bias: Aligned<f32>,
    affine: Option<(Aligned<f32>, Aligned<f32>)>,
}

impl Convolution {
    pub(crate) fn new(form: Form, parts: &Parts<'_>) -> Self {
        let [kh, kw] = parts.kernel;
        let blocks = parts.out.div_ceil(LANES);
        let together = if form.blocks() > 8 { 2 } else { 1 };
        let taps = kh * kw * parts.channels;
        let mut weights = Aligned::zeros(blocks * LANES * taps);
        let mut to = 0;
        for first in (0..blocks).step_by(together) {
            let wide = together.min(blocks - first) * LANES;
            for plane in (0..parts.channels).step_by(parts.lanes) {
                for ky in 0..kh {
                    for kx in 0..kw {
                        for c in plane..parts.channels.min(plane + parts.lanes) {
                            for o in 0..wide.min(parts.out - first * LANES) {
                                let from = (((first * LANES + o) * parts.channels + c) * kh + ky) * kw + kx;
                                weights[to + o] = parts.weight[from];
                            }
                            to += wide;
                        }
                    }
                }
            }
        }
        Convolution {
            form,
            kernel: parts.kernel,
            stride: parts.stride,
            before: parts.before,
            relu: parts.relu,
            pool: parts.pool,
            lanes: parts.lanes,
            channels: parts.channels,
            out: parts.out,
            together,
            weights,
            bias: filled(parts.bias),
            affine: parts.affine.map(|(scale, shift)| (filled(scale), filled(shift))),
        }
    }

    /// Whether the largest of each 2 x 2 pixels is kept.
    pub(crate) fn pools(&self) -> bool {
        self.pool
    }

    /// Fills `y` from `x`; adds `add` and a ReLU when it is given. The border of `x` must hold zeros.
    pub(crate) fn run(&self, x: &Map, y: &mut Map, add: Option<&Map>) -> Result<()> {
        let pooled = if self.pool { 2 } else { 1 };
        let (high, wide) = (y.geometry.height * pooled, y.width * pooled);
        let ([kh, kw], [sh, sw], [top, left]) = (self.kernel, self.stride, self.before);
        let (from, to) = (x.geometry, y.geometry);
        let border = from.border;
        let fits = high > 0
            && wide > 0
            && from.lanes == self.lanes
            && from.channels == self.channels
            && to.lanes == LANES
            && to.channels == self.out
            && border.top >= top
            && border.left >= left
            && (high - 1) * sh + kh <= top + from.height + border.bottom
            && (wide - 1) * sw + kw <= left + x.width + border.right
            && from.size(x.width).is_some_and(|size| size <= x.data.len())
            && to.size(y.width).is_some_and(|size| size <= y.data.len())
            && add.is_none_or(|add| {
                !self.pool
                    && add.geometry.lanes == LANES
                    && add.geometry.channels == self.out
                    && add.geometry.height == to.height
                    && add.width == y.width
                    && add.geometry.size(add.width).is_some_and(|size| size <= add.data.len())
            });
        if !fits {
            return Err(Error::new(ErrorKind::Shape, "a convolution does not fit its feature maps"));
        }
        let blocks = self.out.div_ceil(LANES);
        for first in (0..blocks).step_by(self.together) {
            self.form.run(Sweep { convolution: self, first, x, y: &mut *y, add });
        }
        Ok(())
    }

    /// Numbers of weights before the group that begins with this block.
    fn offset(&self, first: usize) -> usize {
        first * LANES * self.kernel[0] * self.kernel[1] * self.channels
    }
}

fn filled(values: &[f32]) -> Aligned<f32> {
    let mut buffer = Aligned::zeros(padded(values.len()));
    buffer[..values.len()].copy_from_slice(values);
    buffer
}

/// The tile that does a map of this height and width in the least time, of those with a form's registers.
fn tile(high: usize, wide: usize, blocks: usize, together: usize, pool: bool, step: usize) -> Tile {
    let cost = |&(r, c): &Tile| {
        let tiles = high.div_ceil(r) * wide.div_ceil(c);
        // fewer than 8 sums at a time wait for each other; a tile costs about 3 more to begin and end
        tiles * ((r * c * together).max(8) + 3)
    };
    let usable =
        |&(r, c): &Tile| r <= high && c <= wide && r * c * together <= blocks && (!pool || (r == 2 && c % 2 == 0));
    let tiles: &[Tile] = match step {
        0 => &[],
        1 | 2 => &FLAT_TILES,
        _ => &TILES,
    };
    tiles.iter().copied().filter(usable).min_by_key(cost).unwrap_or((1, 1))
}

/// Whether a tile is compiled for a step.
const fn compiled((r, c): Tile, step: usize) -> bool {
    match step {
        0 => false,
        1 | 2 => c == 12 || r * c == 12 || r * c == 4,
        _ => true,
    }
}

/// One group of output channels over the whole map.
struct Sweep<'a> {
    convolution: &'a Convolution,
    first: usize,
    x: &'a Map,
    y: &'a mut Map,
    add: Option<&'a Map>,
}

impl Work for Sweep<'_> {
    #[inline(always)]
    fn work<L: Lanes>(self, lanes: L) {
        let blocks = self.convolution.out.div_ceil(LANES) - self.first;
        if const { L::BLOCKS > 8 } && self.convolution.together.min(blocks) == 2 {
            return self.strided::<L, 2>(lanes);
        }
        self.strided::<L, 1>(lanes);
    }
}

impl Sweep<'_> {
    #[inline(always)]
    fn strided<L: Lanes, const V: usize>(self, lanes: L) {
        match (self.convolution.lanes, self.convolution.stride[1]) {
            (LANES, 1) => self.tiled::<L, V, 16>(lanes),
            (LANES, 2) => self.tiled::<L, V, 32>(lanes),
            (1, 1) => self.tiled::<L, V, 1>(lanes),
            (1, 2) => self.tiled::<L, V, 2>(lanes),
            _ => self.tiled::<L, V, 0>(lanes),
        }
    }

    /// `STEP`: numbers of the input from one output pixel to the next; 0 when it is none of the usual ones.
    #[inline(always)]
    fn tiled<L: Lanes, const V: usize, const STEP: usize>(self, lanes: L) {
        let pool = self.convolution.pool;
        let scale = if pool { 2 } else { 1 };
        let (high, wide) = (self.y.geometry.height * scale, self.y.width * scale);
        macro_rules! tiles {
            ($($r:literal x $c:literal),*) => {
                match tile(high, wide, L::BLOCKS, V, pool, STEP) {
                    // a constant, so that what a form has no registers for is not compiled at all
                    $(($r, $c) if const { $r * $c * V <= L::BLOCKS && compiled(($r, $c), STEP) } => {
                        self.sweep::<L, $r, $c, V, STEP>(lanes)
                    })*
                    _ => self.sweep::<L, 1, 1, V, STEP>(lanes),
                }
            };
        }
        tiles!(1 x 12, 2 x 6, 1 x 8, 1 x 6, 3 x 3, 2 x 2)
    }

    #[inline(always)]
    fn sweep<L: Lanes, const R: usize, const C: usize, const V: usize, const STEP: usize>(self, lanes: L) {
        let (convolution, x, y) = (self.convolution, self.x, self.y);
        let ([kh, kw], [sh, sw], [top, left]) = (convolution.kernel, convolution.stride, convolution.before);
        let pooled = if convolution.pool { 2 } else { 1 };
        let (high, wide) = (y.geometry.height * pooled, y.width * pooled);
        let (pitch, plane) = (x.pitch(), x.plane());
        let across = sw * convolution.lanes;
        let planes = x.geometry.planes();
        let last = convolution.channels - (planes - 1) * convolution.lanes;
        let zero = lanes.splat(0.0);
        let (out_pitch, out_plane) = (y.pitch(), y.plane());
        let border = x.geometry.border;
        let corner = (border.top - top) * pitch + (border.left - left) * convolution.lanes;
        // SAFETY: `Convolution::run` has checked that the last pixel of the last tile reads and writes inside of the
        // maps; `bias`, `scale` and `shift` are padded to whole blocks; a tile is no larger than the map, and the last
        // one in a row or column is moved back so that it ends with it. The weights hold `offset` of all groups.
        unsafe {
            let weights = convolution.weights.as_ptr().add(convolution.offset(self.first));
            let mut bias = [zero; V];
            let mut affine = [(zero, zero); V];
            for v in 0..V {
                bias[v] = lanes.load(convolution.bias.as_ptr().add((self.first + v) * LANES));
                if let Some((scale, shift)) = &convolution.affine {
                    let at = (self.first + v) * LANES;
                    affine[v] = (lanes.load(scale.as_ptr().add(at)), lanes.load(shift.as_ptr().add(at)));
                }
            }
            let has_affine = convolution.affine.is_some();
            let out = y.at(self.first, 0, 0);
            let out = y.data.as_mut_ptr().add(out);
            let mut r = 0;
            while r < high {
                let row = r.min(high - R);
                let mut c = 0;
                while c < wide {
                    let column = c.min(wide - C);
                    let corner = x.data.as_ptr().add(corner + row * sh * pitch + column * across);
                    let mut sums = [[bias; C]; R];
                    let mut w = weights;
                    for p in 0..planes {
                        let channels = if p + 1 == planes { last } else { convolution.lanes };
                        // whole blocks of neighbouring pixels stand in one row of numbers, like their weights
                        let (runs, length) =
                            if channels == convolution.lanes { (1, kw * channels) } else { (kw, channels) };
                        for ky in 0..kh {
                            let line = corner.add(p * plane + ky * pitch);
                            for run in 0..runs {
                                let from = line.add(run * convolution.lanes);
                                for i in 0..length {
                                    let mut weight = [zero; V];
                                    for (v, weight) in weight.iter_mut().enumerate() {
                                        *weight = lanes.load(w.add(v * LANES));
                                    }
                                    w = w.add(V * LANES);
                                    for a in 0..R {
                                        let from = from.add(a * sh * pitch + i);
                                        for b in 0..C {
                                            let value = lanes.splat(*from.add(b * STEP));
                                            for v in 0..V {
                                                sums[a][b][v] = lanes.fma(value, weight[v], sums[a][b][v]);
                                            }
                                        }
                                    }
                                }
                            }
                        }
                    }
                    for a in 0..R {
                        for b in 0..C {
                            for v in 0..V {
                                let sum = &mut sums[a][b][v];
                                if convolution.relu {
                                    *sum = lanes.max(*sum, zero);
                                }
                                if has_affine {
                                    *sum = lanes.fma(*sum, affine[v].0, affine[v].1);
                                }
                            }
                        }
                    }
                    if convolution.pool {
                        if R == 2 && C.is_multiple_of(2) {
                            let to = out.add(row / 2 * out_pitch + column / 2 * LANES);
                            for b in 0..C / 2 {
                                for v in 0..V {
                                    let upper = lanes.max(sums[0][2 * b][v], sums[0][2 * b + 1][v]);
                                    let lower = lanes.max(sums[R - 1][2 * b][v], sums[R - 1][2 * b + 1][v]);
                                    lanes.store(to.add(v * out_plane + b * LANES), lanes.max(upper, lower));
                                }
                            }
                        }
                    } else {
                        if let Some(add) = self.add {
                            let from = add.data.as_ptr().add(add.at(self.first, row, column));
                            let (pitch, plane) = (add.pitch(), add.plane());
                            for a in 0..R {
                                for b in 0..C {
                                    for v in 0..V {
                                        let short = lanes.load(from.add(v * plane + a * pitch + b * LANES));
                                        sums[a][b][v] = lanes.max(lanes.add(sums[a][b][v], short), zero);
                                    }
                                }
                            }
                        }
                        let to = out.add(row * out_pitch + column * LANES);
                        for a in 0..R {
                            for b in 0..C {
                                for v in 0..V {
                                    lanes.store(to.add(v * out_plane + a * out_pitch + b * LANES), sums[a][b][v]);
                                }
                            }
                        }
                    }
                    c += C;
                }
                r += R;
            }
        }
    }
}
