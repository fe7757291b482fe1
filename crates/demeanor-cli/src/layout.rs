//! Where labels and panels stand on a picture: beside their own face, on nobody else's and not on each other; what has no
//! room is made smaller, then left out.

/// A rectangle in pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rect {
    /// The left side.
    pub x: i32,
    /// The top.
    pub y: i32,
    /// How wide it is.
    pub width: i32,
    /// How tall it is.
    pub height: i32,
}

impl Rect {
    /// A rectangle.
    pub fn new(x: i32, y: i32, width: i32, height: i32) -> Rect {
        Rect { x, y, width, height }
    }

    /// Pixels that both cover.
    fn shared(&self, other: &Rect) -> i64 {
        let length = |a: i32, la: i32, b: i32, lb: i32| i64::from(((a + la).min(b + lb) - a.max(b)).max(0));
        length(self.x, self.width, other.x, other.width) * length(self.y, self.height, other.y, other.height)
    }

    fn area(&self) -> i64 {
        i64::from(self.width) * i64::from(self.height)
    }

    fn is_within(&self, width: i32, height: i32) -> bool {
        self.x >= 0 && self.y >= 0 && self.x + self.width <= width && self.y + self.height <= height
    }
}

/// How much of a face something may cover that belongs to another one, in hundredths.
const COVERED: i64 = 1;
/// How much of its own face a label may cover where there is no room beside it, in hundredths.
const OWN_COVERED: i64 = 25;

/// A face, and the sizes in which its label and its panel are there, the best first.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// The box of the face.
    pub face: Rect,
    /// Widths and heights of the label.
    pub labels: Vec<(i32, i32)>,
    /// Widths and heights of the panel.
    pub panels: Vec<(i32, i32)>,
}

/// Which size was taken, and where it stands.
pub type Place = Option<(usize, Rect)>;

/// Finds places on a picture of a size for a note in a corner, if one of a size is wanted, then for the label and the panel of
/// each face.
pub fn place(size: (i32, i32), note: Option<(i32, i32)>, faces: &[Wanted]) -> (Option<Rect>, Vec<(Place, Place)>) {
    let mut sheet = Sheet { size, faces: faces.iter().map(|f| f.face).collect(), taken: Vec::new() };
    let note = note.map(|note| sheet.corner(note));
    sheet.taken.extend(note);
    let labels: Vec<Place> = (0..faces.len()).map(|i| sheet.label(i, &faces[i].labels)).collect();
    let panels = (0..faces.len()).map(|i| sheet.panel(i, &faces[i].panels));
    let panels: Vec<Place> = panels.collect();
    (note, labels.into_iter().zip(panels).collect())
}

struct Sheet {
    size: (i32, i32),
    faces: Vec<Rect>,
    taken: Vec<Rect>,
}

impl Sheet {
    /// Whether something of a face's own has room here.
    fn is_free(&self, rect: &Rect, own: usize) -> bool {
        let others = self.faces.iter().enumerate().filter(|(i, _)| *i != own).map(|(_, face)| face);
        rect.is_within(self.size.0, self.size.1)
            && self.taken.iter().all(|taken| taken.shared(rect) == 0)
            && others.into_iter().all(|face| 100 * face.shared(rect) <= COVERED * face.area())
    }

    fn label(&mut self, own: usize, sizes: &[(i32, i32)]) -> Place {
        let face = self.faces[own];
        for (number, &(width, height)) in sizes.iter().enumerate() {
            let (left, right) = (face.x.min(self.size.0 - width).max(0), (face.x + face.width - width).max(0));
            let (above, below) = (face.y - height, face.y + face.height);
            let (inside, foot) = (face.y.max(0), (below.min(self.size.1) - height).max(0));
            for (x, y) in [(left, above), (left, below), (right, above), (right, below), (left, inside), (left, foot)] {
                let rect = Rect::new(x, y, width, height);
                if self.is_free(&rect, own) && 100 * face.shared(&rect) <= OWN_COVERED * face.area() {
                    self.taken.push(rect);
                    return Some((number, rect));
                }
            }
        }
        None
    }

