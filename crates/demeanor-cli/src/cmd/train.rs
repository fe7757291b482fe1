//! `demeanor train`: a recipe and a data set to a model folder.

mod classic;

use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, Result, bail, ensure};
use clap::Subcommand;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use demeanor_train::data::faces::{FaceSet, LoadOptions};
use demeanor_train::data::speech::SpeechSet;
use demeanor_train::data::splits::Protocol;
use demeanor_train::folds;
use demeanor_train::prior;
use demeanor_train::produce::{self, CURVE, Course, Device, Lesson, METRICS, MODEL, RECIPE, Which};
use demeanor_train::recipe::{Recipe, Sense};
use demeanor_train::recipes;
use demeanor_train::trainer::{CHECKPOINT, LOG, Progress};

use crate::claim::{Claims, OverwriteArgs};
use crate::terminal::{self, Interrupted, Outcome, note};

/// Held by a training that runs in a folder; let go however it ends.
const LOCK: &str = ".lock";

/// Train a model from a recipe and labelled examples
///
/// Writes into the folder --out: model.safetensors, metrics.json (on the validation examples), recipe.toml, log.jsonl (a
/// line per epoch), curve.svg and checkpoint.safetensors. Ctrl-C ends after the step under way; --resume then goes on
/// exactly as if nothing had happened.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    sense: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// From pictures of faces: fer2013.csv, icml_face_data.csv, or folders SPLIT/EMOTION/*.png
    Face(FaceArgs),
    /// From recordings of speech: RAVDESS and other known corpora, folders by emotion, or a table path,emotion,speaker
    ///
    /// Without --run, trains all runs of the protocol into fold0 to fold4 (random0, emobox0 and so on) of --out, which
    /// `demeanor eval speech` reads, and calibrates each on the clips held out from the others.
    Speech(SpeechArgs),
    /// Take the class frequencies of the training pictures out of a face model's answers
    ///
    /// Adds biases to the logits: -power * ln(frequency of the class). The power is chosen on the validation pictures, by the
    /// highest mean of accuracy and balanced accuracy, and the temperature is fitted to them again. Nothing is trained.
    /// Writes model.safetensors, recipe.toml and metrics.json (every power that was tried) into the folder --out.
    Prior(PriorArgs),
}

#[derive(Debug, clap::Args)]
struct Common {
    /// The training recipe: a file (TOML), or the name of one that is in the program, such as face-v2; a wrong name lists all
    #[arg(long, value_name = "NAME|FILE")]
    recipe: PathBuf,
    /// The folder that the model is written to
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// The name of the model [default: the recipe's; that of --out for a recipe of the program and data of your own]
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// The licence of the weights, which comes from that of the data [default: the recipe's; "unknown" for a recipe of the
    /// program and data of your own]
    #[arg(long, value_name = "TEXT")]
    licence: Option<String>,
    /// Go on from the checkpoint in --out, if there is one
    #[arg(long)]
    resume: bool,
    #[command(flatten)]
    overwrite: OverwriteArgs,
    /// What to train on: cpu, vulkan (a GPU), or burn (the reference on the CPU)
    #[arg(long, default_value = "cpu")]
    device: Device,
    /// Seed of the run, instead of the recipe's
    #[arg(long, value_name = "N", conflicts_with = "seeds")]
    seed: Option<u64>,
    /// Several runs, with seeds A to B - 1, each in the folder seedN of --out; says mean and deviation
    #[arg(long, value_name = "A..B", value_parser = seeds)]
    seeds: Option<(u64, u64)>,
    /// First try the learning rates of the recipe's [train.search] in short runs, and train with the best
    #[arg(long, conflicts_with = "resume")]
    search: bool,
    /// Run this many epochs, instead of the recipe's
    #[arg(long, value_name = "N")]
    epochs: Option<usize>,
    /// Learn from the model in this folder too, as the recipe's [train.teachers] says; several times for several teachers.
    /// For speech the folder of a protocol's runs (or, with --all, of the last fit)
    #[arg(long, value_name = "DIR")]
    teachers: Vec<PathBuf>,
    /// Begin with the weights of an earlier run of the same network (or of one with fewer residual blocks), in this folder,
    /// instead of random ones: to train on with other settings, or on other data; several times for the mean of the weights
    /// of several runs that began alike. For speech the folder of a protocol's runs (or, with --all, of the last fit)
    #[arg(long, value_name = "DIR")]
    from: Vec<PathBuf>,
    /// Threads to train and to prepare examples on; all cores when absent
    #[arg(long, value_name = "N")]
    threads: Option<usize>,
}

