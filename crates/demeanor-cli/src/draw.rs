//! Boxes, labels and bars on a picture.

use ab_glyph::{Font, FontRef, PxScale, ScaleFont};
use anyhow::Context;
use demeanor::{Emotion, Picture, PixelLayout, Reading, Region, Scores};
use image::{Rgb, RgbImage};

use crate::layout::{self, Rect, Wanted};

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

/// A face to draw.
#[derive(Debug, Clone, Copy)]
pub struct Drawn<'a> {
    /// Its box, in pixels of the picture.
    pub region: Region,
    /// Its number, where there are several.
    pub number: Option<u32>,
    /// What it reads as.
    pub reading: Reading,
    /// All scores.
    pub scores: &'a Scores,
}

/// A text in a size of letters.
struct Label {
    text: String,
    em: i32,
    width: i32,
}

impl Label {
    fn tall(&self) -> i32 {
        self.em * 3 / 2
    }
}

/// Sizes of letters, from the best to the smallest that can be read.
fn sizes(em: i32) -> impl Iterator<Item = i32> {
    [em, em * 3 / 4, em / 2].into_iter().enumerate().filter(|(i, em)| *i == 0 || *em >= 9).map(|(_, em)| em)
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

    /// Draws the faces of a picture: a box each, what it reads as beside it, and a bar for each emotion where there is room; and
    /// a note in a corner.
    pub fn faces(&self, image: &mut RgbImage, faces: &[Drawn<'_>], note: Option<(&str, Reading)>) {
        let (width, height) = (image.width() as i32, image.height() as i32);
        let em = (width.min(height) / 32).max(13);
        let line = (em / 8).max(1);
        // no picture is as large as this, and sums stay in range
        let whole = |v: f32| v.round().clamp(-1e8, 1e8) as i32;
        let boxes = faces.iter().map(|face| {
            let r = face.region;
            Rect::new(whole(r.x), whole(r.y), whole(r.width), whole(r.height))
        });
        let boxes: Vec<_> = boxes.collect();
        let labels: Vec<Vec<Label>> = faces.iter().map(|face| self.labels(face, em)).collect();
        let wanted = boxes.iter().zip(faces).zip(&labels).map(|((&face, drawn), labels)| Wanted {
            face,
            labels: labels.iter().map(|l| (l.width, l.tall())).collect(),
            panels: sizes(em * 4 / 5).map(|em| self.panel_size(drawn.scores, em)).collect(),
        });
        let wanted: Vec<_> = wanted.collect();
        let note_size = note.map(|(text, _)| (self.width(text, em) + em, em * 3 / 2));
        let (note_place, placed) = layout::place((width, height), note_size, &wanted);

        for (face, drawn) in boxes.iter().zip(faces) {
            let Rect { x, y, width: w, height: h } = *face;
            let tint = colour(drawn.reading);
            for (x, y, w, h) in
                [(x, y, w, line), (x, y + h - line, w, line), (x, y, line, h), (x + w - line, y, line, h)]
            {
                fill(image, x, y, w, h, tint, 255);
            }
        }
        for (i, (label, panel)) in placed.into_iter().enumerate() {
            let tint = colour(faces[i].reading);
            if let Some((number, rect)) = label {
                self.label(image, &labels[i][number], rect, tint);
            }
            if let Some((number, rect)) = panel {
                let em = sizes(em * 4 / 5).nth(number).unwrap_or(em);
                self.panel(image, faces[i].scores, em, rect);
                // whose it is
                for (x, width) in [(rect.x, line), (rect.x + rect.width - line, line)] {
                    fill(image, x, rect.y, width, rect.height, tint, 255);
                }
            }
        }
        if let Some(((text, reading), rect)) = note.zip(note_place) {
            let label = Label { text: text.to_owned(), em, width: rect.width };
            self.label(image, &label, rect, colour(reading));
        }
    }

    /// The labels of a face, from the longest to the shortest.
    fn labels(&self, face: &Drawn<'_>, em: i32) -> Vec<Label> {
        let score = format!("{:.0}%", 100.0 * face.scores.top().1);
        let number = face.number.map_or(String::new(), |number| format!("{number} "));
        let reading = face.reading;
        let mut texts = vec![format!("{number}{reading} {score}"), format!("{number}{reading}")];
        texts.extend(face.number.map(|number| number.to_string()));
        let all = sizes(em).flat_map(|em| texts[..2].iter().map(move |text| (text, em)));
        let last = texts.iter().skip(2).flat_map(|text| sizes(em).map(move |em| (text, em)));
        let label = |(text, em): (&String, i32)| Label { width: self.width(text, em) + em, text: text.clone(), em };
        all.chain(last).map(label).collect()
    }

    fn label(&self, image: &mut RgbImage, label: &Label, at: Rect, tint: Rgb<u8>) {
        fill(image, at.x, at.y, at.width, at.height, tint, 255);
        let em = label.em;
        self.text(image, &label.text, at.x + em / 2, at.y + (label.tall() - em) / 2, em, DARK);
    }

    /// How wide and tall the bars of all emotions are.
    fn panel_size(&self, scores: &Scores, em: i32) -> (i32, i32) {
        let step = em * 5 / 4;
        (self.names(scores, em) + 4 * step + em * 15 / 8, scores.iter().count() as i32 * step + step / 2)
    }

    /// How wide the longest name is.
    fn names(&self, scores: &Scores, em: i32) -> i32 {
        scores.iter().map(|(e, _)| self.width(e.name(), em)).max().unwrap_or(0)
    }

    fn panel(&self, image: &mut RgbImage, scores: &Scores, em: i32, at: Rect) {
        let (step, names) = (em * 5 / 4, self.names(scores, em));
        fill(image, at.x, at.y, at.width, at.height, DARK, 170);
        for (row, (emotion, score)) in scores.iter().enumerate() {
            let top = at.y + step / 4 + row as i32 * step;
            self.text(image, emotion.name(), at.x + em / 2, top, em, WHITE);
            let bar = (score * (4 * step) as f32).round() as i32;
            let tint = colour(Reading::Emotion(emotion));
            fill(image, at.x + em + names, top + step / 5, bar.max(1), step * 3 / 5, tint, 255);
        }
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
                let face = |score| Drawn { region, number: Some(7), reading: scores.reading(score), scores: &scores };
                pen.faces(&mut image, &[face(0.9)], None);
                pen.faces(&mut image, &[face(0.9), face(0.0)], Some(("voice: sad", scores.reading(0.0))));
            }
        }
    }

    #[test]
    fn the_box_has_the_colour_of_the_reading() {
        let scores = Scores::from_weights(&[(Emotion::Happy, 3.0), (Emotion::Sad, 1.0)]).unwrap();
        let mut image = RgbImage::new(400, 300);
        let region = Region { x: 60.0, y: 80.0, width: 100.0, height: 120.0 };
        let face = Drawn { region, number: None, reading: scores.reading(0.5), scores: &scores };
        Pen::new().unwrap().faces(&mut image, &[face], None);
        for (x, y) in [(60, 80), (159, 80), (60, 199), (159, 199), (110, 80)] {
            assert_eq!(*image.get_pixel(x, y), colour(Reading::Emotion(Emotion::Happy)), "{x}, {y}");
        }
        assert_eq!(*image.get_pixel(110, 140), Rgb([0; 3]));
    }
}
