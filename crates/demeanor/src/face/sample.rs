//! One affine sampler for all that looks at a part of a frame: upright or turned, made smaller or larger.
//!
//! A value is the mean of the frame over the area that it covers, so that nothing is skipped when a picture is made smaller;
//! when it is made larger the area is one pixel, which is bilinear interpolation. Beyond the frame its edge repeats.

use crate::input::{Frame, PixelLayout};

/// A part of a frame: where a grid of samples lies in it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct View {
    /// The corner of the first sample, in pixels of the frame.
    pub origin: [f32; 2],
    /// From one sample to the next in a row.
    pub across: [f32; 2],
    /// From one row of samples to the next.
    pub down: [f32; 2],
}

impl View {
    /// An upright view from a corner of the frame; a sample covers `scale` pixels of the frame.
    pub fn upright(x: f32, y: f32, scale: f32) -> Self {
        View { origin: [x, y], across: [scale, 0.0], down: [0.0, scale] }
    }

    /// A square view of `size` samples around a point, `side` pixels of the frame wide, turned by an angle in radians: what
    /// lies at the angle in the frame lies level in the view.
    pub fn turned(middle: [f32; 2], side: f32, angle: f32, size: usize) -> Self {
        let scale = side / size as f32;
        let (sin, cos) = if angle == 0.0 { (0.0, 1.0) } else { angle.sin_cos() };
        let (across, down) = ([scale * cos, scale * sin], [-scale * sin, scale * cos]);
        let half = size as f32 / 2.0;
        let corner = |axis: usize| middle[axis] - half * (across[axis] + down[axis]);
        View { origin: [corner(0), corner(1)], across, down }
    }

    /// Where a point of the grid lies in the frame.
    pub fn place(&self, [x, y]: [f32; 2]) -> [f32; 2] {
        let axis = |i: usize| self.origin[i] + x * self.across[i] + y * self.down[i];
        [axis(0), axis(1)]
    }

    /// Pixels of the frame that the side of a sample covers.
    pub fn scale(&self) -> f32 {
        self.across[0].hypot(self.across[1])
    }

    fn is_upright(&self) -> bool {
        self.across[1] == 0.0 && self.down[0] == 0.0 && self.across[0] > 0.0 && self.down[1] > 0.0
    }
}

/// What one sample takes of the frame along one axis: `first` of pixel `start`, `inner` of each pixel between, `last` of
/// pixel `end`. The weights sum to 1.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Span {
    pub start: usize,
    pub end: usize,
    pub first: f32,
    pub inner: f32,
    pub last: f32,
}

impl Span {
    /// Sample `index` of `size`, which together cover `length` pixels from `origin`; the frame has `limit` pixels, of which
    /// the outermost reach on for ever.
    pub fn new(index: usize, size: usize, origin: f64, length: f64, limit: usize) -> Self {
        let step = length / size as f64;
        let middle = origin + (index as f64 + 0.5) * step;
        let width = step.max(1.0);
        let (from, to) = (middle - width / 2.0, middle + width / 2.0);
        // a float becomes an integer at the nearest bound when it is out of range
        let start = (from.floor().max(0.0) as usize).min(limit - 1);
        let end = ((to.ceil() - 1.0).max(0.0) as usize).min(limit - 1).max(start);
        if start == end {
            return Span { start, end, first: 1.0, inner: 0.0, last: 0.0 };
        }
        let first = ((start + 1) as f64 - from) / width;
        let last = (to - end as f64) / width;
        Span { start, end, first: first as f32, inner: (1.0 / width) as f32, last: last as f32 }
    }

    /// The weight of a pixel between start and end.
    pub fn weight(&self, pixel: usize) -> f32 {
        if pixel == self.start {
            self.first
        } else if pixel == self.end {
            self.last
        } else {
            self.inner
        }
    }
}

/// How many samples across and down a turned view takes of each area at most; larger areas are made smaller first.
const MOST: usize = 2;

