//! `gridlight serve`: what is answered equals what `predict` writes; what is wrong is told; nothing is lost.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};

use super::{gridlight, workplace};

/// A server, ended when dropped.
pub struct Server {
    child: Child,
    address: String,
}

/// An answer.
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: String,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|e| panic!("{e}: {}", self.body))
    }

    fn error(&self) -> String {
        self.json()["error"].as_str().unwrap_or_default().into()
    }
}

impl Server {
    /// Starts a command that prints where it listens.
    pub fn start(directory: &Path, arguments: &[&str]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_gridlight"))
            .args(arguments)
            .args(["--port", "0", "--json"])
            .current_dir(directory)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let event: Value = serde_json::from_str(&line).unwrap_or_else(|e| panic!("{e}: {line}"));
        assert_eq!(event["event"], "listening");
        let address = event["address"].as_str().unwrap().trim_start_matches("http://").to_string();
        Self { child, address }
    }

    pub fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(&self.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        stream
    }

    pub fn get(&self, path: &str) -> Answer {
        self.ask(&format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"), b"")
    }

    fn post(&self, headers: &str, body: &[u8]) -> Answer {
        let length = body.len();
        let head = format!(
            "POST /predict HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: {length}\r\n{headers}\r\n"
        );
        self.ask(&head, body)
    }

    fn rows(&self, rows: &Value) -> Answer {
        self.post("Content-Type: application/json\r\n", rows.to_string().as_bytes())
    }

    pub fn ask(&self, head: &str, body: &[u8]) -> Answer {
        let mut stream = self.connect();
        stream.write_all(head.as_bytes()).unwrap();
        stream.write_all(body).unwrap();
        let mut reader = BufReader::new(stream);
        read(&mut reader)
    }

    /// Asks the server to stop, and waits until it has.
    #[cfg(unix)]
    pub fn terminate(mut self) -> Option<i32> {
        Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status().unwrap();
        self.child.wait().unwrap().code()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Reads one answer of a connection.
fn read(reader: &mut BufReader<TcpStream>) -> Answer {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        assert!(reader.read_line(&mut head).unwrap() > 0, "the connection ended: {head}");
    }
    let lower = head.to_lowercase();
    let length = lower.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap_or("0");
    let mut body = vec![0; length.parse().unwrap()];
    reader.read_exact(&mut body).unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    Answer { status, head: lower, body: String::from_utf8(body).unwrap() }
}

/// The rows of a CSV file as JSON objects with texts, and as the file of `predict`.
fn predicted(place: &Path, input: &str) -> String {
    fs::write(place.join("input.csv"), input).unwrap();
    let arguments = ["predict", "runs/small", "--input", "input.csv", "--output", "-", "--device", "cpu"];
    let ended = gridlight(place, &arguments);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    ended.stdout
}

#[test]
fn answers_are_those_of_predict() {
    let place = workplace();
    let server = Server::start(place.path(), &["serve", "runs/small", "--device", "cpu", "--batch", "4"]);
    assert_eq!(server.get("/health").status, 200);
    let mut text = "a,b,kind\n".to_string();
    let mut rows = vec![];
    for i in 0..11 {
        let kind = ["red", "blue"][i % 2];
        text += &format!("{i},{},{kind}\n", i * 3 % 7);
        rows.push(json!({"a": i, "b": i * 3 % 7, "kind": kind}));
    }
    let expected = predicted(place.path(), &text);
    let csv = server.post("Content-Type: text/csv\r\nAccept: text/csv\r\n", text.as_bytes());
    assert_eq!((csv.status, &csv.body), (200, &expected));
    let column = |of: &dyn Fn(usize) -> Value| (0..11).map(of).collect::<Value>();
    let columns = json!({
        "a": column(&|i| i.into()), "b": column(&|i| (i * 3 % 7).into()),
        "kind": column(&|i| ["red", "blue"][i % 2].into()),
    });
    let numbers: Vec<f64> = expected.lines().skip(1).map(|line| line.parse().unwrap()).collect();
    for body in [json!({ "rows": rows }), json!(rows), columns] {
        let answer = server.rows(&body);
        assert_eq!(answer.status, 200, "{}", answer.body);
        let found: Vec<f64> = answer.json()["predictions"]
            .as_array()
            .unwrap()
            .iter()
            .map(|p| p["y"].as_f64().unwrap())
            .collect();
        assert_eq!(found, numbers, "all digits");
    }
    // Each row by itself, over one connection and from several at once.
    std::thread::scope(|scope| {
        for part in 0..3 {
            let (rows, numbers, server) = (&rows, &numbers, &server);
            scope.spawn(move || {
                let mut reader = BufReader::new(server.connect());
                for (row, number) in rows.iter().zip(numbers).skip(part).step_by(3) {
                    let body = row.to_string();
                    let length = body.len();
                    let request = format!(
                        "POST /predict HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {length}\r\n\r\n{body}"
                    );
                    reader.get_mut().write_all(request.as_bytes()).unwrap();
                    assert_eq!(read(&mut reader).json(), json!({"predictions": [{"y": number}]}));
                }
            });
        }
    });
    let model = server.get("/model").json();
    assert_eq!(model["predictions"], json!(["y"]));
    let names: Vec<&str> =
        model["columns"].as_array().unwrap().iter().map(|c| c["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["a", "b", "kind"]);
    assert_eq!(model["columns"][2]["categories"], json!(["blue", "red"]));
    // The examples of the description are a row.
    let example: Value = model["columns"]
        .as_array()
        .unwrap()
        .iter()
        .map(|c| (c["name"].as_str().unwrap().to_string(), c["example"].clone()))
        .collect::<serde_json::Map<_, _>>()
        .into();
    assert_eq!(server.rows(&example).status, 200);
    let metrics = server.get("/metrics").body;
    for line in [
        "gridlight_requests_total{path=\"/predict\",status=\"200\"} 16",
        "gridlight_rows_total 56",
        "gridlight_queue_depth 0",
        "gridlight_request_seconds_count 16",
    ] {
        assert!(metrics.lines().any(|found| found == line), "{line}\n{metrics}");
    }
    assert!(server.get("/").body.contains("<!doctype html>"));
}

#[test]
fn what_is_wrong_is_told() {
    let place = workplace();
    let arguments =
        ["serve", "runs/small", "--device", "cpu", "--max-body", "2000", "--max-rows", "3", "--timeout", "1"];
    let server = Server::start(place.path(), &arguments);
    let row = json!({"a": 1, "b": 2, "kind": "red"});
    let wrong = json!([row, {"a": "many", "b": 2, "kind": "red"}]);
    let answer = server.rows(&wrong);
    assert_eq!(answer.status, 400);
    assert_eq!(answer.json()["row"], 2);
    assert_eq!(answer.json()["column"], "a");
    assert!(
        answer.error().starts_with("row 2: column `a` holds \"many\", expected a number"),
        "{}",
        answer.error()
    );
    let csv = server.post("Content-Type: text/csv\r\n", b"a,b,kind\n1,2,red\nmany,2,red\n");
    assert!(csv.error().starts_with("line 3: column `a` holds \"many\""), "{}", csv.error());
    assert_eq!(csv.json()["line"], 3);
    for (body, part) in [
        (json!([{"b": 2, "kind": "red"}]), "there is no column `a`"),
        (json!([{"a": [1], "b": 2}]), "row 1: `a` is nested"),
        (json!([1]), "row 1: expected an object"),
        (json!([]), "there are no rows"),
    ] {
        let answer = server.rows(&body);
        assert_eq!(answer.status, 400, "{body}");
        assert!(answer.error().contains(part), "{body}: {}", answer.error());
        assert!(!answer.body.contains("request:"), "{}", answer.body);
    }
    let many = server.rows(&json!([row, row, row, row]));
    assert_eq!((many.status, many.error().contains("has 4 rows, at most 3")), (413, true), "{}", many.body);
    assert_eq!(server.post("Content-Type: text/html\r\n", b"<p>").status, 415);
    let picture = server.post("Content-Type: image/png\r\n", b"\x89PNG");
    assert_eq!((picture.status, picture.error().contains("reads rows of a table")), (400, true));
    assert_eq!(server.get("/nothing").status, 404);
    assert_eq!(server.get("/predict").status, 405);
    assert!(server.get("/predict").head.contains("allow: post"));
    // Another name that leads to this machine.
    let foreign = server.ask("GET /model HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n", b"");
    assert_eq!(foreign.status, 403);
    // Larger bodies are refused by what they say of themselves, or when they have become too large.
    let head = "POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: text/csv\r\n";
    let said = server.ask(&format!("{head}Content-Length: 1000000000\r\n\r\n"), b"a,b");
    assert_eq!((said.status, said.error().contains("larger than 2000 bytes")), (413, true));
    let chunk = format!("800\r\n{}\r\n", "x".repeat(0x800));
    let grown = server.ask(&format!("{head}Transfer-Encoding: chunked\r\n\r\n"), chunk.as_bytes());
    assert_eq!(grown.status, 413);
    // Who sends nothing more is not waited for.
    let slow = server.ask(&format!("{head}Content-Length: 100\r\n\r\n"), b"a,");
    assert_eq!(slow.status, 408);
    // All the same, it still answers.
    assert_eq!(server.rows(&row).status, 200);
    for (arguments, part) in [
        (&["serve", "nowhere"][..], "nowhere"),
        (&["serve", "runs/small", "--port", "70000"], "70000"),
        (&["serve", "runs/small", "--host", "no.such.host.invalid"], "choose another with --port"),
        (&["serve", "runs/small", "--batch", "0"], "--batch"),
    ] {
        let ended = gridlight(place.path(), arguments);
        assert_eq!(ended.code, Some(2), "{arguments:?}: {}", ended.stderr);
        assert!(ended.stderr.contains(part), "{arguments:?}: {}", ended.stderr);
    }
}

#[cfg(unix)]
#[test]
fn a_server_that_is_asked_to_stop_answers_everybody() {
    let place = workplace();
    let server = Server::start(place.path(), &["serve", "runs/small", "--device", "cpu"]);
    let body = json!({"a": 1, "b": 2, "kind": "red"}).to_string();
    let length = body.len();
    let head = format!("POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n\r\n");
    // Some have sent half a request, others have only connected.
    let mut readers: Vec<_> = (0..10).map(|_| BufReader::new(server.connect())).collect();
    for reader in readers.iter_mut().take(5) {
        reader.get_mut().write_all(head.as_bytes()).unwrap();
    }
    std::thread::sleep(Duration::from_millis(100));
    let ended = std::thread::spawn(move || server.terminate());
    std::thread::sleep(Duration::from_millis(300));
    for (at, reader) in readers.iter_mut().enumerate() {
        if at >= 5 {
            reader.get_mut().write_all(head.as_bytes()).unwrap();
        }
        reader.get_mut().write_all(body.as_bytes()).unwrap();
    }
    for mut reader in readers {
        let answer = read(&mut reader);
        assert_eq!(answer.status, 200);
        assert!(answer.head.contains("connection: close"), "{}", answer.head);
    }
    assert_eq!(ended.join().unwrap(), Some(0));
}

#[test]
fn rows_of_a_stream_are_predicted_as_they_come() {
    let place = workplace();
    let mut child = Command::new(env!("CARGO_BIN_EXE_gridlight"))
        .args(["predict", "runs/small", "--input", "-", "--output", "-", "--stream", "--device", "cpu"])
        .current_dir(place.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    let mut output = BufReader::new(child.stdout.take().unwrap());
    let rows = ["1,2,red", "3,4,blue", "5,6,\"red\""];
    let expected = predicted(place.path(), &format!("a,b,kind\n{}\n", rows.join("\n")));
    let mut expected = expected.lines();
    let mut next = || {
        let mut line = String::new();
        output.read_line(&mut line).unwrap();
        line.trim_end().to_string()
    };
    writeln!(input, "a,b,kind").unwrap();
    for (at, row) in rows.iter().enumerate() {
        // The answer comes before the next row is sent.
        writeln!(input, "{row}").unwrap();
        if at == 0 {
            assert_eq!(Some(&*next()), expected.next());
        }
        assert_eq!(Some(&*next()), expected.next(), "{row}");
    }
    writeln!(input, "many,2,red").unwrap();
    let ended = child.wait_with_output().unwrap();
    let stderr = String::from_utf8(ended.stderr).unwrap();
    assert_eq!(ended.status.code(), Some(2));
    assert!(stderr.contains("error: standard input:5: column `a` holds \"many\""), "{stderr}");
}
