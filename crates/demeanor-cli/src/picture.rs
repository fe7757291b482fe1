//! A picture file to pixels: upright, 8 bits deep, within limits.

use std::fs::File;
use std::io::{Cursor, Read};

use anyhow::{Context, anyhow, bail};
use demeanor::{Frame, PixelLayout};
use image::{DynamicImage, ImageDecoder, ImageError, ImageFormat, ImageReader, Limits};

use crate::sources::Source;

/// The extensions of the picture files that a folder is searched for.
pub const EXTENSIONS: &[&str] =
    &["png", "jpg", "jpeg", "webp", "gif", "bmp", "tif", "tiff", "pnm", "pbm", "pgm", "ppm", "pam"];

/// The most pixels that a picture may have: more than any camera gives, and few enough for a small machine's memory.
const MAX_PIXELS: u64 = 128_000_000;

/// The most bytes that a picture file may have.
const MAX_FILE: u64 = 1 << 30;

/// A picture in memory, as a viewer shows it: turned upright, its first frame if it moves, what is transparent on white.
#[derive(Debug)]
pub struct Picture {
    pixels: Vec<u8>,
    width: usize,
    height: usize,
    layout: PixelLayout,
}

impl Picture {
    /// Reads and decodes a file, or stdin.
    ///
    /// # Errors
    /// When there is no such file, when it holds no whole picture of a known format, or one beyond the limits.
    pub fn read(source: &Source) -> anyhow::Result<Self> {
        match source {
            Source::Stdin => Self::from_reader(std::io::stdin().lock()),
            Source::File { path, .. } => {
                if path.is_dir() {
                    bail!("is a folder");
                }
                Self::from_reader(File::open(path)?)
            }
        }
    }

    /// Decodes the picture in a stream of bytes. The format is told by the contents, not by a name.
    pub fn from_reader(mut reader: impl Read) -> anyhow::Result<Self> {
        let mut bytes = Vec::new();
        // enough to tell the format: nobody waits for a whole film to hear that it is no picture
        reader.by_ref().take(64).read_to_end(&mut bytes)?;
        if bytes.is_empty() {
            bail!("is empty: 0 bytes");
        }
        let format = image::guess_format(&bytes).map_err(|_| not_a_picture(&bytes))?;
        reader.take(MAX_FILE).read_to_end(&mut bytes)?;
        if bytes.len() as u64 >= MAX_FILE {
            bail!("is larger than the limit of {} MB", MAX_FILE >> 20);
        }
        if format == ImageFormat::Jpeg && !is_whole_jpeg(&bytes) {
            bail!("is a truncated JPEG: its {} bytes end before the picture does; copy or save it again", bytes.len());
        }
        Self::decode(bytes, format)
    }

    fn decode(bytes: Vec<u8>, format: ImageFormat) -> anyhow::Result<Self> {
        let name = format.extensions_str().first().copied().unwrap_or("unknown").to_uppercase();
        let length = bytes.len();
        let explain = |error: ImageError| explain(error, &name, length);
        let mut limits = Limits::default();
        limits.max_alloc = Some(MAX_PIXELS * 4);
        let mut reader = ImageReader::with_format(Cursor::new(bytes), format);
        reader.limits(limits);
        let mut decoder = reader.into_decoder().map_err(explain)?;
        let (width, height) = decoder.dimensions();
        if u64::from(width) * u64::from(height) > MAX_PIXELS {
            bail!(
                "is {width} x {height} pixels, over the limit of {} megapixels; make it smaller first",
                MAX_PIXELS / 1_000_000
            );
        }
        // a damaged note about the orientation is no reason to refuse the picture
        let orientation = decoder.orientation().unwrap_or(image::metadata::Orientation::NoTransforms);
        let mut image = DynamicImage::from_decoder(decoder).map_err(explain)?;
        image.apply_orientation(orientation);
        Self::from_image(image).context("the decoded picture is not sound")
    }

    fn from_image(image: DynamicImage) -> anyhow::Result<Self> {
        let (width, height) = (image.width() as usize, image.height() as usize);
        let (layout, pixels) = match image {
            DynamicImage::ImageLuma8(image) => (PixelLayout::Grey8, image.into_raw()),
            DynamicImage::ImageRgb8(image) => (PixelLayout::Rgb8, image.into_raw()),
            DynamicImage::ImageLuma16(_) => (PixelLayout::Grey8, image.into_luma8().into_raw()),
            _ if image.color().has_alpha() => {
                let mut pixels = image.into_rgba8().into_raw();
                for [r, g, b, a] in pixels.as_chunks_mut().0 {
                    for colour in [r, g, b] {
                        let (c, a) = (u32::from(*colour), u32::from(*a));
                        *colour = ((c * a + 255 * (255 - a) + 127) / 255) as u8;
                    }
                    *a = 255;
                }
                (PixelLayout::Rgba8, pixels)
            }
            _ => (PixelLayout::Rgb8, image.into_rgb8().into_raw()),
        };
        // fails here, once, if at all
        Frame::new(&pixels, width, height, layout)?;
        Ok(Picture { pixels, width, height, layout })
    }

