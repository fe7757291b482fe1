//! Palette TIFF: pictures of at most 256 colours, as scanners and older programs write them (TIFF 6.0, section 5), which
//! the decoder refuses. They are decoded as grey ones, whose values are then looked up in the palette.

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

/// The colours of a palette TIFF, whose photometric interpretation in `bytes` is changed to grey; none, and nothing is
/// changed, when it is no such TIFF.
pub fn palette(bytes: &mut [u8]) -> Option<Vec<[u8; 3]>> {
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
    bytes.get_mut(at..at + 2)?.copy_from_slice(&grey);
    Some(palette)
}
