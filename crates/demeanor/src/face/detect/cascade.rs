//! The file of a boosted cascade, and the cascade laid out for a picture's rows.

use sha2::{Digest, Sha256};

use crate::error::{Error, ErrorKind, Result};

/// The first bytes of a cascade file.
const MAGIC: &[u8; 8] = b"DMCASC01";
/// Bytes of the SHA-256 at the end of a cascade file.
const SEAL: usize = 32;
/// Largest side of the window: sums over it, squared values and feature values stay exact in 32 bits.
const MAX_SIDE: u8 = 64;
/// What OpenCV takes off each stage's threshold when it loads a cascade (`THRESHOLD_EPS`).
const THRESHOLD_EPS: f32 = 1e-5;
/// OpenCV takes a window as flat, and leaves it out, when its grey values deviate by 10 or less of 255: it asks for
/// `area * norm < 0.1`.
const FLAT: f64 = 1e-1;

/// A boosted cascade of stumps over upright Haar features (Viola and Jones 2001; Lienhart and Maydt 2002).
#[derive(Debug, Clone)]
pub struct Cascade {
    width: u8,
    height: u8,
    stages: Vec<Stage>,
}

#[derive(Debug, Clone)]
struct Stage {
    threshold: f32,
    stumps: Vec<Stump>,
}

#[derive(Debug, Clone)]
struct Stump {
    form: Form,
    rule: Rule,
}

/// How a feature's value, divided by the window's deviation, becomes a vote.
#[derive(Debug, Clone, Copy, Default)]
pub struct Rule {
    pub threshold: f32,
    pub below: f32,
    pub above: f32,
}

/// A corner of a rectangle, in pixels from the window's top left corner.
type Corner = [u8; 2];

/// A feature as a sum over corners of the integral image. Rectangles share corners, so this is less than 4 a rectangle.
#[derive(Debug, Clone)]
enum Form {
    /// Two rectangles side by side: `c0 + c1 - c2 - c3 + 2 (c4 - c5)`.
    Edge([Corner; 6]),
    /// A rectangle within another: `c0 + c1 - c2 - c3 + 3 (c4 + c5 - c6 - c7)`.
    Line([Corner; 8]),
    /// Four rectangles like a chess board: `c0 + c1 + c2 + c3 - 2 (c4 + c5 + c6 + c7) + 4 c8`.
    Quad([Corner; 9]),
}

fn broken(what: impl std::fmt::Display) -> Error {
    Error::new(ErrorKind::Cascade, format!("not a usable detector cascade: {what}"))
}

/// Reads numbers off the front of a file.
struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn bytes<const N: usize>(&mut self) -> Result<[u8; N]> {
        let (bytes, rest) = self
            .0
            .split_first_chunk()
            .ok_or_else(|| broken(format!("it ends {} bytes early", N - self.0.len().min(N))))?;
        self.0 = rest;
        Ok(*bytes)
    }

    fn u16(&mut self) -> Result<u16> {
        self.bytes().map(u16::from_le_bytes)
    }

    fn f32(&mut self, what: &str) -> Result<f32> {
        let value = f32::from_le_bytes(self.bytes()?);
        if value.is_finite() { Ok(value) } else { Err(broken(format!("{what} is {value}, expected a number"))) }
    }
}

impl Cascade {
    /// Reads a cascade file; `testdata/detect/convert_cascade.py` says how it is laid out.
    ///
    /// # Errors
    /// [`ErrorKind::Cascade`] when the file is truncated, altered, or no cascade.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        let Some((body, seal)) = bytes.split_last_chunk::<SEAL>() else {
            return Err(broken(format!("it has {} bytes, expected more than {SEAL}", bytes.len())));
        };
        if !body.starts_with(MAGIC) {
            return Err(broken("it does not begin with DMCASC01"));
        }
        if Sha256::digest(body).as_slice() != seal {
            return Err(broken("it is truncated or altered (its SHA-256 does not match)"));
        }
        Self::from_body(body)
    }

    /// A cascade file from its contents: puts the SHA-256 behind them that [`Cascade::from_bytes`] asks for.
    pub fn seal(body: &[u8]) -> Vec<u8> {
        [body, Sha256::digest(body).as_slice()].concat()
    }

    fn from_body(body: &[u8]) -> Result<Self> {
        let mut reader = Reader(body);
        reader.bytes::<8>()?;
        let [width, height] = reader.bytes()?;
        if !(3..=MAX_SIDE).contains(&width) || !(3..=MAX_SIDE).contains(&height) {
            return Err(broken(format!("its window is {width}x{height}, expected sides of 3 to {MAX_SIDE}")));
        }
        let count = reader.u16()?;
        if count == 0 {
            return Err(broken("it has no stages"));
        }
        let mut stages = Vec::new();
        for _ in 0..count {
            stages.push(Stage::read(&mut reader, [width, height])?);
        }
        if !reader.0.is_empty() {
            return Err(broken(format!("{} bytes follow its last stage", reader.0.len())));
        }
        Ok(Cascade { width, height, stages })
    }

    /// Width and height of the window that the cascade judges, in pixels.
    pub fn window(&self) -> (usize, usize) {
        (usize::from(self.width), usize::from(self.height))
    }

    /// The same cascade without its last stages: it lets more windows pass.
    #[cfg(test)]
    pub(super) fn of_stages(mut self, count: usize) -> Self {
        self.stages.truncate(count);
        self
    }

    /// How many stages a window must pass, at least 1.
    pub fn stages(&self) -> usize {
        self.stages.len()
    }
}

