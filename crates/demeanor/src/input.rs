//! What comes in: pixels and samples.

use serde::{Deserialize, Serialize};

use crate::error::{Error, ErrorKind, Result};

/// The order of the bytes of a pixel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PixelLayout {
    /// One byte: luma.
    Grey8,
    /// Three bytes: red, green, blue.
    Rgb8,
    /// Three bytes: blue, green, red.
    Bgr8,
    /// Four bytes: red, green, blue, alpha. Alpha is ignored.
    Rgba8,
}

impl PixelLayout {
    /// Bytes per pixel.
    pub const fn bytes(self) -> usize {
        match self {
            PixelLayout::Grey8 => 1,
            PixelLayout::Rgb8 | PixelLayout::Bgr8 => 3,
            PixelLayout::Rgba8 => 4,
        }
    }
}

/// A picture, borrowed: rows from the top, pixels from the left.
#[derive(Debug, Clone, Copy)]
pub struct Frame<'a> {
    data: &'a [u8],
    width: usize,
    height: usize,
    stride: usize,
    layout: PixelLayout,
}

impl<'a> Frame<'a> {
    /// A frame whose rows follow each other without gaps.
    ///
    /// # Errors
    /// [`ErrorKind::Shape`] when a side is 0 or the buffer is shorter than the picture.
    pub fn new(data: &'a [u8], width: usize, height: usize, layout: PixelLayout) -> Result<Self> {
        Self::with_stride(data, width, height, width.saturating_mul(layout.bytes()), layout)
    }

    /// A frame whose rows begin `stride` bytes apart.
    ///
    /// # Errors
    /// [`ErrorKind::Shape`] when a side is 0, the stride is shorter than a row, or the buffer shorter than the picture.
    pub fn with_stride(
        data: &'a [u8],
        width: usize,
        height: usize,
        stride: usize,
        layout: PixelLayout,
    ) -> Result<Self> {
        let row = width.checked_mul(layout.bytes());
        let needed =
            height.checked_sub(1).and_then(|h| h.checked_mul(stride)).zip(row).and_then(|(a, b)| a.checked_add(b));
        match (row, needed) {
            (Some(row), Some(needed)) if width > 0 && height > 0 && stride >= row && data.len() >= needed => {
                Ok(Frame { data, width, height, stride, layout })
            }
            _ => Err(Error::new(
                ErrorKind::Shape,
                format!(
                    "a {width}x{height} {layout:?} frame with rows {stride} bytes apart does not fit a buffer of {} bytes",
                    data.len()
                ),
            )),
        }
    }

    /// A part of the frame: `width` x `height` pixels from column `x` and row `y`. Nothing is copied.
    ///
    /// # Errors
    /// [`ErrorKind::Shape`] when the part is empty or reaches over an edge.
    pub fn part(&self, x: usize, y: usize, width: usize, height: usize) -> Result<Frame<'a>> {
        let fits = |from: usize, length: usize, whole: usize| from.checked_add(length).is_some_and(|end| end <= whole);
        if !fits(x, width, self.width) || !fits(y, height, self.height) {
            return Err(Error::new(
                ErrorKind::Shape,
                format!("{width}x{height} pixels from ({x}, {y}) do not lie in a {}x{} frame", self.width, self.height),
            ));
        }
        let start = y * self.stride + x * self.layout.bytes();
        Frame::with_stride(self.data.get(start..).unwrap_or_default(), width, height, self.stride, self.layout)
    }

    /// Width in pixels, at least 1.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Height in pixels, at least 1.
    pub fn height(&self) -> usize {
        self.height
    }

    /// The order of the bytes of a pixel.
    pub fn layout(&self) -> PixelLayout {
        self.layout
    }

    /// The bytes of row `y`, from the left: width x [`PixelLayout::bytes`]. `y` must be less than the height.
    pub fn row(&self, y: usize) -> &'a [u8] {
        &self.data[y * self.stride..][..self.width * self.layout.bytes()]
    }
}

/// A picture with its pixels, of a size that is known to fit them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Picture {
    pixels: Vec<u8>,
    width: usize,
    height: usize,
    layout: PixelLayout,
}

impl Picture {
    /// A picture whose rows follow each other without gaps: width x height x [`PixelLayout::bytes`] bytes.
    ///
    /// # Errors
    /// [`ErrorKind::Shape`] when a side is 0 or the buffer is of another length.
    pub fn new(pixels: Vec<u8>, width: usize, height: usize, layout: PixelLayout) -> Result<Self> {
        let frame = Frame::new(&pixels, width, height, layout)?;
        let needed = frame.stride * height;
        if pixels.len() != needed {
            return Err(Error::new(
                ErrorKind::Shape,
                format!("a {width}x{height} {layout:?} picture has {needed} bytes, and the buffer {}", pixels.len()),
            ));
        }
        Ok(Picture { pixels, width, height, layout })
    }

