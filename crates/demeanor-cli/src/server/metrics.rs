//! Figures of the server in the text format of Prometheus. Nothing of what was sent is in them.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::extract::{MatchedPath, Request, State};
use axum::http::header;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::Hub;

/// What is counted.
#[derive(Debug, Default)]
pub struct Metrics {
    /// Requests by path and status: how many, and how long they took together.
    requests: Mutex<BTreeMap<(String, u16), (u64, Duration)>>,
    bytes: AtomicU64,
    pictures: AtomicU64,
    /// Frames of live connections that were read, and that were dropped for newer ones.
    frames: AtomicU64,
    dropped: AtomicU64,
    /// Connections and live connections now.
    pub connections: AtomicI64,
    pub live: AtomicI64,
}

impl Metrics {
    pub fn bytes(&self, count: usize) {
        self.bytes.fetch_add(count as u64, Relaxed);
    }

    pub fn pictures(&self, count: u64) {
        self.pictures.fetch_add(count, Relaxed);
    }

    pub fn frames(&self, read: u64, dropped: u64) {
        self.frames.fetch_add(read, Relaxed);
        self.dropped.fetch_add(dropped, Relaxed);
    }

    fn text(&self) -> String {
        let mut text = String::new();
        let mut say = |name: &str, kind: &str, help: &str, value: String| {
            let _ =
                writeln!(text, "# HELP demeanor_{name} {help}\n# TYPE demeanor_{name} {kind}\ndemeanor_{name} {value}");
        };
        say("connections", "gauge", "Open connections.", self.connections.load(Relaxed).to_string());
        say("live_connections", "gauge", "Open live connections.", self.live.load(Relaxed).to_string());
        say("received_bytes_total", "counter", "Bytes of files received.", self.bytes.load(Relaxed).to_string());
        say("pictures_total", "counter", "Pictures read.", self.pictures.load(Relaxed).to_string());
        say("live_frames_total", "counter", "Frames of live connections read.", self.frames.load(Relaxed).to_string());
        say(
            "live_frames_dropped_total",
            "counter",
            "Frames dropped for newer ones.",
            self.dropped.load(Relaxed).to_string(),
        );
        let requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
        text.push_str("# HELP demeanor_request_seconds Time from a request to its answer.\n# TYPE demeanor_request_seconds summary\n");
        for ((path, status), (count, took)) in requests.iter() {
            let labels = format!("{{path=\"{path}\",status=\"{status}\"}}");
            let _ = writeln!(text, "demeanor_request_seconds_count{labels} {count}");
            let _ = writeln!(text, "demeanor_request_seconds_sum{labels} {}", took.as_secs_f64());
        }
        text
    }
}

/// Counts requests by the path of their route, never by what was asked.
pub async fn count(State(hub): State<Arc<Hub>>, request: Request, next: Next) -> Response {
    let path = request.extensions().get::<MatchedPath>().map_or("other", MatchedPath::as_str).to_owned();
    let began = Instant::now();
    let response = next.run(request).await;
    let mut requests = hub.metrics.requests.lock().unwrap_or_else(PoisonError::into_inner);
    let (count, took) = requests.entry((path, response.status().as_u16())).or_default();
    *count += 1;
    *took += began.elapsed();
    drop(requests);
    response
}

/// Figures of the server, for Prometheus.
#[utoipa::path(get, path = "/metrics", responses((status = 200, body = String, content_type = "text/plain")))]
pub async fn metrics(State(hub): State<Arc<Hub>>) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], hub.metrics.text())
}