impl Stage {
    fn read(reader: &mut Reader<'_>, window: Corner) -> Result<Self> {
        let count = reader.u16()?;
        if count == 0 {
            return Err(broken("a stage has no features"));
        }
        let threshold = reader.f32("a stage's threshold")? - THRESHOLD_EPS;
        let mut stumps = Vec::new();
        for _ in 0..count {
            stumps.push(Stump::read(reader, window)?);
        }
        // Equal forms in a row spare the evaluation a choice per feature; votes do not depend on the order.
        stumps.sort_by_key(|stump| match stump.form {
            Form::Edge(_) => 0,
            Form::Line(_) => 1,
            Form::Quad(_) => 2,
        });
        Ok(Stage { threshold, stumps })
    }
}

impl Stump {
    fn read(reader: &mut Reader<'_>, window: Corner) -> Result<Self> {
        let [count] = reader.bytes()?;
        if !(2..=3).contains(&count) {
            return Err(broken(format!("a feature has {count} rectangles, expected 2 or 3")));
        }
        let mut corners = Corners::default();
        for _ in 0..count {
            let [x, y, width, height, weight] = reader.bytes()?;
            let inside = |from: u8, size: u8, of: u8| size > 0 && from.checked_add(size).is_some_and(|end| end <= of);
            if !inside(x, width, window[0]) || !inside(y, height, window[1]) {
                return Err(broken(format!(
                    "a rectangle {width}x{height} at {x},{y} is not within the window of {}x{}",
                    window[0], window[1]
                )));
            }
            let weight = i32::from(weight.cast_signed());
            corners.add([x, y], weight);
            corners.add([x + width, y], -weight);
            corners.add([x, y + height], -weight);
            corners.add([x + width, y + height], weight);
        }
        let mut rule = Rule {
            threshold: reader.f32("a feature's threshold")?,
            below: reader.f32("a vote")?,
            above: reader.f32("a vote")?,
        };
        if let Some(form) = corners.form(1) {
            return Ok(Stump { form, rule });
        }
        let form = corners.form(-1).ok_or_else(|| {
            broken("a feature is neither two rectangles side by side, nor one within another, nor a chess board")
        })?;
        // -v < t exactly when not v < the next number above -t, and the norm is positive
        rule = Rule { threshold: (-rule.threshold).next_up(), below: rule.above, above: rule.below };
        Ok(Stump { form, rule })
    }
}

/// Corners with the weight of the integral image at each.
#[derive(Default)]
struct Corners {
    at: [(Corner, i32); 12],
    count: usize,
}

impl Corners {
    fn add(&mut self, corner: Corner, weight: i32) {
        match self.at[..self.count].iter_mut().find(|(at, _)| *at == corner) {
            Some((_, sum)) => *sum += weight,
            None => {
                self.at[self.count] = (corner, weight);
                self.count += 1;
            }
        }
    }

    /// The form whose weights, times `sign`, these are.
    fn form(&self, sign: i32) -> Option<Form> {
        let all = || self.at[..self.count].iter().filter(|(_, weight)| *weight != 0);
        match all().count() {
            6 => self.in_order(sign, [1, 1, -1, -1, 2, -2]).map(Form::Edge),
            8 => self.in_order(sign, [1, 1, -1, -1, 3, 3, -3, -3]).map(Form::Line),
            9 => self.in_order(sign, [1, 1, 1, 1, -2, -2, -2, -2, 4]).map(Form::Quad),
            _ => None,
        }
    }

    /// The corners, one for each weight; none when a weight has no corner left.
    fn in_order<const N: usize>(&self, sign: i32, weights: [i32; N]) -> Option<[Corner; N]> {
        let mut taken = [false; 12];
        let mut corners = [[0; 2]; N];
        for (corner, weight) in corners.iter_mut().zip(weights) {
            let i = (0..self.count).find(|&i| !taken[i] && self.at[i].1 == weight * sign)?;
            taken[i] = true;
            *corner = self.at[i].0;
        }
        Some(corners)
    }
}

