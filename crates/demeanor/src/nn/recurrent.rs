//! Long short-term memories and gated recurrent units, step by step.

use std::sync::Arc;

use crate::error::{Error, ErrorKind, Result};
use crate::model::{Tensor, Tensors, Values};
use crate::nn::conv::{Convolution, Parts};
use crate::nn::dense::{DenseLayer, Matrix};
use crate::nn::map::Map;
use crate::nn::spec::{self, Layer, Recurrent};
use crate::simd::{Aligned, Isa, LANES, Simd, SimdOp, padded};

/// Which recurrence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Lstm,
    Gru,
}

impl Kind {
    fn gates(self) -> usize {
        match self {
            Kind::Lstm => 4,
            Kind::Gru => 3,
        }
    }
}

/// One direction of a recurrent layer: what it does with the products of the input. Units and gates are padded to whole
/// blocks, `[gates][padded units]`; what the padding holds stays 0.
#[derive(Debug, Clone)]
pub(crate) struct Cell {
    isa: Isa,
    kind: Kind,
    units: usize,
    matrix: Matrix,
    /// Of a GRU's recurrent product; zeros for an LSTM.
    bias: Arc<Aligned<f32>>,
}

/// What a direction remembers from step to step.
#[derive(Debug, Clone, Default)]
pub(crate) struct State {
    output: Aligned<f32>,
    memory: Aligned<f32>,
    gates: Aligned<f32>,
}

impl State {
    /// The outputs of the last step, padded with zeros.
    pub(crate) fn output(&self) -> &[f32] {
        &self.output
    }

    /// Forgets everything.
    pub(crate) fn reset(&mut self) {
        self.output.fill(0.0);
        self.memory.fill(0.0);
    }
}

/// Rows of a gate matrix `[gates units, columns]` moved apart, so that each gate begins a block.
fn spread(tensor: &Tensor, gates: usize, units: usize) -> Result<Tensor> {
    let columns = tensor.shape().get(1).copied().unwrap_or(1);
    let wide = padded(units);
    let values = tensor.to_f32();
    let mut out = vec![0.0; gates * wide * columns];
    for gate in 0..gates {
        let from = gate * units * columns;
        let to = gate * wide * columns;
        out[to..to + units * columns].copy_from_slice(&values[from..from + units * columns]);
    }
    let (mut tensors, shape) = (Tensors::new(), [gates * wide, columns]);
    match tensor.values() {
        Values::F32(_) => tensors.insert("", &shape, out)?,
        // what was in half precision is again, to the bit
        Values::F16(_) => tensors.insert_half("", &shape, &out)?,
    }
    tensors.shaped("", &shape).cloned()
}

fn named<'a>(tensors: &'a Tensors, path: &str, name: &str) -> Result<&'a Tensor> {
    tensors.needed(&format!("{path}{name}"))
}

impl Cell {
    /// The direction whose tensors stand under `path`, such as `0.backward.`.
    pub(crate) fn new(isa: Isa, kind: Kind, units: usize, tensors: &Tensors, path: &str) -> Result<Self> {
        let gates = kind.gates();
        let recurrent = spread(named(tensors, path, "recurrent.weight")?, gates, units)?;
        let mut bias = Aligned::zeros(gates * padded(units));
        if kind == Kind::Gru {
            bias.copy_from_slice(&spread(named(tensors, path, "recurrent.bias")?, gates, units)?.to_f32());
        }
        let matrix = Matrix::new(isa, &recurrent, padded(units), |row| (row < units).then_some(row));
        Ok(Cell { isa, kind, units, matrix, bias: Arc::new(bias) })
    }

    /// The weights and the bias of the input, gates apart: `[gates padded units, rows]` and `[gates padded units]`.
    pub(crate) fn input(kind: Kind, units: usize, tensors: &Tensors, path: &str) -> Result<(Tensor, Vec<f32>)> {
        let weight = spread(named(tensors, path, "input.weight")?, kind.gates(), units)?;
        let bias = spread(named(tensors, path, "bias")?, kind.gates(), units)?.to_f32();
        Ok((weight, bias))
    }

    /// A state for the beginning.
    pub(crate) fn state(&self) -> State {
        let wide = padded(self.units);
        State {
            output: Aligned::zeros(wide),
            memory: Aligned::zeros(wide),
            gates: Aligned::zeros(self.kind.gates() * wide),
        }
    }

    /// One step: `input(n)` gives block `n` of the input's products, biases added.
    pub(crate) fn step<'a>(&self, state: &mut State, input: impl Fn(usize) -> &'a [f32]) -> Result<()> {
        if self.kind == Kind::Lstm {
            for (n, gates) in state.gates.chunks_exact_mut(LANES).enumerate() {
                gates.copy_from_slice(input(n));
            }
        } else {
            state.gates.copy_from_slice(&self.bias);
        }
        self.matrix.add_product(&state.output, &mut state.gates)?;
        self.isa.dispatch(Gates { cell: self, state, input });
        Ok(())
    }
}

/// The gates of one step, put to use.
struct Gates<'a, F> {
    cell: &'a Cell,
    state: &'a mut State,
    input: F,
}

