//! A picture file to pixels: upright, 8 bits deep, within limits.

use std::borrow::Cow;
use std::fs::File;
use std::io::{Cursor, Read, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use demeanor::{Error, ErrorKind, Picture, PixelLayout, Result};
use image::metadata::Orientation;
use image::{DynamicImage, ImageDecoder, ImageError, ImageFormat, ImageReader, Limits};

use crate::capture;
use crate::tiff;

/// The extensions of the picture files that a folder is searched for.
pub const EXTENSIONS: &[&str] = &[
    "png", "jpg", "jpeg", "jpe", "jfif", "webp", "gif", "bmp", "tif", "tiff", "pnm", "pbm", "pgm", "ppm", "pam",
    "heic", "heif", "avif", "jxl", "jp2",
];

/// The memory that the decoding of a picture may take, in bytes: little for a small machine, and enough for most cameras.
pub const MAX_MEMORY: u64 = 512 << 20;

/// The most bytes that a picture file may have.
const MAX_FILE: u64 = 1 << 30;

/// A picture, and by how much it was made smaller when it was decoded.
#[derive(Debug)]
pub struct Opened {
    /// The picture.
    pub picture: Picture,
    /// How many pixels of the file one pixel is wide and high: 1, 2, 4 or 8.
    pub reduced: u32,
}

/// Reads and decodes a picture file, within [`MAX_MEMORY`].
///
/// # Errors
/// As [`open_within`]; a picture that would have to be made smaller is refused.
pub fn open(path: &Path) -> Result<Picture> {
    in_full(open_within(path, MAX_MEMORY)?)
}

/// Decodes the picture in a stream of bytes, within [`MAX_MEMORY`].
///
/// # Errors
/// As [`open`].
pub fn read(stream: impl Read) -> Result<Picture> {
    in_full(read_within(stream, MAX_MEMORY)?)
}

fn in_full(opened: Opened) -> Result<Picture> {
    if opened.reduced > 1 {
        return Err(refused(format!(
            "would need more memory than the limit of {} MB to be decoded in full; make it smaller first",
            MAX_MEMORY >> 20
        )));
    }
    Ok(opened.picture)
}

/// Reads and decodes a picture file, which may take so many bytes of memory; a JPEG that would take more is decoded at a
/// half, a quarter or an eighth of its size.
///
/// # Errors
/// [`ErrorKind::File`] when there is no such file, when it holds no whole picture of a known format, or one beyond the
/// limits. The message does not name the file.
pub fn open_within(path: &Path, max_memory: u64) -> Result<Opened> {
    if path.is_dir() {
        return Err(refused("is a folder"));
    }
    read_within(File::open(path).map_err(|e| refused(e.to_string()).with_source(e))?, max_memory)
}

/// Decodes the picture in a stream of bytes, as a viewer shows it: turned upright, its first frame if it moves, what is
/// transparent on white. The format is told by the contents, not by a name.
///
/// # Errors
/// As [`open_within`].
pub fn read_within(mut stream: impl Read, max_memory: u64) -> Result<Opened> {
    let failed = |e: std::io::Error| refused(format!("cannot be read: {e}")).with_source(e);
    let mut bytes = Vec::new();
    // enough to tell the format: nobody waits for a whole film to hear that it is no picture
    stream.by_ref().take(64).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.is_empty() {
        return Err(refused("is empty: 0 bytes"));
    }
    let elsewhere = elsewhere(&bytes);
    let format = match (image::guess_format(&bytes), elsewhere) {
        (_, Some(_)) => None,
        (Ok(format), None) if format.reading_enabled() => Some(format),
        _ => return Err(not_a_picture(&bytes)),
    };
    stream.take(MAX_FILE).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 >= MAX_FILE {
        return Err(refused(format!("is larger than the limit of {} MB", MAX_FILE >> 20)));
    }
    let Some(format) = format else { return decode_elsewhere(bytes, elsewhere.unwrap_or("a picture"), max_memory) };
    match decode(&bytes, format, max_memory) {
        Ok(opened) => Ok(opened),
        Err(Undecoded::Broken(error)) => Err(error),
        Err(Undecoded::Unsupported(error)) if capture::is_there() => {
            decode_elsewhere(bytes, "a picture", max_memory).map_err(|_| error)
        }
        Err(Undecoded::Unsupported(error)) => {
            Err(refused(format!("{error}; the program ffmpeg may read it: {}", capture::INSTALL)))
        }
    }
}

/// Why a picture was not decoded.
enum Undecoded {
    /// It is of a kind that this decoder does not have; another one may.
    Unsupported(Error),
    /// Nobody else would decode it either.
    Broken(Error),
}

impl From<Error> for Undecoded {
    fn from(error: Error) -> Self {
        Undecoded::Broken(error)
    }
}

impl From<Undecoded> for Error {
    fn from(undecoded: Undecoded) -> Self {
        match undecoded {
            Undecoded::Unsupported(error) | Undecoded::Broken(error) => error,
        }
    }
}

fn decode(file: &[u8], format: ImageFormat, max_memory: u64) -> std::result::Result<Opened, Undecoded> {
    let mut palette = None;
    let mut bytes = Cow::Borrowed(file);
    match format {
        ImageFormat::Jpeg if !is_whole_jpeg(file) => {
            if !holds_whole_picture(file, max_memory) {
                let length = file.len();
                return Err(Undecoded::Broken(refused(format!(
                    "is a truncated JPEG: its {length} bytes end before the picture does; copy or save it again"
                ))));
            }
            bytes.to_mut().extend(END_OF_JPEG);
        }
        ImageFormat::Png => bytes = Cow::Owned(without_notes(file)),
        ImageFormat::Tiff => {
            if let Some((in_grey, colours)) = tiff::palette(file) {
                (bytes, palette) = (Cow::Owned(in_grey), Some(colours));
            }
            if let Some((image, orientation)) = tiff::of_few_bits(&bytes, max_memory)? {
                let mut image = DynamicImage::ImageLuma8(image);
                if let Some(palette) = palette {
                    image = coloured(&image, &palette);
                }
                image.apply_orientation(orientation);
                return Ok(Opened { picture: from_image(image)?, reduced: 1 });
            }
        }
        _ => {}
    }
    let bytes = &bytes[..];
    let name = format.extensions_str().first().copied().unwrap_or("unknown").to_uppercase();
    let length = bytes.len();
    let explain = |error: ImageError| {
        let unsupported = matches!(error, ImageError::Unsupported(_));
        let error = explain(error, &name, length);
        if unsupported { Undecoded::Unsupported(error) } else { Undecoded::Broken(error) }
    };
    let mut limits = Limits::default();
    limits.max_alloc = Some(max_memory);
    let mut reader = ImageReader::with_format(Cursor::new(bytes), format);
    reader.limits(limits);
    let mut decoder = reader.into_decoder().map_err(explain)?;
    let (width, height) = decoder.dimensions();
    // a damaged note about the orientation is no reason to refuse the picture
    let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    let needed = memory(u64::from(width) * u64::from(height), decoder.color_type(), orientation);
    if needed > max_memory {
        if format == ImageFormat::Jpeg {
            drop(decoder);
            return Ok(decode_smaller(bytes, orientation, needed, max_memory)?);
        }
        return Err(Undecoded::Broken(too_large(width, height, needed, max_memory)));
    }
    let mut image = DynamicImage::from_decoder(decoder).map_err(explain)?;
    if let Some(palette) = palette {
        image = coloured(&image, &palette);
    }
    image.apply_orientation(orientation);
    Ok(Opened { picture: from_image(image)?, reduced: 1 })
}

/// About how many bytes it takes to decode a picture and to turn it.
fn memory(pixels: u64, colour: image::ColorType, orientation: Orientation) -> u64 {
    let decoded = u64::from(colour.bytes_per_pixel());
    let kept = match colour {
        image::ColorType::L8 | image::ColorType::Rgb8 | image::ColorType::Rgba8 => 0,
        image::ColorType::L16 => 1,
        _ if colour.has_alpha() => 4,
        _ => 3,
    };
    let turned = if orientation == Orientation::NoTransforms { 0 } else { decoded };
    pixels.saturating_mul(decoded + u64::max(kept, turned))
}

fn too_large(width: u32, height: u32, needed: u64, max_memory: u64) -> Error {
    refused(format!(
        "is {width} x {height} pixels and would take {} MB of memory, over the limit of {} MB; raise it with --max-memory, \
         or make the picture smaller first",
        needed.div_ceil(1 << 20),
        max_memory >> 20
    ))
}

/// Decodes a JPEG at a half, a quarter or an eighth of its size.
fn decode_smaller(bytes: &[u8], orientation: Orientation, needed: u64, max_memory: u64) -> Result<Opened> {
    let failed = |e: jpeg_decoder::Error| refused(format!("cannot be decoded as JPEG: {e}"));
    let mut decoder = jpeg_decoder::Decoder::new(bytes);
    decoder.read_info().map_err(failed)?;
    let Some(info) = decoder.info() else { return Err(refused("is a JPEG without a picture")) };
    let (width, height) = (u64::from(info.width), u64::from(info.height));
    // all coefficients of a progressive picture are kept, in 16 bits
    let kept = if info.coding_process == jpeg_decoder::CodingProcess::DctProgressive { 6 * width * height } else { 0 };
    for reduced in [2, 4, 8] {
        // planes, pixels, and those of the turned picture
        if kept + 9 * width * height / (reduced * reduced) > max_memory {
            continue;
        }
        let part = |size: u16| size.div_ceil(reduced as u16);
        let (w, h) = decoder.scale(part(info.width), part(info.height)).map_err(failed)?;
        let pixels = decoder.decode().map_err(failed)?;
        let (w, h) = (u32::from(w), u32::from(h));
        let image = match info.pixel_format {
            jpeg_decoder::PixelFormat::L8 => image::GrayImage::from_raw(w, h, pixels).map(DynamicImage::ImageLuma8),
            jpeg_decoder::PixelFormat::RGB24 => image::RgbImage::from_raw(w, h, pixels).map(DynamicImage::ImageRgb8),
            _ => None,
        };
        let mut image = image.ok_or_else(|| too_large(width as u32, height as u32, needed, max_memory))?;
        image.apply_orientation(orientation);
        return Ok(Opened { picture: from_image(image)?, reduced: reduced as u32 });
    }
    Err(too_large(width as u32, height as u32, needed, max_memory))
}

/// A picture whose values are places in a palette.
fn coloured(image: &DynamicImage, palette: &[[u8; 3]]) -> DynamicImage {
    let grey = image.to_luma8();
    // fewer bits were spread over all 256 values
    let spread = 255 / (palette.len() - 1).max(1);
    let colours = grey.pixels().flat_map(|p| palette.get(usize::from(p.0[0]) / spread).copied().unwrap_or_default());
    let colours = image::RgbImage::from_raw(grey.width(), grey.height(), colours.collect());
    DynamicImage::ImageRgb8(colours.unwrap_or_default())
}

/// A PNG without what is no picture: a few bytes of a compressed note or colour profile can fill the memory.
fn without_notes(bytes: &[u8]) -> Vec<u8> {
    const SIGNATURE: usize = 8;
    let mut kept = Vec::with_capacity(bytes.len());
    kept.extend(&bytes[..SIGNATURE.min(bytes.len())]);
    let mut at = SIGNATURE;
    while let Some(&[a, b, c, d, n, m, e, o]) = bytes.get(at..at + 8).and_then(<[u8]>::first_chunk) {
        // length, name, content and check
        let end = at.saturating_add(12).saturating_add(u32::from_be_bytes([a, b, c, d]) as usize);
        let chunk = &bytes[at..end.min(bytes.len())];
        if !matches!(&[n, m, e, o], b"iCCP" | b"zTXt" | b"iTXt" | b"tEXt") {
            kept.extend(chunk);
        }
        at = end;
        if at >= bytes.len() {
            return kept;
        }
    }
    kept.extend(&bytes[at.min(bytes.len())..]);
    kept
}

/// What begins as a picture that only `ffmpeg` may read, if that.
fn elsewhere(head: &[u8]) -> Option<&'static str> {
    let at = |from: usize, text: &[u8]| head.get(from..from + text.len()) == Some(text);
    if at(4, b"ftyp") {
        return match head.get(8..12)? {
            b"heic" | b"heix" | b"heim" | b"heis" | b"hevc" | b"hevx" | b"mif1" | b"msf1" => Some("a HEIC picture"),
            b"avif" | b"avis" => Some("an AVIF picture"),
            _ => None,
        };
    }
    for (magic, name) in [
        (&b"\0\0\0\x0cJXL "[..], "a JPEG XL picture"),
        (b"\xff\x0a", "a JPEG XL picture"),
        (b"\0\0\0\x0cjP  ", "a JPEG 2000 picture"),
        (b"\xff\x4f\xff\x51", "a JPEG 2000 picture"),
        (b"8BPS", "a Photoshop picture"),
        (b"qoif", "a QOI picture"),
        (b"DDS ", "a DDS picture"),
        (b"\x76\x2f\x31\x01", "an OpenEXR picture"),
        (b"#?RADIANCE", "a Radiance picture"),
    ] {
        if at(0, magic) {
            return Some(name);
        }
    }
    None
}