/// How the columns of an integral image lie in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Layout {
    /// Numbers from one row to the next.
    pub stride: usize,
    /// Whether windows begin at every second column: then even columns come first and odd ones from the middle of a row
    /// on, so that the same corner of neighbouring windows lies side by side.
    pub halved: bool,
}

impl Layout {
    /// Where column `x` of a row lies, counted from the row's begin.
    pub fn column(self, x: usize) -> usize {
        if self.halved { x / 2 + (x % 2) * (self.stride / 2) } else { x }
    }
}

/// A feature of `K` corners: where they lie, counted from the window's top left corner.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Feature<const K: usize> {
    pub at: [u32; K],
    pub rule: Rule,
}

/// A stage's threshold and where its features end in the plan's lists.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PlanStage {
    pub threshold: f32,
    pub ends: [usize; 3],
}

/// A cascade laid out for integral images of one layout.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub layout: Layout,
    pub stages: Vec<PlanStage>,
    pub edges: Vec<Feature<6>>,
    pub lines: Vec<Feature<8>>,
    pub quads: Vec<Feature<9>>,
    /// Corners of the rectangle over which the deviation is taken: the window without its border.
    pub inner: [u32; 4],
    /// Pixels in that rectangle.
    pub area: f64,
    /// Least `area * squares - sum * sum` of a window that is not flat.
    pub least: f64,
    /// No corner lies further from a window's top left corner than this.
    pub reach: usize,
}

impl Plan {
    /// Lays a cascade out. Allocates nothing when the plan was made of the same cascade before.
    pub fn lay(&mut self, cascade: &Cascade, layout: Layout) {
        if self.layout == layout && !self.stages.is_empty() {
            return;
        }
        self.layout = layout;
        let (width, height) = cascade.window();
        let place = |[x, y]: Corner| (layout.column(usize::from(x)) + usize::from(y) * layout.stride) as u32;
        let (right, bottom) = (cascade.width - 1, cascade.height - 1);
        self.inner = [[1, 1], [right, 1], [1, bottom], [right, bottom]].map(place);
        self.area = ((width - 2) * (height - 2)) as f64;
        self.least = least_varied(self.area);
        self.reach = height * layout.stride + layout.column(width).max(layout.column(width - 1));
        self.stages.clear();
        self.edges.clear();
        self.lines.clear();
        self.quads.clear();
        for stage in &cascade.stages {
            for Stump { form, rule } in &stage.stumps {
                match form {
                    Form::Edge(at) => self.edges.push(Feature { at: at.map(place), rule: *rule }),
                    Form::Line(at) => self.lines.push(Feature { at: at.map(place), rule: *rule }),
                    Form::Quad(at) => self.quads.push(Feature { at: at.map(place), rule: *rule }),
                }
            }
            let ends = [self.edges.len(), self.lines.len(), self.quads.len()];
            self.stages.push(PlanStage { threshold: stage.threshold, ends });
        }
    }
}

impl Default for Plan {
    fn default() -> Self {
        Plan {
            layout: Layout { stride: 0, halved: false },
            stages: Vec::new(),
            edges: Vec::new(),
            lines: Vec::new(),
            quads: Vec::new(),
            inner: [0; 4],
            area: 0.0,
            least: 0.0,
            reach: 0,
        }
    }
}

