//! One warp from a picture of any size and layout to a grey square of the recipe's size.

use demeanor::face::grey;
use demeanor::face::prepare::{FaceRecipe, Scaling, prepare};
use demeanor::{Frame, PixelLayout, Result};

/// Samples on each axis, at most, that an output pixel is the mean of where a picture is made smaller.
const MOST_SAMPLES: usize = 16;

/// What is done to a picture around its centre: it is mirrored, then rotated, scaled and shifted.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Warp {
    /// Whether it is mirrored.
    pub flip: bool,
    /// Rotation counter-clockwise, in radians.
    pub angle: f32,
    /// Shift to the right and down, as parts of the side.
    pub shift: [f32; 2],
    /// Scaling, more than 0.
    pub scale: f32,
}

impl Warp {
    /// Nothing is done.
    pub const NONE: Warp = Warp { flip: false, angle: 0.0, shift: [0.0; 2], scale: 1.0 };

    /// The picture as a grey square of `side` pixels, rows from the top. What is needed from outside the picture is the
    /// nearest edge pixel. A picture that is no square is made one, as the library prepares whole pictures.
    ///
    /// # Errors
    /// Those of the library's preparation.
    pub fn square(&self, frame: &Frame<'_>, side: usize) -> Result<Vec<u8>> {
        let is_square = frame.layout() == PixelLayout::Grey8 && frame.width() == side && frame.height() == side;
        if *self == Warp::NONE {
            if is_square {
                return Ok((0..side).flat_map(|y| frame.row(y)).copied().collect());
            }
            let recipe = FaceRecipe { size: side, scaling: Scaling::Unit, margin: 0.0 };
            let input = prepare(frame, None, &recipe)?;
            return Ok(input.values().iter().map(|v| (v * 255.0).round() as u8).collect());
        }
        let source = Grey::of(frame);
        let mut out = vec![0; side * side];
        if is_square && side > 1 {
            self.same_size(&source.pixels, &mut out, side);
        } else {
            self.any_size(&source, &mut out, side);
        }
        Ok(out)
    }

    /// Steps in the source for a step right and a step down in the output, both in parts of the side.
    fn steps(&self) -> [[f32; 2]; 2] {
        let (sin, cos) = self.angle.sin_cos();
        let mirror = if self.flip { -1.0 } else { 1.0 };
        [[mirror * cos / self.scale, sin / self.scale], [mirror * -sin / self.scale, cos / self.scale]]
    }

    /// Bilinear, in whole numbers of 1/65536 pixels.
    fn same_size(&self, picture: &[u8], out: &mut [u8], side: usize) {
        const ONE: f32 = 65536.0;
        let last = (side as i32 - 1) << 16;
        let centre = (side as f32 - 1.0) / 2.0;
        let shift = self.shift.map(|s| s * side as f32);
        // For each output pixel, its place in the picture: the inverse of what is done.
        let [step_x, step_y] = self.steps();
        let begin = |axis: usize| {
            let from = -centre - shift[0];
            let down = -centre - shift[1];
            centre + from * step_x[axis] + down * step_y[axis]
        };
        let fixed = |v: f32| (v * ONE).round() as i32;
        let (dx, dy) = ([fixed(step_x[0]), fixed(step_x[1])], [step_y[0] * ONE, step_y[1] * ONE]);
        let origin = [begin(0) * ONE, begin(1) * ONE];
        for (y, row) in out.chunks_exact_mut(side).enumerate() {
            let mut at = [(origin[0] + y as f32 * dy[0]).round() as i32, (origin[1] + y as f32 * dy[1]).round() as i32];
            for pixel in row {
                let (sx, sy) = (at[0].clamp(0, last), at[1].clamp(0, last));
                // The last column reads itself with weight 1 as the right neighbour of the one before.
                let (x, y) = ((sx >> 16).min(side as i32 - 2), (sy >> 16).min(side as i32 - 2));
                let (fx, fy) = (((sx - (x << 16)) >> 8) as u32, ((sy - (y << 16)) >> 8) as u32);
                let place = y as usize * side + x as usize;
                let [above, below] =
                    [place, place + side].map(|p| u32::from(picture[p]) * (256 - fx) + u32::from(picture[p + 1]) * fx);
                *pixel = ((above * (256 - fy) + below * fy + (1 << 15)) >> 16) as u8;
                at[0] = at[0].wrapping_add(dx[0]);
                at[1] = at[1].wrapping_add(dx[1]);
            }
        }
    }

    /// The mean of bilinear samples spread evenly over each output pixel, as many as source pixels lie in it.
    fn any_size(&self, source: &Grey, out: &mut [u8], side: usize) {
        let [step_x, step_y] = self.steps();
        let shrink = source.width.max(source.height) as f32 / (side as f32 * self.scale);
        let samples = (shrink.ceil().max(1.0) as usize).min(MOST_SAMPLES);
        let size = [source.width as f32, source.height as f32];
        let fine = (side * samples) as f32;
        let weight = 1.0 / (samples * samples) as f32;
        for (i, pixel) in out.iter_mut().enumerate() {
            let (x, y) = (i % side, i / side);
            let mut sum = 0.0;
            for j in 0..samples * samples {
                // the place of the sample from the centre, in parts of the side
                let right = ((x * samples + j % samples) as f32 + 0.5) / fine - 0.5 - self.shift[0];
                let down = ((y * samples + j / samples) as f32 + 0.5) / fine - 0.5 - self.shift[1];
                let at = |axis: usize| (0.5 + right * step_x[axis] + down * step_y[axis]) * size[axis] - 0.5;
                sum += source.at(at(0), at(1));
            }
            *pixel = (sum * weight).round() as u8;
        }
    }
}

