//! Edits of the pictures of a [`FaceSet`](crate::data::faces::FaceSet), before `demeanor::face::prepare` sees them.

use demeanor::{Error, ErrorKind, Frame, Result};
use rand::{Rng, RngExt};
use rand_distr::{Beta, Distribution};
use serde::{Deserialize, Serialize};

use super::warp::Warp;

/// What may be done to a training picture, and how strongly; all off by default.
///
/// Amounts are drawn evenly from their ranges for each picture of each epoch, from a stream that depends on seed, epoch
/// and place alone. Geometric edits are one warp from the picture, whatever its size, to the size of the recipe; what it
/// needs from outside the picture is the nearest edge pixel. The others follow at that size.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FaceAugment {
    /// The chance that a picture is mirrored, 0 to 1.
    pub flip: f32,
    /// Rotation by up to this many degrees either way, 0 to 180.
    pub rotate_deg: f32,
    /// Shift by up to this part of the side, on each axis and either way, 0 to 1.
    pub shift: f32,
    /// Scaling by a factor between `1 - scale` and `1 + scale`, 0 to 0.9.
    pub scale: f32,
    /// Brightness changed by up to this part of the full range either way, 0 to 1.
    pub brightness: f32,
    /// Contrast around the picture's mean changed by a factor between `1 - contrast` and `1 + contrast`, 0 to 1.
    pub contrast: f32,
    /// Gamma between `1 / (1 + gamma)` and `1 + gamma`, 0 to 4.
    pub gamma: f32,
    /// The chance that a picture is blurred (3x3 binomial), 0 to 1.
    pub blur: f32,
    /// Noise with a standard deviation of up to this many grey values, 0 to 64.
    pub noise: f32,
    /// The chance that a rectangle is erased (Zhong et al. 2017), 0 to 1.
    pub erase: f32,
    /// Smallest and largest area of the erased rectangle, as parts of the picture; `[0.02, 0.2]` when absent.
    pub erase_area: Option<[f32; 2]>,
    /// What an erased rectangle is filled with.
    pub erase_fill: Fill,
    /// Alpha of mixup's beta distribution (Zhang et al. 2018): pictures and targets are blended in pairs. 0 for none.
    pub mixup: f32,
    /// Alpha of CutMix's beta distribution (Yun et al. 2019): a rectangle comes from a second picture. 0 for none.
    pub cutmix: f32,
    /// The chance that a picture is mixed at all, by mixup or CutMix (evenly, when both are on); 1 when absent.
    pub mix_chance: Option<f32>,
}

/// What an erased rectangle is filled with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fill {
    /// The picture's mean.
    #[default]
    Mean,
    /// Random grey values.
    Noise,
}

/// How two pictures become one.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Mix {
    /// A weighted mean of the grey values.
    Blend {
        /// The weight of the first picture, 0 to 1.
        keep: f32,
    },
    /// A rectangle of the second picture in the first.
    Paste {
        /// Left, top, right and bottom edge; right and bottom are outside.
        rectangle: [usize; 4],
        /// Side of the pictures.
        side: usize,
    },
}

impl Mix {
    /// The weight that the first picture's target keeps, 0 to 1; the second's is the rest.
    pub fn keep(&self) -> f32 {
        match *self {
            Mix::Blend { keep } => keep,
            Mix::Paste { rectangle: [left, top, right, bottom], side } => {
                1.0 - ((right - left) * (bottom - top)) as f32 / (side * side) as f32
            }
        }
    }

    /// Changes a picture into its mix with another.
    pub fn apply(&self, picture: &mut [u8], other: &[u8]) {
        match *self {
            Mix::Blend { keep } => {
                let weight = (keep * 256.0).round() as u32;
                for (p, &o) in picture.iter_mut().zip(other) {
                    *p = ((u32::from(*p) * weight + u32::from(o) * (256 - weight) + 128) >> 8) as u8;
                }
            }
            Mix::Paste { rectangle: [left, top, right, bottom], side } => {
                for y in top..bottom {
                    let row = y * side + left..y * side + right;
                    picture[row.clone()].copy_from_slice(&other[row]);
                }
            }
        }
    }
}

