//! The pages that are in the program: `/`, which reads in the browser itself, and `/overlay`, for a film or a stream.

use axum::extract::Request;
use axum::http::{Method, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};

use super::problem::Problem;

/// What a page may do: load and ask this server, and nothing else. The same stands in bindings/web.
const POLICY: &str = "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self'; img-src 'self'; \
                      media-src 'self' blob:; connect-src 'self'; worker-src 'self'; manifest-src 'self'; \
                      form-action 'none'; base-uri 'none'; frame-ancestors 'none'";

/// A file that is served.
type File = (&'static str, &'static [u8]);

static OVERLAY: &[File] = &[
    ("/overlay", include_bytes!("overlay/overlay.html")),
    ("/overlay.css", include_bytes!("overlay/overlay.css")),
    ("/overlay.js", include_bytes!("overlay/overlay.js")),
];

/// Files of the page, as bindings/web/embed put them there.
macro_rules! page {
    ($($name:literal),* $(,)?) => {
        &[$((concat!("/", $name), include_bytes!(concat!("../../page/", $name)))),*]
    };
}

/// The page without its models, which are in the program already.
static PAGE: &[File] = page![
    "boxes.js",
    "colours.js",
    "csv.js",
    "demeanor/index.js",
    "demeanor/licences/BLAZEFACE-NOTICE",
    "demeanor/licences/LICENSE-APACHE",
    "demeanor/licences/LICENSE-MIT",
    "demeanor/licences/MODELS.md",
    "demeanor/licences/README.md",
    "demeanor/load.js",
    "demeanor/pixels.js",
    "demeanor/wasm/demeanor.js",
    "demeanor/wasm/relaxed.wasm",
    "demeanor/wasm/simd.wasm",
    "face.js",
    "files.json",
    "icon.svg",
    "index.html",
    "main.js",
    "panel.js",
    "style.css",
    "sw.js",
    "tap.js",
    "timeline.js",
    "voice.js",
];

const MODELS: &str = "/demeanor/models/";

/// A model that the page reads with.
fn model(name: &str) -> Option<&'static [u8]> {
    let name = name.strip_suffix(".safetensors")?;
    let detector = demeanor_models::detector().filter(|d| d.name == name).map(|d| d.bytes);
    detector.or_else(|| demeanor_models::named(name).map(|model| model.bytes))
}

fn find(files: &'static [File], path: &str) -> Option<&'static [u8]> {
    files.iter().find(|(name, _)| *name == path).map(|(_, bytes)| *bytes)
}

fn file(path: &str) -> Option<&'static [u8]> {
    let path = if path == "/" { "/index.html" } else { path };
    path.strip_prefix(MODELS).and_then(model).or_else(|| find(PAGE, path)).or_else(|| find(OVERLAY, path))
}

/// Whether a path is that of a file of a page.
pub fn is_file(path: &str) -> bool {
    file(path).is_some()
}

fn kind(path: &str) -> &'static str {
    match path.rsplit_once('.').map(|(_, ending)| ending) {
        Some("js") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("svg") => "image/svg+xml",
        Some("json") => "application/json",
        Some("wasm") => "application/wasm",
        Some("safetensors") => "application/octet-stream",
        Some("html") | None if !path.contains("/licences/") => "text/html; charset=utf-8",
        _ => "text/plain; charset=utf-8",
    }
}

fn answer(request: &Request, file: impl Fn(&str) -> Option<&'static [u8]>) -> Response {
    let reads = matches!(*request.method(), Method::GET | Method::HEAD);
    let path = request.uri().path();
    match file(path).filter(|_| reads) {
        Some(bytes) => {
            let headers = [
                (header::CONTENT_TYPE, kind(path)),
                (header::CONTENT_SECURITY_POLICY, POLICY),
                (header::REFERRER_POLICY, "no-referrer"),
                (header::CACHE_CONTROL, "no-cache"),
            ];
            (headers, bytes).into_response()
        }
        None => Problem::new(StatusCode::NOT_FOUND, "no such address; /openapi.json lists those that there are")
            .into_response(),
    }
}

/// The file of a path.
pub async fn serve(request: Request) -> Response {
    answer(&request, file)
}

/// The file of a path, where a session can be watched and no more.
pub async fn serve_overlay(request: Request) -> Response {
    if request.uri().path() == "/" {
        return Redirect::temporary("/overlay").into_response();
    }
    answer(&request, |path| find(OVERLAY, path))
}

#[cfg(test)]
mod tests {
    use sha2::{Digest, Sha256};

    use super::*;

    #[derive(serde::Deserialize)]
    struct Listed {
        files: Vec<Entry>,
    }

    #[derive(serde::Deserialize)]
    struct Entry {
        path: String,
        sha256: String,
    }

    #[test]
    fn all_files_of_the_page_are_served_as_they_were_built() {
        let list = find(PAGE, "/files.json").unwrap();
        let Listed { files } = serde_json::from_slice(list).unwrap();
        for Entry { path, sha256 } in &files {
            let path = format!("/{path}");
            if path.starts_with(MODELS) && !cfg!(all(feature = "face", feature = "speech")) {
                continue;
            }
            let bytes = file(&path).unwrap_or_else(|| panic!("{path} is missing: add it to PAGE"));
            let hash: String = Sha256::digest(bytes).iter().map(|b| format!("{b:02x}")).collect();
            assert_eq!(&hash, sha256, "{path} is not what was built: run bindings/web/embed");
        }
        for (path, _) in PAGE {
            let listed = files.iter().any(|f| f.path == path[1..]);
            assert!(listed || *path == "/files.json", "{path} is of no use");
        }
    }

    #[test]
    fn files_have_their_kinds_and_nothing_else_is_one() {
        for (path, expected) in [
            ("/", "text/html; charset=utf-8"),
            ("/overlay", "text/html; charset=utf-8"),
            ("/main.js", "text/javascript; charset=utf-8"),
            ("/demeanor/wasm/simd.wasm", "application/wasm"),
            ("/demeanor/licences/LICENSE-MIT", "text/plain; charset=utf-8"),
        ] {
            assert!(is_file(path), "{path}");
            assert_eq!(kind(path), expected, "{path}");
        }
        for path in ["", "/index", "//", "/../page/index.html", "/demeanor/models/", "/demeanor/models/x.safetensors"] {
            assert!(!is_file(path), "{path}");
        }
    }
}
