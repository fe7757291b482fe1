//! A network ready to run: its layers as a list of steps over feature maps and rows that are reused from run to run.

use crate::error::{Error, ErrorKind, Result};
use crate::model::Tensors;
use crate::nn::conv::{Convolution, Parts};
use crate::nn::dense::{DenseLayer, Matrix};
use crate::nn::gather::{self, Attention, Excitation};
use crate::nn::map::{Border, Geometry, Map};
use crate::nn::recurrent::{Kind, Sequence};
use crate::nn::spec::{self, Conv, Layer, MAX_VALUES, Norm};
use crate::nn::trunk::Trunk;
use crate::simd::{Aligned, Isa, LANES, padded};

/// How exactly a network of pictures multiplies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Precision {
    /// Single precision on every processor.
    Single,
    /// Where the processor has matrix tiles (Intel's AMX), the convolutions that a network begins with round their factors to
    /// bfloat16, as training does, and sum in single precision: several times faster, and scores that differ by about
    /// 0.01 at the most. Elsewhere as [`Precision::Single`].
    #[default]
    Fast,
}

impl std::str::FromStr for Precision {
    type Err = Error;

    fn from_str(word: &str) -> Result<Self> {
        match word {
            "single" => Ok(Precision::Single),
            "fast" => Ok(Precision::Fast),
            _ => Err(Error::new(ErrorKind::Setting, format!("\"{word}\" is no precision; expected single or fast"))),
        }
    }
}

/// A network with its weights and the memory that a run needs.
///
/// Sums run in single precision and in another order than in training, so outputs agree with other programs' to about
/// 1e-4, not to the last bit (see [`Precision`] for networks of pictures).
#[derive(Debug, Clone)]
pub struct Network {
    input: [usize; 3],
    /// What does the first layers, and gives the first map.
    trunk: Option<Trunk>,
    steps: Vec<Step>,
    maps: Vec<Map>,
    rows: Vec<Aligned<f32>>,
    last: Value,
    output: Vec<f32>,
}

/// Where the numbers between two layers stand.
#[derive(Debug, Clone, Copy)]
enum Value {
    Map(usize),
    /// A map that is read as one row.
    Flat(usize),
    /// A row of so many numbers, padded with zeros to whole blocks.
    Row(usize, usize),
}

/// One step of a run; numbers name maps and rows.
#[derive(Debug, Clone)]
enum Step {
    Convolve { convolution: Convolution, across: usize, from: usize, add: Option<usize>, to: usize },
    Pool { size: [usize; 2], from: usize, to: usize },
    AddRelu { from: [usize; 2], to: usize },
    Excite { excitation: Excitation, from: usize, to: usize },
    Average { from: usize, to: usize },
    MeanMax { from: usize, to: usize },
    Attend { attention: Attention, from: usize, hidden: usize, to: usize },
    Dense { layer: DenseLayer, from: Value, to: usize },
    Recur { sequence: Sequence, from: usize, products: usize, all: Option<usize>, last: usize },
}

impl Network {
    /// A network of these layers, for inputs `[channels, height, width]` of at most this width.
    ///
    /// # Errors
    /// [`ErrorKind::Shape`] when the layers do not fit each other or the input, or need more memory than any sensible
    /// network; [`ErrorKind::Model`] when a tensor is missing or of another shape.
    pub fn new(layers: &[Layer], input: [usize; 3], tensors: &Tensors) -> Result<Self> {
        Self::with_isa(layers, input, tensors, Isa::active())
    }

    /// A network of these layers for up to `most` pictures `[1, height, width]` at a time, for [`Network::run_pictures`]
    /// alone.
    ///
    /// # Errors
    /// As [`Network::new`].
    pub fn of_pictures(
        layers: &[Layer],
        [height, width]: [usize; 2],
        most: usize,
        tensors: &Tensors,
        precision: Precision,
    ) -> Result<Self> {
        let tiles = Some(Isa::active()).filter(|&isa| precision == Precision::Fast && isa == Isa::Amx);
        Self::with_trunk(layers, [height, width], most, tensors, tiles)
    }

