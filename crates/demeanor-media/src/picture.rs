//! A picture file to pixels: upright, 8 bits deep, within limits.

use std::fs::File;
use std::io::{Cursor, Read};
use std::path::Path;

use demeanor::{Error, ErrorKind, Picture, PixelLayout, Result};
use image::{DynamicImage, ImageDecoder, ImageError, ImageFormat, ImageReader, Limits};

/// The extensions of the picture files that a folder is searched for.
pub const EXTENSIONS: &[&str] =
    &["png", "jpg", "jpeg", "webp", "gif", "bmp", "tif", "tiff", "pnm", "pbm", "pgm", "ppm", "pam"];

/// The most pixels that a picture may have: more than any camera gives, and few enough for a small machine's memory.
const MAX_PIXELS: u64 = 128_000_000;

/// The most bytes that a picture file may have.
const MAX_FILE: u64 = 1 << 30;

/// Reads and decodes a picture file.
///
/// # Errors
/// [`ErrorKind::File`] when there is no such file, when it holds no whole picture of a known format, or one beyond the
/// limits. The message does not name the file.
pub fn open(path: &Path) -> Result<Picture> {
    if path.is_dir() {
        return Err(refused("is a folder"));
    }
    read(File::open(path).map_err(|e| refused(e.to_string()).with_source(e))?)
}

/// Decodes the picture in a stream of bytes, as a viewer shows it: turned upright, its first frame if it moves, what is
/// transparent on white. The format is told by the contents, not by a name.
///
/// # Errors
/// As [`open`].
pub fn read(mut stream: impl Read) -> Result<Picture> {
    let failed = |e: std::io::Error| refused(format!("cannot be read: {e}")).with_source(e);
    let mut bytes = Vec::new();
    // enough to tell the format: nobody waits for a whole film to hear that it is no picture
    stream.by_ref().take(64).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.is_empty() {
        return Err(refused("is empty: 0 bytes"));
    }
    let format = image::guess_format(&bytes).map_err(|_| not_a_picture(&bytes))?;
    stream.take(MAX_FILE).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 >= MAX_FILE {
        return Err(refused(format!("is larger than the limit of {} MB", MAX_FILE >> 20)));
    }
    if format == ImageFormat::Jpeg && !is_whole_jpeg(&bytes) {
        let length = bytes.len();
        return Err(refused(format!(
            "is a truncated JPEG: its {length} bytes end before the picture does; copy or save it again"
        )));
    }
    decode(bytes, format)
}

fn decode(bytes: Vec<u8>, format: ImageFormat) -> Result<Picture> {
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
        let most = MAX_PIXELS / 1_000_000;
        return Err(refused(format!(
            "is {width} x {height} pixels, over the limit of {most} megapixels; make it smaller first"
        )));
    }
    // a damaged note about the orientation is no reason to refuse the picture
    let orientation = decoder.orientation().unwrap_or(image::metadata::Orientation::NoTransforms);
    let mut image = DynamicImage::from_decoder(decoder).map_err(explain)?;
    image.apply_orientation(orientation);
    from_image(image)
}

fn from_image(image: DynamicImage) -> Result<Picture> {
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
    Picture::new(pixels, width, height, layout)
}

fn refused(why: impl Into<String>) -> Error {
    Error::new(ErrorKind::File, why)
}

fn not_a_picture(start: &[u8]) -> Error {
    let text = start.iter().all(|b| matches!(b, b'\t' | b'\n' | b'\r' | b' '..=b'~'));
    let what = if text { "; it looks like text" } else { "" };
    refused(format!("is not a picture of a known format (PNG, JPEG, WebP, GIF, BMP, TIFF, PNM){what}"))
}

fn explain(error: ImageError, format: &str, length: usize) -> Error {
    refused(match error {
        ImageError::Limits(error) => {
            format!("is a {format} picture that would need too much memory ({error}); make it smaller first")
        }
        ImageError::IoError(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => {
            format!("is a truncated {format}: its {length} bytes end before the picture does; copy or save it again")
        }
        ImageError::Unsupported(error) => format!("is a {format} of a kind that is not supported: {error}"),
        error => format!("cannot be decoded as {format}: {error}"),
    })
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
        let picture = from_image(DynamicImage::ImageRgba8(image)).unwrap();
        assert_eq!(picture.pixels(), [255, 255, 255, 255, 10, 20, 30, 255, 127, 177, 255, 255]);
    }
}
