use std::cell::Cell;

use demeanor::Emotion;
use demeanor::nn::Layer;
use rand::RngExt;

use super::*;

/// A dense layer on the mean of each row, with dropout, in a few lines: enough of a network to test a trainer.
struct Tiny {
    statistics: Vec<f32>,
    inputs: Vec<f32>,
    labels: usize,
}

impl Engine for Tiny {
    fn forward(&mut self, parameters: &[f32], batch: &Batch, mode: Mode) -> Vec<f32> {
        let mut outputs = Vec::new();
        self.inputs.clear();
        for i in 0..batch.count {
            let size = batch.height * batch.width;
            let mut rng = match mode {
                Mode::Train { seed } => Some(stream(seed, 0, i as u64)),
                Mode::Evaluate => None,
            };
            for row in batch.values[i * size..][..size].chunks(batch.width) {
                let width = batch.widths.get(i).copied().unwrap_or(batch.width);
                let kept = rng.as_mut().is_none_or(|r| r.random_bool(0.9));
                self.inputs.push(if kept { row.iter().sum::<f32>() / width as f32 } else { 0.0 });
            }
        }
        if let Mode::Train { .. } = mode {
            self.statistics[0] = 0.9 * self.statistics[0] + 0.1 * self.inputs[0];
        }
        let (weight, bias) = parameters.split_at(batch.height * self.labels);
        for input in self.inputs.chunks(batch.height) {
            for (row, b) in weight.chunks(batch.height).zip(bias) {
                outputs.push(b + row.iter().zip(input).map(|(w, x)| w * x).sum::<f32>());
            }
        }
        outputs
    }

    fn backward(&mut self, _: &[f32], outputs: &[f32], gradient: &mut [f32]) {
        let height = self.inputs.len() * self.labels / outputs.len();
        for (input, pull) in self.inputs.chunks(height).zip(outputs.chunks(self.labels)) {
            for (c, g) in pull.iter().enumerate() {
                for (y, x) in input.iter().enumerate() {
                    gradient[c * height + y] += g * x;
                }
                gradient[height * self.labels + c] += g;
            }
        }
    }

    fn statistics(&self) -> &[f32] {
        &self.statistics
    }

    fn set_statistics(&mut self, statistics: &[f32]) {
        self.statistics.copy_from_slice(statistics);
    }
}

/// Three classes of rows, told apart by which row is high; widths vary.
struct Rows {
    varied: bool,
}

const LABELS: [Emotion; 3] = [Emotion::Happy, Emotion::Sad, Emotion::Neutral];

impl Source for Rows {
    fn labels(&self) -> &[Emotion] {
        &LABELS
    }

    fn batch(&self, indices: &[usize], place: batches::Place) -> Result<LabelledBatch> {
        let width = 6;
        let mut batch = Batch { count: indices.len(), height: 3, width, values: Vec::new(), widths: Vec::new() };
        let mut targets = Vec::new();
        for (i, &index) in indices.iter().enumerate() {
            let own = 2 + index % 4;
            let mut noise = stream(7, 0, index as u64);
            let mut variation = stream(place.seed, place.epoch, place.first + i as u64);
            for row in 0..3 {
                let level = if row == index % 3 { 1.0 } else { 0.0 };
                for x in 0..width {
                    let vary = if self.varied { variation.random_range(-0.1..0.1f32) } else { 0.0 };
                    let value = level + noise.random_range(-0.5..0.5f32) + vary;
                    batch.values.push(if x < own { value } else { 0.0 });
                }
                targets.push(level);
            }
            batch.widths.push(own);
        }
        Ok(LabelledBatch { batch, targets, masked: Vec::new(), indices: indices.to_vec() })
    }
}

/// 97 examples to learn from and 30 others.
fn examples() -> [(Vec<usize>, Vec<usize>); 2] {
    [0..97, 100..130].map(|range: std::ops::Range<usize>| (range.clone().collect(), range.map(|i| i % 3).collect()))
}