    /// As [`Network::of_pictures`]; its first convolutions are done in blocks by this instruction set, if one is given.
    pub(crate) fn with_trunk(
        layers: &[Layer],
        [height, width]: [usize; 2],
        most: usize,
        tensors: &Tensors,
        trunk: Option<Isa>,
    ) -> Result<Self> {
        let input = [1, height, width];
        let length = Trunk::length(layers);
        let fits = length > 0 && Trunk::fits(&layers[..length], [height, width], most);
        let Some(isa) = trunk.filter(|_| fits) else { return Self::new(layers, input, tensors) };
        for (name, shape) in spec::tensors(layers, input)? {
            tensors.shaped(&name, &shape)?;
        }
        let trunk = Trunk::new(isa, &layers[..length], [height, width], most, tensors)?;
        let mut network = Self::planned(layers, length, trunk.output(), tensors, isa)?;
        network.input = input;
        network.trunk = Some(trunk);
        Ok(network)
    }

    pub(crate) fn with_isa(layers: &[Layer], input: [usize; 3], tensors: &Tensors, isa: Isa) -> Result<Self> {
        for (name, shape) in spec::tensors(layers, input)? {
            tensors.shaped(&name, &shape)?;
        }
        Self::planned(layers, 0, input, tensors, isa)
    }

    /// The layers from `start` on, for inputs of what those before give.
    fn planned(layers: &[Layer], start: usize, input: [usize; 3], tensors: &Tensors, isa: Isa) -> Result<Self> {
        let mut plan = Plan {
            start,
            isa,
            tensors,
            steps: Vec::new(),
            maps: Vec::new(),
            rows: Vec::new(),
            free: Vec::new(),
            shift: None,
        };
        let [channels, height, most] = input;
        let layers = &layers[start..];
        let border = need(layers, Border::default());
        let geometry = match layers.iter().find(|layer| !matches!(layer, Layer::Dropout { .. })) {
            Some(Layer::Conv(_)) if start == 0 => Geometry { channels, height, most, border, lanes: 1 },
            // each step of a sequence is a row of numbers
            Some(Layer::Lstm(_) | Layer::Gru(_)) => {
                Geometry { channels: channels * height, height: 1, most, border, lanes: LANES }
            }
            _ => Geometry { channels, height, most, border, lanes: LANES },
        };
        let first = plan.map(geometry);
        // the input is never written to within a run
        let last = plan.layers(layers, Value::Map(first), true, "", Border::default(), None)?;
        let values = plan.maps.iter().try_fold(0usize, |sum, geometry| sum.checked_add(geometry.size(geometry.most)?));
        if values.is_none_or(|values| values > 2 * MAX_VALUES) {
            return Err(Error::new(
                ErrorKind::Shape,
                format!("the feature maps of the network would hold more than {} numbers", 2 * MAX_VALUES),
            ));
        }
        Ok(Network {
            input,
            trunk: None,
            steps: plan.steps,
            maps: plan.maps.into_iter().map(Map::new).collect(),
            rows: plan.rows.into_iter().map(Aligned::zeros).collect(),
            last,
            output: Vec::new(),
        })
    }

    /// The shape `[channels, height, width]` of the largest input.
    pub fn input(&self) -> [usize; 3] {
        self.input
    }

    /// The outputs of the last run, one picture's after the other's; empty before the first.
    pub fn output(&self) -> &[f32] {
        &self.output
    }

    /// Runs an input `[channels, height, width]`, the width running fastest; the width may be less than the network's.
    /// The output is what the last layer gives. Allocates nothing.
    ///
    /// # Errors
    /// [`ErrorKind::Shape`] when the input has another size, or is so narrow that a layer gives nothing.
    pub fn run(&mut self, input: &[f32], width: usize) -> Result<&[f32]> {
        self.check(input, width)?;
        self.output.clear();
        self.run_one(input, width)?;
        Ok(&self.output)
    }