/// Has `ffmpeg` make a PNG of a picture.
fn decode_elsewhere(bytes: Vec<u8>, name: &str, max_memory: u64) -> Result<Opened> {
    let advice = if name.contains("HEIC") {
        "; convert it (heif-convert IN.heic out.jpg, or macOS: sips -s format jpeg IN.heic --out out.jpg), or let the camera \
         take the most compatible format"
    } else {
        "; convert it to PNG or JPEG"
    };
    if !capture::is_there() {
        return Err(refused(format!(
            "is {name}, which is read with the help of the program ffmpeg; {}{advice}",
            capture::INSTALL
        )));
    }
    let cannot = |why: &str| refused(format!("is {name}, which this ffmpeg cannot read ({why}){advice}"));
    let mut command = Command::new(capture::program());
    command.args(["-hide_banner", "-loglevel", "error", "-nostdin", "-i", "pipe:0", "-frames:v", "1"]);
    command.args(["-c:v", "png", "-f", "image2pipe", "pipe:1"]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = capture::spawn(&mut command)?;
    let stdin = child.stdin.take();
    let feeder = std::thread::spawn(move || stdin.map(|mut stdin| stdin.write_all(&bytes)));
    let output = child.wait_with_output().map_err(|e| cannot(&e.to_string()))?;
    // a child that has seen enough is no failure
    let _ = feeder.join();
    if !output.status.success() || output.stdout.is_empty() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(cannot(said.lines().last().unwrap_or("it gives no reason")));
    }
    Ok(decode(&output.stdout, ImageFormat::Png, max_memory)?)
}