    fn panel(&mut self, own: usize, sizes: &[(i32, i32)]) -> Place {
        let face = self.faces[own];
        for (number, &(width, height)) in sizes.iter().enumerate() {
            let (right, bottom) = (face.x + face.width, face.y + face.height);
            let (last_x, last_y) = ((self.size.0 - width).max(0), (self.size.1 - height).max(0));
            let (level, along) = (face.y.clamp(0, last_y), face.x.clamp(0, last_x));
            let mut tries = vec![
                (right, level),
                (face.x - width, level),
                (right, (bottom - height).clamp(0, last_y)),
                (face.x - width, (bottom - height).clamp(0, last_y)),
            ];
            // under it or above it, then under or above its label
            let mut rows = vec![bottom, face.y - height];
            for taken in &self.taken {
                rows.extend([taken.y + taken.height, taken.y - height]);
            }
            rows.retain(|y| (y - bottom).abs() <= face.height / 2 || (y + height - face.y).abs() <= face.height / 2);
            tries.extend(rows.iter().flat_map(|y| [(along, *y), ((right - width).clamp(0, last_x), *y)]));
            for (x, y) in tries {
                let rect = Rect::new(x, y, width, height);
                if self.is_free(&rect, own) && face.shared(&rect) == 0 {
                    self.taken.push(rect);
                    return Some((number, rect));
                }
            }
        }
        // a face that fills its picture has its panel on it
        if let ([face], Some(&(width, height))) = (&self.faces[..], sizes.first()) {
            let (x, y) = ((self.size.0 - width).max(0), face.y.clamp(0, (self.size.1 - height).max(0)));
            let rects = [x, 0].map(|x| Rect::new(x, y, width, height));
            let on_label = |rect: &&Rect| self.taken.iter().map(|taken| taken.shared(rect)).sum::<i64>();
            let best = rects.iter().min_by_key(|rect| (on_label(rect), face.shared(rect)));
            return best.map(|rect| (0, *rect));
        }
        None
    }

    /// The corner in which least is covered.
    fn corner(&self, (width, height): (i32, i32)) -> Rect {
        let (right, bottom) = ((self.size.0 - width).max(0), (self.size.1 - height).max(0));
        let corners = [(0, bottom), (right, bottom), (0, 0), (right, 0)].map(|(x, y)| Rect::new(x, y, width, height));
        let covered = |rect: &Rect| self.faces.iter().map(|face| face.shared(rect)).sum::<i64>();
        corners.into_iter().min_by_key(covered).unwrap_or(corners[0])
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn wanted(face: Rect) -> Wanted {
        Wanted {
            face,
            labels: vec![(110, 20), (80, 20), (60, 14), (16, 14)],
            panels: vec![(150, 120), (110, 90), (80, 64)],
        }
    }

    /// What is covered, and what lies on each other.
    fn check(size: (i32, i32), faces: &[Rect], placed: &[(Place, Place)], note: Option<Rect>) {
        let mut all: Vec<(usize, Rect)> = note.map(|n| (usize::MAX, n)).into_iter().collect();
        for (i, (label, panel)) in placed.iter().enumerate() {
            all.extend(label.iter().chain(panel).map(|(_, rect)| (i, *rect)));
        }
        for (i, (own, rect)) in all.iter().enumerate() {
            assert!(rect.is_within(size.0, size.1), "{rect:?}");
            for (_, other) in &all[i + 1..] {
                assert_eq!(rect.shared(other), 0, "{rect:?} {other:?}");
            }
            for (_, face) in faces.iter().enumerate().filter(|(f, _)| f != own && *own != usize::MAX) {
                assert!(100 * rect.shared(face) <= 3 * face.area(), "{rect:?} on {face:?}");
            }
        }
    }

    #[test]
    fn neighbours_are_not_covered() {
        // four people side by side, as in a group picture
        let faces: Vec<_> = (0..4).map(|i| Rect::new(20 + 150 * i, 100, 100, 100)).collect();
        let all: Vec<_> = faces.iter().map(|f| wanted(*f)).collect();
        let (_, placed) = place((640, 400), None, &all);
        check((640, 400), &faces, &placed, None);
        assert!(placed.iter().all(|(label, panel)| label.is_some() && panel.is_some()), "{placed:?}");
        // no room for panels: labels alone
        let (_, placed) = place((640, 240), None, &all);
        check((640, 240), &faces, &placed, None);
        assert!(placed.iter().all(|(label, _)| label.is_some()), "{placed:?}");
    }

    #[test]
    fn a_face_alone_has_its_panel_wherever_it_is() {
        for face in [Rect::new(0, 0, 320, 320), Rect::new(-5, -40, 1000, 1000), Rect::new(10, 10, 60, 60)] {
            let (_, placed) = place((320, 320), None, &[wanted(face)]);
            assert!(placed[0].1.is_some(), "{face:?}");
        }
    }

    proptest! {
        #[test]
        fn nothing_lies_on_anothers_face_or_panel(
            width in 200i32..1300,
            height in 200i32..800,
            faces in prop::collection::vec((0f64..1.0, 0f64..1.0, 0.02f64..0.4), 2..16),
            noted in any::<bool>(),
        ) {
            let faces: Vec<_> = faces
                .iter()
                .map(|(x, y, s)| {
                    let side = (s * f64::from(height)) as i32 + 1;
                    Rect::new((x * f64::from(width)) as i32 - side / 2, (y * f64::from(height)) as i32 - side / 2, side, side)
                })
                .collect();
            let all: Vec<_> = faces.iter().map(|f| wanted(*f)).collect();
            let (note, placed) = place((width, height), noted.then_some((100, 20)), &all);
            check((width, height), &faces, &placed, note);
        }
    }
}