    /// Runs pictures `[count][height][width]`; the outputs are those of the last layer, one picture's after the other's.
    /// Allocates nothing after the first run of as many pictures.
    ///
    /// # Errors
    /// [`ErrorKind::Shape`] when the numbers are not those of whole pictures, or of more than the network has room for.
    pub fn run_pictures(&mut self, pictures: &[f32]) -> Result<&[f32]> {
        let [channels, height, width] = self.input;
        let size = channels * height * width;
        let count = pictures.len() / size.max(1);
        let room = self.trunk.as_ref().map_or(usize::MAX, Trunk::room);
        if count == 0 || count > room || pictures.len() != count * size {
            return Err(Error::new(
                ErrorKind::Shape,
                format!("{} numbers for a network that takes up to {room} pictures of {size} numbers", pictures.len()),
            ));
        }
        self.output.clear();
        let Some(mut trunk) = self.trunk.take() else {
            for picture in pictures.chunks_exact(size) {
                self.run_one(picture, width)?;
            }
            return Ok(&self.output);
        };
        trunk.run(pictures, count);
        let mut ran = Ok(());
        for picture in 0..count {
            trunk.give(picture, &mut self.maps[0]);
            ran = ran.and_then(|()| self.steps());
        }
        self.trunk = Some(trunk);
        ran?;
        Ok(&self.output)
    }

    fn run_one(&mut self, input: &[f32], width: usize) -> Result<()> {
        let [_, height, _] = self.input;
        let map = &mut self.maps[0];
        map.set_width(width);
        for (line, numbers) in input.chunks_exact(width).enumerate() {
            let (c, y) = if map.geometry.height == height { (line / height, line % height) } else { (line, 0) };
            let (from, lanes) = (map.place(c, y, 0), map.geometry.lanes);
            if lanes == 1 {
                map.data[from..from + width].copy_from_slice(numbers);
            } else {
                for (x, number) in numbers.iter().enumerate() {
                    map.data[from + x * lanes] = *number;
                }
            }
        }
        self.steps()
    }

    /// As [`Network::run`], for an input that stands step by step: `[width, channels, height]`.
    ///
    /// # Errors
    /// As [`Network::run`].
    pub fn run_steps(&mut self, input: &[f32], width: usize) -> Result<&[f32]> {
        self.check(input, width)?;
        let [channels, height, _] = self.input;
        let rows = channels * height;
        let map = &mut self.maps[0];
        map.set_width(width);
        for row in 0..rows {
            let (c, y) = if map.geometry.height == height { (row / height, row % height) } else { (row, 0) };
            let (from, lanes) = (map.place(c, y, 0), map.geometry.lanes);
            for x in 0..width {
                map.data[from + x * lanes] = input[x * rows + row];
            }
        }
        self.output.clear();
        self.steps()?;
        Ok(&self.output)
    }

    fn check(&self, input: &[f32], width: usize) -> Result<()> {
        let [channels, height, most] = self.input;
        if self.trunk.is_some() {
            return Err(Error::new(
                ErrorKind::Shape,
                "a network of pictures runs whole pictures only: use run_pictures",
            ));
        }
        if width == 0 || width > most || input.len() != channels * height * width {
            return Err(Error::new(
                ErrorKind::Shape,
                format!(
                    "{} numbers at width {width} for a network that takes [{channels}, {height}, 1 to {most}]",
                    input.len()
                ),
            ));
        }
        Ok(())
    }

    /// Runs the steps from the first map on and appends what they give.
    fn steps(&mut self) -> Result<()> {
        let width = self.maps[0].width;
        for step in &mut self.steps {
            step.run(&mut self.maps, &mut self.rows).map_err(|error| match error.kind() {
                ErrorKind::Shape => Error::new(
                    ErrorKind::Shape,
                    format!("an input of width {width} is too narrow for the network: {error}"),
                ),
                _ => error,
            })?;
        }
        match self.last {
            Value::Row(row, count) => self.output.extend_from_slice(&self.rows[row][..count]),
            Value::Map(map) | Value::Flat(map) => {
                let map = &self.maps[map];
                for c in 0..map.geometry.channels {
                    for y in 0..map.geometry.height {
                        let (from, lanes) = (map.place(c, y, 0), map.geometry.lanes);
                        self.output.extend((0..map.width).map(|x| map.data[from + x * lanes]));
                    }
                }
            }
        }
        Ok(())
    }
}