#[derive(Debug, clap::Args)]
struct FaceArgs {
    #[command(flatten)]
    common: Common,
    /// The data set: a file or folder
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// A table of FER+ votes; fer2013plus.csv beside the set is found by itself
    #[arg(long, value_name = "FILE")]
    votes: Option<PathBuf>,
}

#[derive(Debug, clap::Args)]
struct SpeechArgs {
    #[command(flatten)]
    common: Common,
    /// The recordings: a folder or a table; several times for several corpora, which are then balanced. An emotion that a
    /// corpus does not have is left out of the loss of its clips
    #[arg(long, value_name = "DIR", required = true)]
    data: Vec<PathBuf>,
    /// What is held out for test: speaker (whole speakers, five folds), random (the paper's random fifth of the clips),
    /// emobox (the six folds of EmoBox), sentence, or corpus (one of several)
    #[arg(long, default_value = "speaker", conflicts_with = "all")]
    protocol: Protocol,
    /// Train only this run (fold, or seed of the random split), from 0, into --out itself
    #[arg(long, visible_alias = "fold", value_name = "K", conflicts_with = "all")]
    run: Option<usize>,
    /// Hold nothing out: the last fit, once the runs have given the figures
    #[arg(long)]
    all: bool,
    /// With --all: the folder of the models of the five speaker folds, to whose held-out clips the temperature is fitted
    #[arg(long, value_name = "DIR", requires = "all")]
    folds: Option<PathBuf>,
}

#[derive(Debug, clap::Args)]
struct PriorArgs {
    /// The model file, or the name of a built-in model, as it was trained
    #[arg(long, value_name = "FILE")]
    model: PathBuf,
    /// The pictures that it was trained on: fer2013.csv, icml_face_data.csv, or folders SPLIT/EMOTION/*.png
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// The folder that the new model is written to
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// The name of the new model
    #[arg(long, value_name = "NAME")]
    name: String,
    /// The power, 0 to 1, instead of choosing it
    #[arg(long, value_name = "P")]
    power: Option<f64>,
}

fn prior(args: &PriorArgs) -> Result<Outcome> {
    let path = args.out.join(MODEL);
    ensure!(!path.exists(), "{} is there already: name another folder with --out", path.display());
    let bytes = crate::model::named_bytes(&args.model)?;
    let mut set = FaceSet::load(&args.data, &LoadOptions::default())?;
    for line in &set.notes {
        note(line);
    }
    let (file, found) = prior::fit(&bytes, &mut set, args.power, &args.name)?;
    let (header, _) = demeanor::model::read(&file)?;
    fs::create_dir_all(&args.out).with_context(|| format!("cannot make the folder {}", args.out.display()))?;
    let metrics = serde_json::to_string_pretty(&found)? + "\n";
    for (name, bytes) in [(MODEL, file.as_slice()), (METRICS, metrics.as_bytes()), (RECIPE, header.recipe.as_bytes())] {
        crate::write::write_whole(&args.out.join(name), false, |out| out.write_all(bytes))?;
    }
    for t in &found.tried {
        note(format_args!(
            "power {:.2}: validation accuracy {:.2} %, balanced {:.2} %",
            t.power,
            100.0 * t.accuracy,
            100.0 * t.balanced_accuracy
        ));
    }
    let (before, after) = (&found.before, &found.validation);
    note(format_args!(
        "wrote {}: power {}, temperature {:.4}; on the validation pictures accuracy {:.2} -> {:.2} %, balanced {:.2} -> \
         {:.2} %, calibration error {:.4} -> {:.4}",
        path.display(),
        found.power,
        found.temperature,
        100.0 * before.accuracy,
        100.0 * after.accuracy,
        100.0 * before.balanced_accuracy,
        100.0 * after.balanced_accuracy,
        before.ece,
        after.ece
    ));
    Ok(Outcome::Read)
}