fn from_image(image: DynamicImage) -> Result<Picture> {
    let (width, height) = (image.width() as usize, image.height() as usize);
    let (layout, pixels) = match image {
        DynamicImage::ImageLuma8(image) => (PixelLayout::Grey8, image.into_raw()),
        DynamicImage::ImageRgb8(image) => (PixelLayout::Rgb8, image.into_raw()),
        DynamicImage::ImageLuma16(deep) => (PixelLayout::Grey8, of_range(&deep.into_raw())),
        DynamicImage::ImageRgb16(deep) => (PixelLayout::Rgb8, of_range(&deep.into_raw())),
        _ if image.color().has_alpha() => {
            let mut pixels = image.into_rgba8().into_raw();
            on_white(&mut pixels);
            (PixelLayout::Rgba8, pixels)
        }
        _ => (PixelLayout::Rgb8, image.into_rgb8().into_raw()),
    };
    Picture::new(pixels, width, height, layout)
}

/// Lays what is transparent on white, as in picture files: red, green, blue and alpha of each pixel, which becomes opaque.
pub fn on_white(pixels: &mut [u8]) {
    for [r, g, b, a] in pixels.as_chunks_mut().0 {
        for colour in [r, g, b] {
            let (c, a) = (u32::from(*colour), u32::from(*a));
            *colour = ((c * a + 255 * (255 - a) + 127) / 255) as u8;
        }
        *a = 255;
    }
}

