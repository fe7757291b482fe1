//! Direct convolution of numbers in single precision, with what usually follows it done while they are in registers.
//!
//! Nothing of the input is copied: a tile of pixels by 16 or 32 output channels is kept in registers, and each input number
//! is multiplied with all weights of its channel.

use super::LANES;
use super::vector::{Simd, SimdOp};
use crate::error::{Error, ErrorKind, Result};
use crate::nn::conv::Convolution;
use crate::nn::map::Map;

/// Height and width in pixels of a tile, and its blocks of output channels.
type Tile = (usize, usize);

/// The tiles that are compiled, the largest first. Which of them an instruction set has the registers for is `RawSimd::BLOCKS`.
const TILES: [Tile; 7] = [(1, 12), (2, 6), (1, 8), (1, 6), (3, 3), (2, 2), (1, 1)];

/// Those of them that are compiled for inputs whose channels do not stand in blocks: each more costs compile time, and
/// such an input is the smallest part of a network.
const FLAT_TILES: [Tile; 4] = [(1, 12), (2, 6), (2, 2), (1, 1)];

/// Fills `y` from `x`; adds `add` and a ReLU when it is given. The border of `x` must hold zeros.
pub(crate) fn convolve(convolution: &Convolution, x: &Map, y: &mut Map, add: Option<&Map>) -> Result<()> {
    let pooled = if convolution.pool { 2 } else { 1 };
    let (high, wide) = (y.geometry.height * pooled, y.width * pooled);
    let ([kh, kw], [sh, sw], [top, left]) = (convolution.kernel, convolution.stride, convolution.before);
    let (from, to) = (x.geometry, y.geometry);
    let border = from.border;
    let fits = high > 0
        && wide > 0
        && from.lanes == convolution.lanes
        && from.channels == convolution.channels
        && to.lanes == LANES
        && to.channels == convolution.out
        && border.top >= top
        && border.left >= left
        && (high - 1) * sh + kh <= top + from.height + border.bottom
        && (wide - 1) * sw + kw <= left + x.width + border.right
        && from.size(x.width).is_some_and(|size| size <= x.data.len())
        && to.size(y.width).is_some_and(|size| size <= y.data.len())
        && add.is_none_or(|add| {
            !convolution.pool
                && add.geometry.lanes == LANES
                && add.geometry.channels == convolution.out
                && add.geometry.height == to.height
                && add.width == y.width
                && add.geometry.size(add.width).is_some_and(|size| size <= add.data.len())
        });
    if !fits {
        return Err(Error::new(ErrorKind::Shape, "a convolution does not fit its feature maps"));
    }
    let blocks = convolution.out.div_ceil(LANES);
    for first in (0..blocks).step_by(convolution.together) {
        convolution.isa.dispatch(Sweep { convolution, first, x, y: &mut *y, add });
    }
    Ok(())
}

/// The tile that does a map of this height and width in the least time, of those with an instruction set's registers.
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

impl SimdOp for Sweep<'_> {
    type Output = ();

    #[inline(always)]
    fn eval<S: Simd>(self, simd: S) {
        let blocks = self.convolution.out.div_ceil(LANES) - self.first;
        if const { S::BLOCKS > 8 } && self.convolution.together.min(blocks) == 2 {
            return self.strided::<S, 2>(simd);
        }
        self.strided::<S, 1>(simd);
    }
}

