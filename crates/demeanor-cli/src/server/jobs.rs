//! Films: a job each, done one after the other. A film lies in a folder that nobody else may enter until it is read, and what was
//! read of it for some minutes.

use std::collections::{BTreeMap, VecDeque};
use std::fs;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use axum::Json;
use axum::body::Body;
use axum::extract::{Path as InPath, Request, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use demeanor::estimate::EstimateRecord;
use demeanor_media::capture::Inputs;
use demeanor_media::film::{Film, Step};
use serde::Serialize;
use tokio::io::AsyncWriteExt;
use tokio_stream::StreamExt;

use super::App;
use super::problem::Problem;
use crate::senses::{Models, SenseArgs};

/// How long results are kept.
const KEPT: Duration = Duration::from_secs(600);
/// How many films may wait.
const WAITING: usize = 8;
/// No byte of a film for so long, and whoever sends it is taken to be gone.
const SILENT: Duration = Duration::from_secs(30);

/// How far a job is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum JobState {
    /// Others come before it.
    Queued,
    /// It is being read.
    Running,
    /// It was read.
    Done,
    /// It could not be read, or not to its end.
    Failed,
}

/// A film that is read.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
pub struct JobRecord {
    /// Its name in addresses.
    id: String,
    state: JobState,
    /// How far it is read, in seconds of the film.
    read_s: f64,
    /// How long the film says that it is, in seconds.
    duration_s: Option<f64>,
    /// Estimates so far, one for each frame.
    estimates: u64,
    /// What went wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<String>,
    /// Where the estimates are, as lines of JSON, once it is done.
    #[serde(skip_serializing_if = "Option::is_none")]
    result: Option<String>,
}

#[derive(Debug)]
struct Job {
    record: JobRecord,
    film: PathBuf,
    lines: PathBuf,
    ended: Option<Instant>,
    cancelled: bool,
}

#[derive(Debug, Default)]
struct Board {
    jobs: BTreeMap<String, Job>,
    queue: VecDeque<String>,
    closed: bool,
}

/// The jobs, and the folder of their films.
#[derive(Debug)]
pub struct Jobs {
    board: Arc<(Mutex<Board>, Condvar)>,
    folder: tempfile::TempDir,
}

fn lock(board: &Mutex<Board>) -> MutexGuard<'_, Board> {
    board.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What every folder of films begins with; those that a server left behind when it was killed are swept at the next start.
const PREFIX: &str = "demeanor-films-";

impl Jobs {
    /// Begins with an empty folder, and a thread that reads.
    ///
    /// # Errors
    /// When there is no place for films.
    pub fn new(models: &Models, senses: &SenseArgs) -> Result<Jobs> {
        sweep();
        // tempfile's folders are for their owner alone
        let folder = tempfile::Builder::new().prefix(PREFIX).tempdir().context("cannot make a folder for films")?;
        fs::write(folder.path().join("process"), std::process::id().to_string()).context("cannot write to it")?;
        let board: Arc<(Mutex<Board>, Condvar)> = Arc::default();
        let (models, senses, here) = (models.clone(), senses.clone(), Arc::clone(&board));
        std::thread::spawn(move || work(&here, &models, &senses));
        Ok(Jobs { board, folder })
    }

    /// Ends the work; a film that is being read is left.
    pub fn close(&self) {
        let mut board = lock(&self.board.0);
        board.closed = true;
        board.jobs.values_mut().for_each(|job| job.cancelled = true);
        self.board.1.notify_all();
    }
}