impl Common {
    /// The text of the recipe: of the file, or of the one of that name in the program.
    fn recipe_text(&self) -> Result<String> {
        let path = &self.recipe;
        match path.to_str().and_then(recipes::named).filter(|_| !path.is_file()) {
            Some(text) => Ok(text.to_owned()),
            None => fs::read_to_string(path).with_context(|| {
                format!("{} cannot be read, and is no recipe of the program ({})", path.display(), recipes::names())
            }),
        }
    }

    /// The folders of the runs: one, or one for each seed.
    fn folders(&self) -> Vec<PathBuf> {
        match self.seeds {
            Some((first, end)) => (first..end).map(|seed| self.out.join(format!("seed{seed}"))).collect(),
            None => vec![self.out.clone()],
        }
    }
}

fn seeds(word: &str) -> Result<(u64, u64)> {
    let (first, end) = word.split_once("..").context("expected two numbers, as in 0..5")?;
    let range = (first.trim().parse()?, end.trim().parse()?);
    ensure!(range.0 < range.1 && range.1 - range.0 <= 1000, "expected A less than B, and at most 1000 runs");
    Ok(range)
}

/// Runs the command.
pub fn run(args: Args) -> Result<Outcome> {
    match args.sense {
        Task::Face(args) => face(&args),
        Task::Speech(args) => speech(&args),
        Task::Prior(args) => prior(&args),
    }
}

fn speech(args: &SpeechArgs) -> Result<Outcome> {
    if let Some(recipe) = classic::recipe(&args.common)? {
        return classic::speech(&recipe, args);
    }
    let mut session = Session::new(&args.common, Sense::Speech)?;
    let set = Arc::new(SpeechSet::load_all(&args.data)?);
    session.is_named(set.is_ravdess)?;
    let folders = match args.run.is_some() || args.all {
        true => args.common.folders(),
        false => {
            let runs = 0..args.protocol.runs(&set)?;
            runs.map(|run| args.common.out.join(args.protocol.run_name(run))).collect()
        }
    };
    // all runs can be made, before the first is
    let runs = match (args.all, args.run) {
        (true, _) => 0..0,
        (false, Some(run)) => run..run + 1,
        (false, None) => 0..args.protocol.runs(&set)?,
    };
    for run in runs {
        set.fold(args.protocol, run).context(
            "nothing was trained; --protocol random holds out clips rather than speakers, --run K trains one run, and --all \
             holds nothing out",
        )?;
    }
    let _locks = session.claim(&args.data, &folders, args.folds.as_deref())?;
    let out = &args.common.out;
    if args.all {
        if let Some(folds) = &args.folds {
            let temperature = folds::pooled_temperature(&set, folds, Protocol::Speaker)?;
            note(format_args!("temperature {temperature:.3}, fitted to the clips held out from {}", folds.display()));
            session.recipe.train.temperature = Some(temperature);
        }
        let teachers = session.teachers("")?;
        return session.all_seeds(&Lesson::speech(&session.recipe, &set, Which::All)?.taught_by(&teachers)?, "", out);
    }
    let lesson = |session: &Session<'_>, run: usize| -> Result<Lesson> {
        let teachers = session.teachers(&args.protocol.run_name(run))?;
        Ok(Lesson::speech(&session.recipe, &set, Which::Run(args.protocol, run))?.taught_by(&teachers)?)
    };
    if let Some(run) = args.run {
        return session.all_seeds(&lesson(&session, run)?, &args.protocol.run_name(run), out);
    }
    ensure!(args.common.seeds.is_none(), "--seeds needs --run or --all: the runs of a protocol have a seed each");
    for run in 0..args.protocol.runs(&set)? {
        let lesson = lesson(&session, run)?;
        let name = args.protocol.run_name(run);
        let folder = out.join(&name);
        note(format_args!("run {run} of the {} protocol, into {}", args.protocol, folder.display()));
        warn_of_gaps(&lesson);
        let seed = args.common.seed.unwrap_or(session.recipe.train.seed);
        session.one(&lesson, &name, &folder, seed + run as u64)?;
    }
    if session.recipe.data.learn_from_validation && session.recipe.train.temperature.is_none() {
        let temperatures = folds::calibrate_runs(&set, out, args.protocol)?;
        note(format_args!("temperatures, each fitted to the clips held out from the other runs: {temperatures:.3?}"));
    }
    Ok(Outcome::Read)
}

