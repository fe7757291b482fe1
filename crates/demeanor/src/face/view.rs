//! The views of a prepared face that a model answers to.

use serde::{Deserialize, Serialize};

use crate::error::{Error, ErrorKind, Result};

/// One look at a prepared face. A model may have several, and answers with the mean of their logits.
///
/// A network that was trained on mirror images and on faces of many sizes reads each of them a little otherwise, and the
/// mean is more often right than any of them.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct View {
    /// The side of the square in the middle that is seen, as a part of the picture's side; it is enlarged to the size of the
    /// whole. 0.5 to 1.
    pub part: f32,
    /// Whether it is seen in a mirror.
    pub mirror: bool,
}

impl Default for View {
    fn default() -> Self {
        View::WHOLE
    }
}

impl View {
    /// The picture as it is.
    pub const WHOLE: View = View { part: 1.0, mirror: false };

    /// The most views that a model may have.
    pub const MOST: usize = 16;

    /// What a model has that names no views: the picture as it is.
    pub fn only() -> Vec<View> {
        vec![View::WHOLE]
    }

    /// Whether these are the picture as it is and nothing else.
    pub fn are_only(views: &[View]) -> bool {
        views == [View::WHOLE]
    }

    /// Checks the views of a model.
    ///
    /// # Errors
    /// [`ErrorKind::Setting`] when there are none or more than [`View::MOST`], or a part is not from 0.5 to 1.
    pub fn check(views: &[View]) -> Result<()> {
        if !(1..=Self::MOST).contains(&views.len()) {
            return Err(Error::new(
                ErrorKind::Setting,
                format!("there are {} views of a face; expected 1 to {}", views.len(), Self::MOST),
            ));
        }
        match views.iter().find(|view| !(0.5..=1.0).contains(&view.part)) {
            Some(view) => {
                Err(Error::new(ErrorKind::Setting, format!("a view is of the part {}; expected 0.5 to 1", view.part)))
            }
            None => Ok(()),
        }
    }

    /// Appends this view of a picture `[size][size]` to a list of such pictures. Numbers between pixels are interpolated
    /// linearly in both directions. The whole is copied to the last bit.
    pub fn append(&self, picture: &[f32], size: usize, pictures: &mut Vec<f32>) {
        let at = |i: usize| Place::new(i, size, self.part);
        for y in 0..size {
            let vertical = at(y);
            let row = |y: usize| &picture[y * size..][..size];
            let (upper, lower) = (row(vertical.first), row(vertical.second));
            let first = pictures.len();
            if self.part == 1.0 {
                pictures.extend_from_slice(upper);
            } else {
                pictures.extend((0..size).map(|x| {
                    let horizontal = at(x);
                    vertical.between(horizontal.of(upper), horizontal.of(lower))
                }));
            }
            if self.mirror {
                pictures[first..].reverse();
            }
        }
    }
}

/// A place between two neighbouring pixels of a row or a column.
struct Place {
    first: usize,
    second: usize,
    /// How far it is from the first to the second, 0 to 1.
    way: f32,
}

impl Place {
    /// Where the pixel at `i` of the enlarged middle lies in the picture: pixels are squares, and the middles of both
    /// pictures are the same point.
    fn new(i: usize, size: usize, part: f32) -> Self {
        let middle = size as f32 / 2.0;
        let at = ((i as f32 + 0.5 - middle) * part + middle - 0.5).max(0.0);
        let first = (at as usize).min(size - 1);
        Place { first, second: (first + 1).min(size - 1), way: at - first as f32 }
    }

    fn between(&self, a: f32, b: f32) -> f32 {
        a + self.way * (b - a)
    }

    fn of(&self, row: &[f32]) -> f32 {
        self.between(row[self.first], row[self.second])
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn seen(view: View, picture: &[f32], size: usize) -> Vec<f32> {
        let mut pictures = vec![7.0];
        view.append(picture, size, &mut pictures);
        assert_eq!((pictures.len(), pictures[0]), (1 + size * size, 7.0));
        pictures.split_off(1)
    }

    #[test]
    fn the_whole_is_the_picture_and_a_mirror_turns_its_rows() {
        let picture: Vec<f32> = (0..9).map(|i| i as f32 - 0.1).collect();
        assert_eq!(seen(View::WHOLE, &picture, 3), picture);
        let mirrored = seen(View { mirror: true, ..View::WHOLE }, &picture, 3);
        assert_eq!(mirrored, [2, 1, 0, 5, 4, 3, 8, 7, 6].map(|i: u8| f32::from(i) - 0.1));
    }

    #[test]
    fn half_of_four_pixels_is_the_middle_two() {
        // a ramp stays a ramp: the middle half of 0 1 2 3 begins at 0.75 and climbs by a half
        let ramp: Vec<f32> = (0..16).map(|i| (i % 4) as f32).collect();
        let half = View { part: 0.5, mirror: false };
        assert_eq!(seen(half, &ramp, 4)[..4], [0.75, 1.25, 1.75, 2.25]);
        let down: Vec<f32> = (0..16).map(|i| (i / 4) as f32).collect();
        let column: Vec<f32> = seen(half, &down, 4).chunks_exact(4).map(|row| row[1]).collect();
        assert_eq!(column, [0.75, 1.25, 1.75, 2.25]);
    }

    #[test]
    fn views_out_of_range_are_refused() {
        assert!(View::check(&View::only()).is_ok());
        assert!(View::check(&[]).is_err());
        assert!(View::check(&[View::WHOLE; View::MOST + 1]).is_err());
        for part in [0.49, 1.01, f32::NAN] {
            let error = View::check(&[View { part, mirror: false }]).unwrap_err();
            assert!(error.to_string().contains("expected 0.5 to 1"), "{error}");
        }
    }

    proptest! {
        /// A part shows nothing that the picture has not, and the mirror image of a part is the part of the mirror image.
        #[test]
        fn parts_and_mirrors(
            (size, picture) in (1usize..20)
                .prop_flat_map(|size| (Just(size), prop::collection::vec(-3.0f32..3.0, size * size))),
            part in 0.5f32..=1.0,
        ) {
            let view = View { part, mirror: false };
            let (least, most) = picture.iter().fold((f32::MAX, f32::MIN), |(a, b), &v| (a.min(v), b.max(v)));
            for value in seen(view, &picture, size) {
                prop_assert!((least - 1e-5..=most + 1e-5).contains(&value));
            }
            let other = seen(View { mirror: true, ..View::WHOLE }, &picture, size);
            let (one, two) = (seen(View { part, mirror: true }, &picture, size), seen(view, &other, size));
            for (a, b) in one.iter().zip(&two) {
                prop_assert!((a - b).abs() < 1e-4, "{a} {b}");
            }
        }
    }
}