impl FaceAugment {
    /// Refuses settings that are out of their ranges.
    ///
    /// # Errors
    /// [`ErrorKind::Setting`], with the name of the setting and its range.
    pub fn check(&self) -> Result<()> {
        let [least, most] = self.area();
        let ranges = [
            ("flip", self.flip, 0.0, 1.0),
            ("rotate_deg", self.rotate_deg, 0.0, 180.0),
            ("shift", self.shift, 0.0, 1.0),
            ("scale", self.scale, 0.0, 0.9),
            ("brightness", self.brightness, 0.0, 1.0),
            ("contrast", self.contrast, 0.0, 1.0),
            ("gamma", self.gamma, 0.0, 4.0),
            ("blur", self.blur, 0.0, 1.0),
            ("noise", self.noise, 0.0, 64.0),
            ("erase", self.erase, 0.0, 1.0),
            ("erase_area (smallest)", least, 0.0, 1.0),
            ("erase_area (largest)", most, least, 1.0),
            ("mixup", self.mixup, 0.0, 100.0),
            ("cutmix", self.cutmix, 0.0, 100.0),
            ("mix_chance", self.mix_chance.unwrap_or(1.0), 0.0, 1.0),
        ];
        for (name, value, low, high) in ranges {
            if !(low..=high).contains(&value) {
                return Err(Error::new(
                    ErrorKind::Setting,
                    format!("the augmentation's {name} is {value}; expected {low} to {high}"),
                ));
            }
        }
        Ok(())
    }

    fn area(&self) -> [f32; 2] {
        self.erase_area.unwrap_or([0.02, 0.2])
    }

    /// Whether pictures are mixed.
    pub fn mixes(&self) -> bool {
        (self.mixup > 0.0 || self.cutmix > 0.0) && self.mix_chance != Some(0.0)
    }

    /// An edited picture as a grey square of `side` pixels; drawn from `random` in a fixed order.
    ///
    /// # Errors
    /// Those of the library's preparation.
    pub fn apply(&self, frame: &Frame<'_>, side: usize, random: &mut impl Rng) -> Result<Vec<u8>> {
        let flip = random.random::<f32>() < self.flip;
        let mut spread = |amount: f32| amount * (2.0 * random.random::<f32>() - 1.0);
        let angle = spread(self.rotate_deg).to_radians();
        let shift = [spread(self.shift), spread(self.shift)];
        let scale = 1.0 + spread(self.scale);
        let (brightness, contrast, gamma) = (spread(self.brightness), 1.0 + spread(self.contrast), spread(1.0));
        let mut out = Warp { flip, angle, shift, scale }.square(frame, side)?;
        if self.brightness > 0.0 || self.contrast > 0.0 || self.gamma > 0.0 {
            light(&mut out, brightness, contrast, (1.0 + self.gamma).powf(gamma));
        }
        if random.random::<f32>() < self.blur {
            blur(&mut out, side);
        }
        let deviation = self.noise * random.random::<f32>();
        if deviation > 0.0 {
            noise(&mut out, deviation, random);
        }
        if random.random::<f32>() < self.erase {
            self.erase(&mut out, side, random);
        }
        Ok(out)
    }

    fn erase(&self, picture: &mut [u8], whole: usize, random: &mut impl Rng) {
        let [least, most] = self.area();
        let area = (least + (most - least) * random.random::<f32>()) * picture.len() as f32;
        // Sides in a ratio of 1:3 to 3:1, evenly on a logarithmic scale.
        let ratio = 3.0_f32.powf(2.0 * random.random::<f32>() - 1.0);
        let side = |length: f32| (length.round() as usize).clamp(1, whole);
        let (width, height) = (side((area * ratio).sqrt()), side((area / ratio).sqrt()));
        let (left, top) = (random.random_range(0..=whole - width), random.random_range(0..=whole - height));
        let fill = mean(picture).round() as u8;
        for y in top..top + height {
            let row = &mut picture[y * whole + left..][..width];
            match self.erase_fill {
                Fill::Mean => row.fill(fill),
                Fill::Noise => random.fill(row),
            }
        }
    }

