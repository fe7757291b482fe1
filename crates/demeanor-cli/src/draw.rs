//! Boxes, labels and bars on a picture.

use ab_glyph::{Font, FontRef, PxScale, ScaleFont};
use anyhow::Context;
use demeanor::{Emotion, Picture, PixelLayout, Reading, Region, Scores};
use image::{Rgb, RgbImage};

/// The ASCII part of a free font; its licence stands beside it.
const FONT: &[u8] = include_bytes!("../font/demeanor-sans.ttf");

const WHITE: Rgb<u8> = Rgb([255; 3]);
const DARK: Rgb<u8> = Rgb([24, 24, 28]);
const GREY: Rgb<u8> = Rgb([150; 3]);

/// The colour that stands for a reading: light enough for dark text upon it.
fn colour(reading: Reading) -> Rgb<u8> {
    let Reading::Emotion(emotion) = reading else { return GREY };
    Rgb(match emotion {
        Emotion::Angry => [240, 90, 80],
        Emotion::Disgust => [150, 190, 70],
        Emotion::Fear => [180, 140, 240],
        Emotion::Happy => [250, 205, 70],
        Emotion::Sad => [100, 160, 240],
        Emotion::Surprise => [250, 160, 80],
        Emotion::Neutral => [200, 205, 210],
        Emotion::Calm => [110, 210, 190],
        Emotion::Contempt => [220, 140, 170],
    })
}

/// A picture in colour, to draw on.
pub fn in_rgb(picture: Picture) -> RgbImage {
    let (width, height) = (picture.width() as u32, picture.height() as u32);
    let layout = picture.layout();
    let pixels = picture.into_pixels();
    let pixels = match layout {
        PixelLayout::Rgb8 => pixels,
        PixelLayout::Bgr8 => pixels.as_chunks().0.iter().flat_map(|&[b, g, r]: &[u8; 3]| [r, g, b]).collect(),
        PixelLayout::Grey8 => pixels.iter().flat_map(|&v| [v; 3]).collect(),
        PixelLayout::Rgba8 => pixels.as_chunks().0.iter().flat_map(|&[r, g, b, _]: &[u8; 4]| [r, g, b]).collect(),
    };
    RgbImage::from_raw(width, height, pixels).unwrap_or_else(|| RgbImage::new(width, height))
}

/// Draws with one font onto pictures of any size.
pub struct Pen {
    font: FontRef<'static>,
}

impl Pen {
    /// A pen with the built-in font.
    ///
    /// # Errors
    /// When the built-in font is damaged.
    pub fn new() -> anyhow::Result<Self> {
        Ok(Pen { font: FontRef::try_from_slice(FONT).context("the built-in font")? })
    }

    /// Draws a face's box, what it reads as above it, and a bar for each emotion beside it.
    pub fn face(&self, image: &mut RgbImage, region: &Region, reading: Reading, scores: &Scores) {
        let (width, height) = (image.width() as i32, image.height() as i32);
        let em = (width.min(height) / 32).max(13);
        let line = (em / 8).max(1);
        let tint = colour(reading);
        // no picture is as large as this, and sums stay in range
        let whole = |v: f32| v.round().clamp(-1e8, 1e8) as i32;
        let (x, y, w, h) = (whole(region.x), whole(region.y), whole(region.width), whole(region.height));
        for (x, y, w, h) in [(x, y, w, line), (x, y + h - line, w, line), (x, y, line, h), (x + w - line, y, line, h)] {
            fill(image, x, y, w, h, tint, 255);
        }

        let label = format!("{reading} {:.0}%", 100.0 * scores.top().1);
        let tall = em * 3 / 2;
        let wide = self.width(&label, em) + em;
        let left = x.min(width - wide).max(0);
        let top = if y >= tall { y - tall } else { (y + h).min(height - tall).max(0) };
        fill(image, left, top, wide, tall, tint, 255);
        self.text(image, &label, left + em / 2, top + (tall - em) / 2, em, DARK);

        let rows: Vec<_> = scores.iter().collect();
        let (em, step) = (em * 4 / 5, em);
        let names = rows.iter().map(|(e, _)| self.width(e.name(), em)).max().unwrap_or(0);
        let bar = 4 * em;
        let (wide, tall) = (names + bar + em * 3 / 2, rows.len() as i32 * step + em / 2);
        let left = if x + w + wide + line <= width {
            x + w + line
        } else if x >= wide + line {
            x - wide - line
        } else {
            (width - wide).max(0)
        };
        let top = y.min(height - tall).max(0);
        fill(image, left, top, wide, tall, DARK, 170);
        for (row, (emotion, score)) in rows.into_iter().enumerate() {
            let top = top + em / 4 + row as i32 * step;
            self.text(image, emotion.name(), left + em / 2, top, em, WHITE);
            let bar = (score * bar as f32).round() as i32;
            fill(
                image,
                left + em + names,
                top + step / 5,
                bar.max(1),
                step * 3 / 5,
                colour(Reading::Emotion(emotion)),
                255,
            );
        }
    }

