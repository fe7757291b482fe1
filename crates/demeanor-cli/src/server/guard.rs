//! Who may ask. Any page in a browser can send requests to an address of this machine, and a name that somebody else controls can
//! be made to point there: so the host that a request names must be this one, and a page that it comes from must be this
//! server's own, or one that was allowed.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use subtle::ConstantTimeEq;

use super::Hub;
use super::problem::Problem;

/// Who may ask.
#[derive(Debug, Clone, Default)]
pub struct Guard {
    /// Names and addresses that a request may give as its host, beside those of the machine itself.
    pub hosts: Vec<String>,
    /// Origins of pages that may ask, such as `https://example.org`.
    pub origins: Vec<String>,
    /// What a request must show.
    pub token: Option<String>,
}

/// The host of `host:port`, without the brackets of an IPv6 address.
fn name(host: &str) -> Option<String> {
    let authority: axum::http::uri::Authority = host.parse().ok()?;
    // a user before the host is never sent by a browser
    (!host.contains('@')).then(|| authority.host().trim_matches(['[', ']']).trim_end_matches('.').to_ascii_lowercase())
}

fn is_loopback(name: &str) -> bool {
    name == "localhost" || name.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

impl Guard {
    /// Who may ask a server at this address.
    pub fn new(address: SocketAddr, named: &[String], origins: &[String], token: Option<String>) -> Guard {
        let mut hosts: Vec<String> = named.iter().map(|h| h.to_ascii_lowercase()).collect();
        if !address.ip().is_unspecified() {
            hosts.push(address.ip().to_string());
        }
        Guard { hosts, origins: origins.to_vec(), token }
    }

    /// Whether the host that a request names is this one.
    pub fn host(&self, headers: &HeaderMap, uri: &Uri) -> Result<(), Problem> {
        let mut all = headers.get_all(header::HOST).iter();
        let host = all.next().and_then(|h| h.to_str().ok()).or(uri.host());
        let known = host.and_then(name).is_some_and(|name| is_loopback(&name) || self.hosts.contains(&name));
        if known && all.next().is_none() {
            return Ok(());
        }
        Err(Problem::new(
            StatusCode::MISDIRECTED_REQUEST,
            "the Host of the request is not this server's: expected localhost, a loopback address, or a name given with --host",
        ))
    }

    /// Whether the page that a request comes from, if any, may ask.
    pub fn origin(&self, headers: &HeaderMap) -> Result<(), Problem> {
        let mut all = headers.get_all(header::ORIGIN).iter();
        let Some(origin) = all.next() else { return Ok(()) };
        let allowed = origin.to_str().is_ok_and(|origin| {
            // the host was checked before
            let own = headers.get(header::HOST).and_then(|h| h.to_str().ok()).is_some_and(|host| {
                ["http://", "https://"]
                    .iter()
                    .any(|s| origin.strip_prefix(s).is_some_and(|o| o.eq_ignore_ascii_case(host)))
            });
            own || self.origins.iter().any(|o| o == origin)
        });
        if allowed && all.next().is_none() {
            return Ok(());
        }
        Err(Problem::new(
            StatusCode::FORBIDDEN,
            "a page of another origin asks: allow it with --allow-origin ORIGIN when the server is started",
        ))
    }

    /// Whether a token is the one, in a time that does not tell how much of it is right.
    pub fn is_token(&self, shown: &str) -> bool {
        self.token.as_ref().is_none_or(|token| token.as_bytes().ct_eq(shown.as_bytes()).into())
    }

    /// Whether a request shows the token, if one is asked for.
    pub fn token(&self, headers: &HeaderMap) -> Result<(), Problem> {
        let shown = headers.get(header::AUTHORIZATION).and_then(|h| h.to_str().ok());
        let shown = shown.and_then(|h| h.split_once(' ')).filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
        if self.token.is_none() || shown.is_some_and(|(_, token)| self.is_token(token.trim())) {
            return Ok(());
        }
        Err(Problem::new(
            StatusCode::UNAUTHORIZED,
            "expected the header \"Authorization: Bearer TOKEN\" with the server's token",
        ))
    }
}

/// Paths that need no token: pages that a browser opens, which show it in their first message.
fn is_open(path: &str) -> bool {
    path == "/health" || super::page::is_file(path)
}

/// Whether a request opens a WebSocket, which shows the token in its first message if not in a header.
fn is_socket(headers: &HeaderMap) -> bool {
    headers.get(header::UPGRADE).and_then(|h| h.to_str().ok()).is_some_and(|h| h.eq_ignore_ascii_case("websocket"))
}

/// Lets through who may ask.
pub async fn check(State(hub): State<Arc<Hub>>, request: Request, next: Next) -> Response {
    let (headers, guard) = (request.headers(), &hub.guard);
    let socket = is_socket(headers);
    let reads = matches!(*request.method(), Method::GET | Method::HEAD) && !socket;
    let preflight = request.method() == Method::OPTIONS;
    let mut checked = guard.host(headers, request.uri());
    let from = guard.origin(headers);
    let origin = headers.get(header::ORIGIN).filter(|_| from.is_ok()).cloned();
    if checked.is_ok() && !reads {
        checked = from;
    }
    if checked.is_ok() && !socket && !preflight && !is_open(request.uri().path()) {
        checked = guard.token(headers);
    }
    let mut response = match checked {
        Err(problem) => problem.into_response(),
        Ok(()) if preflight => StatusCode::NO_CONTENT.into_response(),
        Ok(()) => next.run(request).await,
    };
    let headers = response.headers_mut();
    if let Some(origin) = origin {
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        headers.insert(header::VARY, HeaderValue::from_static("Origin"));
        if preflight {
            headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("GET, POST, DELETE"));
            headers
                .insert(header::ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static("authorization, content-type"));
        }
    }
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, HeaderValue::from_str(value).unwrap());
        }
        headers
    }

    #[test]
    fn only_this_host_is_asked() {
        let guard = Guard::new(([127, 0, 0, 1], 8000).into(), &["lab.example".to_owned()], &[], None);
        let uri = Uri::from_static("/v1/face");
        for host in [
            "localhost",
            "localhost:8000",
            "127.0.0.1:8000",
            "127.9.9.9",
            "[::1]:8000",
            "LAB.example:8000",
            "localhost.",
        ] {
            assert!(guard.host(&headers(&[("host", host)]), &uri).is_ok(), "{host}");
        }
        for host in
            ["evil.example", "localhost.evil.example", "127.0.0.1.nip.io", "192.168.1.2", "", "x@localhost", "[::2]"]
        {
            assert!(guard.host(&headers(&[("host", host)]), &uri).is_err(), "{host}");
        }
        assert!(guard.host(&headers(&[("host", "localhost"), ("host", "evil.example")]), &uri).is_err());
        assert!(guard.host(&HeaderMap::new(), &uri).is_err());
    }

    #[test]
    fn only_own_and_allowed_pages_ask() {
        let guard = Guard::new(([127, 0, 0, 1], 8000).into(), &[], &["https://lab.example".to_owned()], None);
        let of = |origin: &str| guard.origin(&headers(&[("host", "localhost:8000"), ("origin", origin)]));
        for origin in ["http://localhost:8000", "https://lab.example"] {
            assert!(of(origin).is_ok(), "{origin}");
        }
        for origin in [
            "null",
            "http://localhost",
            "http://localhost:8001",
            "https://evil.example",
            "https://lab.example.evil",
            "file://",
        ] {
            assert!(of(origin).is_err(), "{origin}");
        }
        assert!(guard.origin(&headers(&[("host", "localhost:8000")])).is_ok());
    }

    #[test]
    fn the_token_is_shown_in_a_header() {
        let guard = Guard { token: Some("s3cret".to_owned()), ..Guard::default() };
        assert!(guard.token(&headers(&[("authorization", "Bearer s3cret")])).is_ok());
        for wrong in ["Bearer s3cre", "Bearer s3crets", "Basic s3cret", "s3cret", "Bearer"] {
            assert!(guard.token(&headers(&[("authorization", wrong)])).is_err(), "{wrong}");
        }
        assert!(guard.token(&HeaderMap::new()).is_err());
        assert!(Guard::default().token(&HeaderMap::new()).is_ok());
    }
}
