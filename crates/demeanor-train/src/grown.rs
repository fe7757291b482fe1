//! First weights from an earlier run, whose network may have had fewer residual blocks.
//!
//! A residual block whose last norm has gain 0 gives what it takes: a network that has such a block more says at first
//! exactly what the earlier one said, and learns from there.

use demeanor::nn::spec::{Conv, Layer, Norm};

use crate::layout::Layout;

/// For each layer of a network, the place of the same layer in the one that it grew from, or none for a new residual
/// block. None when it cannot have grown from it.
pub fn places(network: &[Layer], earlier: &[Layer]) -> Option<Vec<Option<usize>>> {
    let mut next = 0;
    let mut places = Vec::with_capacity(network.len());
    for (i, layer) in network.iter().enumerate() {
        if earlier.get(next).is_some_and(|earlier| same(layer, earlier)) {
            places.push(Some(next));
            next += 1;
        } else if can_be_new(layer) && i.checked_sub(1).is_some_and(|before| ends_in_relu(&network[before])) {
            places.push(None);
        } else {
            return None;
        }
    }
    (next == earlier.len()).then_some(places)
}

/// Whether two layers have the same tensors and do the same with them outside of training.
fn same(layer: &Layer, earlier: &Layer) -> bool {
    layer == earlier || matches!((layer, earlier), (Layer::Dropout { .. }, Layer::Dropout { .. }))
}

/// Whether a layer can begin as one that changes nothing.
fn can_be_new(layer: &Layer) -> bool {
    match layer {
        Layer::Residual { body, shortcut: None } => {
            matches!(last_conv(body), Some(conv) if conv.pool.is_none() && !conv.relu)
        }
        _ => false,
    }
}

/// Whether nothing below 0 leaves a layer, so that the ReLU at the end of a new block changes nothing.
fn ends_in_relu(layer: &Layer) -> bool {
    match layer {
        Layer::Conv(conv) => conv.relu && conv.norm != Norm::AfterRelu,
        Layer::Residual { .. } => true,
        _ => false,
    }
}

/// The convolution at the end of a body, where it has a norm whose gain may be 0 and no other branch.
fn last_conv(body: &[Layer]) -> Option<&Conv> {
    match body.last() {
        Some(Layer::Conv(conv)) if conv.norm == Norm::BeforeRelu && !conv.branches => Some(conv),
        _ => None,
    }
}

/// Parameters and statistics for a network's `layout` from those of the network that it grew from, by the `places` of
/// [`places`]; what is new is drawn by the seed and gives what it takes.
pub fn weights(
    layout: &Layout,
    places: &[Option<usize>],
    seed: u64,
    earlier: &Layout,
    (parameters, statistics): (&[f32], &[f32]),
) -> (Vec<f32>, Vec<f32>) {
    let (mut all, mut all_statistics) = (layout.initial(seed), layout.initial_statistics());
    for slot in &layout.slots {
        let values = &mut all[slot.offset..][..slot.len()];
        match earlier_name(&slot.name, places) {
            Some(name) => {
                if let Some(from) = earlier.slot(&name) {
                    values.copy_from_slice(&parameters[from.offset..][..from.len()]);
                }
            }
            None if ends_new_block(layout, &slot.name) => values.fill(0.0),
            None => {}
        }
    }
    for norm in &layout.norms {
        if let Some(from) = earlier_name(&norm.name, places).and_then(|name| earlier.norm(&name)) {
            let length = 2 * norm.channels;
            all_statistics[norm.offset..][..length].copy_from_slice(&statistics[from.offset..][..length]);
        }
    }
    (all, all_statistics)
}

/// The name that a tensor had in the earlier network.
fn earlier_name(name: &str, places: &[Option<usize>]) -> Option<String> {
    let (layer, rest) = name.split_once('.').unwrap_or((name, ""));
    let place = layer.parse::<usize>().ok().and_then(|layer| places.get(layer).copied().flatten())?;
    Some(if rest.is_empty() { place.to_string() } else { format!("{place}.{rest}") })
}

/// Whether a tensor of a new block is the gain of its last norm.
fn ends_new_block(layout: &Layout, name: &str) -> bool {
    let Some((block, _)) = name.split_once('.') else { return false };
    let of_block =
        |slot: &&crate::layout::Slot| slot.name.ends_with(".gain") && slot.name.split('.').next() == Some(block);
    layout.slots.iter().rfind(of_block).is_some_and(|last| last.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::{Batch, Engine, Mode};
    use crate::native::NativeEngine;
    use demeanor::nn::spec::Dense;

    fn conv(out: usize, relu: bool) -> Layer {
        Layer::Conv(Conv {
            out,
            kernel: [3, 3],
            stride: [1, 1],
            norm: Norm::BeforeRelu,
            relu,
            pool: None,
            branches: false,
            causal: false,
        })
    }

    fn block(out: usize) -> Layer {
        Layer::Residual { body: vec![conv(out, true), conv(out, false)], shortcut: None }
    }

    fn head() -> [Layer; 2] {
        [Layer::GlobalAverage, Layer::Dense(Dense { units: 3, relu: false })]
    }

    #[test]
    fn a_deeper_network_says_what_it_grew_from() {
        let shallow: Vec<Layer> = [conv(4, true), block(4), conv(6, true)].into_iter().chain(head()).collect();
        let deep: Vec<Layer> =
            [conv(4, true), block(4), block(4), conv(6, true), block(6)].into_iter().chain(head()).collect();
        let places = places(&deep, &shallow).unwrap();
        assert_eq!(places, [Some(0), Some(1), None, Some(2), None, Some(3), Some(4)]);
        let [from, to] = [&shallow, &deep].map(|network| Layout::new(network, [1, 8, 8]).unwrap());
        let statistics: Vec<f32> = (0..from.statistics).map(|i| 0.5 + (i % 7) as f32 / 10.0).collect();
        let parameters = from.initial(1);
        let (all, all_statistics) = weights(&to, &places, 2, &from, (&parameters, &statistics));
        let batch = Batch {
            values: (0..2 * 64).map(|i| ((i * 37 % 101) as f32 - 50.0) / 25.0).collect(),
            count: 2,
            height: 8,
            width: 8,
            widths: vec![8, 8],
        };
        let said = [(&shallow, &parameters, &statistics), (&deep, &all, &all_statistics)].map(
            |(network, parameters, statistics)| {
                let mut engine = NativeEngine::new(network, [1, 8, 8]).unwrap();
                engine.set_statistics(statistics);
                engine.forward(parameters, &batch, Mode::Evaluate)
            },
        );
        assert_eq!(said[0], said[1]);
        assert!(said[0].iter().any(|v| *v != 0.0));
    }

    #[test]
    fn only_blocks_that_change_nothing_are_new() {
        let shallow: Vec<Layer> = [conv(4, true)].into_iter().chain(head()).collect();
        let with = |layer: Layer| -> Vec<Layer> { [conv(4, true), layer].into_iter().chain(head()).collect() };
        assert!(places(&with(block(4)), &shallow).is_some());
        assert!(places(&with(conv(4, true)), &shallow).is_none());
        let relu = Layer::Residual { body: vec![conv(4, true)], shortcut: None };
        assert!(places(&with(relu), &shallow).is_none());
        let first: Vec<Layer> = [block(1), conv(4, true)].into_iter().chain(head()).collect();
        assert!(places(&first, &shallow).is_none());
        assert!(places(&shallow, &with(block(4))).is_none());
    }
}
