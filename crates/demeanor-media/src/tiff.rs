//! The TIFF files of scanners and older programs that the decoder of pictures refuses: those with a palette of at most 256
//! colours (TIFF 6.0, section 5), which are decoded as grey ones, whose values are then looked up in the palette; and those of
//! 2 or 4 bits a pixel.

use std::io::Cursor;

use demeanor::{Error, ErrorKind, Result};
use image::GrayImage;
use image::metadata::Orientation;
use tiff::ColorType;
use tiff::decoder::{Decoder, DecodingResult, Limits};
use tiff::tags::Tag;

/// `PhotometricInterpretation`, and its values.
const PHOTOMETRIC: u16 = 262;
const BLACK_IS_ZERO: u16 = 1;
const PALETTE: u16 = 3;
/// `BitsPerSample`.
const BITS: u16 = 258;
/// `ColorMap`: all reds, all greens, all blues, 16 bits each.
const COLOUR_MAP: u16 = 320;

/// The type of an entry whose values have 16 bits.
const SHORT: u16 = 3;

/// A palette TIFF as a grey one, and its colours; none when it is no such TIFF.
pub fn palette(bytes: &[u8]) -> Option<(Vec<u8>, Vec<[u8; 3]>)> {
    let little = match bytes.get(..4)? {
        b"II\x2a\x00" => true,
        b"MM\x00\x2a" => false,
        _ => return None,
    };
    let short = |bytes: &[u8], at: usize| -> Option<u16> {
        let pair = *bytes.get(at..)?.first_chunk()?;
        Some(if little { u16::from_le_bytes(pair) } else { u16::from_be_bytes(pair) })
    };
    let long = |bytes: &[u8], at: usize| -> Option<usize> {
        let four = *bytes.get(at..)?.first_chunk()?;
        Some((if little { u32::from_le_bytes(four) } else { u32::from_be_bytes(four) }) as usize)
    };
    let directory = long(bytes, 4)?;
    let entries = usize::from(short(bytes, directory)?);
    let (mut photometric, mut bits, mut map) = (None, 1, None);
    for entry in (0..entries).map(|i| directory + 2 + 12 * i) {
        let (kind, count) = (short(bytes, entry + 2)?, long(bytes, entry + 4)?);
        match short(bytes, entry)? {
            PHOTOMETRIC => photometric = Some(entry + 8),
            BITS => bits = short(bytes, entry + 8)?,
            COLOUR_MAP if kind == SHORT => map = Some((long(bytes, entry + 8)?, count / 3)),
            _ => {}
        }
    }
    let (at, (map, colours)) = photometric.zip(map)?;
    if short(bytes, at)? != PALETTE || !matches!(bits, 1 | 2 | 4 | 8) || colours != 1 << bits {
        return None;
    }
    let high = |i: usize| short(bytes, map + 2 * i).map(|v| (v >> 8) as u8);
    let low = (0..3 * colours).all(|i| short(bytes, map + 2 * i).is_some_and(|v| v < 256));
    let mut palette = Vec::with_capacity(colours);
    for i in 0..colours {
        let colour = [i, colours + i, 2 * colours + i];
        palette.push(if low {
            // some programs write 8 bits where the standard has 16
            [
                short(bytes, map + 2 * colour[0])? as u8,
                short(bytes, map + 2 * colour[1])? as u8,
                short(bytes, map + 2 * colour[2])? as u8,
            ]
        } else {
            [high(colour[0])?, high(colour[1])?, high(colour[2])?]
        });
    }
    let grey = if little { BLACK_IS_ZERO.to_le_bytes() } else { BLACK_IS_ZERO.to_be_bytes() };
    let mut in_grey = bytes.to_vec();
    in_grey.get_mut(at..at + 2)?.copy_from_slice(&grey);
    Some((in_grey, palette))
}

/// A grey TIFF of 2 or 4 bits a pixel, its values spread over 0 to 255; none when it is of another kind, or when somebody else
/// should say what is wrong with it.
///
/// # Errors
/// [`ErrorKind::File`] when it is damaged, or needs more memory than it may take.
pub fn of_few_bits(bytes: &[u8], max_memory: u64) -> Result<Option<(GrayImage, Orientation)>> {
    let Ok(decoder) = Decoder::new(Cursor::new(bytes)) else { return Ok(None) };
    let mut limits = Limits::default();
    let most = usize::try_from(max_memory).unwrap_or(usize::MAX);
    (limits.decoding_buffer_size, limits.intermediate_buffer_size, limits.ifd_value_size) = (most, most, most);
    let mut decoder = decoder.with_limits(limits);
    let (Ok(ColorType::Gray(bits @ (2 | 4))), Ok((width, height))) = (decoder.colortype(), decoder.dimensions()) else {
        return Ok(None);
    };
    let refused = |why: String| Error::new(ErrorKind::File, why);
    // packed, unpacked, and in colour
    let needed = u64::from(width).saturating_mul(u64::from(height)).saturating_mul(5);
    if needed > max_memory {
        return Err(refused(format!(
            "is {width} x {height} pixels and would take {} MB of memory, over the limit of {} MB; raise it with \
             --max-memory, or make the picture smaller first",
            needed.div_ceil(1 << 20),
            max_memory >> 20
        )));
    }
    let orientation = decoder.find_tag_unsigned::<u8>(Tag::Orientation).ok().flatten();
    let packed = match decoder.read_image() {
        Ok(DecodingResult::U8(packed)) => packed,
        Ok(_) => return Ok(None),
        Err(tiff::TiffError::UnsupportedError(_)) => return Ok(None),
        Err(error) => return Err(refused(format!("cannot be decoded as TIFF: {error}")).with_source(error)),
    };
    let (width_px, each) = (width as usize, usize::from(8 / bits));
    let (last, row) = ((1u8 << bits) - 1, width_px.div_ceil(each).max(1));
    let mut pixels = Vec::with_capacity(width_px * height as usize);
    for row in packed.chunks(row) {
        pixels.extend((0..width_px).map(|x| {
            let shift = 8 - bits * (x % each + 1) as u8;
            (row.get(x / each).copied().unwrap_or(0) >> shift & last) * (255 / last)
        }));
    }
    let image = GrayImage::from_raw(width, height, pixels);
    let image = image.ok_or_else(|| refused("is a damaged TIFF: its rows are not whole".to_owned()))?;
    Ok(Some((image, orientation.and_then(Orientation::from_exif).unwrap_or(Orientation::NoTransforms))))
}