/// Takes a map out of its place, makes it as wide as needed, fills it, and puts it back.
fn fill(maps: &mut [Map], to: usize, width: usize, fill: impl FnOnce(&[Map], &mut Map) -> Result<()>) -> Result<()> {
    if width == 0 {
        return Err(Error::new(ErrorKind::Shape, "a layer would give nothing"));
    }
    let mut map = std::mem::take(&mut maps[to]);
    map.set_width(width);
    let filled = fill(maps, &mut map);
    maps[to] = map;
    filled
}

impl Step {
    fn run(&mut self, maps: &mut [Map], rows: &mut [Aligned<f32>]) -> Result<()> {
        match self {
            Step::Convolve { convolution, across, from, add, to } => {
                let width = maps[*from].width.div_ceil(*across) / if convolution.pools() { 2 } else { 1 };
                fill(maps, *to, width, |maps, to| convolution.run(&maps[*from], to, add.map(|add| &maps[add])))
            }
            Step::Pool { size, from, to } => {
                let width = maps[*from].width / size[1];
                fill(maps, *to, width, |maps, to| {
                    gather::pool(&maps[*from], to, *size);
                    Ok(())
                })
            }
            Step::AddRelu { from: [a, b], to } => {
                let width = maps[*a].width;
                fill(maps, *to, width, |maps, to| {
                    gather::add_relu(&maps[*a], &maps[*b], to);
                    Ok(())
                })
            }
            Step::Excite { excitation, from, to } => {
                let width = maps[*from].width;
                fill(maps, *to, width, |maps, to| excitation.run(&maps[*from], to))
            }
            Step::Average { from, to } => {
                gather::average(&maps[*from], &mut rows[*to]);
                Ok(())
            }
            Step::MeanMax { from, to } => {
                gather::mean_max(&maps[*from], &mut rows[*to]);
                Ok(())
            }
            Step::Attend { attention, from, hidden, to } => {
                let width = maps[*from].width;
                fill(maps, *hidden, width, |maps, hidden| {
                    attention.hidden.run(&maps[*from], hidden, None)?;
                    attention.run(&maps[*from], hidden, &mut rows[*to]);
                    Ok(())
                })
            }
            Step::Dense { layer, from, to } => {
                let mut y = std::mem::take(&mut rows[*to]);
                let ran = match *from {
                    Value::Row(row, _) => layer.run(&rows[row], &mut y),
                    Value::Map(map) | Value::Flat(map) => {
                        let map = &maps[map];
                        let size = map.geometry.size(map.width).unwrap_or(0).min(map.data.len());
                        layer.run(&map.data[..size], &mut y)
                    }
                };
                rows[*to] = y;
                ran
            }
            Step::Recur { sequence, from, products, all, last } => {
                let width = maps[*from].width;
                fill(maps, *products, width, |maps, products| sequence.products.run(&maps[*from], products, None))?;
                match all {
                    Some(all) => {
                        fill(maps, *all, width, |maps, all| sequence.run(&maps[*products], Some(all), &mut []))
                    }
                    None => sequence.run(&maps[*products], None, &mut rows[*last]),
                }
            }
        }
    }
}

/// A network in the making.
struct Plan<'a> {
    /// The number of the first layer that is planned.
    start: usize,
    isa: Isa,
    tensors: &'a Tensors,
    steps: Vec<Step>,
    maps: Vec<Geometry>,
    rows: Vec<usize>,
    /// Maps whose contents are needed no more.
    free: Vec<usize>,
    /// What each channel of the map that is flattened next still has to be raised by; the dense layer takes it into its
    /// bias, so that the numbers that a ReLU made 0 stay 0 and cost nothing.
    shift: Option<Vec<f32>>,
}