const RECIPE: &str = r#"
name = "tiny"
labels = ["happy", "sad", "neutral"]
[input.speech]
rate = 16000
level = "peak"
frame = 400
hop = 160
fft = 512
features = { log_mel = { bands = 3, floor = 1e-4 } }
max_frames = 5
[[network]]
layer = "lstm"
units = 3
[[network]]
layer = "dense"
units = 3
[train]
epochs = 6
batch = 8
optimiser = { kind = "adamw", rate = 0.05, decay = 0.01 }
schedule = { kind = "cosine", warm_up = 0.1 }
average = { decay = 0.9, from = 0.3 }
"#;

fn recipe() -> Recipe {
    Recipe::parse(RECIPE).unwrap()
}

fn layout() -> Layout {
    // the same numbers as a dense layer on three rows
    let dense = demeanor::nn::Dense { units: 3, relu: false };
    let mut layout = Layout::new(&[Layer::Flatten, Layer::Dense(dense)], [1, 3, 1]).unwrap();
    layout.statistics = 1;
    layout
}

fn run(recipe: &Recipe, folder: Option<&Path>, resume: bool, stop_after: Option<usize>) -> Outcome {
    run_from(None, recipe, folder, resume, stop_after)
}

fn run_from(
    first: Option<&First>,
    recipe: &Recipe,
    folder: Option<&Path>,
    resume: bool,
    stop_after: Option<usize>,
) -> Outcome {
    let interrupted = AtomicBool::new(false);
    let layout = layout();
    let [train_on, validate_on] = examples();
    let run = Run {
        recipe,
        layout: &layout,
        train: Examples { source: &Rows { varied: true }, indices: &train_on.0, classes: &train_on.1 },
        validation: Some(Examples {
            source: &Rows { varied: false },
            indices: &validate_on.0,
            classes: &validate_on.1,
        }),
        folder,
        seed: 3,
        first,
        resume,
        interrupted: &interrupted,
    };
    let mut engine = Tiny { statistics: vec![0.0], inputs: Vec::new(), labels: 3 };
    let taken = Cell::new(0);
    let mut report = |progress: Progress<'_>| {
        if let Progress::Step { .. } = progress {
            taken.set(taken.get() + 1);
            interrupted.store(stop_after == Some(taken.get()), Ordering::Relaxed);
        }
    };
    train(&run, &mut engine, &mut report).unwrap()
}

fn folder(name: &str) -> PathBuf {
    let folder = std::env::temp_dir().join(format!("demeanor-{name}-{}", std::process::id()));
    let _ = fs::remove_dir_all(&folder);
    folder
}

fn untimed(mut outcome: Outcome) -> Outcome {
    outcome.history.iter_mut().for_each(|r| r.seconds = 0.0);
    outcome
}

#[test]
fn learns_what_can_be_learnt() {
    let outcome = run(&recipe(), None, false, None);
    assert_eq!(outcome.history.len(), 6);
    let last = outcome.history.last().unwrap();
    assert!(last.validation_accuracy.unwrap() > 0.9, "{last:?}");
    assert!(last.train_loss < outcome.history[0].train_loss);
    assert!(!outcome.interrupted);
}

#[test]
fn resumed_equals_uninterrupted_bit_for_bit() {
    for export in [Export::Best, Export::Last, Export::Average] {
        let mut recipe = recipe();
        recipe.train.export = export;
        let whole = run(&recipe, None, false, None);
        let folder = folder(&format!("resume-{export:?}"));
        // broken off in the middle of an epoch, at its end, and twice at once
        for stop in [5, 8, 1] {
            let part = run(&recipe, Some(&folder), true, Some(stop));
            assert!(part.interrupted);
        }
        let resumed = run(&recipe, Some(&folder), true, None);
        assert_eq!(untimed(resumed.clone()), untimed(whole), "{export:?}");
        let log = fs::read_to_string(folder.join(LOG)).unwrap();
        let lines: Vec<EpochRecord> = log.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
        assert_eq!(lines, resumed.history);
        // a run at its end is not run again
        assert_eq!(run(&recipe, Some(&folder), true, None), resumed);
        fs::remove_dir_all(&folder).unwrap();
    }
}

