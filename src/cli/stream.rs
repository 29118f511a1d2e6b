//! `gridlight predict --stream`: rows from standard input, each predicted as it comes.

use std::io::{self, BufRead, Write};
use std::path::Path;

use gridlight::device::DeviceChoice;
use gridlight::run::serve::{Body, Reads, Service};

use super::output::lost;
use super::{Failure, is_exact, open_device};

/// A row at most, in bytes.
const MOST_BYTES: u64 = 16 << 20;

/// Predicts the rows of standard input, CSV with a header or JSON objects, one a line; each line of the output is
/// written before the next row is read.
///
/// # Errors
/// If the model reads no single rows, a row is wrong, or the output cannot be written.
pub fn run(run: &Path, coverage: Option<f64>, device: DeviceChoice) -> Result<(), Failure> {
    let device = open_device(device, is_exact(run)?)?;
    let service = Service::open(run, coverage, &*device)?;
    let mut answering = service.answering(&*device, 1)?;
    if service.description(vec![]).reads != Reads::Rows || service.draws() {
        let reason = "--stream is for models that predict each row of a table by itself; leave it out";
        return Err(Failure::input(format!("{}: {reason}", run.display())));
    }
    let (mut input, mut output) = (io::stdin().lock(), io::stdout().lock());
    let (mut header, mut number, mut first) = (String::new(), 0, true);
    loop {
        let at = number + 1;
        let Some(record) = record(&mut input, &mut number)? else { return Ok(()) };
        let is_json = record.trim_start().starts_with('{');
        if record.trim().is_empty() {
            continue;
        }
        if header.is_empty() && !is_json {
            header = record;
            continue;
        }
        let text = format!("{header}{record}");
        let rows =
            service.read(if is_json { Body::Lines(record.as_bytes()) } else { Body::Csv(text.as_bytes()) });
        let rows = rows.map_err(|refused| {
            let place = refused.line.map(|line| format!("line {line}: ")).unwrap_or_default();
            let reason = refused.error.strip_prefix(&place).unwrap_or(&refused.error);
            Failure::input(format!("standard input:{at}: {reason}"))
        })?;
        let found = answering.answer(&[&rows])?;
        let table = found.first().map(|found| service.table(&rows, found));
        let csv = table.map(|table| table.csv()).transpose()?.unwrap_or_default();
        // The titles stand once, at the top.
        let titles = csv.iter().position(|&byte| byte == b'\n').map_or(csv.len(), |end| end + 1);
        let lines = if first { &csv[..] } else { &csv[titles..] };
        first = false;
        match output.write_all(lines).and_then(|()| output.flush()) {
            // Whoever reads has seen enough.
            Err(e) if e.kind() == io::ErrorKind::BrokenPipe => return Ok(()),
            written => written.map_err(|e| lost(&e))?,
        }
    }
}

/// The next record: a line, or several if a quoted cell goes on over their ends.
fn record(input: &mut impl BufRead, number: &mut u64) -> Result<Option<String>, Failure> {
    let wrong = |number: u64, reason: String| Failure::input(format!("standard input:{number}: {reason}"));
    let mut bytes = vec![];
    loop {
        let room = MOST_BYTES - bytes.len() as u64;
        let found = io::Read::take(&mut *input, room).read_until(b'\n', &mut bytes);
        let found = found.map_err(|e| wrong(*number + 1, e.to_string()))?;
        *number += u64::from(found > 0);
        if bytes.len() as u64 == MOST_BYTES {
            return Err(wrong(*number, format!("a row has more than {MOST_BYTES} bytes")));
        }
        let is_whole = bytes.iter().filter(|&&byte| byte == b'"').count().is_multiple_of(2);
        if found == 0 || is_whole || bytes.trim_ascii_start().starts_with(b"{") {
            break;
        }
    }
    if bytes.is_empty() {
        return Ok(None);
    }
    let text = String::from_utf8(bytes).map_err(|_| wrong(*number, "this is not UTF-8".into()))?;
    Ok(Some(text.trim_start_matches('\u{feff}').into()))
}