impl<'a, F: Fn(usize) -> &'a [f32]> SimdOp for Gates<'_, F> {
    type Output = ();

    #[inline(always)]
    fn eval<S: Simd>(self, simd: S) {
        let blocks = padded(self.cell.units) / LANES;
        let State { output, memory, gates } = self.state;
        let (output, _) = output.as_chunks_mut::<LANES>();
        let (memory, _) = memory.as_chunks_mut::<LANES>();
        let (gates, _) = gates.as_chunks::<LANES>();
        let one = simd.splat(1.0);
        for block in 0..blocks {
            let gate = |g: usize| simd.load(&gates[g * blocks + block]);
            match self.cell.kind {
                Kind::Lstm => {
                    let before = simd.load(&memory[block]);
                    let kept = simd.mul(simd.sigmoid(gate(1)), before);
                    let now = simd.fma(simd.sigmoid(gate(0)), simd.tanh(gate(2)), kept);
                    simd.store(now, &mut memory[block]);
                    let out = simd.mul(simd.sigmoid(gate(3)), simd.tanh(now));
                    simd.store(out, &mut output[block]);
                }
                Kind::Gru => {
                    let input = |g: usize| simd.load(&(self.input)(g * blocks + block).as_chunks().0[0]);
                    let reset = simd.sigmoid(simd.add(gate(0), input(0)));
                    let update = simd.sigmoid(simd.add(gate(1), input(1)));
                    let new = simd.tanh(simd.fma(reset, gate(2), input(2)));
                    let before = simd.load(&output[block]);
                    let rest = simd.fma(update, simd.splat(-1.0), one);
                    let out = simd.fma(rest, new, simd.mul(update, before));
                    simd.store(out, &mut output[block]);
                }
            }
        }
    }
}

/// A recurrent layer ready to run over a whole sequence.
#[derive(Debug, Clone)]
pub(crate) struct Sequence {
    /// All of the input's products at once: a convolution whose kernel is as high as the input.
    pub(crate) products: Convolution,
    cells: Vec<Cell>,
    states: Vec<State>,
    all_steps: bool,
}

impl Sequence {
    /// The layer at `path`, for an input of this shape whose channels stand in blocks.
    pub(crate) fn new(
        isa: Isa,
        kind: Kind,
        layer: &Recurrent,
        tensors: &Tensors,
        path: &str,
        channels: usize,
        height: usize,
    ) -> Result<Self> {
        let directions: &[&str] = if layer.bidirectional { &["", "backward."] } else { &[""] };
        let (mut weight, mut bias, mut cells) = (Vec::new(), Vec::new(), Vec::new());
        for direction in directions {
            let path = format!("{path}.{direction}");
            let (one, own) = Cell::input(kind, layer.units, tensors, &path)?;
            weight.extend(one.to_f32());
            bias.extend(own);
            cells.push(Cell::new(isa, kind, layer.units, tensors, &path)?);
        }
        let products = Convolution::new(
            isa,
            &Parts {
                out: bias.len(),
                channels,
                kernel: [height, 1],
                stride: [1, 1],
                before: [0, 0],
                weight: &weight,
                bias: &bias,
                affine: None,
                relu: false,
                pool: false,
                lanes: LANES,
            },
        );
        let states = cells.iter().map(Cell::state).collect();
        Ok(Sequence { products, cells, states, all_steps: layer.all_steps })
    }

    /// Channels of the products: all gates of all directions, each padded to whole blocks.
    pub(crate) fn gates(&self) -> usize {
        self.cells.iter().map(|cell| cell.kind.gates() * padded(cell.units)).sum()
    }

    /// Numbers of the last steps: the units of each direction, one after the other.
    pub(crate) fn units(&self) -> usize {
        self.cells.iter().map(|cell| cell.units).sum()
    }

    /// Whether all steps are wanted, not the last ones only.
    pub(crate) fn all_steps(&self) -> bool {
        self.all_steps
    }

    /// Goes through the products `[gates, 1, width]`; the outputs of all steps go to `all`, or the last ones to `last`.
    pub(crate) fn run(&mut self, products: &Map, all: Option<&mut Map>, last: &mut [f32]) -> Result<()> {
        let width = products.width;
        let mut all = all;
        let (mut block, mut unit) = (0, 0);
        for (direction, (cell, state)) in self.cells.iter().zip(&mut self.states).enumerate() {
            state.reset();
            for n in 0..width {
                let t = if direction == 0 { n } else { width - 1 - n };
                cell.step(state, |gate| &products.row(block + gate, 0)[t * LANES..][..LANES])?;
                if let Some(all) = all.as_deref_mut() {
                    write(all, unit, t, &state.output()[..cell.units]);
                }
            }
            if all.is_none() {
                last[unit..unit + cell.units].copy_from_slice(&state.output()[..cell.units]);
            }
            block += cell.kind.gates() * padded(cell.units) / LANES;
            unit += cell.units;
        }
        Ok(())
    }
}