fn face(args: &FaceArgs) -> Result<Outcome> {
    if let Some(recipe) = classic::recipe(&args.common)? {
        return classic::face(&recipe, args);
    }
    let mut session = Session::new(&args.common, Sense::Face)?;
    session.is_named(is_fer(&args.data))?;
    let _locks = session.claim(std::slice::from_ref(&args.data), &args.common.folders(), args.votes.as_deref())?;
    let options = LoadOptions { votes: args.votes.clone(), ..LoadOptions::default() };
    let lesson = Lesson::faces(&session.recipe, &args.data, &options)?.taught_by(&session.teachers("")?)?;
    session.all_seeds(&lesson, "", &args.common.out)
}

/// Whether pictures are those of FER-2013, which the recipes of the program are for, by the names of its files.
fn is_fer(data: &Path) -> bool {
    const TABLES: [&str; 3] = ["fer2013.csv", "icml_face_data.csv", "fer2013plus.csv"];
    let named = |path: &Path| {
        let name = path.file_name().unwrap_or_default().to_string_lossy().to_lowercase().replace(['-', '_', ' '], "");
        name.starts_with("fer2013")
    };
    let table = |path: &Path| path.file_name().is_some_and(|name| TABLES.iter().any(|table| name == *table));
    // links and dots too
    let whole = data.canonicalize().unwrap_or_else(|_| data.to_owned());
    table(&whole) || named(&whole) || TABLES.iter().any(|table| whole.join(table).is_file())
}

/// Says which emotions a model will not learn, for want of examples.
fn warn_of_gaps(lesson: &Lesson) {
    let labels = &lesson.recipe.labels;
    let learnt = |class: usize| lesson.train.classes.contains(&class);
    let missing: Vec<_> = labels.iter().enumerate().filter(|(i, _)| !learnt(*i)).map(|(_, e)| e.name()).collect();
    if !missing.is_empty() {
        terminal::warn(format_args!(
            "there are no training examples of {}: the model will hardly ever read anything as that; add some, or leave the \
             emotion out of the recipe's labels and its last layer",
            missing.join(", ")
        ));
    }
}

/// What all runs of a command share.
struct Session<'a> {
    args: &'a Common,
    recipe: Recipe,
    /// The recipe in the file, and its text.
    written: Recipe,
    text: String,
    interrupted: Arc<AtomicBool>,
}

impl<'a> Session<'a> {
    fn new(args: &'a Common, sense: Sense) -> Result<Self> {
        if let Some(threads) = args.threads {
            ensure!(threads >= 1, "--threads is 0; expected 1 or more");
            rayon::ThreadPoolBuilder::new().num_threads(threads).build_global().context("threads cannot be started")?;
        }
        let path = &args.recipe;
        let text = args.recipe_text()?;
        let written = Recipe::parse(&text).with_context(|| path.display().to_string())?;
        let mut recipe = written.clone();
        produce::expect(&recipe, sense)?;
        if let Some(epochs) = args.epochs {
            recipe.train.epochs = epochs;
            recipe.check()?;
        }
        let interrupted = Arc::new(AtomicBool::new(false));
        let set = interrupted.clone();
        ctrlc::set_handler(move || {
            // a second Ctrl-C does not wait for the step
            if set.swap(true, Ordering::Relaxed) {
                std::process::exit(130);
            }
            note("ending after this step; --resume will go on (Ctrl-C again ends at once)");
        })
        .context("Ctrl-C cannot be watched")?;
        Ok(Session { args, recipe, written, text, interrupted })
    }

