//! New examples of rare classes: SMOTE (Chawla et al. 2002).

use rand::RngExt;
use rayon::prelude::*;

use super::Examples;
use crate::data::stream;

/// Fills every class up to the size of the largest with new examples: each lies at a random place on the line from an example
/// of the class to one of its nearest `neighbours` of the same class. Classes with a single example stay as they are.
pub fn smote(examples: &mut Examples, classes: usize, neighbours: usize, seed: u64) {
    let width = examples.width();
    let of_class = |class: usize| -> Vec<usize> {
        (0..examples.classes.len()).filter(|&i| examples.classes[i] == class).collect()
    };
    let all: Vec<Vec<usize>> = (0..classes).map(of_class).collect();
    let most = all.iter().map(Vec::len).max().unwrap_or(0);
    let row = |i: usize| &examples.values[i * width..(i + 1) * width];
    let distance = |a: usize, b: usize| -> f32 { row(a).iter().zip(row(b)).map(|(a, b)| (a - b) * (a - b)).sum() };
    let (mut values, mut labels) = (Vec::new(), Vec::new());
    for (class, members) in all.iter().enumerate().filter(|(_, members)| members.len() > 1) {
        let wanted = most - members.len();
        let made: Vec<Vec<f32>> = (0..wanted)
            .into_par_iter()
            .map(|n| {
                let mut random = stream(seed, 0x73_6d6f + class as u64, n as u64);
                let from = members[n % members.len()];
                let mut near: Vec<(f32, usize)> =
                    members.iter().filter(|&&i| i != from).map(|&i| (distance(from, i), i)).collect();
                near.sort_by(|a, b| a.0.total_cmp(&b.0));
                let (_, to) = near[random.random_range(0..neighbours.clamp(1, near.len()))];
                let at: f32 = random.random();
                row(from).iter().zip(row(to)).map(|(a, b)| a + at * (b - a)).collect()
            })
            .collect();
        labels.extend(std::iter::repeat_n(class, made.len()));
        values.extend(made.into_iter().flatten());
    }
    examples.values.extend(values);
    examples.classes.extend(labels);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_are_filled_up_between_neighbours() {
        // three of class 1 on a line, ten of class 0
        let mut values: Vec<f32> = (0..10).flat_map(|i| [i as f32, 50.0]).collect();
        values.extend([0.0, 0.0, 1.0, 1.0, 10.0, 10.0]);
        let mut examples = Examples { values, classes: [[0; 10].as_slice(), &[1; 3]].concat() };
        smote(&mut examples, 3, 1, 7);
        let counts = |class: usize| examples.classes.iter().filter(|&&c| c == class).count();
        assert_eq!((counts(0), counts(1), counts(2)), (10, 10, 0));
        for (x, &class) in examples.values.chunks_exact(2).zip(&examples.classes).skip(13) {
            assert_eq!(class, 1);
            assert!((x[0] - x[1]).abs() < 1e-5 && (0.0..=10.0).contains(&x[0]), "{x:?} lies on the line");
        }
        let again = {
            let mut again =
                Examples { values: examples.values[..26].to_vec(), classes: examples.classes[..13].to_vec() };
            smote(&mut again, 3, 1, 7);
            again.values
        };
        assert_eq!(again, examples.values);
    }
}