    /// Draws whether and how a picture of `whole` pixels on each side is mixed with another.
    pub fn mix(&self, whole: usize, random: &mut impl Rng) -> Option<Mix> {
        if !self.mixes() || random.random::<f32>() >= self.mix_chance.unwrap_or(1.0) {
            return None;
        }
        let paste = self.mixup <= 0.0 || (self.cutmix > 0.0 && random.random::<bool>());
        let alpha = if paste { self.cutmix } else { self.mixup };
        let keep = Beta::new(alpha, alpha).ok()?.sample(random);
        if !keep.is_finite() {
            return None;
        }
        if !paste {
            return Some(Mix::Blend { keep });
        }
        // A rectangle of the picture's shape around an even place, cut off at the edges.
        let side = whole as f32 * (1.0 - keep).sqrt();
        let mut edges = || {
            let centre = random.random::<f32>() * whole as f32;
            let edge = |v: f32| (v.round().max(0.0) as usize).min(whole);
            (edge(centre - side / 2.0), edge(centre + side / 2.0))
        };
        let ((left, right), (top, bottom)) = (edges(), edges());
        Some(Mix::Paste { rectangle: [left, top, right, bottom], side: whole })
    }
}

fn mean(picture: &[u8]) -> f32 {
    picture.iter().map(|&p| u32::from(p)).sum::<u32>() as f32 / picture.len() as f32
}

/// Gamma, then contrast around the mean, then brightness, by a table of the 256 grey values.
fn light(picture: &mut [u8], brightness: f32, contrast: f32, gamma: f32) {
    let middle = mean(picture);
    let curve = |v: f32| if gamma == 1.0 { v } else { 255.0 * (v / 255.0).powf(gamma) };
    let middle = curve(middle);
    let table: [u8; 256] = std::array::from_fn(|v| {
        (middle + (curve(v as f32) - middle) * contrast + 255.0 * brightness).round().clamp(0.0, 255.0) as u8
    });
    for pixel in picture {
        *pixel = table[usize::from(*pixel)];
    }
}

/// The binomial filter 1-2-1 down and across; the edge is repeated.
fn blur(picture: &mut [u8], side: usize) {
    let source = picture.to_vec();
    let mut row = vec![0_u16; side + 2];
    for (y, out) in picture.chunks_exact_mut(side).enumerate() {
        let line = |y: usize| &source[y * side..][..side];
        let (above, here, below) = (line(y.saturating_sub(1)), line(y), line((y + 1).min(side - 1)));
        for (x, sum) in row[1..=side].iter_mut().enumerate() {
            *sum = u16::from(above[x]) + 2 * u16::from(here[x]) + u16::from(below[x]);
        }
        row[0] = row[1];
        row[side + 1] = row[side];
        for (x, pixel) in out.iter_mut().enumerate() {
            *pixel = ((row[x] + 2 * row[x + 1] + row[x + 2] + 8) >> 4) as u8;
        }
    }
}

/// Adds noise of nearly normal distribution: the sum of four even bytes has mean 510 and deviation 147.8.
fn noise(picture: &mut [u8], deviation: f32, random: &mut impl Rng) {
    let factor = deviation / 147.8;
    for pixel in picture {
        let sum: i32 = random.next_u32().to_le_bytes().iter().map(|&b| i32::from(b)).sum();
        *pixel = (f32::from(*pixel) + factor * (sum - 510) as f32).round().clamp(0.0, 255.0) as u8;
    }
}

#[cfg(test)]
mod tests {
    use demeanor::PixelLayout;