/// Deletes the folders of servers that are no more.
fn sweep() {
    for entry in fs::read_dir(std::env::temp_dir()).into_iter().flatten().flatten() {
        if !entry.file_name().to_string_lossy().starts_with(PREFIX) {
            continue;
        }
        let owner = fs::read_to_string(entry.path().join("process")).unwrap_or_default();
        let alive = !owner.is_empty() && Path::new("/proc").join(&owner).exists();
        if cfg!(target_os = "linux") && !alive {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

fn forget(job: &Job) {
    let _ = fs::remove_file(&job.film);
    let _ = fs::remove_file(&job.lines);
}

/// Reads one film after the other.
fn work(board: &(Mutex<Board>, Condvar), models: &Models, senses: &SenseArgs) {
    loop {
        let (id, film, lines) = {
            let mut here = lock(&board.0);
            loop {
                let Board { jobs, .. } = &mut *here;
                jobs.retain(|_, job| {
                    let old = job.ended.is_some_and(|ended| ended.elapsed() > KEPT);
                    if old {
                        forget(job);
                    }
                    !old
                });
                if here.closed {
                    return;
                }
                if let Some(id) = here.queue.pop_front()
                    && let Some(job) = here.jobs.get_mut(&id)
                {
                    job.record.state = JobState::Running;
                    break (id, job.film.clone(), job.lines.clone());
                }
                here = board.1.wait_timeout(here, Duration::from_secs(5)).unwrap_or_else(PoisonError::into_inner).0;
            }
        };
        let mut told = |time: Duration, whole: Option<Duration>, estimates: u64| {
            let mut here = lock(&board.0);
            let Some(job) = here.jobs.get_mut(&id) else { return false };
            job.record.read_s = time.as_secs_f64();
            job.record.duration_s = whole.map(|w| w.as_secs_f64());
            job.record.estimates = estimates;
            !job.cancelled
        };
        let read = read(&film, &lines, models, senses, &mut told);
        let _ = fs::remove_file(&film);
        let mut here = lock(&board.0);
        let Some(job) = here.jobs.get_mut(&id) else { continue };
        job.ended = Some(Instant::now());
        if job.cancelled {
            forget(job);
            here.jobs.remove(&id);
            continue;
        }
        job.record.result = job.lines.exists().then(|| format!("/v1/jobs/{id}/estimates"));
        match read {
            Ok(()) => job.record.state = JobState::Done,
            Err(error) => {
                job.record.state = JobState::Failed;
                // the name in the temporary folder says nothing to anybody
                let text = crate::terminal::whole(&error).replace(&*film.to_string_lossy(), "the film");
                job.record.problem = Some(text);
            }
        }
    }
}

/// Reads a film into lines of JSON, as `demeanor video --json` prints them. `told` hears how far it is, and says whether to go on.
fn read(
    film: &Path,
    lines: &Path,
    models: &Models,
    senses: &SenseArgs,
    told: &mut dyn FnMut(Duration, Option<Duration>, u64) -> bool,
) -> Result<()> {
    let pipeline = senses.film().pipeline_of(models.clone())?;
    let mut film = Film::open(&Inputs::film(film.as_os_str(), false), pipeline, senses.min_score)?;
    let (mut out, mut estimates) = (BufWriter::new(fs::File::create(lines)?), 0u64);
    let mut write = |record: &EstimateRecord| -> Result<u64> {
        serde_json::to_writer(&mut out, record)?;
        out.write_all(b"\n")?;
        estimates += 1;
        Ok(estimates)
    };
    let mut written = 0;
    while told(film.time(), film.length(), written) {
        match film.next_within(Duration::from_millis(200))? {
            Step::Seen(record) | Step::Heard(Some(record)) => written = write(&record)?,
            Step::Heard(None) | Step::Picture(_) | Step::Waiting => {}
            Step::Ended => break,
        }
    }
    let (time, length) = (film.time(), film.length());
    let end = film.finish()?;
    if let Some(record) = &end.record {
        written = write(record)?;
    }
    out.flush()?;
    told(time, length, written);
    if let Some(problem) = end.problem {
        bail!("{}", [&[problem][..], &end.warnings].concat().join("; "));
    }
    Ok(())
}

/// Takes a film to be read: 202 and a job, which can be asked for how far it is.
#[utoipa::path(post, path = "/v1/video", request_body(content_type = "application/octet-stream", content = Vec<u8>,
    description = "The bytes of a film"), responses((status = 202, body = JobRecord),
    (status = "4XX", body = Problem, content_type = "application/problem+json"), (status = "5XX", body = Problem, content_type = "application/problem+json")))]
pub async fn video(State(app): State<App>, request: Request) -> Result<Response, Problem> {
    let kind = request.headers().get(header::CONTENT_TYPE).and_then(|h| h.to_str().ok()).unwrap_or_default();
    if kind.starts_with("text/") || kind.starts_with("multipart/") || kind.starts_with("application/json") {
        return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "expected the bytes of a film as the body"));
    }
    let jobs = &app.jobs;
    let (too_many, most) = (lock(&jobs.board.0).queue.len() >= WAITING, app.limits.film);
    if too_many {
        return Err(Problem::new(StatusCode::TOO_MANY_REQUESTS, "too many films wait; ask again later"));
    }
    let id = super::random_name(16);
    let (film, lines) = (jobs.folder.path().join(format!("{id}.film")), jobs.folder.path().join(format!("{id}.jsonl")));
    let spooled = spool(&film, request.into_body(), most).await;
    if let Err(problem) = spooled {
        let _ = fs::remove_file(&film);
        return Err(problem);
    }
    let record = JobRecord {
        id: id.clone(),
        state: JobState::Queued,
        read_s: 0.0,
        duration_s: None,
        estimates: 0,
        problem: None,
        result: None,
    };
    let mut board = lock(&jobs.board.0);
    board.jobs.insert(id.clone(), Job { record: record.clone(), film, lines, ended: None, cancelled: false });
    board.queue.push_back(id.clone());
    jobs.board.1.notify_all();
    Ok((StatusCode::ACCEPTED, [(header::LOCATION, format!("/v1/jobs/{id}"))], Json(record)).into_response())
}