/// A run that begins with what an earlier one came to meets new orders and edits, as if there had been one run.
#[test]
fn a_run_from_another_repeats_nothing() {
    let plain = "optimiser = { kind = \"sgd\", rate = 0.05 }\nschedule = { kind = \"constant\" }\nexport = \"last\"\n";
    let mut long = Recipe::parse(&format!("{}{plain}", &RECIPE[..RECIPE.find("optimiser").unwrap()])).unwrap();
    let mut short = long.clone();
    (long.train.epochs, short.train.epochs) = (7, 3);
    let whole = run(&long, None, false, None);
    let half = run(&short, None, false, None);
    short.train.epochs = 4;
    let first = First { parameters: half.parameters, statistics: half.statistics, epochs: 3 };
    let folder = folder("from");
    let from = Some(&first);
    assert!(run_from(from, &short, Some(&folder), false, Some(20)).interrupted);
    // the checkpoint knows; the earlier run is not needed to go on
    let rest = run(&short, Some(&folder), true, None);
    assert_eq!((&rest.parameters, &rest.statistics), (&whole.parameters, &whole.statistics));
    let again = run_from(Some(&First { epochs: 0, ..first.clone() }), &short, None, false, None);
    assert_ne!(again.parameters, whole.parameters);
    fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn the_outcomes_of_runs_have_a_mean() {
    let first = |value: f32, epochs| First { parameters: vec![value, 1.0], statistics: vec![-value], epochs };
    let mut mean = first(1.0, 4);
    for (count, other) in [first(2.0, 9), first(6.0, 2)].iter().enumerate() {
        mean.take_in(other, count + 1);
    }
    assert_eq!(mean, first(3.0, 9));
}

#[test]
fn another_recipe_does_not_go_on() {
    let folder = folder("other");
    run(&recipe(), Some(&folder), false, Some(3));
    let mut other = recipe();
    other.train.epochs = 7;
    let layout = layout();
    let [train_on, validate_on] = examples();
    let run = Run {
        recipe: &other,
        layout: &layout,
        train: Examples { source: &Rows { varied: true }, indices: &train_on.0, classes: &train_on.1 },
        validation: Some(Examples {
            source: &Rows { varied: false },
            indices: &validate_on.0,
            classes: &validate_on.1,
        }),
        folder: Some(&folder),
        seed: 3,
        first: None,
        resume: true,
        interrupted: &AtomicBool::new(false),
    };
    let mut engine = Tiny { statistics: vec![0.0], inputs: Vec::new(), labels: 3 };
    let error = train(&run, &mut engine, &mut |_| {}).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Setting);
    fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn stops_early_and_keeps_the_best() {
    let mut recipe = recipe();
    recipe.train.epochs = 60;
    recipe.train.stop = Some(crate::recipe::Stop { patience: 3, on: Figure::Accuracy });
    recipe.train.best = Figure::Accuracy;
    let outcome = run(&recipe, None, false, None);
    let figures: Vec<f64> = outcome.history.iter().map(|r| r.validation_accuracy.unwrap()).collect();
    assert!(figures.len() < 60 && !outcome.interrupted);
    let best = figures.iter().copied().fold(0.0, f64::max);
    let first = figures.iter().position(|&f| f == best).unwrap() + 1;
    assert_eq!(outcome.epoch, first);
    assert_eq!(figures.len(), first + 3);
}

#[test]
fn seeds_differ_and_repeat() {
    let one = untimed(run(&recipe(), None, false, None));
    assert_eq!(one, untimed(run(&recipe(), None, false, None)));
    let mut other = recipe();
    other.train.average = None;
    assert_ne!(one, untimed(run(&other, None, false, None)));
}