impl Plan<'_> {
    /// A map of this geometry: one that is free, or a new one.
    fn map(&mut self, geometry: Geometry) -> usize {
        if let Some(place) = self.free.iter().position(|&map| self.maps[map] == geometry) {
            return self.free.swap_remove(place);
        }
        self.maps.push(geometry);
        self.maps.len() - 1
    }

    fn row(&mut self, count: usize) -> usize {
        self.rows.push(padded(count));
        self.rows.len() - 1
    }

    fn tensor(&self, path: &str, name: &str) -> Result<Vec<f32>> {
        Ok(self.stored(path, name)?.to_f32())
    }

    fn stored(&self, path: &str, name: &str) -> Result<&crate::model::Tensor> {
        self.tensors.needed(&format!("{path}.{name}"))
    }

    /// Plans layers in order. `hold`: what stands in `value` is still needed afterwards. `after`: the border that the
    /// last map needs. `add`: a map that the last layer, a convolution, adds before a ReLU.
    fn layers(
        &mut self,
        layers: &[Layer],
        mut value: Value,
        mut hold: bool,
        path: &str,
        after: Border,
        add: Option<usize>,
    ) -> Result<Value> {
        for (number, layer) in layers.iter().enumerate() {
            let rest = &layers[number + 1..];
            let is_last = rest.iter().all(|layer| matches!(layer, Layer::Dropout { .. }));
            let add = if is_last { add } else { None };
            let number = if path.is_empty() { self.start + number } else { number };
            let next = self.layer(layer, rest, value, hold, &format!("{path}{number}"), need(rest, after), add)?;
            if !matches!(layer, Layer::Dropout { .. } | Layer::Flatten) {
                if let (Value::Map(map) | Value::Flat(map), false) = (value, hold) {
                    self.free.push(map);
                }
                hold = false;
            }
            value = next;
        }
        Ok(value)
    }

    #[allow(clippy::too_many_arguments)]
    fn layer(
        &mut self,
        layer: &Layer,
        rest: &[Layer],
        value: Value,
        hold: bool,
        path: &str,
        border: Border,
        add: Option<usize>,
    ) -> Result<Value> {
        let no_map = || Error::new(ErrorKind::Shape, format!("layer {path} takes a feature map"));
        let map = match value {
            Value::Map(map) => Ok(map),
            _ => Err(no_map()),
        };
        // of the map that comes in
        let geometry = map.as_ref().ok().map(|&map| self.maps[map]);
        let from = || geometry.ok_or_else(no_map);
        Ok(match layer {
            Layer::Conv(conv) => {
                let moved = conv.norm == Norm::AfterRelu && ends_dense(rest);
                Value::Map(self.conv(conv, map?, border, path, add, moved)?)
            }
            Layer::Residual { body, shortcut } => {
                let map = map?;
                let short = match shortcut {
                    Some(conv) => self.conv(conv, map, Border::default(), &format!("{path}.shortcut"), None, false)?,
                    None => map,
                };
                let tail = body.iter().rev().find(|layer| !matches!(layer, Layer::Dropout { .. }));
                let fused = matches!(tail, Some(Layer::Conv(conv)) if conv.pool.is_none());
                let body_path = format!("{path}.body.");
                let to = if fused {
                    self.layers(body, value, true, &body_path, border, Some(short))?
                } else {
                    let long = self.layers(body, value, true, &body_path, Border::default(), None)?;
                    let Value::Map(long) = long else { return Err(no_map()) };
                    let to = self.map(Geometry { border, ..self.maps[long] });
                    self.steps.push(Step::AddRelu { from: [long, short], to });
                    if long != map {
                        self.free.push(long);
                    }
                    Value::Map(to)
                };
                if short != map {
                    self.free.push(short);
                }
                let _ = hold;
                to
            }
            Layer::SqueezeExcite { hidden: _ } => {
                let from = from()?;
                let bias = |name: &str| self.tensor(path, name);
                let squeeze =
                    Matrix::new(self.isa, self.stored(path, "squeeze.weight")?, padded(from.channels), |row| {
                        (row < from.channels).then_some(row)
                    });
                let squeeze = DenseLayer::new(squeeze, &bias("squeeze.bias")?, true);
                let hidden = bias("squeeze.bias")?.len();
                let expand =
                    Matrix::new(self.isa, self.stored(path, "expand.weight")?, squeeze.padded_units(), |row| {
                        (row < hidden).then_some(row)
                    });
                let expand = DenseLayer::new(expand, &bias("expand.bias")?, false);
                let excitation = Excitation::new(self.isa, squeeze, expand);
                let to = self.map(Geometry { border, ..from });
                self.steps.push(Step::Excite { excitation, from: map?, to });
                Value::Map(to)
            }
            Layer::MaxPool { size } => Value::Map(self.pool(map?, [*size, *size], border)),
            Layer::GlobalAverage => {
                let channels = from()?.channels;
                let to = self.row(channels);
                self.steps.push(Step::Average { from: map?, to });
                Value::Row(to, channels)
            }
            Layer::MeanMax => {
                let count = 2 * from()?.channels * from()?.height;
                let to = self.row(count);
                self.steps.push(Step::MeanMax { from: map?, to });
                Value::Row(to, count)
            }
            Layer::AttentiveStatistics { hidden } => {
                let from = from()?;
                let convolution = Convolution::new(
                    self.isa,
                    &Parts {
                        out: *hidden,
                        channels: from.channels,
                        kernel: [from.height, 1],
                        stride: [1, 1],
                        before: [0, 0],
                        weight: &self.tensor(path, "hidden.weight")?,
                        bias: &self.tensor(path, "hidden.bias")?,
                        affine: None,
                        relu: false,
                        pool: false,
                        lanes: from.lanes,
                    },
                );
                let score = self.tensor(path, "score.weight")?;
                let bias = self.tensor(path, "score.bias")?.first().copied().unwrap_or(0.0);
                let attention = Attention::new(self.isa, convolution, &score, bias, from.most);
                let units = self.map(flat(*hidden, from.most));
                let count = 2 * from.channels * from.height;
                let to = self.row(count);
                self.steps.push(Step::Attend { attention, from: map?, hidden: units, to });
                self.free.push(units);
                Value::Row(to, count)
            }
            Layer::Flatten => Value::Flat(map?),
            Layer::Dense(dense) => {
                let weight = self.stored(path, "weight")?;
                let mut bias = self.tensor(path, "bias")?;
                let matrix = match value {
                    Value::Row(_, count) => {
                        Matrix::new(self.isa, weight, padded(count), |row| (row < count).then_some(row))
                    }
                    Value::Map(map) | Value::Flat(map) => {
                        let Geometry { channels, height, most: width, lanes, .. } = self.maps[map];
                        if let Some(shift) = &self.shift {
                            raise(&mut bias, &weight.to_f32(), shift, height * width);
                        }
                        let rows = self.maps[map].size(width).unwrap_or(0);
                        Matrix::new(self.isa, weight, rows, |row| {
                            let (pixel, lane) = (row / lanes, row % lanes);
                            let (line, x) = (pixel / width, pixel % width);
                            let (block, y) = (line / height, line % height);
                            let channel = block * lanes + lane;
                            (channel < channels).then_some((channel * height + y) * width + x)
                        })
                    }
                };
                self.shift = None;
                let layer = DenseLayer::new(matrix, &bias, dense.relu);
                let to = self.row(dense.units);
                self.steps.push(Step::Dense { layer, from: value, to });
                Value::Row(to, dense.units)
            }
            Layer::Lstm(recurrent) | Layer::Gru(recurrent) => {
                let kind = if matches!(layer, Layer::Lstm(_)) { Kind::Lstm } else { Kind::Gru };
                let from = from()?;
                let sequence =
                    Sequence::new(self.isa, kind, recurrent, self.tensors, path, from.channels, from.height)?;
                let products = self.map(flat(sequence.gates(), from.most));
                let units = sequence.units();
                let all = sequence.all_steps().then(|| self.map(Geometry { border, ..flat(units, from.most) }));
                let last = if all.is_none() { self.row(units) } else { 0 };
                self.steps.push(Step::Recur { sequence, from: map?, products, all, last });
                self.free.push(products);
                match all {
                    Some(all) => Value::Map(all),
                    None => Value::Row(last, units),
                }
            }
            Layer::Dropout { .. } => value,
        })
    }

    /// Plans a convolution and its pooling; the map it gives. `moved`: the shift of its norm goes to a dense layer.
    fn conv(
        &mut self,
        conv: &Conv,
        map: usize,
        border: Border,
        path: &str,
        add: Option<usize>,
        moved: bool,
    ) -> Result<usize> {
        let from = self.maps[map];
        let affine = match conv.norm {
            Norm::AfterRelu => {
                let (scale, mut shift) = (self.tensor(path, "scale")?, self.tensor(path, "shift")?);
                if moved {
                    self.shift = Some(shift.clone());
                    shift.fill(0.0);
                }
                Some((scale, shift))
            }
            _ => None,
        };
        let fused = conv.pool == Some([2, 2]) && conv.stride[1] <= 2;
        let [sh, sw] = conv.stride;
        let edge = around(conv);
        let convolution = Convolution::new(
            self.isa,
            &Parts {
                out: conv.out,
                channels: from.channels,
                kernel: conv.kernel,
                stride: conv.stride,
                before: [edge.top, edge.left],
                weight: &self.tensor(path, "weight")?,
                bias: &self.tensor(path, "bias")?,
                affine: affine.as_ref().map(|(scale, shift)| (scale.as_slice(), shift.as_slice())),
                relu: conv.relu,
                pool: fused,
                lanes: from.lanes,
            },
        );
        let scale = if fused { 2 } else { 1 };
        let geometry = Geometry {
            channels: conv.out,
            height: from.height.div_ceil(sh) / scale,
            most: from.most.div_ceil(sw) / scale,
            border: if fused || conv.pool.is_none() { border } else { Border::default() },
            lanes: LANES,
        };
        let to = self.map(geometry);
        self.steps.push(Step::Convolve { convolution, across: sw, from: map, add, to });
        match conv.pool {
            Some(size) if !fused => {
                let pooled = self.pool(to, size, border);
                self.free.push(to);
                Ok(pooled)
            }
            _ => Ok(to),
        }
    }

    fn pool(&mut self, map: usize, [high, wide]: [usize; 2], border: Border) -> usize {
        let from = self.maps[map];
        let geometry = Geometry { height: from.height / high, most: from.most / wide, border, ..from };
        let to = self.map(geometry);
        self.steps.push(Step::Pool { size: [high, wide], from: map, to });
        to
    }
}

