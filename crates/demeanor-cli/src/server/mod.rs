//! `demeanor serve`: estimates for other programs, over HTTP and WebSockets.

mod guard;
mod jobs;
mod live;
mod message;
mod metrics;
mod page;
mod pool;
mod problem;
mod stills;
mod watched;

use std::collections::HashMap;
use std::net::{SocketAddr, TcpListener};
use std::pin::Pin;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result};
use axum::extract::DefaultBodyLimit;
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Json, Router, middleware};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpStream;
use tokio::sync::{Semaphore, watch};
use tokio_io_timeout::TimeoutStream;
use tower_http::timeout::TimeoutLayer;
use utoipa::OpenApi;

pub use guard::Guard;
pub use watched::SessionServer;

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
    pub connections: u16,
    /// From a request to its answer.
    pub time: Duration,
    /// Threads that read.
    pub threads: usize,
}

/// Where it listens unless told otherwise.
pub const ADDRESS: &str = "127.0.0.1:8642";
/// A head of a request must come within this time.
const HEAD: Duration = Duration::from_secs(10);
/// What is going on when the server is asked to end may go on for so long.
const DRAIN: Duration = Duration::from_secs(10);

/// What all connections share, also those to `demeanor live --serve`, which reads nothing for others.
struct Hub {
    guard: Guard,
    /// Room for so many connections at a time.
    room: Arc<Semaphore>,
    connections: u32,
    metrics: metrics::Metrics,
    /// Live connections by their keys.
    live: Mutex<HashMap<String, watched::Watched>>,
    /// What is watched where no key is named: the session of `demeanor live --serve`.
    session: Option<watched::Watched>,
    stop: watch::Sender<bool>,
}

impl Hub {
    fn new(guard: Guard, connections: u16, session: Option<watched::Watched>) -> Arc<Hub> {
        let (metrics, live, stop) = (metrics::Metrics::default(), Mutex::default(), watch::Sender::new(false));
        let room = Arc::new(Semaphore::new(connections.into()));
        Arc::new(Hub { guard, room, connections: connections.into(), metrics, live, session, stop })
    }

    fn live(&self) -> MutexGuard<'_, HashMap<String, watched::Watched>> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What all requests to read something share.
struct Server {
    hub: Arc<Hub>,
    limits: Limits,
    models: Models,
    senses: SenseArgs,
    pool: pool::Pool,
    jobs: jobs::Jobs,
}

type App = Arc<Server>;

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
        .route("/openapi.json", get(|| async { Json(Api::openapi()) }))
        .layer(DefaultBodyLimit::max(app.limits.body))
        .layer(TimeoutLayer::with_status_code(StatusCode::REQUEST_TIMEOUT, app.limits.time));
    let lasting = Router::new()
        .route("/v1/video", post(jobs::video).layer(DefaultBodyLimit::disable()))
        .route("/v1/jobs/{id}/estimates", get(jobs::estimates))
        .route("/v1/live", get(live::live));
    let hub = Arc::clone(&app.hub);
    open_to_all(answers.merge(lasting).fallback(page::serve).with_state(app), hub)
}

/// What every server has, and who may ask it.
fn open_to_all(routes: Router, hub: Arc<Hub>) -> Router {
    let common = Router::new()
        .route("/health", get(health))
        .route("/metrics", get(metrics::metrics))
        .route("/v1/watch", get(watched::watch))
        .with_state(Arc::clone(&hub));
    routes
        .merge(common)
        .method_not_allowed_fallback(|| async {
            problem::Problem::new(
                StatusCode::METHOD_NOT_ALLOWED,
                "another method is expected at this address; see /openapi.json",
            )
        })
        .layer(middleware::from_fn_with_state(Arc::clone(&hub), guard::check))
        .layer(middleware::from_fn_with_state(hub, metrics::count))
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
    let hub = Hub::new(guard, limits.connections, None);
    let app = Arc::new(Server { hub: Arc::clone(&hub), limits, models, senses, pool, jobs });
    let served = run(hub, router(app.clone()), listener, 2);
    app.jobs.close();
    served
}

/// Serves with so many threads that read and write connections.
fn run(hub: Arc<Hub>, router: Router, listener: TcpListener, threads: usize) -> Result<()> {
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    let runtime = runtime.worker_threads(threads).enable_all().build().context("cannot begin")?;
    listener.set_nonblocking(true).context("cannot listen")?;
    let served = runtime.block_on(accept(hub, router, listener));
    runtime.shutdown_timeout(Duration::from_secs(1));
    served
}

/// A connection that ends with an error when the client takes nothing of what is written for so long.
fn taken(stream: TcpStream, within: Duration) -> Pin<Box<TimeoutStream<TcpStream>>> {
    let mut stream = TimeoutStream::new(stream);
    stream.set_write_timeout(Some(within));
    Box::pin(stream)
}

async fn accept(hub: Arc<Hub>, router: Router, listener: TcpListener) -> Result<()> {
    let listener = tokio::net::TcpListener::from_std(listener).context("cannot listen")?;
    let service = TowerToHyperService::new(router);
    let mut stop = hub.stop.subscribe();
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
            _ = stop.changed() => break,
        };
        // no room: closed at once, so that it is known
        let Ok(permit) = Arc::clone(&hub.room).try_acquire_owned() else { continue };
        let _ = stream.set_nodelay(true);
        let mut http = http1::Builder::new();
        http.timer(TokioTimer::new()).header_read_timeout(HEAD).max_buf_size(64 << 10);
        let connection =
            http.serve_connection(TokioIo::new(taken(stream, live::SLOW)), service.clone()).with_upgrades();
        let (hub, mut stop) = (Arc::clone(&hub), hub.stop.subscribe());
        tokio::spawn(async move {
            hub.metrics.connections.fetch_add(1, Ordering::Relaxed);
            // what goes wrong with a connection is the client's to know
            tokio::pin!(connection);
            tokio::select! {
                _ = connection.as_mut() => {}
                _ = stop.changed() => {
                    connection.as_mut().graceful_shutdown();
                    let _ = connection.await;
                }
            }
            hub.metrics.connections.fetch_sub(1, Ordering::Relaxed);
            drop(permit);
        });
    }
    drop(listener);
    let _ = hub.stop.send(true);
    // all have left when there is room for all
    let _ = tokio::time::timeout(DRAIN, hub.room.acquire_many(hub.connections)).await;
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

#[cfg(test)]
mod tests {
    use std::io::ErrorKind;

    use tokio::io::AsyncWriteExt;

    use super::*;

    #[test]
    fn a_client_that_takes_nothing_is_let_go() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let error = runtime.block_on(async {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            let _silent = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
            let mut stream = taken(listener.accept().await.unwrap().0, Duration::from_millis(100));
            // more than the buffers of the system hold
            stream.write_all(&vec![0; 64 << 20]).await.unwrap_err()
        });
        assert_eq!(error.kind(), ErrorKind::TimedOut);
    }
}