/// Sixteen bits to eight. Cameras of 10, 12 or 14 bits write their values as they are into 16: the highest bit that is used is the
/// highest bit of the result, so that such a picture keeps its range.
fn of_range(deep: &[u16]) -> Vec<u8> {
    let most = deep.iter().copied().max().unwrap_or(0);
    let shift = (u16::BITS - most.leading_zeros()).saturating_sub(8);
    // cut, not rounded: 8 bits that were widened to 16, by either of the usual ways, come back as they were
    deep.iter().map(|&v| (v >> shift) as u8).collect()
}

fn refused(why: impl Into<String>) -> Error {
    Error::new(ErrorKind::File, why)
}

fn not_a_picture(start: &[u8]) -> Error {
    let text = start.iter().all(|b| matches!(b, b'\t' | b'\n' | b'\r' | b' '..=b'~'));
    let film = start.get(4..8) == Some(b"ftyp") || start.starts_with(&[0x1a, 0x45, 0xdf, 0xa3]);
    let what = match (text, film) {
        (true, _) => "; it looks like text",
        (_, true) => "; it looks like a film, which `demeanor video` reads",
        _ => "",
    };
    refused(format!(
        "is not a picture of a known format (PNG, JPEG, WebP, GIF, BMP, TIFF, PNM; with ffmpeg HEIC, AVIF and others){what}"
    ))
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

/// The end marker of a JPEG.
const END_OF_JPEG: [u8; 2] = [0xff, 0xd9];

/// Whether a JPEG without its end marker, as some cameras leave it out, holds all of its picture: whatever follows then
/// changes nothing. What is missing would be filled up with what follows.
fn holds_whole_picture(bytes: &[u8], max_memory: u64) -> bool {
    let followed = |filling: u8| {
        let bytes = [bytes, &[filling; 4096][..], &END_OF_JPEG].concat();
        let mut limits = Limits::default();
        limits.max_alloc = Some(max_memory);
        let mut reader = ImageReader::with_format(Cursor::new(bytes), ImageFormat::Jpeg);
        reader.limits(limits);
        reader.decode().ok()
    };
    match (followed(0x00), followed(0xa5)) {
        (Some(one), Some(other)) => one == other,
        _ => false,
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

    /// A picture with something in each of its corners.
    fn busy() -> DynamicImage {
        let pixel = |x: u32, y: u32| image::Rgb([(x * 7 + y * 3) as u8, (x * y) as u8, (y * 5) as u8]);
        DynamicImage::ImageRgb8(image::RgbImage::from_fn(120, 90, pixel))
    }

    fn written(image: &DynamicImage, format: ImageFormat) -> Vec<u8> {
        let mut bytes = Cursor::new(Vec::new());
        image.write_to(&mut bytes, format).unwrap();
        bytes.into_inner()
    }

    #[test]
    fn a_jpeg_without_its_end_mark_is_read_and_a_truncated_one_is_not() {
        let whole = written(&busy(), ImageFormat::Jpeg);
        let wanted = read(&whole[..]).unwrap();
        let found = read(&whole[..whole.len() - 2]).unwrap();
        assert_eq!(found.pixels(), wanted.pixels());
        for part in [1, 3, 5, 8, 9] {
            let cut = &whole[..whole.len() * part / 10];
            assert!(read(cut).unwrap_err().to_string().contains("truncated"), "{part} tenths");
        }
        assert!(read(&whole[..whole.len() - 40]).is_err());
    }

    #[test]
    fn memory_is_limited_in_bytes() {
        let deep = DynamicImage::ImageRgb16(image::ImageBuffer::from_pixel(100, 100, image::Rgb([1u16, 2, 3])));
        let bytes = written(&deep, ImageFormat::Png);
        let error = read_within(&bytes[..], 80_000).unwrap_err().to_string();
        assert!(error.contains("100 x 100") && error.contains("--max-memory"), "{error}");
        read_within(&bytes[..], 100_000).unwrap();
        // a JPEG is made smaller instead
        let jpeg = written(&busy(), ImageFormat::Jpeg);
        for (memory, reduced, size) in [(1 << 20, 1, (120, 90)), (25_000, 2, (60, 45)), (10_000, 4, (30, 23))] {
            let opened = read_within(&jpeg[..], memory).unwrap();
            assert_eq!(
                (opened.reduced, (opened.picture.width(), opened.picture.height())),
                (reduced, size),
                "{memory}"
            );
        }
        assert!(read_within(&jpeg[..], 100).is_err());
    }

    #[test]
    fn notes_in_a_png_are_left_out() {
        let mut bytes = written(&busy(), ImageFormat::Png);
        let wanted = read(&bytes[..]).unwrap();
        // after the header, whose chunk has 25 bytes; the decoder would refuse what is in it
        let note = [&[0, 0, 0, 4][..], b"iCCP", &[1, 2, 3, 4], &[0; 4]].concat();
        bytes.splice(33..33, note);
        assert_eq!(read(&bytes[..]).unwrap().pixels(), wanted.pixels());
    }

    /// A TIFF of 4 x 2 pixels with a palette of 2 to the power of `bits` colours, blue growing with the value.
    fn palette_tiff(bits: u16, big: bool, pixels: &[u8]) -> Vec<u8> {
        let short = |v: u16| if big { v.to_be_bytes() } else { v.to_le_bytes() };
        let long = |v: u32| if big { v.to_be_bytes() } else { v.to_le_bytes() };
        let colours = 1usize << bits;
        let mut bytes = if big { b"MM\x00\x2a".to_vec() } else { b"II\x2a\x00".to_vec() };
        bytes.extend(long(8));
        let map_at = 8 + 2 + 9 * 12 + 4;
        let data_at = map_at + 6 * colours;
        bytes.extend(short(9));
        for (tag, kind, count, value) in [
            (256u16, 3u16, 1u32, 4u32),
            (257, 3, 1, 2),
            (258, 3, 1, u32::from(bits)),
            (259, 3, 1, 1),
            (262, 3, 1, 3),
            (273, 4, 1, data_at as u32),
            (278, 3, 1, 2),
            (279, 4, 1, pixels.len() as u32),
            (320, 3, 3 * colours as u32, map_at as u32),
        ] {
            bytes.extend(short(tag));
            bytes.extend(short(kind));
            bytes.extend(long(count));
            if kind == 3 && count == 1 {
                bytes.extend(short(value as u16));
                bytes.extend([0, 0]);
            } else {
                bytes.extend(long(value));
            }
        }
        bytes.extend(long(0));
        for channel in 0..3 {
            for i in 0..colours {
                bytes.extend(short(if channel == 2 { (i * 65_535 / (colours - 1)) as u16 } else { 0x1234 }));
            }
        }
        bytes.extend(pixels);
        bytes
    }

    #[test]
    fn tiff_with_a_palette_is_read() {
        for big in [false, true] {
            let bytes = palette_tiff(8, big, &[0, 1, 2, 3, 100, 200, 254, 255]);
            let picture = read(&bytes[..]).unwrap();
            let blue: Vec<u8> = picture.pixels().chunks(3).map(|p| p[2]).collect();
            assert_eq!((picture.width(), blue), (4, vec![0, 1, 2, 3, 100, 200, 254, 255]));
            assert!(picture.pixels().chunks(3).all(|p| p[..2] == [0x12, 0x12]));
            // of fewer bits, several pixels are in a byte
            for (bits, pixels, values) in [
                (4, &[0x01, 0x2f, 0x70, 0xe8][..], [0, 1, 2, 15, 7, 0, 14, 8]),
                (2, &[0b00_01_10_11, 0b11_10_01_00], [0, 1, 2, 3, 3, 2, 1, 0]),
                (1, &[0b0101_0000, 0b1110_0000], [0, 1, 0, 1, 1, 1, 1, 0]),
            ] {
                let picture = read(&palette_tiff(bits, big, pixels)[..]).unwrap();
                let blue: Vec<u8> = picture.pixels().chunks(3).map(|p| p[2]).collect();
                assert_eq!(blue, values.map(|v: u8| v * (255 / ((1u16 << bits) - 1) as u8)), "{bits} bits");
                assert!(picture.pixels().chunks(3).all(|p| p[..2] == [0x12, 0x12]));
            }
        }
    }

    #[test]
    fn pictures_of_phones_are_named() {
        let error = read(&b"\0\0\0\x18ftypheic\0\0\0\0heicmif1"[..]).unwrap_err().to_string();
        assert!(error.contains("HEIC") && error.contains("convert it"), "{error}");
        let error = read(&b"\0\0\0\x18ftypisom\0\0\0\0isomavc1"[..]).unwrap_err().to_string();
        assert!(error.contains("demeanor video"), "{error}");
    }

    #[test]
    fn deep_pictures_keep_their_range() {
        for (deep, expected) in [
            (vec![0, 2048, 4080], vec![0, 128, 255]),
            (vec![0, 512, 1020], vec![0, 128, 255]),
            (vec![0, 32768, 65280], vec![0, 128, 255]),
            (vec![0, 100, 255], vec![0, 100, 255]),
            (vec![0, 65535], vec![0, 255]),
            (vec![0, 0], vec![0, 0]),
        ] {
            assert_eq!(of_range(&deep), expected);
        }
    }

    #[test]
    fn transparent_pixels_are_white() {
        let image = image::RgbaImage::from_raw(3, 1, vec![0, 0, 0, 0, 10, 20, 30, 255, 0, 100, 255, 128]).unwrap();
        let picture = from_image(DynamicImage::ImageRgba8(image)).unwrap();
        assert_eq!(picture.pixels(), [255, 255, 255, 255, 10, 20, 30, 255, 127, 177, 255, 255]);
    }
}
