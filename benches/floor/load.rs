//! Asks a server for the same thing many times, over as many connections as there are streams.
//!
//! `load TARGET PATH RATE STREAMS SECONDS BODY`: TARGET is `tcp:HOST:PORT` or `unix:PATH`, BODY a file. With a RATE (requests
//! a second) the requests are due at fixed times, whatever became of those before, and what they take is counted from
//! when they were due; with 0 each stream asks again at once. Prints JSON, times in microseconds: `first` until the first byte
//! of the answer's body, `whole` until its end.

use std::io::{BufRead, BufReader, Error, Read, Result, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

trait Both: Read + Write {}
impl<T: Read + Write> Both for T {}

fn connect(target: &str) -> Result<Box<dyn Both>> {
    match target.split_once(':') {
        Some(("unix", path)) => Ok(Box::new(UnixStream::connect(path)?)),
        Some(("tcp", address)) => {
            let stream = TcpStream::connect(address)?;
            stream.set_nodelay(true)?;
            Ok(Box::new(stream))
        }
        _ => Err(Error::other("TARGET is tcp:HOST:PORT or unix:PATH")),
    }
}

/// Reads one answer: its status, and when its body began.
fn answer(reader: &mut BufReader<Box<dyn Both>>) -> Result<(u16, Instant)> {
    let (mut line, mut status, mut length, mut chunked) = (String::new(), 0, 0usize, false);
    loop {
        line.clear();
        if reader.read_line(&mut line)? == 0 {
            return Err(Error::other("the connection ended"));
        }
        let text = line.trim_end().to_ascii_lowercase();
        if text.is_empty() {
            break;
        }
        if status == 0 {
            status = text.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or(0);
        } else if let Some(value) = text.strip_prefix("content-length:") {
            length = value.trim().parse().map_err(Error::other)?;
        } else if let Some(value) = text.strip_prefix("transfer-encoding:") {
            chunked = value.trim() == "chunked";
        }
    }
    reader.fill_buf()?;
    let first = Instant::now();
    let mut body = Vec::new();
    while chunked {
        line.clear();
        reader.read_line(&mut line)?;
        let size = usize::from_str_radix(line.trim_end(), 16).map_err(Error::other)?;
        body.resize(size + 2, 0);
        reader.read_exact(&mut body)?;
        chunked = size > 0;
        length = 0;
    }
    body.resize(length, 0);
    reader.read_exact(&mut body)?;
    Ok((status, first))
}

#[derive(Default)]
struct Took {
    first: Vec<u64>,
    whole: Vec<u64>,
    failed: u64,
}

struct Plan {
    target: String,
    request: Vec<u8>,
    /// Between two requests of one stream; none to ask again at once.
    pace: Option<Duration>,
    end: Instant,
}

fn stream(plan: &Plan, mut due: Instant) -> Took {
    let mut took = Took::default();
    let mut reader = None;
    while due < plan.end {
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
        let started = if plan.pace.is_some() { due } else { Instant::now() };
        let mut ask = || {
            if reader.is_none() {
                reader = Some(BufReader::new(connect(&plan.target)?));
            }
            let reader = reader.as_mut().ok_or_else(|| Error::other("no connection"))?;
            reader.get_mut().write_all(&plan.request)?;
            answer(reader)
        };
        match ask() {
            Ok((200, first)) => {
                took.first.push(first.saturating_duration_since(started).as_micros() as u64);
                took.whole.push(started.elapsed().as_micros() as u64);
            }
            Ok(_) => took.failed += 1,
            Err(_) => {
                took.failed += 1;
                reader = None;
            }
        }
        due = plan.pace.map_or_else(Instant::now, |pace| due + pace);
    }
    took
}

/// The middle, and what 99 of 100 stay below.
fn middle(mut values: Vec<u64>) -> String {
    values.sort_unstable();
    let at = |part: f64| values.get((values.len() as f64 * part) as usize).copied().unwrap_or(0);
    format!("{{\"p50\":{},\"p99\":{}}}", at(0.50), at(0.99))
}

fn main() -> Result<()> {
    let given: Vec<String> = std::env::args().skip(1).collect();
    let [target, path, rate, streams, seconds, body] = &given[..] else {
        return Err(Error::other("usage: load TARGET PATH RATE STREAMS SECONDS BODY"));
    };
    let number = |text: &String| text.parse::<u32>().map_err(Error::other);
    let (rate, streams, seconds) = (number(rate)?, number(streams)?.max(1), number(seconds)?);
    let body = std::fs::read(body)?;
    let head = format!(
        "POST {path} HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: Bearer x\r\ncontent-type: application/json\r\n\
         content-length: {}\r\n\r\n",
        body.len()
    );
    let begin = Instant::now() + Duration::from_millis(100);
    let pace = (rate > 0).then(|| Duration::from_secs(1) * streams / rate);
    let end = begin + Duration::from_secs(seconds.into());
    let plan = Plan { target: target.clone(), request: [head.as_bytes(), &body].concat(), pace, end };
    let all: Vec<Took> = std::thread::scope(|scope| {
        let plan = &plan;
        let begun = |index: u32| begin + pace.unwrap_or_default() * index / streams;
        let threads: Vec<_> = (0..streams).map(|index| scope.spawn(move || stream(plan, begun(index)))).collect();
        threads.into_iter().filter_map(|thread| thread.join().ok()).collect()
    });
    let taken = begin.elapsed().as_secs_f64();
    let failed: u64 = all.iter().map(|took| took.failed).sum();
    let (first, whole): (Vec<_>, Vec<_>) = all.into_iter().map(|took| (took.first, took.whole)).unzip();
    let (first, whole) = (first.concat(), whole.concat());
    let rate = whole.len() as f64 / taken;
    println!(
        "{{\"answered\":{},\"failed\":{failed},\"rate\":{rate:.1},\"first\":{},\"whole\":{}}}",
        whole.len(),
        middle(first),
        middle(whole)
    );
    Ok(())
}