/// Writes neighbouring channels of one step of a map of height 1.
fn write(map: &mut Map, first: usize, t: usize, values: &[f32]) {
    let mut done = 0;
    while done < values.len() {
        let channel = first + done;
        let count = (LANES - channel % LANES).min(values.len() - done);
        let to = map.place(channel, 0, t);
        map.data[to..to + count].copy_from_slice(&values[done..done + count]);
        done += count;
    }
}

/// Recurrent layers that read a sequence as it comes, one step at a time, and remember.
///
/// Takes LSTM and GRU layers of one direction, and dense layers after the last of them; its output after a step is what
/// the whole network would give for the sequence so far.
#[derive(Debug, Clone)]
pub struct Stream {
    rows: usize,
    outputs: usize,
    cells: Vec<(DenseLayer, Cell, State)>,
    dense: Vec<DenseLayer>,
    /// What passes between the layers: the products or units of each.
    buffers: Vec<Aligned<f32>>,
}

impl Stream {
    /// A stream of steps of `rows` numbers through these layers.
    ///
    /// # Errors
    /// [`ErrorKind::Shape`] when a layer is none that can be streamed, or the layers do not fit each other;
    /// [`ErrorKind::Model`] when a tensor is missing or of another shape.
    pub fn new(layers: &[Layer], rows: usize, tensors: &Tensors) -> Result<Self> {
        Self::with_isa(layers, rows, tensors, Isa::active())
    }

    pub(crate) fn with_isa(layers: &[Layer], rows: usize, tensors: &Tensors, isa: Isa) -> Result<Self> {
        for (name, shape) in spec::tensors(layers, [1, rows, 1])? {
            tensors.shaped(&name, &shape)?;
        }
        let mut stream = Stream { rows, outputs: rows, cells: Vec::new(), dense: Vec::new(), buffers: Vec::new() };
        // numbers and padded numbers that the last layer gives
        let (mut real, mut wide) = (rows, rows);
        for (number, layer) in layers.iter().enumerate() {
            match layer {
                Layer::Lstm(recurrent) | Layer::Gru(recurrent) if !recurrent.bidirectional => {
                    let kind = if matches!(layer, Layer::Lstm(_)) { Kind::Lstm } else { Kind::Gru };
                    let path = format!("{number}.");
                    let (weight, bias) = Cell::input(kind, recurrent.units, tensors, &path)?;
                    let matrix = Matrix::new(isa, &weight, wide, |row| (row < real).then_some(row));
                    let input = DenseLayer::new(matrix, &bias, false);
                    let cell = Cell::new(isa, kind, recurrent.units, tensors, &path)?;
                    let state = cell.state();
                    stream.buffers.push(Aligned::zeros(input.padded_units()));
                    stream.cells.push((input, cell, state));
                    (real, wide) = (recurrent.units, padded(recurrent.units));
                }
                Layer::Dense(dense) => {
                    let weight = named(tensors, &format!("{number}."), "weight")?;
                    let bias = named(tensors, &format!("{number}."), "bias")?.to_f32();
                    let matrix = Matrix::new(isa, weight, wide, |row| (row < real).then_some(row));
                    let layer = DenseLayer::new(matrix, &bias, dense.relu);
                    (real, wide) = (dense.units, layer.padded_units());
                    stream.buffers.push(Aligned::zeros(wide));
                    stream.dense.push(layer);
                }
                Layer::Dropout { .. } => {}
                _ => {
                    return Err(Error::new(
                        ErrorKind::Shape,
                        format!(
                            "layer {number} cannot be streamed; only LSTM and GRU of one direction, then dense ones"
                        ),
                    ));
                }
            }
        }
        stream.outputs = real;
        Ok(stream)
    }

    /// Forgets everything that was read.
    pub fn reset(&mut self) {
        for (_, _, state) in &mut self.cells {
            state.reset();
        }
    }

    /// Reads the next step, `rows` numbers, and gives the outputs of the last layer. Allocates nothing.
    ///
    /// # Errors
    /// [`ErrorKind::Shape`] when the step has another size.
    pub fn step(&mut self, input: &[f32]) -> Result<&[f32]> {
        if input.len() != self.rows {
            return Err(Error::new(
                ErrorKind::Shape,
                format!("a step of {} numbers; expected {}", input.len(), self.rows),
            ));
        }
        let (products, units) = self.buffers.split_at_mut(self.cells.len());
        for n in 0..self.cells.len() {
            let (before, rest) = self.cells.split_at_mut(n);
            let x = before.last().map_or(input, |(_, _, state)| state.output());
            if let Some((layer, cell, state)) = rest.first_mut() {
                let products = &mut products[n];
                layer.run(x, products)?;
                cell.step(state, |gate| &products[gate * LANES..][..LANES])?;
            }
        }
        for (n, layer) in self.dense.iter().enumerate() {
            let (before, rest) = units.split_at_mut(n);
            let x = match before.last() {
                Some(x) => x,
                None => self.cells.last().map_or(input, |(_, _, state)| state.output()),
            };
            if let Some(y) = rest.first_mut() {
                layer.run(x, y)?;
            }
        }
        let last = match units.last() {
            Some(last) => last,
            None => self.cells.last().map_or(&[][..], |(_, _, state)| state.output()),
        };
        Ok(&last[..self.outputs.min(last.len())])
    }
}
