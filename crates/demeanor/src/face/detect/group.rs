//! Many overlapping candidates to one region each, as OpenCV's `groupRectangles` does it.

use super::haar::Agreement;
use crate::input::Region;

/// By how much the sides of candidates of one group may differ, as a part of their size.
const EPS: f64 = 0.2;

/// A window that passed all stages, in pixels of the frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Candidate {
    pub x: i32,
    pub y: i32,
    pub width: i32,
    pub height: i32,
}

impl Candidate {
    fn right(&self) -> i32 {
        self.x + self.width
    }

    fn bottom(&self) -> i32 {
        self.y + self.height
    }

    fn similar(&self, other: &Candidate) -> bool {
        let delta = EPS * f64::from(self.width.min(other.width) + self.height.min(other.height)) * 0.5;
        let near = |a: i32, b: i32| f64::from((a - b).abs()) <= delta;
        near(self.x, other.x)
            && near(self.y, other.y)
            && near(self.right(), other.right())
            && near(self.bottom(), other.bottom())
    }

    fn region(&self) -> Region {
        Region { x: self.x as f32, y: self.y as f32, width: self.width as f32, height: self.height as f32 }
    }
}

/// Groups candidates; keeps its buffers, so that nothing is allocated once they are large enough.
#[derive(Debug, Default)]
pub(super) struct Grouper {
    /// The candidate that leads each candidate's group, by way of others.
    leader: Vec<u32>,
    groups: Vec<Group>,
    /// Where in `groups` the group of each leader is.
    place: Vec<u32>,
}

#[derive(Debug, Clone, Copy)]
struct Group {
    sum: [i64; 4],
    mean: Candidate,
    count: u32,
}

impl Grouper {
    /// Makes room for so many candidates.
    pub fn reserve(&mut self, candidates: usize) {
        self.leader.reserve(candidates);
        self.place.reserve(candidates);
        self.groups.reserve(candidates);
    }

    /// Adds to `found` one detection for each group of more than `min_neighbours` candidates, or every candidate when
    /// that is 0; the ones with most neighbours first. Brings the candidates into another order.
    pub fn group(&mut self, candidates: &mut [Candidate], min_neighbours: u32, found: &mut Vec<Agreement>) {
        if min_neighbours == 0 {
            found.extend(candidates.iter().map(|c| Agreement { region: c.region(), neighbours: 1 }));
            return;
        }
        self.join(candidates);
        self.average(candidates);
        self.groups.retain(|group| group.count > min_neighbours);
        for (i, group) in self.groups.iter().enumerate() {
            let others = self.groups.iter().enumerate().filter(|&(j, _)| j != i).map(|(_, other)| other);
            if !others.into_iter().any(|other| group.is_part_of(other)) {
                found.push(Agreement { region: group.mean.region(), neighbours: group.count });
            }
        }
        found.sort_unstable_by_key(|d| {
            let Region { x, y, width, .. } = d.region;
            (std::cmp::Reverse(d.neighbours), x as i64, y as i64, width as i64)
        });
    }

    /// Joins similar candidates, and those that are similar to the same one, and so on.
    fn join(&mut self, candidates: &mut [Candidate]) {
        // In order of x only the next few can be similar: none may lie further right than EPS of its width.
        candidates.sort_unstable_by_key(|c| (c.x, c.y, c.width));
        self.leader.clear();
        self.leader.extend(0..candidates.len() as u32);
        for (i, a) in candidates.iter().enumerate() {
            let reach = a.x + (EPS * f64::from(a.width.max(a.height))) as i32 + 1;
            for (j, b) in candidates.iter().enumerate().skip(i + 1) {
                if b.x > reach {
                    break;
                }
                if a.similar(b) {
                    let (a, b) = (self.leader_of(i as u32), self.leader_of(j as u32));
                    self.leader[a.max(b) as usize] = a.min(b);
                }
            }
        }
    }

    fn leader_of(&mut self, mut i: u32) -> u32 {
        while self.leader[i as usize] != i {
            let next = self.leader[self.leader[i as usize] as usize];
            self.leader[i as usize] = next;
            i = next;
        }
        i
    }

