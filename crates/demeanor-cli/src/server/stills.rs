//! One answer to one request: pictures and recordings.

use std::io::Cursor;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{FromRequest, Multipart, Query, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use base64::Engine;
use demeanor::estimate::{FaceRecord, MIN_SCORE, PictureRecord, RecordingRecord};
use demeanor::{Emotion, Error, ErrorKind};
use demeanor_media::picture::{self, Opened};
use demeanor_media::sound::Recording;
use serde::{Deserialize, Serialize};

use super::problem::Problem;
use super::{App, pool::Readers};

/// The most pixels of a picture: more than any camera of a telephone has.
const MAX_PIXELS: usize = 250_000_000;

/// How a picture or recording is read.
#[derive(Debug, Clone, Copy, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Options {
    /// The lowest score of a reading, 0 to 1; below it an expression reads as unsure.
    #[serde(default = "usual")]
    #[param(default = 0.3)]
    min_score: f32,
    /// The picture is a face already: read it whole, without looking for faces.
    #[serde(default)]
    whole: bool,
}

fn usual() -> f32 {
    MIN_SCORE
}

impl Options {
    fn checked(query: Result<Query<Options>, axum::extract::rejection::QueryRejection>) -> Result<Options, Problem> {
        let Query(options) = query.map_err(|e| Problem::request(e.body_text()))?;
        if (0.0..=1.0).contains(&options.min_score) {
            return Ok(options);
        }
        Err(Problem::request(format!("min_score is {}; expected a number from 0 to 1", options.min_score)))
    }
}

/// The file that a request carries: its body, or the first file of a form.
async fn file(app: &App, request: Request) -> Result<Bytes, Problem> {
    let kind = kind(request.headers());
    let bytes = if kind == "multipart/form-data" {
        let form = Multipart::from_request(request, &()).await;
        let mut form = form.map_err(|e| Problem::new(e.status(), e.body_text()))?;
        loop {
            let field = form.next_field().await.map_err(|e| Problem::new(e.status(), e.body_text()))?;
            match field {
                Some(field) if field.file_name().is_some() => {
                    break field.bytes().await.map_err(|e| Problem::new(e.status(), e.body_text()))?;
                }
                Some(_) => {}
                None => return Err(Problem::request("the form holds no file: expected one in a field of any name")),
            }
        }
    } else if kind.starts_with("text/") || kind == "application/json" || kind == "application/x-www-form-urlencoded" {
        let detail = format!(
            "the body is {kind}; expected the bytes of a file as application/octet-stream, image/*, audio/* or multipart/form-data"
        );
        return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, detail));
    } else {
        Bytes::from_request(request, &()).await?
    };
    app.hub.metrics.bytes(bytes.len());
    if bytes.is_empty() {
        return Err(Problem::request("the body is empty; expected the bytes of a file"));
    }
    Ok(bytes)
}

/// The kind of a body, without parameters.
fn kind(headers: &HeaderMap) -> String {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|h| h.to_str().ok()).unwrap_or_default();
    kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

/// Decodes and reads a picture, on a thread of the pool.
fn see(readers: &mut Readers, bytes: &[u8], memory: u64, options: Options) -> Result<PictureRecord, Problem> {
    let Opened { picture, reduced } = picture::read_within(Cursor::new(bytes), memory)?;
    if picture.width() * picture.height() > MAX_PIXELS {
        let (width, height) = (picture.width(), picture.height());
        let detail = format!("the picture has {width} x {height} pixels; expected {MAX_PIXELS} at most");
        return Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, detail));
    }
    let (reader, frame) = (readers.face()?, picture.frame());
    let faces = if options.whole { vec![reader.read_whole(&frame)?] } else { reader.read(&frame)? };
    Ok(PictureRecord::new(&frame, &faces, reduced, options.min_score))
}

/// The faces of a picture and what they read as: what `demeanor face --json` prints, without the file's name.
#[utoipa::path(post, path = "/v1/face", params(Options), request_body(content_type = "application/octet-stream", content = Vec<u8>,
    description = "The bytes of a picture file (PNG, JPEG, WebP, GIF, BMP, TIFF, PNM), or a form with such a file"),
    responses((status = 200, body = PictureRecord), (status = "4XX", body = Problem, content_type = "application/problem+json"),
    (status = "5XX", body = Problem, content_type = "application/problem+json")))]
pub async fn face(
    State(app): State<App>,
    query: Result<Query<Options>, axum::extract::rejection::QueryRejection>,
    request: Request,
) -> Result<Json<PictureRecord>, Problem> {
    let options = Options::checked(query)?;
    let bytes = file(&app, request).await?;
    let memory = app.limits.memory;
    let record = app.pool.read(move |readers| see(readers, &bytes, memory, options)).await?;
    app.hub.metrics.pictures(1);
    Ok(Json(record))
}

/// The utterances of a recording and what they read as: what `demeanor speech --json` prints, without the file's name.
#[utoipa::path(post, path = "/v1/speech", params(Options), request_body(content_type = "application/octet-stream", content = Vec<u8>,
    description = "The bytes of a sound file (WAV, FLAC, MP3, Ogg, M4A, AAC, AIFF, CAF; with ffmpeg any other), or a form with such a file"),
    responses((status = 200, body = RecordingRecord), (status = "4XX", body = Problem, content_type = "application/problem+json"),
    (status = "5XX", body = Problem, content_type = "application/problem+json")))]