    /// Gives the model the name and the licence that were asked for. One of a recipe of the program that learns from other data
    /// than the program's models is neither that model nor under its licence.
    fn is_named(&mut self, known_data: bool) -> Result<()> {
        let recipe = &mut self.recipe;
        if !known_data && recipes::named(&recipe.name).is_some() {
            let folder = std::path::absolute(&self.args.out).unwrap_or_else(|_| self.args.out.clone());
            let name = folder.file_name().unwrap_or_default().to_string_lossy();
            let fit = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
            let name: String = name.chars().map(|c| if fit(c) { c } else { '-' }).collect();
            if self.args.name.is_none() || self.args.licence.is_none() {
                note(format_args!(
                    "the data is your own: the model is named {}, its licence {}; choose with --name and --licence",
                    self.args.name.as_deref().unwrap_or(&name),
                    self.args.licence.as_deref().unwrap_or("unknown")
                ));
            }
            (recipe.name, recipe.licence) = (name, "unknown".to_owned());
        }
        if let Some(name) = &self.args.name {
            recipe.name.clone_from(name);
        }
        if let Some(licence) = &self.args.licence {
            recipe.licence.clone_from(licence);
        }
        Ok(recipe.check()?)
    }

    /// Sees to it, before the long work, that no run writes over what it reads, over an earlier one unasked, or beside another
    /// that runs now: so long as the files that it gives back are kept.
    fn claim(&self, data: &[PathBuf], folders: &[PathBuf], more: Option<&Path>) -> Result<Vec<File>> {
        let args = self.args;
        let mut claims = Claims::new(args.overwrite);
        for path in std::iter::once(&args.recipe).chain(data).map(PathBuf::as_path).chain(more) {
            claims.reads(path);
        }
        for folder in &args.teachers {
            claims.reads(&folder.join(MODEL));
        }
        for folder in &args.from {
            claims.reads(&folder.join(CHECKPOINT));
            claims.reads(&folder.join(RECIPE));
        }
        let mut locks = Vec::new();
        for folder in folders {
            let (shown, name) = (terminal::shown(folder), |name: &str| folder.join(name));
            for path in [MODEL, METRICS, RECIPE, CURVE, LOG, CHECKPOINT].map(name) {
                // the recipe of an earlier run there is written again as it stands
                let same = path.ends_with(RECIPE) && self.recipe == self.written && !args.search;
                if claims.is_read(&path) && !same {
                    bail!(
                        "{} is read, and would be written over by this run; name another folder with --out",
                        terminal::shown(&path)
                    );
                }
            }
            if !args.resume && !args.overwrite.overwrite {
                if name(MODEL).exists() {
                    bail!(
                        "{shown} holds a finished model; name another folder with --out, or train over it with -y \
                         (--overwrite)"
                    );
                }
                if name(CHECKPOINT).exists() {
                    bail!(
                        "{shown} holds a run that was not finished; go on with --resume, or begin anew with -y (--overwrite)"
                    );
                }
            }
            let cannot = || format!("cannot write into the folder {shown}");
            fs::create_dir_all(folder).with_context(cannot)?;
            let lock = File::create(name(LOCK)).with_context(cannot)?;
            match lock.try_lock() {
                Ok(()) => locks.push(lock),
                Err(TryLockError::WouldBlock) => {
                    bail!("another training runs in {shown}; name another folder with --out")
                }
                // a file system without locks
                Err(TryLockError::Error(_)) => {}
            }
        }
        Ok(locks)
    }

    /// The model files of the teachers, of a run where there is one.
    fn teachers(&self, run: &str) -> Result<Vec<Vec<u8>>> {
        let path = |folder: &PathBuf| folder.join(run).join(MODEL);
        let read =
            |path: PathBuf| fs::read(&path).with_context(|| format!("the teacher {} cannot be read", path.display()));
        self.args.teachers.iter().map(path).map(read).collect()
    }

    /// One run, or one for each seed. `run` is the run of a protocol, empty where there is none.
    fn all_seeds(&self, lesson: &Lesson, run: &str, out: &Path) -> Result<Outcome> {
        for line in &lesson.notes {
            note(line);
        }
        warn_of_gaps(lesson);
        let Some((first, end)) = self.args.seeds else {
            let seed = self.args.seed.unwrap_or(lesson.recipe.train.seed);
            self.one(lesson, run, out, seed)?;
            return Ok(Outcome::Read);
        };
        let mut accuracies = Vec::new();
        let mut recalls = Vec::new();
        for seed in first..end {
            if let Some(validation) = self.one(lesson, run, &out.join(format!("seed{seed}")), seed)?.validation {
                accuracies.push(validation.accuracy);
                recalls.push(validation.balanced_accuracy);
            }
        }
        if !accuracies.is_empty() {
            note(format_args!(
                "{} runs, on the validation examples: accuracy {}, UAR {}",
                accuracies.len(),
                spread(&accuracies),
                spread(&recalls)
            ));
        }
        Ok(Outcome::Read)
    }