/// Samples frames; keeps its buffers, and allocates nothing once they have grown.
#[derive(Debug, Clone, Default)]
pub(crate) struct Sampler {
    columns: Vec<Span>,
    /// A row of the frame's bytes, weighed and summed over the rows that a row of samples covers.
    sums: Vec<f32>,
    /// A row of samples: interleaved channels.
    row: Vec<f32>,
    /// The same of a turned view.
    turned: Vec<f32>,
    /// The upright surroundings of a turned view, made smaller.
    small: Vec<f32>,
}

impl Sampler {
    /// Gives `put` each row of a view of `width` x `height` samples: its number, and `channels` interleaved values (0 to
    /// 255) for each sample. Three channels are red, green, blue; one is luma.
    pub fn rows(
        &mut self,
        frame: &Frame<'_>,
        view: &View,
        [width, height]: [usize; 2],
        channels: usize,
        mut put: impl FnMut(usize, &[f32]),
    ) {
        let grey = channels == 1;
        let length = width * if grey { 1 } else { 3 };
        if view.is_upright() {
            let (x, y) = (f64::from(view.origin[0]), f64::from(view.origin[1]));
            let (wide, high) = (f64::from(view.across[0]) * width as f64, f64::from(view.down[1]) * height as f64);
            self.upright(frame, [x, y, wide, high], [width, height], grey, put);
            return;
        }
        // Surroundings at twice the resolution of the view (or that of the frame, if that is less), upright, are turned.
        let scale = view.scale();
        let step = (scale / MOST as f32).max(1.0);
        let corners = [[0.0, 0.0], [width as f32, 0.0], [0.0, height as f32], [width as f32, height as f32]]
            .map(|corner| view.place(corner));
        let bound = |axis: usize, fold: fn(f32, f32) -> f32| {
            corners.iter().map(|corner| corner[axis]).reduce(fold).unwrap_or_default()
        };
        // two samples of room for interpolation; nothing farther outside of the frame than that is of use
        let limits = [frame.width() as f32, frame.height() as f32];
        let low = [0, 1].map(|axis| (bound(axis, f32::min) - 2.0 * step).max(-2.0 * step).min(limits[axis] - 1.0));
        let high = [0, 1].map(|axis| (bound(axis, f32::max) + 2.0 * step).min(limits[axis] + 2.0 * step));
        let sides = [0, 1].map(|axis| (((high[axis] - low[axis]) / step).ceil().max(1.0) as usize).max(2));
        let values = if grey { 1 } else { 3 };
        let mut small = std::mem::take(&mut self.small);
        small.resize((sides[0] * sides[1] * values).max(small.len()), 0.0);
        let mut row = std::mem::take(&mut self.turned);
        row.resize(length.max(row.len()), 0.0);
        let area = [
            f64::from(low[0]),
            f64::from(low[1]),
            f64::from(step) * sides[0] as f64,
            f64::from(step) * sides[1] as f64,
        ];
        self.upright(frame, area, sides, grey, |y, from| {
            small[y * sides[0] * values..][..sides[0] * values].copy_from_slice(from);
        });
        let parts = (scale / step).ceil().clamp(1.0, MOST as f32) as usize;
        let share = 1.0 / (parts * parts) as f32;
        for y in 0..height {
            row[..length].fill(0.0);
            for (x, out) in row[..length].chunks_exact_mut(values).enumerate() {
                for part in 0..parts * parts {
                    let inside = |i: usize| (i as f32 + 0.5) / parts as f32;
                    let place = view.place([x as f32 + inside(part % parts), y as f32 + inside(part / parts)]);
                    let [u, v] = [0, 1]
                        .map(|axis| ((place[axis] - low[axis]) / step - 0.5).clamp(0.0, (sides[axis] - 1) as f32));
                    let (left, top) = ((u as usize).min(sides[0] - 2), (v as usize).min(sides[1] - 2));
                    let (a, b) = (u - left as f32, v - top as f32);
                    let at = (top * sides[0] + left) * values;
                    let below = at + sides[0] * values;
                    for (c, out) in out.iter_mut().enumerate() {
                        let upper = small[at + c] * (1.0 - a) + small[at + values + c] * a;
                        let lower = small[below + c] * (1.0 - a) + small[below + values + c] * a;
                        *out += (upper * (1.0 - b) + lower * b) * share;
                    }
                }
            }
            put(y, &row[..length]);
        }
        self.small = small;
        self.turned = row;
    }