pub async fn speech(
    State(app): State<App>,
    query: Result<Query<Options>, axum::extract::rejection::QueryRejection>,
    request: Request,
) -> Result<Json<RecordingRecord>, Problem> {
    let options = Options::checked(query)?;
    let bytes = file(&app, request).await?;
    let most = app.limits.seconds;
    let record = app
        .pool
        .read(move |readers| {
            let reader = readers.speech()?;
            let recording = Recording::stream(Cursor::new(bytes))?.with_longest(most);
            Ok(recording.record(reader, options.min_score)?.0)
        })
        .await?;
    Ok(Json(record))
}

/// What the package DeepFace is asked: a picture as a data URL. A path or an address is refused, for it would let others read
/// the files of this machine.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
pub struct AnalyzeRequest {
    /// A picture as `data:image/jpeg;base64,...`; `img_path` is another name for it.
    #[serde(alias = "img_path")]
    img: String,
    /// What to estimate: `emotion` alone is known.
    #[serde(default)]
    actions: Option<Vec<String>>,
}

/// What DeepFace answers.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct AnalyzeResponse {
    results: Vec<AnalyzedFace>,
}

/// A face in DeepFace's shape.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct AnalyzedFace {
    /// Percent for each of DeepFace's seven emotions.
    emotion: std::collections::BTreeMap<&'static str, f32>,
    dominant_emotion: &'static str,
    region: AnalyzedRegion,
    face_confidence: f32,
}

/// A box in DeepFace's shape.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct AnalyzedRegion {
    x: i64,
    y: i64,
    w: i64,
    h: i64,
    left_eye: Option<[i64; 2]>,
    right_eye: Option<[i64; 2]>,
}

fn analyzed(face: &FaceRecord) -> AnalyzedFace {
    let whole = |[x, y]: [f32; 2]| [x.round() as i64, y.round() as i64];
    let r = face.region;
    AnalyzedFace {
        emotion: Emotion::FER.iter().map(|&e| (e.name(), 100.0 * face.scores.of(e))).collect(),
        dominant_emotion: face.scores.top().0.name(),
        region: AnalyzedRegion {
            x: r.x.round() as i64,
            y: r.y.round() as i64,
            w: r.width.round() as i64,
            h: r.height.round() as i64,
            left_eye: face.landmarks.map(|l| whole(l.left_eye)),
            right_eye: face.landmarks.map(|l| whole(l.right_eye)),
        },
        face_confidence: face.confidence.unwrap_or(0.0),
    }
}

/// The emotions of a picture in the shape of DeepFace's API, for programs that speak to that.
#[utoipa::path(post, path = "/analyze", request_body = AnalyzeRequest, responses((status = 200, body = AnalyzeResponse),
    (status = "4XX", body = Problem, content_type = "application/problem+json"), (status = "5XX", body = Problem, content_type = "application/problem+json")))]
pub async fn analyze(State(app): State<App>, request: Request) -> Result<Json<AnalyzeResponse>, Problem> {
    let bytes = if kind(request.headers()) == "application/json" {
        let Json(asked) = Json::<AnalyzeRequest>::from_request(request, &())
            .await
            .map_err(|e| Problem::new(e.status(), e.body_text()))?;
        if let Some(other) = asked.actions.iter().flatten().find(|a| *a != "emotion") {
            return Err(Problem::request(format!("the action {other:?} is not known; expected \"emotion\"")));
        }
        let data = asked.img.strip_prefix("data:image/").and_then(|d| d.split_once(";base64,"));
        let Some((_, data)) = data else {
            return Err(Problem::request(
                "img is no data URL; expected data:image/jpeg;base64,... (paths and addresses are never read)",
            ));
        };
        let decoded = base64::engine::general_purpose::STANDARD.decode(data.trim());
        Bytes::from(decoded.map_err(|e| Problem::request(format!("img is no base64: {e}")))?)
    } else {
        file(&app, request).await?
    };
    let (memory, options) = (app.limits.memory, Options { min_score: 0.0, whole: false });
    let record = app.pool.read(move |readers| see(readers, &bytes, memory, options)).await?;
    app.hub.metrics.pictures(1);
    if record.faces.is_empty() {
        let none = Error::new(ErrorKind::File, "has no face in it that could be found");
        return Err(none.into());
    }
    Ok(Json(AnalyzeResponse { results: record.faces.iter().map(analyzed).collect() }))
}

/// A model that this server reads with.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct ModelRecord {
    /// Name and version.
    name: String,
    /// `face` or `speech`.
    sense: &'static str,
    /// The labels of its scores.
    #[schema(value_type = Vec<String>)]
    labels: Vec<Emotion>,
    /// Whose its weights are, and what may be done with them.
    licence: String,
}

/// The models that this server reads with.
#[utoipa::path(get, path = "/v1/models", responses((status = 200, body = Vec<ModelRecord>)))]
pub async fn models(State(app): State<App>) -> Json<Vec<ModelRecord>> {
    let face = app.models.face.as_ref().map(|m| ("face", m.header()));
    let speech = app.models.speech.as_ref().map(|m| ("speech", m.header()));
    let record = |(sense, header): (&'static str, &demeanor::model::Header)| ModelRecord {
        name: header.name.clone(),
        sense,
        labels: header.labels.clone(),
        licence: header.licence.clone(),
    };
    Json(face.into_iter().chain(speech).map(record).collect())
}
