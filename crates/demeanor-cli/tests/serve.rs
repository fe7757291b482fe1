//! `demeanor serve`, asked as other programs ask it.
#![cfg(feature = "serve")]

mod films;
mod program;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

use serde_json::Value;
use tungstenite::client::IntoClientRequest;
use tungstenite::{Message, WebSocket};

/// A server that ends with the test.
struct Server {
    child: Child,
    address: String,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn testdata(name: &str) -> Vec<u8> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../testdata").join(name);
    std::fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// A body that came in chunks, each behind a line with its length.
fn joined(mut chunks: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    loop {
        let end = chunks.windows(2).position(|w| w == b"\r\n").expect("a length");
        let length = std::str::from_utf8(&chunks[..end]).ok().and_then(|l| usize::from_str_radix(l, 16).ok());
        let Some(length) = length.filter(|l| *l > 0) else { return body };
        body.extend_from_slice(&chunks[end + 2..][..length]);
        chunks = &chunks[end + 2 + length + 2..];
    }
}

impl Server {
    fn start(options: &[&str]) -> Server {
        let mut command = program::program(std::env::temp_dir().as_path());
        command.args(["serve", "--listen", "127.0.0.1:0"]).args(options);
        Server::of(command)
    }

    fn of(mut command: Command) -> Server {
        command.stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.trim().strip_prefix("listening at http://").expect("an address").to_owned();
        Server { child, address }
    }

    /// The status and the body of an answer.
    fn ask(&self, head: &str, headers: &[(&str, &str)], body: &[u8]) -> (u16, Vec<u8>) {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        let mut request = format!("{head} HTTP/1.1\r\nConnection: close\r\nContent-Length: {}\r\n", body.len());
        if !headers.iter().any(|(name, _)| *name == "Host") {
            request += &format!("Host: {}\r\n", self.address);
        }
        for (name, value) in headers {
            request += &format!("{name}: {value}\r\n");
        }
        stream.write_all(request.as_bytes()).unwrap();
        stream.write_all(b"\r\n").unwrap();
        // a server that refuses a body need not read it
        let _ = stream.write_all(body);
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        let end = answer.windows(4).position(|w| w == b"\r\n\r\n").expect("a head") + 4;
        let head = String::from_utf8_lossy(&answer[..end]).into_owned();
        let status = head.split(' ').nth(1).and_then(|s| s.parse().ok()).expect("a status");
        let body = &answer[end..];
        let chunked = head.to_ascii_lowercase().contains("transfer-encoding: chunked");
        (status, if chunked { joined(body) } else { body.to_vec() })
    }

    fn json(&self, head: &str, headers: &[(&str, &str)], body: &[u8]) -> (u16, Value) {
        let (status, body) = self.ask(head, headers, body);
        (status, serde_json::from_slice(&body).unwrap_or_else(|e| panic!("{e}: {}", String::from_utf8_lossy(&body))))
    }