impl Sweep<'_> {
    #[inline(always)]
    fn strided<S: Simd, const V: usize>(self, simd: S) {
        match (self.convolution.lanes, self.convolution.stride[1]) {
            (LANES, 1) => self.tiled::<S, V, 16>(simd),
            (LANES, 2) => self.tiled::<S, V, 32>(simd),
            (1, 1) => self.tiled::<S, V, 1>(simd),
            (1, 2) => self.tiled::<S, V, 2>(simd),
            _ => self.tiled::<S, V, 0>(simd),
        }
    }

    /// `STEP`: numbers of the input from one output pixel to the next; 0 when it is none of the usual ones.
    #[inline(always)]
    fn tiled<S: Simd, const V: usize, const STEP: usize>(self, simd: S) {
        let pool = self.convolution.pool;
        let scale = if pool { 2 } else { 1 };
        let (high, wide) = (self.y.geometry.height * scale, self.y.width * scale);
        macro_rules! tiles {
            ($($r:literal x $c:literal),*) => {
                match tile(high, wide, S::BLOCKS, V, pool, STEP) {
                    // a constant, so that what a form has no registers for is not compiled at all
                    $(($r, $c) if const { $r * $c * V <= S::BLOCKS && compiled(($r, $c), STEP) } => {
                        self.sweep::<S, $r, $c, V, STEP>(simd)
                    })*
                    _ => self.sweep::<S, 1, 1, V, STEP>(simd),
                }
            };
        }
        tiles!(1 x 12, 2 x 6, 1 x 8, 1 x 6, 3 x 3, 2 x 2)
    }

    #[inline(always)]
    fn sweep<S: Simd, const R: usize, const C: usize, const V: usize, const STEP: usize>(self, simd: S) {
        let (convolution, x, y) = (self.convolution, self.x, self.y);
        let ([kh, kw], [sh, sw], [top, left]) = (convolution.kernel, convolution.stride, convolution.before);
        let pooled = if convolution.pool { 2 } else { 1 };
        let (high, wide) = (y.geometry.height * pooled, y.width * pooled);
        let (pitch, plane) = (x.pitch(), x.plane());
        let across = sw * convolution.lanes;
        let planes = x.geometry.planes();
        let last = convolution.channels - (planes - 1) * convolution.lanes;
        let zero = simd.splat(0.0);
        let (out_pitch, out_plane) = (y.pitch(), y.plane());
        let border = x.geometry.border;
        let corner = (border.top - top) * pitch + (border.left - left) * convolution.lanes;
        // SAFETY: `convolve` has checked that the last pixel of the last tile reads and writes inside of the
        // maps; `bias`, `scale` and `shift` are padded to whole blocks; a tile is no larger than the map, and the last
        // one in a row or column is moved back so that it ends with it. The weights hold `offset` of all groups.
        unsafe {
            let weights = convolution.weights.as_ptr().add(convolution.offset(self.first));
            let mut bias = [zero; V];
            let mut affine = [(zero, zero); V];
            for v in 0..V {
                bias[v] = simd.read(convolution.bias.as_ptr().add((self.first + v) * LANES));
                if let Some([scale, shift]) = &convolution.affine {
                    let at = (self.first + v) * LANES;
                    affine[v] = (simd.read(scale.as_ptr().add(at)), simd.read(shift.as_ptr().add(at)));
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
                                        *weight = simd.read(w.add(v * LANES));
                                    }
                                    w = w.add(V * LANES);
                                    for a in 0..R {
                                        let from = from.add(a * sh * pitch + i);
                                        for b in 0..C {
                                            let value = simd.splat(*from.add(b * STEP));
                                            for v in 0..V {
                                                sums[a][b][v] = simd.fma(value, weight[v], sums[a][b][v]);
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
                                    *sum = simd.max(*sum, zero);
                                }
                                if has_affine {
                                    *sum = simd.fma(*sum, affine[v].0, affine[v].1);
                                }
                            }
                        }
                    }
                    if convolution.pool {
                        if R == 2 && C.is_multiple_of(2) {
                            let to = out.add(row / 2 * out_pitch + column / 2 * LANES);
                            for b in 0..C / 2 {
                                for v in 0..V {
                                    let upper = simd.max(sums[0][2 * b][v], sums[0][2 * b + 1][v]);
                                    let lower = simd.max(sums[R - 1][2 * b][v], sums[R - 1][2 * b + 1][v]);
                                    simd.write(to.add(v * out_plane + b * LANES), simd.max(upper, lower));
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
                                        let short = simd.read(from.add(v * plane + a * pitch + b * LANES));
                                        sums[a][b][v] = simd.max(simd.add(sums[a][b][v], short), zero);
                                    }
                                }
                            }
                        }
                        let to = out.add(row * out_pitch + column * LANES);
                        for a in 0..R {
                            for b in 0..C {
                                for v in 0..V {
                                    simd.write(to.add(v * out_plane + a * out_pitch + b * LANES), sums[a][b][v]);
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