/// The least whole `v = area * squares - sum * sum` that OpenCV does not take as flat: `area * (float)(1 / sqrt(v)) < 0.1`.
fn least_varied(area: f64) -> f64 {
    let varied = |v: f64| area * f64::from((1.0 / v.sqrt()) as f32) < FLAT;
    let mut least = ((area / FLAT).powi(2) * (1.0 - 1e-6)).floor();
    while !varied(least) {
        least += 1.0;
    }
    least
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind_of(bytes: &[u8]) -> ErrorKind {
        Cascade::from_bytes(bytes).unwrap_err().kind()
    }

    /// A cascade of one stage with one feature.
    fn small(rects: &[[u8; 5]], window: u8, numbers: [f32; 4]) -> Vec<u8> {
        let mut body = MAGIC.to_vec();
        body.extend([window, window, 1, 0, 1, 0]);
        body.extend(numbers[0].to_le_bytes());
        body.push(rects.len() as u8);
        body.extend(rects.as_flattened());
        numbers[1..].iter().for_each(|n| body.extend(n.to_le_bytes()));
        body
    }

    #[test]
    fn the_embedded_cascade() {
        let cascade = Cascade::from_bytes(super::super::haar::FRONTAL).unwrap();
        assert_eq!((cascade.window(), cascade.stages()), ((24, 24), 25));
        assert_eq!(cascade.stages.iter().map(|s| s.stumps.len()).sum::<usize>(), 2913);
    }

    #[test]
    fn truncated_or_altered_files_are_refused() {
        let file = super::super::haar::FRONTAL;
        for len in (0..200).chain((200..file.len()).step_by(997)) {
            assert_eq!(kind_of(&file[..len]), ErrorKind::Cascade, "{len} bytes");
        }
        for at in (0..200).chain((200..file.len()).step_by(997)) {
            let mut altered = file.to_vec();
            altered[at] ^= 4;
            assert_eq!(kind_of(&altered), ErrorKind::Cascade, "byte {at}");
        }
        assert_eq!(kind_of(&[file, &[0]].concat()), ErrorKind::Cascade);
    }

    #[test]
    fn what_a_sealed_file_says_is_checked() {
        let body = &super::super::haar::FRONTAL[..super::super::haar::FRONTAL.len() - SEAL];
        assert!(Cascade::from_bytes(&Cascade::seal(body)).is_ok());
        for len in (0..body.len()).step_by(211) {
            assert_eq!(kind_of(&Cascade::seal(&body[..len])), ErrorKind::Cascade, "{len} bytes");
        }
        // altered bytes may make another cascade, but never a panic
        for at in (0..400).chain((400..body.len()).step_by(131)) {
            for value in [0, 1, 2, 23, 127, 128, 255] {
                let mut altered = body.to_vec();
                altered[at] = value;
                if let Ok(cascade) = Cascade::from_bytes(&Cascade::seal(&altered)) {
                    Plan::default().lay(&cascade, Layout { stride: 48, halved: true });
                }
            }
        }
        let edge = [[0, 0, 4, 4, 255], [0, 0, 2, 4, 2]];
        let good = small(&edge, 24, [0.5, 0.1, 1.0, -1.0]);
        assert!(Cascade::from_bytes(&Cascade::seal(&good)).is_ok());
        let inf = f32::INFINITY;
        for (what, body) in [
            ("trailing bytes", [&good[..], &[0]].concat()),
            ("no rectangle", small(&[], 24, [0.5, 0.1, 1.0, -1.0])),
            ("four rectangles", small(&[edge[0]; 4], 24, [0.5, 0.1, 1.0, -1.0])),
            ("beyond the window", small(&[[21, 0, 4, 4, 255], edge[1]], 24, [0.5, 0.1, 1.0, -1.0])),
            ("beyond 255", small(&[[250, 0, 20, 4, 255], edge[1]], 24, [0.5, 0.1, 1.0, -1.0])),
            ("empty rectangle", small(&[[1, 0, 0, 4, 255], edge[1]], 24, [0.5, 0.1, 1.0, -1.0])),
            ("unknown form", small(&[edge[0], [0, 0, 3, 3, 2]], 24, [0.5, 0.1, 1.0, -1.0])),
            ("unknown weight", small(&[edge[0], [0, 0, 2, 4, 5]], 24, [0.5, 0.1, 1.0, -1.0])),
            ("window of 2", small(&edge, 2, [0.5, 0.1, 1.0, -1.0])),
            ("window of 200", small(&edge, 200, [0.5, 0.1, 1.0, -1.0])),
            ("threshold", small(&edge, 24, [f32::NAN, 0.1, 1.0, -1.0])),
            ("feature's threshold", small(&edge, 24, [0.5, inf, 1.0, -1.0])),
            ("vote", small(&edge, 24, [0.5, 0.1, 1.0, -inf])),
            ("nothing", Vec::new()),
        ] {
            assert_eq!(kind_of(&Cascade::seal(&body)), ErrorKind::Cascade, "{what}");
        }
    }

    #[test]
    fn turned_chess_boards_keep_their_votes() {
        // -v < t: below; both signs of the same board
        let rects = |x| [[0, 0, 8, 8, 255], [x, 0, 4, 4, 2], [4 - x, 4, 4, 4, 2]];
        for (x, turned) in [(0, false), (4, true)] {
            let body = small(&rects(x), 24, [0.5, 0.25, 1.0, -1.0]);
            let cascade = Cascade::from_bytes(&Cascade::seal(&body)).unwrap();
            let Stump { form, rule } = &cascade.stages[0].stumps[0];
            assert!(matches!(form, Form::Quad(_)));
            let vote = |v: f32| if v < rule.threshold { rule.below } else { rule.above };
            for v in [-0.5f32, 0.25f32.next_down(), 0.25, 0.25f32.next_up(), 0.5] {
                let expected = if v < 0.25 { 1.0 } else { -1.0 };
                assert_eq!(vote(if turned { -v } else { v }), expected, "{v}");
            }
        }
    }

    #[test]
    fn flat_windows_are_those_of_opencv() {
        let varied = |v: f64| 484.0 * f64::from((1.0 / v.sqrt()) as f32) < 0.1;
        let least = least_varied(484.0);
        assert!(varied(least) && !varied(least - 1.0) && !varied(least - 1e3) && !varied(1.0), "{least}");
    }
}