    /// Writes a short note in the colour of a reading, with its top left corner at x, y: as far as there is room, inside
    /// the picture.
    pub fn note(&self, image: &mut RgbImage, text: &str, reading: Reading, x: f32, y: f32) {
        let (width, height) = (image.width() as i32, image.height() as i32);
        let em = (width.min(height) / 32).max(13);
        let (wide, tall) = (self.width(text, em) + em, em * 3 / 2);
        let left = (x.clamp(-1e8, 1e8) as i32).min(width - wide).max(0);
        let top = (y.clamp(-1e8, 1e8) as i32).min(height - tall).max(0);
        fill(image, left, top, wide, tall, colour(reading), 255);
        self.text(image, text, left + em / 2, top + (tall - em) / 2, em, DARK);
    }

    /// How wide a text is, in pixels.
    fn width(&self, text: &str, em: i32) -> i32 {
        let font = self.font.as_scaled(PxScale::from(em as f32));
        text.chars().map(|c| font.h_advance(font.glyph_id(c))).sum::<f32>().ceil() as i32
    }

    /// Writes a text with its line's top left corner at x, y.
    fn text(&self, image: &mut RgbImage, text: &str, x: i32, y: i32, em: i32, tint: Rgb<u8>) {
        let font = self.font.as_scaled(PxScale::from(em as f32));
        let mut at = x as f32;
        for c in text.chars() {
            let mut glyph = font.scaled_glyph(c);
            glyph.position = ab_glyph::point(at, y as f32 + font.ascent());
            at += font.h_advance(glyph.id);
            if let Some(outline) = font.outline_glyph(glyph) {
                let corner = outline.px_bounds().min;
                outline.draw(|gx, gy, coverage| {
                    let (x, y) = (corner.x as i32 + gx as i32, corner.y as i32 + gy as i32);
                    blend(image, x, y, tint, (coverage * 255.0) as u8);
                });
            }
        }
    }
}

fn fill(image: &mut RgbImage, x: i32, y: i32, width: i32, height: i32, tint: Rgb<u8>, opacity: u8) {
    let (right, bottom) =
        (x.saturating_add(width).min(image.width() as i32), y.saturating_add(height).min(image.height() as i32));
    for y in y.max(0)..bottom {
        for x in x.max(0)..right {
            blend(image, x, y, tint, opacity);
        }
    }
}

fn blend(image: &mut RgbImage, x: i32, y: i32, tint: Rgb<u8>, opacity: u8) {
    let (Ok(x), Ok(y)) = (u32::try_from(x), u32::try_from(y)) else { return };
    if let Some(pixel) = image.get_pixel_mut_checked(x, y) {
        for (value, tint) in pixel.0.iter_mut().zip(tint.0) {
            let mixed = u32::from(*value) * u32::from(255 - opacity) + u32::from(tint) * u32::from(opacity);
            *value = ((mixed + 127) / 255) as u8;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_the_sizes_nothing_but_the_picture_is_touched() {
        let pen = Pen::new().unwrap();
        let scores = Scores::from_logits(&Emotion::FER, &[0.0, 1.0, 2.0, 3.0, 2.0, 1.0, 0.0], 1.0).unwrap();
        for (width, height) in [(1, 1), (48, 48), (640, 480), (3000, 20)] {
            for region in [
                Region { x: 0.0, y: 0.0, width: width as f32, height: height as f32 },
                Region { x: -5.0, y: -500.0, width: 1e4, height: 1e4 },
                Region { x: 1e9, y: 1e9, width: 3e9, height: 3e9 },
            ] {
                let mut image = RgbImage::new(width, height);
                pen.face(&mut image, &region, scores.reading(0.9), &scores);
                pen.face(&mut image, &region, scores.reading(0.0), &scores);
            }
        }
    }

    #[test]
    fn the_box_has_the_colour_of_the_reading() {
        let scores = Scores::from_weights(&[(Emotion::Happy, 3.0), (Emotion::Sad, 1.0)]).unwrap();
        let mut image = RgbImage::new(400, 300);
        let region = Region { x: 60.0, y: 80.0, width: 100.0, height: 120.0 };
        Pen::new().unwrap().face(&mut image, &region, scores.reading(0.5), &scores);
        for (x, y) in [(60, 80), (159, 80), (60, 199), (159, 199), (110, 80)] {
            assert_eq!(*image.get_pixel(x, y), colour(Reading::Emotion(Emotion::Happy)), "{x}, {y}");
        }
        assert_eq!(*image.get_pixel(110, 140), Rgb([0; 3]));
    }
}
