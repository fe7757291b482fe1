//! The layers written as plainly as possible: what the fast forms are tested against.

use crate::error::Result;
use crate::model::Tensors;
use crate::nn::spec::{Conv, Layer, Norm, Recurrent};

/// A value on its way: numbers and their sides, `[channels, height, width]` or `[rows]`.
#[derive(Debug, Clone)]
struct Value {
    sides: Vec<usize>,
    data: Vec<f32>,
}

/// The output of a network for one input `[channels, height, width]`.
pub(crate) fn run(layers: &[Layer], tensors: &Tensors, input: &[f32], sides: [usize; 3]) -> Result<Vec<f32>> {
    let value = Value { sides: sides.to_vec(), data: input.to_vec() };
    Ok(all(layers, tensors, value, "")?.data)
}

fn all(layers: &[Layer], tensors: &Tensors, mut value: Value, path: &str) -> Result<Value> {
    for (number, layer) in layers.iter().enumerate() {
        value = one(layer, tensors, value, &format!("{path}{number}"))?;
    }
    Ok(value)
}

fn tensor(tensors: &Tensors, path: &str, name: &str) -> Result<Vec<f32>> {
    Ok(tensors.needed(&format!("{path}.{name}"))?.to_f32())
}

fn one(layer: &Layer, tensors: &Tensors, x: Value, path: &str) -> Result<Value> {
    let get = |name: &str| tensor(tensors, path, name);
    // feature maps are [channels, height, width]; a row is read as [rows, 1, 1]
    let (c, h, w) = (x.sides[0], *x.sides.get(1).unwrap_or(&1), *x.sides.get(2).unwrap_or(&1));
    let row = |data: Vec<f32>| Value { sides: vec![data.len()], data };
    Ok(match layer {
        Layer::Conv(conv) => convolve(conv, tensors, &x, path)?,
        Layer::Residual { body, shortcut } => {
            let short = match shortcut {
                Some(conv) => convolve(conv, tensors, &x, &format!("{path}.shortcut"))?,
                None => x.clone(),
            };
            let mut long = all(body, tensors, x, &format!("{path}.body."))?;
            for (a, b) in long.data.iter_mut().zip(&short.data) {
                *a = (*a + b).max(0.0);
            }
            long
        }
        Layer::SqueezeExcite { hidden } => {
            let means: Vec<f32> =
                x.data.chunks(h * w).map(|plane| plane.iter().sum::<f32>() / (h * w) as f32).collect();
            let mut small = dense(&get("squeeze.weight")?, &get("squeeze.bias")?, &means);
            small.iter_mut().for_each(|v| *v = v.max(0.0));
            debug_assert_eq!(small.len(), *hidden);
            let scale = dense(&get("expand.weight")?, &get("expand.bias")?, &small);
            let mut x = x;
            for (plane, s) in x.data.chunks_mut(h * w).zip(scale) {
                plane.iter_mut().for_each(|v| *v *= sigmoid(s));
            }
            x
        }
        Layer::MaxPool { size } => pool(&x, [*size, *size]),
        Layer::GlobalAverage => {
            row(x.data.chunks(h * w).map(|plane| plane.iter().sum::<f32>() / (h * w) as f32).collect())
        }
        Layer::MeanMax => {
            let means = x.data.chunks(w).map(|line| line.iter().sum::<f32>() / w as f32);
            let most = x.data.chunks(w).map(|line| line.iter().copied().fold(f32::NEG_INFINITY, f32::max));
            row(means.chain(most).collect())
        }
        Layer::AttentiveStatistics { .. } => {
            let (hidden, bias) = (get("hidden.weight")?, get("hidden.bias")?);
            let (score, score_bias) = (get("score.weight")?, get("score.bias")?);
            let mut weights: Vec<f32> = (0..w)
                .map(|t| {
                    let step: Vec<f32> = (0..c * h).map(|r| x.data[r * w + t]).collect();
                    let hidden: Vec<f32> = dense(&hidden, &bias, &step).into_iter().map(f32::tanh).collect();
                    dense(&score, &score_bias, &hidden)[0]
                })
                .collect();
            let top = weights.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            weights.iter_mut().for_each(|v| *v = (*v - top).exp());
            let sum: f32 = weights.iter().sum();
            let moment = |line: &[f32], power: i32| -> f32 {
                line.iter().zip(&weights).map(|(v, a)| a / sum * v.powi(power)).sum()
            };
            let means = x.data.chunks(w).map(|line| moment(line, 1));
            let deviations = x.data.chunks(w).map(|line| (moment(line, 2) - moment(line, 1).powi(2)).max(1e-6).sqrt());
            row(means.chain(deviations).collect())
        }
        Layer::Flatten => row(x.data),
        Layer::Dense(layer) => {
            let mut y = dense(&get("weight")?, &get("bias")?, &x.data);
            if layer.relu {
                y.iter_mut().for_each(|v| *v = v.max(0.0));
            }
            row(y)
        }
        Layer::Lstm(recurrent) => recur(recurrent, tensors, &x, path, lstm)?,
        Layer::Gru(recurrent) => recur(recurrent, tensors, &x, path, gru)?,
        Layer::Dropout { .. } => x,
    })
}

fn sigmoid(v: f32) -> f32 {
    1.0 / (1.0 + (-v).exp())
}