    use super::*;
    use crate::data::pixels::{PIXELS, SIDE};
    use crate::data::stream;

    /// A smooth picture without symmetry.
    fn picture() -> [u8; PIXELS] {
        std::array::from_fn(|i| {
            let (x, y) = ((i % SIDE) as f32, (i / SIDE) as f32);
            (100.0 + x + 20.0 * (y / 9.0).sin() + 30.0 * (x / 7.0).cos()).clamp(0.0, 255.0) as u8
        })
    }

    fn apply(augment: &FaceAugment, random: &mut impl Rng) -> Vec<u8> {
        let pixels = picture();
        augment.apply(&Frame::new(&pixels, SIDE, SIDE, PixelLayout::Grey8).unwrap(), SIDE, random).unwrap()
    }

    fn strong() -> FaceAugment {
        FaceAugment {
            flip: 0.5,
            rotate_deg: 20.0,
            shift: 0.1,
            scale: 0.1,
            brightness: 0.2,
            contrast: 0.3,
            gamma: 0.3,
            blur: 0.5,
            noise: 8.0,
            erase: 1.0,
            ..FaceAugment::default()
        }
    }

    #[test]
    fn nothing_changes_by_default() {
        assert_eq!(apply(&FaceAugment::default(), &mut stream(1, 2, 3)), picture());
        assert_eq!(FaceAugment::default().mix(SIDE, &mut stream(1, 2, 3)), None);
    }

    #[test]
    fn the_same_numbers_give_the_same_picture_and_others_another() {
        let [a, b, c] = [(2, 3), (2, 3), (3, 2)].map(|(epoch, place)| apply(&strong(), &mut stream(1, epoch, place)));
        assert_eq!(a, b);
        assert_ne!(a, c);
    }

    #[test]
    fn light_and_blur_and_noise_stay_in_range() {
        for value in [0, 128, 255] {
            for (b, c, g) in [(1.0, 2.0, 5.0), (-1.0, 0.0, 0.2), (0.0, 1.0, 1.0)] {
                let mut flat = [value; PIXELS];
                light(&mut flat, b, c, g);
                blur(&mut flat, SIDE);
                if (b, c, g) == (0.0, 1.0, 1.0) {
                    assert_eq!(flat, [value; PIXELS]);
                }
                noise(&mut flat, 64.0, &mut stream(0, 0, 0));
            }
        }
        let mut grey = [128; PIXELS];
        noise(&mut grey, 10.0, &mut stream(0, 0, 1));
        let deviation = grey.iter().map(|&p| (f32::from(p) - 128.0).powi(2)).sum::<f32>() / PIXELS as f32;
        assert!((deviation.sqrt() - 10.0).abs() < 0.6, "{}", deviation.sqrt());
    }

    #[test]
    fn mixing_keeps_the_share_it_says() {
        let augment = FaceAugment { mixup: 0.4, cutmix: 1.0, ..FaceAugment::default() };
        let (mut blends, mut pastes) = (0, 0);
        for i in 0..500 {
            let mix = augment.mix(SIDE, &mut stream(0, 0, i)).unwrap();
            let mut out = [200; PIXELS];
            mix.apply(&mut out, &[100; PIXELS]);
            assert!((0.0..=1.0).contains(&mix.keep()));
            assert!((mean(&out) - (100.0 + 100.0 * mix.keep())).abs() < 1.0);
            match mix {
                Mix::Blend { .. } => blends += 1,
                Mix::Paste { .. } => pastes += 1,
            }
        }
        assert!(blends > 150 && pastes > 150);
    }

    #[test]
    fn settings_out_of_range_are_named() {
        let error = FaceAugment { flip: 1.5, ..FaceAugment::default() }.check().unwrap_err();
        assert_eq!(error.to_string(), "the augmentation's flip is 1.5; expected 0 to 1");
        assert!(FaceAugment { rotate_deg: f32::NAN, ..FaceAugment::default() }.check().is_err());
        assert!(strong().check().is_ok());
    }
}
