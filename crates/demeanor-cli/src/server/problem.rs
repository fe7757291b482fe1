//! What went wrong with a request, as `application/problem+json` (RFC 9457).

use axum::extract::rejection::BytesRejection;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use demeanor::{Error, ErrorKind};
use serde::Serialize;

/// An error of a request.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
pub struct Problem {
    /// The HTTP status.
    #[serde(serialize_with = "number")]
    #[schema(value_type = u16)]
    pub status: StatusCode,
    /// What kind of thing went wrong.
    pub title: String,
    /// What was wrong, what was expected, and what to do.
    pub detail: String,
}

fn number<S: serde::Serializer>(status: &StatusCode, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u16(status.as_u16())
}

impl Problem {
    pub fn new(status: StatusCode, detail: impl Into<String>) -> Problem {
        let title = status.canonical_reason().unwrap_or("error").to_owned();
        Problem { status, title, detail: detail.into() }
    }

    /// A request that asks for something that cannot be.
    pub fn request(detail: impl Into<String>) -> Problem {
        Problem::new(StatusCode::BAD_REQUEST, detail)
    }
}

impl From<Error> for Problem {
    fn from(error: Error) -> Problem {
        let status = match error.kind() {
            ErrorKind::Setting => StatusCode::BAD_REQUEST,
            ErrorKind::Model | ErrorKind::Version | ErrorKind::Recipe | ErrorKind::Cascade => {
                StatusCode::INTERNAL_SERVER_ERROR
            }
            ErrorKind::Device => StatusCode::SERVICE_UNAVAILABLE,
            // what was sent cannot be read
            _ => StatusCode::UNPROCESSABLE_ENTITY,
        };
        Problem::new(status, format!("what was sent {}", error.to_string().trim_start_matches("it ")))
    }
}

impl From<BytesRejection> for Problem {
    fn from(rejection: BytesRejection) -> Problem {
        if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE {
            return Problem::new(rejection.status(), "the body is larger than this server takes (--max-body)");
        }
        Problem::new(rejection.status(), rejection.body_text())
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let body = serde_json::to_vec(&self).unwrap_or_default();
        let mut response = (self.status, body).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if matches!(self.status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE) {
            headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}