    /// An upright area `[x, y, width, height]`: the rows that a row of samples covers are summed first, in whole bytes.
    fn upright(
        &mut self,
        frame: &Frame<'_>,
        [left, top, wide, high]: [f64; 4],
        [width, height]: [usize; 2],
        grey: bool,
        mut put: impl FnMut(usize, &[f32]),
    ) {
        self.columns.clear();
        self.columns.extend((0..width).map(|x| Span::new(x, width, left, wide, frame.width())));
        let (Some(first), Some(last)) = (self.columns.first(), self.columns.last()) else { return };
        let bytes = frame.layout().bytes();
        let (from, to) = (first.start * bytes, (last.end + 1) * bytes);
        let shift = first.start;
        if self.sums.len() < to - from {
            self.sums.resize(to - from, 0.0);
        }
        let length = width * if grey { 1 } else { 3 };
        if self.row.len() < length {
            self.row.resize(length, 0.0);
        }
        let sums = &mut self.sums[..to - from];
        let layout = frame.layout();
        for y in 0..height {
            let span = Span::new(y, height, top, high, frame.height());
            let weighed = |row: usize| (&frame.row(row)[from..to], span.weight(row));
            let (bytes_of, weight) = weighed(span.start);
            sums.iter_mut().zip(bytes_of).for_each(|(sum, &byte)| *sum = weight * f32::from(byte));
            for row in span.start + 1..=span.end {
                let (bytes_of, weight) = weighed(row);
                sums.iter_mut().zip(bytes_of).for_each(|(sum, &byte)| *sum += weight * f32::from(byte));
            }
            let row = &mut self.row[..length];
            match layout {
                PixelLayout::Grey8 => narrow::<1>(sums, &self.columns, shift, row, grey, |[v]| [v; 3]),
                PixelLayout::Rgb8 => narrow::<3>(sums, &self.columns, shift, row, grey, |rgb| rgb),
                PixelLayout::Bgr8 => narrow::<3>(sums, &self.columns, shift, row, grey, |[b, g, r]| [r, g, b]),
                PixelLayout::Rgba8 => narrow::<4>(sums, &self.columns, shift, row, grey, |[r, g, b, _]| [r, g, b]),
            }
            put(y, row);
        }
    }
}

/// A row of summed pixels of `N` numbers to one of samples.
#[inline(always)]
fn narrow<const N: usize>(
    sums: &[f32],
    columns: &[Span],
    shift: usize,
    row: &mut [f32],
    grey: bool,
    colour: impl Fn([f32; N]) -> [f32; 3],
) {
    let pixels = sums.as_chunks::<N>().0;
    let sample = |span: &Span| {
        let mut sum = pixels[span.start - shift].map(|v| v * span.first);
        if span.end > span.start {
            for pixel in &pixels[span.start - shift + 1..span.end - shift] {
                for c in 0..N {
                    sum[c] += span.inner * pixel[c];
                }
            }
            let pixel = &pixels[span.end - shift];
            for c in 0..N {
                sum[c] += span.last * pixel[c];
            }
        }
        colour(sum)
    };
    if grey {
        for (out, span) in row.iter_mut().zip(columns) {
            let [r, g, b] = sample(span);
            *out = if N == 1 { r } else { 0.299 * r + 0.587 * g + 0.114 * b };
        }
    } else {
        for (out, span) in row.as_chunks_mut::<3>().0.iter_mut().zip(columns) {
            *out = sample(span);
        }
    }
}
