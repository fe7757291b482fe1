//! Colour to grey, row by row: BT.601 luma, the one way in which this program makes a picture grey.

use crate::input::{Frame, PixelLayout};

/// Weights of red, green and blue in luma (0.299, 0.587, 0.114; ITU-R BT.601), in parts of `1 << SHIFT`. OpenCV 4 uses
/// the same integers, so grey pictures are equal to its own bit by bit.
const WEIGHTS: [u32; 3] = [9798, 19235, 3735];
const SHIFT: u32 = 15;

/// Grey values (0 to 255) of row `y` of a frame, from column `from` on, as many as `out` holds.
///
/// What would lie beyond the right edge is left as it was in `out`. `y` must be less than the frame's height.
pub fn row(frame: &Frame<'_>, y: usize, from: usize, out: &mut [u8]) {
    let layout = frame.layout();
    let bytes = frame.row(y).get(from.saturating_mul(layout.bytes())..).unwrap_or(&[]);
    match layout {
        PixelLayout::Grey8 => {
            let n = out.len().min(bytes.len());
            out[..n].copy_from_slice(&bytes[..n]);
        }
        PixelLayout::Rgb8 => weigh(bytes.as_chunks::<3>().0, |&[r, g, b]| luma(r, g, b), out),
        PixelLayout::Bgr8 => weigh(bytes.as_chunks::<3>().0, |&[b, g, r]| luma(r, g, b), out),
        PixelLayout::Rgba8 => weigh(bytes.as_chunks::<4>().0, |&[r, g, b, _]| luma(r, g, b), out),
    }
}

/// Grey values of points at even steps over row `y` of a frame, as many as `out` holds. `y` must be less than the frame's height.
pub(crate) fn points(frame: &Frame<'_>, y: usize, out: &mut [u8]) {
    let (row, count) = (frame.row(y), out.len());
    let bytes = frame.layout().bytes();
    for (i, out) in out.iter_mut().enumerate() {
        let pixel = &row[(2 * i + 1) * frame.width() / (2 * count) * bytes..];
        *out = match frame.layout() {
            PixelLayout::Grey8 => pixel[0],
            PixelLayout::Rgb8 | PixelLayout::Rgba8 => luma(pixel[0], pixel[1], pixel[2]),
            PixelLayout::Bgr8 => luma(pixel[2], pixel[1], pixel[0]),
        };
    }
}

/// Luma (0 to 255) of one pixel, rounded to the nearest.
#[inline]
pub fn luma(r: u8, g: u8, b: u8) -> u8 {
    let sum = u32::from(r) * WEIGHTS[0] + u32::from(g) * WEIGHTS[1] + u32::from(b) * WEIGHTS[2];
    ((sum + (1 << (SHIFT - 1))) >> SHIFT) as u8
}

#[inline]
fn weigh<const N: usize>(pixels: &[[u8; N]], luma: impl Fn(&[u8; N]) -> u8, out: &mut [u8]) {
    for (out, pixel) in out.iter_mut().zip(pixels) {
        *out = luma(pixel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_colours() {
        // cv2.cvtColor(..., cv2.COLOR_RGB2GRAY) of OpenCV 4.14
        for (rgb, grey) in [
            ([0, 0, 0], 0),
            ([255, 255, 255], 255),
            ([255, 0, 0], 76),
            ([0, 255, 0], 150),
            ([0, 0, 255], 29),
            ([12, 34, 56], 30),
            ([200, 100, 50], 124),
            ([1, 2, 3], 2),
        ] {
            assert_eq!(luma(rgb[0], rgb[1], rgb[2]), grey, "{rgb:?}");
        }
    }

    #[test]
    fn every_layout_gives_the_same_grey() {
        let rgb: Vec<[u8; 3]> = (0..5 * 3).map(|i| [i * 7, 255 - i * 11, i * 3]).collect();
        let expected: Vec<u8> = rgb.iter().map(|&[r, g, b]| luma(r, g, b)).collect();
        let as_layout = |layout| -> Vec<u8> {
            let mut data = Vec::new();
            for row in rgb.chunks(5) {
                for &[r, g, b] in row {
                    match layout {
                        PixelLayout::Grey8 => data.push(luma(r, g, b)),
                        PixelLayout::Rgb8 => data.extend([r, g, b]),
                        PixelLayout::Bgr8 => data.extend([b, g, r]),
                        PixelLayout::Rgba8 => data.extend([r, g, b, 9]),
                    }
                }
                data.extend([1, 2]); // the gap between rows
            }
            data
        };
        for layout in [PixelLayout::Grey8, PixelLayout::Rgb8, PixelLayout::Bgr8, PixelLayout::Rgba8] {
            let data = as_layout(layout);
            let frame = Frame::with_stride(&data, 5, 3, 5 * layout.bytes() + 2, layout).unwrap();
            for y in 0..3 {
                let mut out = [0; 5];
                row(&frame, y, 0, &mut out);
                assert_eq!(out, expected[y * 5..][..5], "{layout:?}");
                let mut part = [0; 4];
                row(&frame, y, 3, &mut part);
                assert_eq!(part, [expected[y * 5 + 3], expected[y * 5 + 4], 0, 0], "{layout:?}");
                row(&frame, y, usize::MAX, &mut part);
            }
        }
    }
}