    /// The picture as the steps of the library take it. Nothing is copied.
    pub fn frame(&self) -> Frame<'_> {
        let stride = self.width * self.layout.bytes();
        Frame { data: &self.pixels, width: self.width, height: self.height, stride, layout: self.layout }
    }

    /// Width in pixels, at least 1.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Height in pixels, at least 1.
    pub fn height(&self) -> usize {
        self.height
    }

    /// The order of the bytes of a pixel.
    pub fn layout(&self) -> PixelLayout {
        self.layout
    }

    /// All bytes: rows from the top, pixels from the left, without gaps.
    pub fn pixels(&self) -> &[u8] {
        &self.pixels
    }

    /// The same bytes, taken out.
    pub fn into_pixels(self) -> Vec<u8> {
        self.pixels
    }
}

/// A rectangle in a frame, in pixels from the top left corner; it may reach over the frame's edge.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Region {
    /// Left edge.
    pub x: f32,
    /// Top edge.
    pub y: f32,
    /// Width, more than 0.
    pub width: f32,
    /// Height, more than 0.
    pub height: f32,
}

impl Region {
    /// The whole of a frame.
    pub fn whole(frame: &Frame<'_>) -> Self {
        Region { x: 0.0, y: 0.0, width: frame.width() as f32, height: frame.height() as f32 }
    }

    /// The same in pixels of a frame that is `scale` times larger.
    #[must_use]
    pub fn scaled(&self, scale: f32) -> Region {
        Region { x: self.x * scale, y: self.y * scale, width: self.width * scale, height: self.height * scale }
    }

    /// Intersection over union with another region, 0 to 1.
    pub fn iou(&self, other: &Region) -> f32 {
        let w = (self.x + self.width).min(other.x + other.width) - self.x.max(other.x);
        let h = (self.y + self.height).min(other.y + other.height) - self.y.max(other.y);
        if w <= 0.0 || h <= 0.0 {
            return 0.0;
        }
        let both = w * h;
        both / (self.width * self.height + other.width * other.height - both)
    }
}

/// Samples per second.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Hz(pub u32);

/// Sound, borrowed: interleaved samples, full scale at -1 and 1.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Audio<'a> {
    samples: &'a [f32],
    channels: usize,
    rate: Hz,
}

impl<'a> Audio<'a> {
    /// Interleaved samples of one or more channels.
    ///
    /// # Errors
    /// [`ErrorKind::Sound`] when there is no channel, the rate is 0, or the last group of samples is not whole.
    pub fn new(samples: &'a [f32], channels: usize, rate: Hz) -> Result<Self> {
        if channels == 0 || rate.0 == 0 || !samples.len().is_multiple_of(channels) {
            return Err(Error::new(
                ErrorKind::Sound,
                format!("{} samples do not make sound of {channels} channels at {} Hz", samples.len(), rate.0),
            ));
        }
        Ok(Audio { samples, channels, rate })
    }

    /// Sound of one channel, of a rate that is known to be more than 0.
    pub(crate) const fn mono(samples: &'a [f32], rate: Hz) -> Self {
        Audio { samples, channels: 1, rate }
    }

    /// The interleaved samples.
    pub fn samples(&self) -> &'a [f32] {
        self.samples
    }

    /// Channels, at least 1.
    pub fn channels(&self) -> usize {
        self.channels
    }

    /// Samples per second and channel.
    pub fn rate(&self) -> Hz {
        self.rate
    }

    /// How long it is, in seconds.
    pub fn seconds(&self) -> f64 {
        (self.samples.len() / self.channels) as f64 / f64::from(self.rate.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_has_exactly_its_bytes() {
        let picture = Picture::new((0..12).collect(), 2, 2, PixelLayout::Rgb8).unwrap();
        assert_eq!(picture.frame().row(1), [6, 7, 8, 9, 10, 11]);
        for (bytes, width, height) in [(11, 2, 2), (13, 2, 2), (0, 0, 2), (0, 2, 0), (12, usize::MAX, 2)] {
            let error = Picture::new(vec![0; bytes], width, height, PixelLayout::Rgb8).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Shape, "{bytes} {width} {height}");
        }
    }

    #[test]
    fn a_part_of_a_frame_is_its_pixels() {
        let data: Vec<u8> = (0..60).collect();
        let frame = Frame::with_stride(&data, 5, 4, 15, PixelLayout::Rgb8).unwrap();
        let part = frame.part(2, 1, 3, 2).unwrap();
        assert_eq!((part.width(), part.height()), (3, 2));
        assert_eq!(part.row(0), &data[21..30]);
        assert_eq!(part.row(1), &data[36..45]);
        assert_eq!(frame.part(0, 0, 5, 4).unwrap().row(3), frame.row(3));
        for (x, y, width, height) in [(3, 0, 3, 1), (0, 4, 1, 1), (0, 0, 0, 1), (usize::MAX, 0, 2, 1), (0, 0, 5, 5)] {
            assert_eq!(frame.part(x, y, width, height).unwrap_err().kind(), ErrorKind::Shape);
        }
    }
}