    fn socket(&self, path: &str, headers: &[(&'static str, &str)]) -> Result<WebSocket<TcpStream>, u16> {
        let mut request = format!("ws://{}{path}", self.address).into_client_request().unwrap();
        for (name, value) in headers {
            request.headers_mut().insert(*name, value.parse().unwrap());
        }
        let stream = TcpStream::connect(&self.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        match tungstenite::client(request, stream) {
            Ok((socket, _)) => Ok(socket),
            Err(tungstenite::HandshakeError::Failure(tungstenite::Error::Http(answer))) => {
                Err(answer.status().as_u16())
            }
            Err(error) => panic!("{error}"),
        }
    }
}

const PICTURE: (&str, &str) = ("Content-Type", "image/png");

#[test]
fn pictures_and_recordings_are_read_as_by_the_command_line() {
    let server = Server::start(&[]);
    let picture = testdata("portrait.png");
    let (status, told) = server.json("POST /v1/face", &[PICTURE], &picture);
    assert_eq!(status, 200, "{told}");
    let folder = std::env::temp_dir();
    let mut printed = program::run_with(&folder, "face --json -", &picture).json().remove(0);
    printed.as_object_mut().unwrap().remove("file");
    assert_eq!(told, printed);
    assert_eq!(told["faces"].as_array().map(Vec::len), Some(1));

    let sound = testdata("speech/two_voices.flac");
    let (status, told) = server.json("POST /v1/speech", &[("Content-Type", "audio/flac")], &sound);
    assert_eq!(status, 200, "{told}");
    let mut printed = program::run_with(&folder, "speech --json -", &sound).json().remove(0);
    printed.as_object_mut().unwrap().remove("file");
    assert_eq!(told, printed);
    assert!(told["segments"].as_array().is_some_and(|s| !s.is_empty()), "{told}");

    let form = [
        b"--x\r\nContent-Disposition: form-data; name=\"f\"; filename=\"p.png\"\r\n\r\n",
        &picture[..],
        b"\r\n--x--\r\n",
    ]
    .concat();
    assert_eq!(server.ask("POST /v1/face", &[("Content-Type", "multipart/form-data; boundary=x")], &form).0, 200);
}

#[test]
fn what_cannot_be_read_is_said_and_foreign_pages_are_refused() {
    let server = Server::start(&["--max-body", "1"]);
    let picture = testdata("portrait.png");
    let of = |headers: &[(&str, &str)], body: &[u8]| server.json("POST /v1/face", headers, body).0;
    assert_eq!(of(&[PICTURE, ("Host", "evil.example")], &picture), 421);
    assert_eq!(of(&[PICTURE, ("Origin", "https://evil.example")], &picture), 403);
    assert_eq!(of(&[PICTURE, ("Origin", "null")], &picture), 403);
    assert_eq!(of(&[("Content-Type", "text/plain")], &picture), 415);
    assert_eq!(of(&[PICTURE], b"no picture"), 422);
    assert_eq!(of(&[PICTURE], &[]), 400);
    assert_eq!(of(&[PICTURE], &vec![0; 2 << 20]), 413);
    assert_eq!(server.json("POST /v1/face?min_score=2", &[PICTURE], &picture).0, 400);
    assert_eq!(server.json("POST /v1/face?nonsense=2", &[PICTURE], &picture).0, 400);
    for path in ["/v1/../etc/passwd", "/overlay/../../x", "/%2e%2e/x", "/v1/jobs/nothing"] {
        assert_eq!(server.json(&format!("GET {path}"), &[], &[]).0, 404, "{path}");
    }
    let json = [("Content-Type", "application/json")];
    for image in ["/etc/passwd", "http://127.0.0.1/x.jpg", "data:image/jpeg;base64,?"] {
        let (status, told) = server.json("POST /analyze", &json, format!("{{\"img\": \"{image}\"}}").as_bytes());
        assert_eq!((status, told["status"].as_u64()), (400, Some(400)), "{told}");
    }
    // the server goes on
    assert_eq!(of(&[PICTURE], &picture), 200);
    for path in ["/", "/main.js", "/demeanor/wasm/relaxed.wasm", "/demeanor/models/speech-v2.safetensors", "/overlay"] {
        let (status, body) = server.ask(&format!("GET {path}"), &[], &[]);
        assert!(status == 200 && !body.is_empty(), "{path}");
    }
    let api = server.json("GET /openapi.json", &[], &[]).1;
    for path in
        ["/v1/face", "/v1/speech", "/v1/video", "/v1/jobs/{id}", "/v1/models", "/analyze", "/health", "/metrics"]
    {
        assert!(api["paths"][path].is_object(), "{path}");
    }
}

#[test]
fn the_token_is_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    let server = Server::start(&["--token", file.to_str().unwrap()]);
    let token = std::fs::read_to_string(&file).unwrap().trim().to_owned();
    assert_eq!(server.json("GET /v1/models", &[], &[]).0, 401);
    assert_eq!(server.ask("GET /health", &[], &[]).0, 200);
    let shown = format!("Bearer {token}");
    assert_eq!(server.json("GET /v1/models", &[("Authorization", &shown)], &[]).0, 200);
    let mut socket = server.socket("/v1/live", &[]).unwrap();
    socket.send(Message::text("{\"token\": \"wrong\"}")).unwrap();
    assert!(matches!(socket.read().unwrap(), Message::Close(Some(_))));
    let mut socket = server.socket("/v1/live", &[]).unwrap();
    socket.send(Message::text(format!("{{\"token\": \"{token}\"}}"))).unwrap();
    assert!(socket.read().unwrap().to_text().unwrap().contains("key"));
    // others reach no server without one
    let run = program::run(folder.path(), "serve --listen 0.0.0.0:0");
    run.ends(2, "--token");
}

#[test]
fn frames_are_estimated_live_and_can_be_watched() {
    let server = Server::start(&[]);
    assert_eq!(server.socket("/v1/live", &[("Origin", "https://evil.example")]).unwrap_err(), 403);
    let mut live = server.socket("/v1/live", &[]).unwrap();
    let welcome: Value = serde_json::from_str(live.read().unwrap().to_text().unwrap()).unwrap();
    let key = welcome["key"].as_str().unwrap();
    let mut watch = server.socket("/v1/watch", &[]).unwrap();
    watch.send(Message::text(format!("{{\"key\": \"{key}\"}}"))).unwrap();
    std::thread::sleep(Duration::from_millis(300));
    let picture = testdata("portrait.png");
    let mut last = Value::Null;
    for i in 0..30 {
        let message = [&[1][..], &(f64::from(i) / 10.0).to_le_bytes(), &picture].concat();
        live.send(Message::binary(message)).unwrap();
        last = serde_json::from_str(live.read().unwrap().to_text().unwrap()).unwrap();
        let watched: Value = serde_json::from_str(watch.read().unwrap().to_text().unwrap()).unwrap();
        assert_eq!(watched, last);
    }
    assert_eq!(last["frame"], 30);
    assert!(last["faces"][0]["emotion"].is_string(), "{last}");
    // what cannot be read does not end the connection
    live.send(Message::binary(vec![9; 20])).unwrap();
    assert!(live.read().unwrap().to_text().unwrap().contains("error"));
    live.send(Message::binary([&[1][..], &3.0f64.to_le_bytes(), b"no picture"].concat())).unwrap();
    assert!(live.read().unwrap().to_text().unwrap().contains("error"));
}

#[test]
fn no_more_connect_than_there_is_room_for() {
    let server = Server::start(&["--max-connections", "3"]);
    // a connection that has ended gives its place back when the server sees the end of it
    let room = || {
        let once = |_| server.socket("/v1/live", &[]).map_err(|_| std::thread::sleep(Duration::from_millis(100))).ok();
        (0..100).find_map(once).expect("room for one more within ten seconds")
    };
    let mut open = vec![room(), room()];
    for socket in &mut open {
        socket.read().unwrap();
    }
    // the third place is for requests, and leaves none for a socket of its own
    assert_eq!(server.socket("/v1/live", &[]).unwrap_err(), 503);
    std::thread::sleep(Duration::from_millis(500));
    assert_eq!(server.ask("GET /health", &[], &[]).0, 200);
    open.pop();
    room();
}

#[test]
fn the_lowest_score_is_set_by_a_message() {
    let server = Server::start(&[]);
    let mut live = server.socket("/v1/live", &[]).unwrap();
    live.read().unwrap();
    let mut say = |text: &str| live.send(Message::text(text.to_owned())).unwrap();
    say("{\"min_score\": 1.0}");
    let picture = testdata("portrait.png");
    let mut time = 0.0f64;
    let mut emotion_of_the_fourth = |live: &mut WebSocket<TcpStream>| {
        let mut last = Value::Null;
        for _ in 0..4 {
            time += 0.1;
            live.send(Message::binary([&[1][..], &time.to_le_bytes(), &picture].concat())).unwrap();
            last = serde_json::from_str(live.read().unwrap().to_text().unwrap()).unwrap();
        }
        last["faces"][0]["emotion"].clone()
    };
    assert_eq!(emotion_of_the_fourth(&mut live), "unsure");
    live.send(Message::text("{\"min_score\": 0.1}")).unwrap();
    assert_eq!(emotion_of_the_fourth(&mut live), "happy");
    for wrong in ["{\"min_score\": 2}", "{\"nonsense\": 1}", "text"] {
        live.send(Message::text(wrong)).unwrap();
        assert!(live.read().unwrap().to_text().unwrap().starts_with("{\"error\":"), "{wrong}");
    }
}

#[test]
fn a_session_can_be_watched_and_nothing_else_be_asked() {
    static FILM: OnceLock<Option<PathBuf>> = OnceLock::new();
    let folder = films::folder("watched");
    let Some(film) = films::short_film(&FILM, || folder.join("film.mkv")) else { return };
    let mut command = program::program(&folder);
    films::with_models(command.args(["live", "--json", "--serve", "127.0.0.1:0", "--camera"]).arg(film), &folder);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut err = BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap);
    let told = err.find(|line| line.contains("/v1/watch")).expect("where to watch");
    let address = told.split("http://").nth(1).and_then(|rest| rest.split('/').next()).unwrap().to_owned();
    // a pipe that nobody reads would hold the session up
    let mut stdout = child.stdout.take().unwrap();
    let printed = std::thread::spawn(move || {
        let mut printed = String::new();
        stdout.read_to_string(&mut printed).unwrap();
        printed
    });
    let mut server = Server { child, address };
    assert_eq!(server.socket("/v1/watch", &[("Origin", "https://evil.example")]).unwrap_err(), 403);
    let mut watch = server.socket("/v1/watch", &[]).unwrap();
    assert_eq!(server.ask("GET /overlay", &[], &[]).0, 200);
    assert_eq!(server.ask("GET /", &[], &[]).0, 307);
    assert_eq!(server.ask("GET /health", &[], &[]).0, 200);
    for request in ["POST /v1/face", "POST /analyze", "GET /v1/live", "GET /demeanor/models/face-v2.1.safetensors"] {
        assert_eq!(server.ask(request, &[], &[]).0, 404, "{request}");
    }
    let mut watched = Vec::new();
    while let Ok(Message::Text(line)) = watch.read() {
        watched.push(line.as_str().to_owned());
    }
    let printed = printed.join().unwrap();
    assert!(server.child.wait().unwrap().success());
    assert!(watched.len() > 3, "{watched:?}");
    // what came before it was watched is missing, nothing else
    let printed: Vec<&str> = printed.lines().collect();
    assert_eq!(printed[printed.len() - watched.len()..], watched);
    program::run(&folder, "live --token t --camera none").ends(2, "add --serve");
}

/// A program that can run an example, if there is one; said aloud where there is none.
fn runs(example: &str, candidates: &[(&str, &[&str])], needs: &str) -> Option<Command> {
    for (program, arguments) in candidates {
        let found =
            Command::new(program).args(*arguments).args(["-"]).stdin(Stdio::piped()).stderr(Stdio::null()).spawn();
        let Ok(mut child) = found else { continue };
        let _ = child.stdin.take().unwrap().write_all(needs.as_bytes());
        if child.wait().is_ok_and(|status| status.success()) {
            let mut command = Command::new(program);
            command.args(*arguments).current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/clients"));
            command.arg(example);
            return Some(command);
        }
    }
    eprintln!("skipped: {example}: no {} that has what it needs", candidates[0].0);
    None
}

#[test]
fn example_clients_run() {
    let python = std::env::var("PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let pythons: &[(&str, &[&str])] = &[(&python, &[]), ("/usr/bin/python3", &[])];
    let nodes: &[(&str, &[&str])] = &[("node", &[]), ("node", &["--experimental-websocket"])];
    let folder = tempfile::tempdir().unwrap();
    let token = folder.path().join("token");
    let (server, closed) = (Server::start(&[]), Server::start(&["--token", token.to_str().unwrap()]));
    let picture = concat!(env!("CARGO_MANIFEST_DIR"), "/../../testdata/portrait.png");
    for (example, candidates, needs) in [
        ("live.py", pythons, "import websockets"),
        ("live.mjs", nodes, "if (typeof WebSocket === 'undefined') process.exit(1)"),
    ] {
        let shown = std::fs::read_to_string(&token).unwrap();
        for server in [&server, &closed] {
            let Some(mut command) = runs(example, candidates, needs) else { continue };
            command.arg(format!("ws://{}/v1/live", server.address)).args([picture; 4]);
            if std::ptr::eq(server, &closed) {
                command.env("TOKEN", shown.trim());
                if example == "live.py" {
                    command.arg("--token").arg(&token);
                }
            }
            let output = command.output().unwrap();
            let text = String::from_utf8_lossy(&output.stdout);
            assert!(output.status.success(), "{example}: {}", String::from_utf8_lossy(&output.stderr));
            let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
            assert_eq!(lines.len(), 4, "{example}: {text}");
            assert_eq!(lines[3]["faces"][0]["emotion"], "happy", "{example}: {text}");
        }
    }
}

#[test]
fn estimates_reach_lab_streaming_layer() {
    let python = std::env::var("PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let pythons: &[(&str, &[&str])] = &[(&python, &[])];
    let Some(mut bridge) = runs("lsl.py", pythons, "import websockets, pylsl") else { return };
    let server = Server::start(&[]);
    let mut live = server.socket("/v1/live", &[]).unwrap();
    let welcome: Value = serde_json::from_str(live.read().unwrap().to_text().unwrap()).unwrap();
    bridge.arg(format!("ws://{}/v1/watch", server.address)).args(["--key", welcome["key"].as_str().unwrap()]);
    let mut bridge = bridge.spawn().unwrap();
    let mut listener = Command::new(&python);
    let script = "import pylsl\n\
                  found = pylsl.resolve_byprop('name', 'demeanor', timeout=20)\n\
                  inlet = pylsl.StreamInlet(found[0])\n\
                  print(inlet.pull_sample(timeout=20)[0], flush=True)";
    let mut listener = listener.args(["-c", script]).stdout(Stdio::piped()).spawn().unwrap();
    let picture = testdata("portrait.png");
    let mut time = 0.0f64;
    while listener.try_wait().unwrap().is_none() && time < 60.0 {
        time += 0.1;
        live.send(Message::binary([&[1][..], &time.to_le_bytes(), &picture].concat())).unwrap();
        live.read().unwrap();
        std::thread::sleep(Duration::from_millis(50));
    }
    let _ = bridge.kill();
    let _ = bridge.wait();
    let mut told = String::new();
    listener.stdout.take().unwrap().read_to_string(&mut told).unwrap();
    let scores: Vec<f32> = serde_json::from_str(told.trim()).unwrap_or_else(|e| panic!("{told:?}: {e}"));
    // in the order of the bridge: happy is the fourth
    assert!(scores.len() == 7 && scores[3] > 0.5, "{scores:?}");
}

#[test]
fn a_film_is_read_as_by_the_command_line() {
    static FILM: OnceLock<Option<PathBuf>> = OnceLock::new();
    let folder = films::folder("serve");
    let Some(film) = films::short_film(&FILM, || folder.join("film.mp4")) else { return };
    let with_models = |arguments: &[&str]| {
        let mut command = program::program(&folder);
        films::with_models(command.args(arguments), &folder);
        command
    };
    let server = Server::of(with_models(&["serve", "--listen", "127.0.0.1:0"]));
    let send = |bytes: &[u8]| {
        let (status, job) = server.json("POST /v1/video", &[("Content-Type", "video/mp4")], bytes);
        assert_eq!(status, 202, "{job}");
        let id = job["id"].as_str().unwrap().to_owned();
        for _ in 0..600 {
            let job = server.json(&format!("GET /v1/jobs/{id}"), &[], &[]).1;
            if job["state"] == "done" || job["state"] == "failed" {
                return (id, job);
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        panic!("the film is not read in a minute");
    };
    for path in [film.clone(), PathBuf::from(films::VOICE)] {
        let (id, job) = send(&std::fs::read(&path).unwrap());
        assert_eq!(job["state"], "done", "{job}");
        let (status, lines) = server.ask(&format!("GET /v1/jobs/{id}/estimates"), &[], &[]);
        let printed = with_models(&["video", "--json", path.to_str().unwrap()]).output().unwrap();
        let objects =
            |text: &str| -> Vec<Value> { text.lines().map(|line| serde_json::from_str(line).unwrap()).collect() };
        let (told, printed) =
            (objects(&String::from_utf8(lines).unwrap()), objects(&String::from_utf8(printed.stdout).unwrap()));
        assert_eq!((status, told.len()), (200, printed.len()));
        assert!(!told.is_empty() && told == printed, "{}", path.display());
        assert_eq!(job["estimates"].as_u64(), Some(told.len() as u64));
        assert_eq!(server.ask(&format!("DELETE /v1/jobs/{id}"), &[], &[]).0, 204);
        assert_eq!(server.json(&format!("GET /v1/jobs/{id}"), &[], &[]).0, 404);
    }
    let (_, job) = send(b"no film");
    assert_eq!(job["state"], "failed", "{job}");
    assert!(job["problem"].as_str().is_some_and(|p| !p.contains("demeanor-films")), "{job}");
}