/// A map of height 1 without border.
fn flat(channels: usize, most: usize) -> Geometry {
    Geometry { channels, height: 1, most, border: Border::default(), lanes: LANES }
}

/// The zeros that a convolution needs around its input.
fn around(conv: &Conv) -> Border {
    let [kh, kw] = conv.kernel;
    let (top, left) = ((kh - 1) / 2, if conv.causal { kw - 1 } else { (kw - 1) / 2 });
    Border { top, bottom: kh - 1 - top, left, right: kw - 1 - left }
}

/// The zeros that the first of these layers needs around its input; `after` when there is none.
fn need(layers: &[Layer], after: Border) -> Border {
    match layers.iter().find(|layer| !matches!(layer, Layer::Dropout { .. })) {
        None => after,
        Some(Layer::Conv(conv)) => around(conv),
        Some(Layer::Residual { body, shortcut }) => {
            need(body, Border::default()).max(shortcut.as_ref().map_or(Border::default(), around))
        }
        Some(_) => Border::default(),
    }
}

/// Whether what comes next is a dense layer over all pixels, with nothing before it that a raised channel would change.
fn ends_dense(rest: &[Layer]) -> bool {
    let mut rest = rest.iter().filter(|layer| !matches!(layer, Layer::Dropout { .. } | Layer::MaxPool { .. }));
    matches!((rest.next(), rest.next()), (Some(Layer::Flatten), Some(Layer::Dense(_))))
}

/// Adds to each bias what its weights `[units, channels x pixels]` make of a shift of each channel.
fn raise(bias: &mut [f32], weight: &[f32], shift: &[f32], pixels: usize) {
    let rows = shift.len() * pixels;
    for (bias, weight) in bias.iter_mut().zip(weight.chunks_exact(rows)) {
        let sum: f64 = weight
            .chunks_exact(pixels)
            .zip(shift)
            .map(|(weight, shift)| weight.iter().map(|w| f64::from(*w)).sum::<f64>() * f64::from(*shift))
            .sum();
        *bias += sum as f32;
    }
}