/// A grey picture.
struct Grey {
    width: usize,
    height: usize,
    pixels: Vec<u8>,
}

impl Grey {
    fn of(frame: &Frame<'_>) -> Self {
        let (width, height) = (frame.width(), frame.height());
        let mut pixels = vec![0; width * height];
        for (y, row) in pixels.chunks_exact_mut(width).enumerate() {
            grey::row(frame, y, 0, row);
        }
        Grey { width, height, pixels }
    }

    /// The value at a place between pixels; the edge is repeated.
    fn at(&self, x: f32, y: f32) -> f32 {
        let axis = |at: f32, length: usize| {
            let at = at.clamp(0.0, (length - 1) as f32);
            let first = at as usize;
            (first, (first + 1).min(length - 1), at - first as f32)
        };
        let ((left, right, fx), (above, below, fy)) = (axis(x, self.width), axis(y, self.height));
        let row = |y: usize| {
            let row = &self.pixels[y * self.width..][..self.width];
            let (a, b) = (f32::from(row[left]), f32::from(row[right]));
            a + fx * (b - a)
        };
        let (a, b) = (row(above), row(below));
        a + fy * (b - a)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIDE: usize = 48;

    /// A smooth picture without symmetry.
    fn picture(width: usize, height: usize) -> Vec<u8> {
        let value = |i: usize| {
            let (x, y) = ((i % width) as f32 * 48.0 / width as f32, (i / width) as f32 * 48.0 / height as f32);
            (100.0 + x + 20.0 * (y / 9.0).sin() + 30.0 * (x / 7.0).cos()).clamp(0.0, 255.0) as u8
        };
        (0..width * height).map(value).collect()
    }

    fn warped(warp: Warp, pixels: &[u8], width: usize, height: usize) -> Vec<u8> {
        warp.square(&Frame::new(pixels, width, height, PixelLayout::Grey8).unwrap(), SIDE).unwrap()
    }

    #[test]
    fn a_warp_that_only_mirrors_is_exact_and_its_own_inverse() {
        let source = picture(SIDE, SIDE);
        let flip = Warp { flip: true, ..Warp::NONE };
        let once = warped(flip, &source, SIDE, SIDE);
        for (a, b) in source.chunks_exact(SIDE).zip(once.chunks_exact(SIDE)) {
            assert!(a.iter().rev().eq(b));
        }
        assert_eq!(source, warped(flip, &once, SIDE, SIDE));
        assert_eq!(source, warped(Warp::NONE, &source, SIDE, SIDE));
    }

    #[test]
    fn shifts_and_turns_go_where_they_should() {
        let source = picture(SIDE, SIDE);
        let out = warped(Warp { shift: [3.0 / 48.0, -2.0 / 48.0], ..Warp::NONE }, &source, SIDE, SIDE);
        assert_eq!(out[10 * SIDE + 20], source[12 * SIDE + 17]);
        assert_eq!(out[10 * SIDE], source[12 * SIDE]);
        let out = warped(Warp { angle: std::f32::consts::FRAC_PI_2, ..Warp::NONE }, &source, SIDE, SIDE);
        // Counter-clockwise: what was at the right is at the top.
        for i in 0..SIDE {
            assert!(out[i].abs_diff(source[i * SIDE + SIDE - 1]) <= 1, "{i}");
        }
    }

    /// The same smooth picture, held larger, smaller, or stretched, is the same picture after the same warp.
    #[test]
    fn the_size_of_the_source_does_not_matter() {
        let own = picture(SIDE, SIDE);
        let warp = Warp { flip: true, angle: 0.2, shift: [0.05, -0.08], scale: 1.1 };
        for (width, height) in [(96, 96), (200, 120), (40, 40), (300, 300)] {
            let source = picture(width, height);
            for warp in [Warp::NONE, warp] {
                let (expected, found) = (warped(warp, &own, SIDE, SIDE), warped(warp, &source, width, height));
                let worst = expected.iter().zip(&found).map(|(a, b)| a.abs_diff(*b)).max().unwrap();
                assert!(worst <= 8, "{width}x{height}, {warp:?}: {worst}");
            }
        }
    }

    #[test]
    fn what_is_made_smaller_is_averaged() {
        // a chessboard of single pixels is grey, not black or white
        let pixels: Vec<u8> = (0..192 * 192).map(|i| if (i % 192 + i / 192) % 2 == 0 { 0 } else { 255 }).collect();
        let out = warped(Warp { shift: [0.01, 0.0], ..Warp::NONE }, &pixels, 192, 192);
        assert!(out.iter().all(|v| v.abs_diff(128) < 40), "{out:?}");
        let one = Warp { scale: 2.0, ..Warp::NONE }.square(&Frame::new(&[7], 1, 1, PixelLayout::Grey8).unwrap(), 1);
        assert_eq!(one.unwrap(), [7]);
    }
}
