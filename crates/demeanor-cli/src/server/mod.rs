//! `demeanor serve`: estimates for other programs, over HTTP and WebSockets.

mod guard;
mod jobs;
mod live;
mod metrics;
mod page;
mod pool;
mod problem;
mod stills;

use std::collections::HashMap;
use std::net::{SocketAddr, TcpListener};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result};
use axum::extract::DefaultBodyLimit;
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Json, Router, middleware};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::sync::{Semaphore, watch};
use tower_http::timeout::TimeoutLayer;
use utoipa::OpenApi;

pub use guard::Guard;

use crate::interrupt;
use crate::senses::{Models, SenseArgs};

/// What a server takes at most.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Bytes of a body.
    pub body: usize,
    /// Bytes of a film.
    pub film: u64,
    /// Seconds of a recording.
    pub seconds: f64,
    /// Bytes of memory that the decoding of a picture may take.
    pub memory: u64,
    /// Connections at a time.
    pub connections: usize,
    /// From a request to its answer.
    pub time: Duration,
    /// Threads that read.
    pub threads: usize,
}

/// A head of a request must come within this time.
const HEAD: Duration = Duration::from_secs(10);
/// What is going on when the server is asked to end may go on for so long.
const DRAIN: Duration = Duration::from_secs(10);

/// What all requests share.
pub struct Server {
    guard: Guard,
    limits: Limits,
    models: Models,
    senses: SenseArgs,
    pool: pool::Pool,
    jobs: jobs::Jobs,
    metrics: metrics::Metrics,
    /// Live connections by their keys.
    live: Mutex<HashMap<String, live::Watched>>,
    stop: watch::Sender<bool>,
}

type App = Arc<Server>;

impl Server {
    fn live(&self) -> MutexGuard<'_, HashMap<String, live::Watched>> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A name or token that nobody guesses, of this many bytes.
pub fn random_name(length: usize) -> String {
    let bytes = (0..length).map(|_| rand::random::<u8>());
    bytes.map(|b| format!("{b:02x}")).collect()
}

/// Whether the server is there.
#[utoipa::path(get, path = "/health", responses((status = 200, body = String)))]
async fn health() -> &'static str {
    "ok"
}

/// The addresses and records of this server, from their types.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "demeanor",
        description = "Reads the emotion that a face and a voice express. It reads what is shown, not what is felt."
    ),
    paths(
        stills::face,
        stills::speech,
        stills::analyze,
        stills::models,
        jobs::video,
        jobs::job,
        jobs::estimates,
        jobs::delete,
        health,
        metrics::metrics
    ),
    components(schemas(problem::Problem))
)]
struct Api;

fn router(app: App) -> Router {
    let answers = Router::new()
        .route("/v1/face", post(stills::face))
        .route("/v1/speech", post(stills::speech))
        .route("/analyze", post(stills::analyze))
        .route("/v1/models", get(stills::models))
        .route("/v1/jobs/{id}", get(jobs::job).delete(jobs::delete))
        .route("/health", get(health))
        .route("/metrics", get(metrics::metrics))
        .route("/openapi.json", get(|| async { Json(Api::openapi()) }))
        .layer(DefaultBodyLimit::max(app.limits.body))
        .layer(TimeoutLayer::with_status_code(StatusCode::REQUEST_TIMEOUT, app.limits.time));
    let lasting = Router::new()
        .route("/v1/video", post(jobs::video).layer(DefaultBodyLimit::disable()))
        .route("/v1/jobs/{id}/estimates", get(jobs::estimates))
        .route("/v1/live", get(live::live))
        .route("/v1/watch", get(live::watch));
    answers
        .merge(lasting)
        .fallback(page::serve)
        .method_not_allowed_fallback(|| async {
            problem::Problem::new(
                StatusCode::METHOD_NOT_ALLOWED,
                "another method is expected at this address; see /openapi.json",
            )
        })
        .layer(middleware::from_fn_with_state(app.clone(), guard::check))
        .layer(middleware::from_fn_with_state(app.clone(), metrics::count))
        .with_state(app)
}

/// What a server is begun with.
pub struct Begin {
    /// Who may ask.
    pub guard: Guard,
    /// What is taken at most.
    pub limits: Limits,
    /// The models, loaded once.
    pub models: Models,
    /// How films and live connections are read.
    pub senses: SenseArgs,
}

/// Serves on a listener until somebody asks it to end.
///
/// # Errors
/// When the server cannot begin.
pub fn serve(begin: Begin, listener: TcpListener) -> Result<()> {
    let Begin { guard, limits, models, senses } = begin;
    let pool = pool::Pool::new(&models, limits.threads)?;
    let jobs = jobs::Jobs::new(&models, &senses)?;
    let (metrics, live, stop) = (metrics::Metrics::default(), Mutex::default(), watch::Sender::new(false));
    let app = Arc::new(Server { guard, limits, models, senses, pool, jobs, metrics, live, stop });
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().context("cannot begin")?;
    listener.set_nonblocking(true).context("cannot listen")?;
    let served = runtime.block_on(accept(app.clone(), listener));
    app.jobs.close();
    runtime.shutdown_timeout(Duration::from_secs(1));
    served
}

async fn accept(app: App, listener: TcpListener) -> Result<()> {
    let listener = tokio::net::TcpListener::from_std(listener).context("cannot listen")?;
    let service = TowerToHyperService::new(router(app.clone()));
    let (room, graceful) = (Arc::new(Semaphore::new(app.limits.connections)), GracefulShutdown::new());
    let mut end = tokio::time::interval(Duration::from_millis(100));
    loop {
        let stream = tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => stream,
                // no file descriptors are left, or the client is gone already
                Err(_) => {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    continue;
                }
            },
            _ = end.tick() => if interrupt::asked() { break } else { continue },
        };
        // no room: closed at once, so that it is known
        let Ok(permit) = Arc::clone(&room).try_acquire_owned() else { continue };
        let _ = stream.set_nodelay(true);
        let mut http = auto::Builder::new(TokioExecutor::new()).http1_only();
        http.http1().timer(TokioTimer::new()).header_read_timeout(HEAD).max_buf_size(64 << 10);
        let connection = http.serve_connection_with_upgrades(TokioIo::new(stream), service.clone());
        let connection = graceful.watch(connection.into_owned());
        let app = app.clone();
        tokio::spawn(async move {
            app.metrics.connections.fetch_add(1, Ordering::Relaxed);
            // what goes wrong with a connection is the client's to know
            let _ = connection.await;
            app.metrics.connections.fetch_sub(1, Ordering::Relaxed);
            drop(permit);
        });
    }
    drop(listener);
    let _ = app.stop.send(true);
    let _ = tokio::time::timeout(DRAIN, graceful.shutdown()).await;
    Ok(())
}

/// Listens at an address.
///
/// # Errors
/// When the address is taken or not of this machine.
pub fn listen(address: SocketAddr) -> Result<TcpListener> {
    TcpListener::bind(address)
        .with_context(|| format!("cannot listen at {address}; choose another with --listen ADDRESS:PORT"))
}