    /// One run into a folder.
    fn one(&self, lesson: &Lesson, run: &str, out: &Path, seed: u64) -> Result<produce::Report> {
        let from: Vec<PathBuf> = self.args.from.iter().map(|folder| folder.join(run).components().collect()).collect();
        let course = Course {
            out,
            device: self.args.device,
            seed,
            from: &from,
            resume: self.args.resume,
            interrupted: &self.interrupted,
        };
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
        let style = "{msg} {wide_bar} {pos}/{len} steps, {eta} left";
        bar.set_style(ProgressStyle::with_template(style).unwrap_or_else(|_| ProgressStyle::default_bar()));
        let mut begun = None;
        let mut show = |progress: Progress<'_>| match progress {
            Progress::Step { step, steps, epoch, epochs, loss, accuracy } => {
                if begun != Some(steps) {
                    // a run that goes on, or the next run of a search: time left is reckoned from here
                    bar.set_length(steps as u64);
                    bar.set_position(step as u64);
                    bar.reset_eta();
                    begun = Some(steps);
                }
                bar.set_position(step as u64);
                bar.set_message(format!("epoch {epoch}/{epochs} loss {loss:.4} accuracy {:.1} %", 100.0 * accuracy));
            }
            Progress::OtherIsa { before, now } => bar.suspend(|| {
                note(format_args!(
                    "the checkpoint was computed with {before}, this run goes on with {now}: its figures will \
                     differ in their last digits from an unbroken run's; --isa {before} repeats it exactly, where \
                     the processor has that"
                ));
            }),
            Progress::Epoch(record) => {
                let mut line = format!(
                    "epoch {:3}: {:.1} s, rate {:.2e}, training loss {:.4} accuracy {:.2} %",
                    record.epoch,
                    record.seconds,
                    record.rate,
                    record.train_loss,
                    100.0 * record.train_accuracy
                );
                if let (Some(loss), Some(accuracy), Some(uar)) =
                    (record.validation_loss, record.validation_accuracy, record.validation_uar)
                {
                    line += &format!(
                        "; validation loss {loss:.4} accuracy {:.2} % UAR {:.2} %",
                        100.0 * accuracy,
                        100.0 * uar
                    );
                }
                bar.suspend(|| note(line));
            }
        };
        let mut recipe = lesson.recipe.clone();
        if self.args.search {
            let Some((tried, rate)) = produce::search(lesson, &course, &mut show)? else {
                return Err(Interrupted("the search for a learning rate was interrupted".to_owned()).into());
            };
            bar.suspend(|| {
                for t in &tried {
                    let figure = t.figure.map_or("training broke down".to_owned(), |f| format!("{f:.4}"));
                    note(format_args!("learning rate {}: {figure}", t.rate));
                }
                note(format_args!("training with {rate}"));
            });
            recipe.train.optimiser = recipe.train.optimiser.with_rate(rate);
        }
        // the model file has the recipe as it was written, comments and all, unless something of it was changed here
        let text = if recipe == self.written { self.text.clone() } else { recipe.to_toml()? };
        let report = produce::produce(lesson, &recipe, &text, &course, &mut show)?;
        bar.finish_and_clear();
        let Some(report) = report else {
            let words =
                format!("interrupted; the checkpoint is in {}: --resume goes on from there", terminal::shown(out));
            return Err(Interrupted(words).into());
        };
        let mut line = format!("wrote {}: the weights of epoch {}", out.join(MODEL).display(), report.epoch);
        if let Some(validation) = &report.validation {
            line += &format!(
                ", validation accuracy {:.2} %, UAR {:.2} %, calibration error {:.3}",
                100.0 * validation.accuracy,
                100.0 * validation.balanced_accuracy,
                validation.ece
            );
        }
        note(line);
        Ok(report)
    }
}

fn spread(values: &[f64]) -> String {
    let spread = demeanor_train::metrics::Spread::of(values);
    format!("{:.2} +- {:.2} %", 100.0 * spread.mean, 100.0 * spread.sd)
}
