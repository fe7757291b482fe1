//! A feature map in memory: blocks of channels, with a border of zeros around each.

use crate::simd::{Aligned, LANES};

/// Rows and columns of zeros around a map, so that convolutions need not look where they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Border {
    pub(crate) top: usize,
    pub(crate) bottom: usize,
    pub(crate) left: usize,
    pub(crate) right: usize,
}

impl Border {
    /// The larger border on each side.
    pub(crate) fn max(self, other: Border) -> Border {
        Border {
            top: self.top.max(other.top),
            bottom: self.bottom.max(other.bottom),
            left: self.left.max(other.left),
            right: self.right.max(other.right),
        }
    }
}

/// What decides where the numbers of a map stand, apart from the width, which may change from run to run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Geometry {
    pub(crate) channels: usize,
    pub(crate) height: usize,
    /// The largest width.
    pub(crate) most: usize,
    pub(crate) border: Border,
    /// How many channels stand side by side for each pixel: [`LANES`], or 1 for an input.
    pub(crate) lanes: usize,
}

impl Geometry {
    /// How many blocks of channels there are.
    pub(crate) fn planes(&self) -> usize {
        self.channels.div_ceil(self.lanes)
    }

    /// How many numbers a map of this width takes; none when that is beyond all bounds.
    pub(crate) fn size(&self, width: usize) -> Option<usize> {
        let columns = width.checked_add(self.border.left)?.checked_add(self.border.right)?;
        let rows = self.height.checked_add(self.border.top)?.checked_add(self.border.bottom)?;
        self.planes().checked_mul(rows)?.checked_mul(columns)?.checked_mul(self.lanes)
    }
}

/// A feature map `[blocks][border + height + border][border + width + border][lanes]`.
#[derive(Debug, Clone)]
pub(crate) struct Map {
    pub(crate) geometry: Geometry,
    pub(crate) width: usize,
    pub(crate) data: Aligned<f32>,
}

impl Default for Map {
    fn default() -> Self {
        let geometry = Geometry { channels: 0, height: 0, most: 0, border: Border::default(), lanes: LANES };
        Map { geometry, width: 0, data: Aligned::default() }
    }
}

impl Map {
    /// A map of zeros of the largest width.
    pub(crate) fn new(geometry: Geometry) -> Self {
        let size = geometry.size(geometry.most).unwrap_or(0);
        Map { geometry, width: geometry.most, data: Aligned::zeros(size) }
    }

    /// Makes the map this wide, at most the geometry's width. What it held is lost when that is another width.
    pub(crate) fn set_width(&mut self, width: usize) {
        let width = width.min(self.geometry.most);
        if self.width != width {
            self.width = width;
            let used = self.geometry.size(width).unwrap_or(0).min(self.data.len());
            // the border of this width lies where other numbers were
            self.data[..used].fill(0.0);
        }
    }

    /// Numbers from one row to the next.
    pub(crate) fn pitch(&self) -> usize {
        (self.geometry.border.left + self.width + self.geometry.border.right) * self.geometry.lanes
    }

    /// Numbers from one block of channels to the next.
    pub(crate) fn plane(&self) -> usize {
        (self.geometry.border.top + self.geometry.height + self.geometry.border.bottom) * self.pitch()
    }

    /// Where pixel `[y, x]` of a block begins.
    pub(crate) fn at(&self, block: usize, y: usize, x: usize) -> usize {
        let border = self.geometry.border;
        block * self.plane() + (border.top + y) * self.pitch() + (border.left + x) * self.geometry.lanes
    }

    /// Where the number of channel `c` at `[y, x]` stands.
    pub(crate) fn place(&self, c: usize, y: usize, x: usize) -> usize {
        self.at(c / self.geometry.lanes, y, x) + c % self.geometry.lanes
    }

    /// Row `y` of a block, without border: width x lanes.
    pub(crate) fn row(&self, block: usize, y: usize) -> &[f32] {
        let from = self.at(block, y, 0);
        &self.data[from..from + self.width * self.geometry.lanes]
    }

    /// The same, to write.
    pub(crate) fn row_mut(&mut self, block: usize, y: usize) -> &mut [f32] {
        let from = self.at(block, y, 0);
        let length = self.width * self.geometry.lanes;
        &mut self.data[from..from + length]
    }
}