    fn average(&mut self, candidates: &[Candidate]) {
        self.groups.clear();
        self.place.clear();
        self.place.resize(candidates.len(), 0);
        for (i, c) in candidates.iter().enumerate() {
            let leader = self.leader_of(i as u32) as usize;
            // a group's leader is its first candidate
            if leader == i {
                self.place[i] = self.groups.len() as u32;
                self.groups.push(Group { sum: [0; 4], mean: *c, count: 0 });
            }
            let group = &mut self.groups[self.place[leader] as usize];
            for (sum, value) in group.sum.iter_mut().zip([c.x, c.y, c.width, c.height]) {
                *sum += i64::from(value);
            }
            group.count += 1;
        }
        for group in &mut self.groups {
            // in single precision, as OpenCV does it
            let part = 1.0 / group.count as f32;
            let [x, y, width, height] = group.sum.map(|sum| (sum as f32 * part).round_ties_even() as i32);
            group.mean = Candidate { x, y, width, height };
        }
    }
}

impl Group {
    /// Whether this group lies within another that counts more.
    fn is_part_of(&self, other: &Group) -> bool {
        let (a, b) = (&self.mean, &other.mean);
        let dx = (f64::from(b.width) * EPS).round_ties_even() as i32;
        let dy = (f64::from(b.height) * EPS).round_ties_even() as i32;
        a.x >= b.x - dx
            && a.y >= b.y - dy
            && a.right() <= b.right() + dx
            && a.bottom() <= b.bottom() + dy
            && (other.count > self.count.max(3) || self.count < 3)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group(candidates: &[[i32; 4]], min_neighbours: u32) -> Vec<([i32; 4], u32)> {
        let mut candidates: Vec<_> =
            candidates.iter().map(|&[x, y, width, height]| Candidate { x, y, width, height }).collect();
        let mut found = Vec::new();
        Grouper::default().group(&mut candidates, min_neighbours, &mut found);
        let numbers = |r: Region| [r.x as i32, r.y as i32, r.width as i32, r.height as i32];
        found.into_iter().map(|d| (numbers(d.region), d.neighbours)).collect()
    }

    #[test]
    fn as_opencv_groups() {
        // cv2.groupRectangles(..., eps=0.2) of OpenCV 4.14
        let near = [[10, 10, 40, 40], [12, 11, 41, 41], [11, 13, 43, 43], [100, 90, 30, 30]];
        assert_eq!(group(&near, 1), [([11, 11, 41, 41], 3)]);
        assert_eq!(group(&near, 2), [([11, 11, 41, 41], 3)]);
        assert_eq!(group(&near, 3), []);
        assert_eq!(group(&near, 0).len(), 4);
        assert_eq!(group(&[], 3), []);
        // similarity is handed on
        let chain = [[0, 0, 40, 40], [8, 0, 40, 40], [16, 0, 40, 40], [24, 0, 40, 40]];
        assert_eq!(group(&chain, 2), [([12, 0, 40, 40], 4)]);
        // a small group within a larger one goes when the larger counts more, at least 4 or more than it
        let inner = [[20, 20, 20, 20], [20, 20, 20, 20], [20, 20, 20, 20]];
        let outer = [[0, 0, 60, 60]; 4];
        assert_eq!(group(&[&inner[..], &outer[..]].concat(), 1), [([0, 0, 60, 60], 4)]);
        assert_eq!(group(&[&inner[..], &outer[..3]].concat(), 1).len(), 2);
        assert_eq!(group(&[&inner[..2], &outer[..2]].concat(), 1), [([0, 0, 60, 60], 2)]);
    }

    proptest::proptest! {
        #[test]
        fn order_does_not_matter(mut boxes in proptest::collection::vec((0..200i32, 0..200i32, 24..60i32), 1..60), by in 0..60usize) {
            let squares = |boxes: &[(i32, i32, i32)]| boxes.iter().map(|&(x, y, s)| [x, y, s, s]).collect::<Vec<_>>();
            let expected = group(&squares(&boxes), 1);
            let by = by % boxes.len();
            boxes.rotate_left(by);
            boxes.reverse();
            proptest::prop_assert_eq!(group(&squares(&boxes), 1), expected);
        }
    }
}
