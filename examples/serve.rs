//! A trained run behind a small HTTP server: `cargo run --release --example serve runs/houses 8080`, then
//! `curl --data-binary @new.csv http://localhost:8080`. It answers one request after the other, with the CSV that
//! `gridlight predict` would write.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};

use gridlight::device::{Device, DeviceChoice, open::open};
use gridlight::run::evaluate;
use gridlight::tasks::Input;

/// Largest table that is accepted, in bytes.
const MOST_BYTES: usize = 64 << 20;

/// The body of a request, or the status line of what is wrong with it.
fn body(stream: &TcpStream) -> Result<Vec<u8>, (&'static str, String)> {
    let wrong = |reason: &str| ("400 Bad Request", reason.to_string());
    let mut reader = BufReader::new(stream);
    let mut length = 0;
    for number in 0..100 {
        let mut line = String::new();
        reader.by_ref().take(8192).read_line(&mut line).map_err(|e| wrong(&e.to_string()))?;
        if number == 0 && !line.starts_with("POST ") {
            return Err(("405 Method Not Allowed", "send a table with POST".into()));
        }
        if let Some((name, value)) = line.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            length = value.trim().parse().map_err(|_| wrong("Content-Length is no number"))?;
        }
        if line.trim().is_empty() {
            break;
        }
    }
    if !(1..=MOST_BYTES).contains(&length) {
        return Err(("413 Content Too Large", format!("send 1 to {MOST_BYTES} bytes, with Content-Length")));
    }
    let mut bytes = vec![0; length];
    reader.read_exact(&mut bytes).map_err(|e| wrong(&e.to_string()))?;
    Ok(bytes)
}

/// Predictions for a table, as CSV.
fn predict(run: &Path, device: &dyn Device, table: &[u8]) -> Result<Vec<u8>, Box<dyn std::error::Error>> {
    let mut file = tempfile::NamedTempFile::with_suffix(".csv")?;
    file.write_all(table)?;
    let predicted = evaluate::predictions(run, Input { file: file.path(), future: None }, device)?;
    Ok(predicted.csv)
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let run = PathBuf::from(arguments.next().ok_or("give a run directory, and perhaps a port")?);
    let port: u16 = arguments.next().map_or(Ok(8080), |port| port.parse())?;
    let device = open(DeviceChoice::Auto, false)?;
    let listener = TcpListener::bind(("127.0.0.1", port))?;
    println!("{} answers on http://{}", run.display(), listener.local_addr()?);
    for stream in listener.incoming() {
        let mut stream = stream?;
        stream.set_read_timeout(Some(std::time::Duration::from_secs(10)))?;
        let (status, answer) = match body(&stream) {
            Err((status, reason)) => (status, reason.into_bytes()),
            Ok(table) => match predict(&run, &*device, &table) {
                Ok(csv) => ("200 OK", csv),
                Err(error) => ("422 Unprocessable Content", error.to_string().into_bytes()),
            },
        };
        let head =
            format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", answer.len());
        // Who asked may have gone; the next request is not affected.
        let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(&answer));
    }
    Ok(())
}
