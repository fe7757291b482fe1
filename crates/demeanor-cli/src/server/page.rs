//! The pages that are in the program: `/overlay`, for a film or a stream, and `/`, which reads in the browser itself.

use axum::extract::Request;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::problem::Problem;

/// What a page may do: load and ask this server, and nothing else.
const POLICY: &str = "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self'; img-src 'self' data: blob:; \
                      media-src 'self' blob: mediastream:; worker-src 'self'; connect-src 'self'; manifest-src 'self'; \
                      form-action 'none'; frame-ancestors 'none'; base-uri 'none'";

/// Files by path, with their kind.
static FILES: &[(&str, &str, &[u8])] = &[
    ("/overlay", "text/html; charset=utf-8", include_bytes!("overlay/overlay.html")),
    ("/overlay.css", "text/css; charset=utf-8", include_bytes!("overlay/overlay.css")),
    ("/overlay.js", "text/javascript; charset=utf-8", include_bytes!("overlay/overlay.js")),
];

fn file(path: &str) -> Option<&'static (&'static str, &'static str, &'static [u8])> {
    FILES.iter().find(|(name, ..)| *name == path)
}

/// Whether a path is that of a file of a page.
pub fn is_file(path: &str) -> bool {
    file(path).is_some()
}

/// The file of a path.
pub async fn serve(request: Request) -> Response {
    let reads = matches!(*request.method(), axum::http::Method::GET | axum::http::Method::HEAD);
    match file(request.uri().path()).filter(|_| reads) {
        Some((_, kind, bytes)) => {
            let headers = [
                (header::CONTENT_TYPE, *kind),
                (header::CONTENT_SECURITY_POLICY, POLICY),
                (header::REFERRER_POLICY, "no-referrer"),
                (header::CACHE_CONTROL, "no-cache"),
            ];
            (headers, *bytes).into_response()
        }
        None => Problem::new(StatusCode::NOT_FOUND, "no such address; /openapi.json lists those that there are")
            .into_response(),
    }
}