/// Writes a body to a file, as it comes.
async fn spool(path: &Path, body: Body, most: u64) -> Result<(), Problem> {
    let full =
        |e: std::io::Error| Problem::new(StatusCode::INSUFFICIENT_STORAGE, format!("the film cannot be stored: {e}"));
    let mut file = tokio::fs::File::create(path).await.map_err(full)?;
    let (mut stream, mut size) = (body.into_data_stream(), 0u64);
    loop {
        let piece = match tokio::time::timeout(SILENT, stream.next()).await {
            Ok(Some(piece)) => piece.map_err(|e| Problem::request(format!("the body broke off: {e}")))?,
            Ok(None) => break,
            Err(_) => return Err(Problem::new(StatusCode::REQUEST_TIMEOUT, "no byte of the film came for 30 s")),
        };
        size += piece.len() as u64;
        if size > most {
            let detail = format!("the film is larger than {} MiB, which this server takes (--max-film)", most >> 20);
            return Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, detail));
        }
        file.write_all(&piece).await.map_err(full)?;
    }
    file.flush().await.map_err(full)?;
    if size == 0 {
        return Err(Problem::request("the body is empty; expected the bytes of a film"));
    }
    Ok(())
}

fn unknown() -> Problem {
    Problem::new(StatusCode::NOT_FOUND, "no such job: results are kept for ten minutes")
}

/// How far a job is.
#[utoipa::path(get, path = "/v1/jobs/{id}", params(("id" = String, Path)), responses((status = 200, body = JobRecord), (status = 404, body = Problem, content_type = "application/problem+json")))]
pub async fn job(State(app): State<App>, InPath(id): InPath<String>) -> Result<Json<JobRecord>, Problem> {
    lock(&app.jobs.board.0)
        .jobs
        .get(&id)
        .filter(|j| !j.cancelled)
        .map(|job| Json(job.record.clone()))
        .ok_or_else(unknown)
}

/// The estimates of a job that has ended: a line of JSON each.
#[utoipa::path(get, path = "/v1/jobs/{id}/estimates", params(("id" = String, Path)), responses(
    (status = 200, body = EstimateRecord, content_type = "application/jsonl"), (status = 404, body = Problem, content_type = "application/problem+json"), (status = 409, body = Problem, content_type = "application/problem+json")))]
pub async fn estimates(State(app): State<App>, InPath(id): InPath<String>) -> Result<Response, Problem> {
    let lines = {
        let board = lock(&app.jobs.board.0);
        let job = board.jobs.get(&id).ok_or_else(unknown)?;
        if job.record.result.is_none() {
            return Err(Problem::new(StatusCode::CONFLICT, "the film is still being read, or nothing of it could be"));
        }
        job.lines.clone()
    };
    let file = tokio::fs::File::open(&lines).await.map_err(|_| unknown())?;
    let body = Body::from_stream(tokio_util::io::ReaderStream::new(file));
    Ok(([(header::CONTENT_TYPE, "application/jsonl")], body).into_response())
}

/// Ends a job and forgets what was read.
#[utoipa::path(delete, path = "/v1/jobs/{id}", params(("id" = String, Path)), responses((status = 204), (status = 404, body = Problem, content_type = "application/problem+json")))]
pub async fn delete(State(app): State<App>, InPath(id): InPath<String>) -> Result<StatusCode, Problem> {
    let mut board = lock(&app.jobs.board.0);
    let job = board.jobs.get_mut(&id).ok_or_else(unknown)?;
    job.cancelled = true;
    if job.record.state != JobState::Running {
        forget(job);
        board.jobs.remove(&id);
        board.queue.retain(|waiting| *waiting != id);
    }
    Ok(StatusCode::NO_CONTENT)
}