fn dense(weight: &[f32], bias: &[f32], x: &[f32]) -> Vec<f32> {
    bias.iter().zip(weight.chunks(x.len())).map(|(b, w)| b + w.iter().zip(x).map(|(w, x)| w * x).sum::<f32>()).collect()
}

fn convolve(conv: &Conv, tensors: &Tensors, x: &Value, path: &str) -> Result<Value> {
    let (weight, bias) = (tensor(tensors, path, "weight")?, tensor(tensors, path, "bias")?);
    let affine = match conv.norm {
        Norm::AfterRelu => Some((tensor(tensors, path, "scale")?, tensor(tensors, path, "shift")?)),
        _ => None,
    };
    let (c, h, w) = (x.sides[0], x.sides[1], x.sides[2]);
    let ([kh, kw], [sh, sw]) = (conv.kernel, conv.stride);
    let (top, left) = ((kh - 1) / 2, if conv.causal { kw - 1 } else { (kw - 1) / 2 });
    let (high, wide) = (h.div_ceil(sh), w.div_ceil(sw));
    let mut data = Vec::with_capacity(conv.out * high * wide);
    for o in 0..conv.out {
        for y in 0..high {
            for z in 0..wide {
                let mut sum = bias[o];
                for i in 0..c {
                    for ky in 0..kh {
                        for kx in 0..kw {
                            let (from_y, from_x) = ((y * sh + ky).wrapping_sub(top), (z * sw + kx).wrapping_sub(left));
                            if from_y < h && from_x < w {
                                sum +=
                                    weight[((o * c + i) * kh + ky) * kw + kx] * x.data[(i * h + from_y) * w + from_x];
                            }
                        }
                    }
                }
                if conv.relu {
                    sum = sum.max(0.0);
                }
                if let Some((scale, shift)) = &affine {
                    sum = sum * scale[o] + shift[o];
                }
                data.push(sum);
            }
        }
    }
    let y = Value { sides: vec![conv.out, high, wide], data };
    Ok(match conv.pool {
        Some(size) => pool(&y, size),
        None => y,
    })
}

fn pool(x: &Value, [ph, pw]: [usize; 2]) -> Value {
    let (c, h, w) = (x.sides[0], x.sides[1], x.sides[2]);
    let mut data = Vec::new();
    for i in 0..c {
        for y in 0..h / ph {
            for z in 0..w / pw {
                let mut most = f32::NEG_INFINITY;
                for dy in 0..ph {
                    for dz in 0..pw {
                        most = most.max(x.data[(i * h + y * ph + dy) * w + z * pw + dz]);
                    }
                }
                data.push(most);
            }
        }
    }
    Value { sides: vec![c, h / ph, w / pw], data }
}

/// One step of a recurrent layer: products with the input and with the last output (biases added), state.
type Step = fn(units: usize, input: &[f32], recurrent: &[f32], cell: &mut [f32], output: &mut [f32]);

fn recur(recurrent: &Recurrent, tensors: &Tensors, x: &Value, path: &str, step: Step) -> Result<Value> {
    let (rows, width, units) = (x.sides[0] * x.sides[1], x.sides[2], recurrent.units);
    let directions = if recurrent.bidirectional { 2 } else { 1 };
    let mut steps = vec![0.0; directions * units * width];
    let mut last = Vec::new();
    for direction in 0..directions {
        let prefix = if direction == 0 { "" } else { "backward." };
        let get = |name: &str| tensor(tensors, path, &format!("{prefix}{name}"));
        let (wi, wr, bias) = (get("input.weight")?, get("recurrent.weight")?, get("bias")?);
        let own = get("recurrent.bias").unwrap_or_else(|_| vec![0.0; bias.len()]);
        let (mut cell, mut output) = (vec![0.0; units], vec![0.0; units]);
        for n in 0..width {
            let t = if direction == 0 { n } else { width - 1 - n };
            let now: Vec<f32> = (0..rows).map(|r| x.data[r * width + t]).collect();
            let (input, before) = (dense(&wi, &bias, &now), dense(&wr, &own, &output));
            step(units, &input, &before, &mut cell, &mut output);
            for (u, v) in output.iter().enumerate() {
                steps[(direction * units + u) * width + t] = *v;
            }
        }
        last.extend_from_slice(&output);
    }
    Ok(if recurrent.all_steps {
        Value { sides: vec![directions * units, 1, width], data: steps }
    } else {
        Value { sides: vec![last.len()], data: last }
    })
}

fn lstm(units: usize, input: &[f32], recurrent: &[f32], cell: &mut [f32], output: &mut [f32]) {
    for u in 0..units {
        let gate = |g: usize| input[g * units + u] + recurrent[g * units + u];
        cell[u] = sigmoid(gate(1)) * cell[u] + sigmoid(gate(0)) * gate(2).tanh();
        output[u] = sigmoid(gate(3)) * cell[u].tanh();
    }
}

fn gru(units: usize, input: &[f32], recurrent: &[f32], _: &mut [f32], output: &mut [f32]) {
    for u in 0..units {
        let gate = |g: usize| sigmoid(input[g * units + u] + recurrent[g * units + u]);
        let new = (input[2 * units + u] + gate(0) * recurrent[2 * units + u]).tanh();
        output[u] = (1.0 - gate(1)) * new + gate(1) * output[u];
    }
}
