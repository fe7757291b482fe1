//! Copies of what is estimated, for those who only watch: of a live connection by its key, or of a session of `demeanor live`.

use std::net::TcpListener;
use std::sync::Arc;
use std::thread::JoinHandle;

use anyhow::Result;
use axum::Router;
use axum::extract::State;
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade, close_code};
use axum::response::Response;
use tokio::sync::broadcast;
use tokio::time::timeout;

use super::live::{SLOW, hello, refuse, room, send, shown};
use super::problem::Problem;
use super::{Guard, Hub, page};

/// How many estimates wait for somebody who watches.
const WAITING: usize = 64;
/// How many may watch a session at a time.
const MOST: u16 = 16;

/// Something that others may watch.
pub type Watched = broadcast::Sender<Arc<str>>;

/// A channel for those who watch.
pub fn watched() -> Watched {
    broadcast::channel(WAITING).0
}

/// `WS /v1/watch`.
pub async fn watch(
    State(hub): State<Arc<Hub>>,
    headers: axum::http::HeaderMap,
    upgrade: WebSocketUpgrade,
) -> Result<Response, Problem> {
    let (by_header, room) = (hub.guard.token(&headers).is_ok(), room(&hub)?);
    Ok(upgrade.max_message_size(1 << 16).on_upgrade(move |socket| async move {
        follow(hub, by_header, socket).await;
        drop(room);
    }))
}

async fn follow(hub: Arc<Hub>, by_header: bool, mut socket: WebSocket) {
    let Ok(first) = shown(&hub, by_header, &mut socket).await else {
        return refuse(socket, close_code::POLICY, "expected the server's token first: {\"token\": \"...\"}").await;
    };
    let source = match (&hub.session, first.and_then(|h| h.key)) {
        (Some(session), _) => Some(session.clone()),
        (None, Some(key)) => hub.live().get(&key).cloned(),
        // the connection to watch is named first
        (None, None) => {
            let key = hello(&mut socket).await.and_then(|h| h.key);
            key.and_then(|key| hub.live().get(&key).cloned())
        }
    };
    let Some(source) = source else {
        return refuse(socket, close_code::POLICY, "expected the key of a live connection: {\"key\": \"...\"}").await;
    };
    let mut lines = source.subscribe();
    drop(source);
    let mut stop = hub.stop.subscribe();
    loop {
        tokio::select! {
            // what was told before the end is passed on before it ends
            biased;
            line = lines.recv() => match line {
                Ok(line) => if !send(&mut socket, Message::Text((&*line).into())).await { break },
                // a slow one misses some
                Err(broadcast::error::RecvError::Lagged(_)) => {}
                Err(broadcast::error::RecvError::Closed) => break,
            },
            came = socket.recv() => match came {
                Some(Ok(Message::Close(_))) | Some(Err(_)) | None => break,
                // nothing that is said here changes anything
                Some(Ok(_)) => {}
            },
            _ = stop.changed() => break,
        }
    }
    let _ = timeout(SLOW, socket.send(Message::Close(None))).await;
}

/// A server beside a session of `demeanor live`: others watch, and can do nothing else.
pub struct SessionServer {
    hub: Arc<Hub>,
    session: Watched,
    thread: JoinHandle<Result<()>>,
}

impl SessionServer {
    /// Begins to serve.
    pub fn begin(guard: Guard, listener: TcpListener) -> SessionServer {
        let session = watched();
        let hub = Hub::new(guard, MOST, Some(session.clone()));
        let router = super::open_to_all(Router::new().fallback(page::serve_overlay), Arc::clone(&hub));
        let thread = {
            let hub = Arc::clone(&hub);
            std::thread::spawn(move || super::run(hub, router, listener, 1))
        };
        SessionServer { hub, session, thread }
    }

    /// What gives lines of JSON to those who watch, if any do.
    pub fn teller(&self) -> impl Fn(&str) + Send + use<> {
        let session = self.session.clone();
        move |line| {
            if session.receiver_count() > 0 {
                let _ = session.send(line.into());
            }
        }
    }

    /// Ends it, once those who watch are told.
    ///
    /// # Errors
    /// When it could not serve.
    pub fn end(self) -> Result<()> {
        let _ = self.hub.stop.send(true);
        self.thread.join().unwrap_or_else(|_| anyhow::bail!("the thread that serves failed"))
    }
}
