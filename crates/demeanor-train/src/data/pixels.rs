//! The pixels of a labelled picture, as its file or its row of a table holds them.

use std::borrow::Cow;
use std::path::{Path, PathBuf};

use demeanor::face::prepare::{FaceRecipe, Scaling, prepare};
use demeanor::{Error, Picture, PixelLayout, Result};
use demeanor_media::picture;

use crate::seen::hash;

/// Side of a [`Thumbnail`], in pixels: that of FER-2013's pictures.
pub const SIDE: usize = 48;

/// Grey values of a [`Thumbnail`].
pub const PIXELS: usize = SIDE * SIDE;

/// A picture made small: 48x48 grey values (BT.601 luma), rows from the top.
pub type Thumbnail = Box<[u8; PIXELS]>;

/// A picture of more bytes is not kept, but read again whenever it is needed. Crops of faces are smaller (293 x 293 pixels
/// in colour), and whole photographs of a large set would fill the memory.
const MOST_KEPT: usize = 1 << 18;

/// The pixels of a picture, of any size and layout.
#[derive(Debug, Clone)]
pub struct Pixels {
    held: Held,
    is_blank: bool,
    hash: [u8; 8],
}

#[derive(Debug, Clone)]
enum Held {
    Picture(Picture),
    File(PathBuf),
}

impl From<Picture> for Pixels {
    fn from(picture: Picture) -> Self {
        Pixels { is_blank: is_blank(&picture), hash: hash(picture.pixels()), held: Held::Picture(picture) }
    }
}

impl Pixels {
    /// The pixels of a picture file, read as the program reads every picture.
    ///
    /// # Errors
    /// Those of [`picture::open`], with the file's name.
    pub fn open(path: PathBuf) -> Result<Self> {
        let picture = read(&path)?;
        if picture.pixels().len() <= MOST_KEPT {
            return Ok(picture.into());
        }
        Ok(Pixels { is_blank: is_blank(&picture), hash: hash(picture.pixels()), held: Held::File(path) })
    }

    /// The picture; a large one is read from its file.
    ///
    /// # Errors
    /// Those of [`picture::open`], when a file is no longer there.
    pub fn picture(&self) -> Result<Cow<'_, Picture>> {
        match &self.held {
            Held::Picture(picture) => Ok(Cow::Borrowed(picture)),
            Held::File(path) => read(path).map(Cow::Owned),
        }
    }

    /// Whether all pixels are equal.
    pub fn is_blank(&self) -> bool {
        self.is_blank
    }

    /// The first 8 bytes of the SHA-256 of the pixels, as they lie in the picture.
    pub fn hash(&self) -> [u8; 8] {
        self.hash
    }

    /// The picture made small; one of this size is copied exactly.
    ///
    /// # Errors
    /// As [`Pixels::picture`].
    pub fn thumbnail(&self) -> Result<Thumbnail> {
        let picture = self.picture()?;
        if (picture.width(), picture.height(), picture.layout()) == (SIDE, SIDE, PixelLayout::Grey8)
            && let Ok(pixels) = <[u8; PIXELS]>::try_from(picture.pixels())
        {
            return Ok(Box::new(pixels));
        }
        // grey and size as the library's own preparation makes them
        let recipe = FaceRecipe { size: SIDE, scaling: Scaling::Unit, margin: 0.0 };
        let input = prepare(&picture.frame(), None, &recipe)?;
        let mut pixels = Box::new([0; PIXELS]);
        for (pixel, value) in pixels.iter_mut().zip(input.values()) {
            *pixel = (value * 255.0).round() as u8;
        }
        Ok(pixels)
    }
}

fn read(path: &Path) -> Result<Picture> {
    picture::open(path).map_err(|e| Error::new(e.kind(), format!("{}: {e}", path.display())).with_source(e))
}

fn is_blank(picture: &Picture) -> bool {
    let bytes = picture.layout().bytes();
    picture.pixels().chunks_exact(bytes).all(|pixel| pixel == &picture.pixels()[..bytes])
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A grey picture of FER-2013's size.
    pub(crate) fn grey(pixel: impl Fn(usize) -> u8) -> Pixels {
        Picture::new((0..PIXELS).map(pixel).collect(), SIDE, SIDE, PixelLayout::Grey8).unwrap().into()
    }

    #[test]
    fn a_large_file_is_read_again_and_a_small_one_kept() {
        let path = std::env::temp_dir().join(format!("demeanor-pixels-{}.png", std::process::id()));
        for (side, is_kept) in [(100, true), (600, false)] {
            let image = image::RgbImage::from_fn(side, side, |x, y| image::Rgb([x as u8, y as u8, 7]));
            image.save(&path).unwrap();
            let pixels = Pixels::open(path.clone()).unwrap();
            assert_eq!(pixels.picture().unwrap().pixels(), image.as_raw());
            assert!(!pixels.is_blank());
            std::fs::remove_file(&path).unwrap();
            assert_eq!(pixels.picture().is_ok(), is_kept);
            assert_eq!(pixels.thumbnail().is_ok(), is_kept);
        }
    }

    #[test]
    fn blank_is_of_one_colour() {
        let picture = |pixels: Vec<u8>| Pixels::from(Picture::new(pixels, 2, 1, PixelLayout::Rgb8).unwrap());
        assert!(picture(vec![1, 2, 3, 1, 2, 3]).is_blank());
        assert!(!picture(vec![1, 1, 1, 1, 1, 2]).is_blank());
        let small = grey(|i| (i % 256) as u8);
        assert_eq!(small.thumbnail().unwrap()[..], small.picture().unwrap().pixels()[..]);
    }
}