    /// Width in pixels, upright.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Height in pixels, upright.
    pub fn height(&self) -> usize {
        self.height
    }

    /// The pixels.
    ///
    /// # Errors
    /// None: the picture was checked when it was made.
    pub fn frame(&self) -> demeanor::Result<Frame<'_>> {
        Frame::new(&self.pixels, self.width, self.height, self.layout)
    }

    /// The same in colour, to draw on.
    pub fn into_rgb(self) -> image::RgbImage {
        let (width, height) = (self.width as u32, self.height as u32);
        let pixels = match self.layout {
            PixelLayout::Rgb8 => self.pixels,
            PixelLayout::Bgr8 => self.pixels.as_chunks().0.iter().flat_map(|&[b, g, r]: &[u8; 3]| [r, g, b]).collect(),
            PixelLayout::Grey8 => self.pixels.iter().flat_map(|&v| [v; 3]).collect(),
            PixelLayout::Rgba8 => {
                self.pixels.as_chunks().0.iter().flat_map(|&[r, g, b, _]: &[u8; 4]| [r, g, b]).collect()
            }
        };
        image::RgbImage::from_raw(width, height, pixels).unwrap_or_else(|| image::RgbImage::new(width, height))
    }
}

fn not_a_picture(start: &[u8]) -> anyhow::Error {
    let text = start.iter().all(|b| matches!(b, b'\t' | b'\n' | b'\r' | b' '..=b'~'));
    let what = if text { "; it looks like text" } else { "" };
    anyhow!("is not a picture of a known format (PNG, JPEG, WebP, GIF, BMP, TIFF, PNM){what}")
}

fn explain(error: ImageError, format: &str, length: usize) -> anyhow::Error {
    match error {
        ImageError::Limits(error) => {
            anyhow!("is a {format} picture that would need too much memory ({error}); make it smaller first")
        }
        ImageError::IoError(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => {
            anyhow!("is a truncated {format}: its {length} bytes end before the picture does; copy or save it again")
        }
        ImageError::Unsupported(error) => anyhow!("is a {format} of a kind that is not supported: {error}"),
        error => anyhow!("cannot be decoded as {format}: {error}"),
    }
}

/// Whether a JPEG goes on to its end marker. The decoder would fill up what is missing with grey, and a reading of that
/// would be worth nothing.
fn is_whole_jpeg(bytes: &[u8]) -> bool {
    const TEM: u8 = 0x01;
    const RST: std::ops::RangeInclusive<u8> = 0xd0..=0xd7;
    const SOI: u8 = 0xd8;
    const EOI: u8 = 0xd9;
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        // coded data, or bytes between segments: on to the next marker
        if byte != 0xff {
            at += 1;
            continue;
        }
        match bytes.get(at + 1) {
            None => return false,
            Some(&EOI) => return true,
            // fill bytes
            Some(0xff) => at += 1,
            // a data byte of 0xff, and markers that stand alone
            Some(&(0 | TEM | SOI)) => at += 2,
            Some(code) if RST.contains(code) => at += 2,
            Some(_) => match bytes.get(at + 2..at + 4) {
                // a segment: its length counts itself; an end marker in an embedded thumbnail is skipped with it
                Some(&[high, low]) => at += 2 + usize::from(u16::from_be_bytes([high, low])).max(2),
                _ => return false,
            },
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_jpeg_is_whole_when_its_end_marker_is_there() {
        let segment: &[u8] = &[0xff, 0xe1, 0, 6, 0xff, 0xd9, 1, 2];
        for (bytes, whole) in [
            (vec![0xff, 0xd8, 0xff, 0xd9], true),
            (vec![0xff, 0xd8], false),
            (vec![0xff, 0xd8, 0xff], false),
            ([&[0xff, 0xd8], segment].concat(), false),
            ([&[0xff, 0xd8], segment, &[0xff, 0xda, 0, 2, 5, 0xff, 0, 7, 0xff, 0xd3, 1]].concat(), false),
            (
                [&[0xff, 0xd8], segment, &[0xff, 0xda, 0, 2, 5, 0xff, 0, 7, 0xff, 0xd3, 1, 0xff, 0xff, 0xd9]].concat(),
                true,
            ),
        ] {
            assert_eq!(is_whole_jpeg(&bytes), whole, "{bytes:x?}");
        }
    }

    #[test]
    fn transparent_pixels_are_white() {
        let image = image::RgbaImage::from_raw(3, 1, vec![0, 0, 0, 0, 10, 20, 30, 255, 0, 100, 255, 128]).unwrap();
        let picture = Picture::from_image(DynamicImage::ImageRgba8(image)).unwrap();
        assert_eq!(picture.pixels, [255, 255, 255, 255, 10, 20, 30, 255, 127, 177, 255, 255]);
    }
}
