//! Copying a container's output out of the Engine's log files, piece by piece: nothing twice, nothing left out, never
//! the whole of it in memory.
//!
//! The Engine hands out a log as frames, each a time and at most 16 KiB of a line. A time is not a position: many
//! frames can carry the same one (all pieces of a long line do), and the two streams are not ordered against each
//! other. So each stream has a cursor of its own, of the last frame's time and how many frames with that time have
//! been copied.

use std::io::Write;

use bollard::container::LogOutput;
use bollard::query_parameters::LogsOptionsBuilder;
use bytes::Bytes;
use chrono::DateTime;
use futures_util::{StreamExt as _, pin_mut};
use serde::{Deserialize, Serialize};

use super::engine::Engine;
use super::error::Error;
use super::name::is_addressable;

/// How far a container's output has been copied. To be stored after what was written; a reader that cuts its files to
/// `bytes` before it goes on has lost and doubled nothing, wherever it died.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LogCursor {
    #[serde(default)]
    pub stdout: Position,
    #[serde(default)]
    pub stderr: Position,
}

/// How far one stream has been copied.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Position {
    /// The time of the last frame copied, in nanoseconds since 1970; 0 before the first.
    pub nanos: i64,
    /// How many frames with that time have been copied.
    pub count: u64,
    /// How many bytes have been written, marks included.
    pub bytes: u64,
    /// Whether the last frame was the end of a long line whose newline is still to be written.
    #[serde(default)]
    pub owes_newline: bool,
}

/// The Engine cuts a line into pieces of exactly this size; only the last one can be shorter.
const PIECE: usize = 16 << 10;

/// What [`copy`] did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Copied {
    pub cursor: LogCursor,
    /// Whether `limit` ended the copy, so that there is more to have at once.
    pub more: bool,
}

/// Written where the Engine's rotation dropped what had not been copied yet.
pub const GAP: &[u8] = b"\n[taskforge: some output is missing here: it came faster than the Engine's log files hold]\n";

#[derive(Clone, Copy)]
enum Channel {
    Stdout,
    Stderr,
}

/// Copies what is new since `cursor`, up to about `limit` bytes a stream (a frame is never split). Bytes stay as they
/// were; where an Engine drops the newline after a line of more than 16 KiB (20.10 does), it is put back once something
/// comes after it.
///
/// A clock that was set back can hide output from between: the Engine's times are all there is.
///
/// # Errors
/// [`Error::NotFound`] if the container is gone; [`Error::Logs`] if the Engine cannot read its own files;
/// [`Error::Output`] if a writer fails.
pub async fn copy(
    engine: &Engine,
    name: &str,
    cursor: LogCursor,
    limit: u64,
    stdout: &mut impl Write,
    stderr: &mut impl Write,
) -> Result<Copied, Error> {
    let (out, more_out) = copy_stream(engine, name, Channel::Stdout, cursor.stdout, limit, stdout).await?;
    let (err, more_err) = copy_stream(engine, name, Channel::Stderr, cursor.stderr, limit, stderr).await?;
    Ok(Copied { cursor: LogCursor { stdout: out, stderr: err }, more: more_out || more_err })
}

async fn copy_stream(
    engine: &Engine,
    name: &str,
    channel: Channel,
    from: Position,
    limit: u64,
    sink: &mut impl Write,
) -> Result<(Position, bool), Error> {
    if !is_addressable(name) {
        return Err(Error::NotFound { name: name.to_owned() });
    }
    let stdout = matches!(channel, Channel::Stdout);
    let options = LogsOptionsBuilder::default().stdout(stdout).stderr(!stdout).timestamps(true).build();
    // The library's `since` has whole seconds; the Engine takes nanoseconds.
    let since = format!("since={}.{:09}", from.nanos / 1_000_000_000, from.nanos % 1_000_000_000);
    let docker = engine.docker().clone().with_request_modifier(move |mut request| {
        let uri = request.uri().to_string().replacen("since=0", &since, 1);
        if let Ok(uri) = uri.parse() {
            *request.uri_mut() = uri;
        }
        request
    });
    let frames = docker.logs(name, Some(options));
    pin_mut!(frames);
    let mut copier = Copier::new(from, limit);
    while let Some(frame) = frames.next().await {
        let frame = match frame {
            Ok(LogOutput::StdOut { message } | LogOutput::StdErr { message }) => message,
            Ok(LogOutput::Console { message } | LogOutput::StdIn { message }) => {
                let message = String::from_utf8_lossy(&message).trim().chars().take(400).collect();
                return Err(Error::Logs { name: name.to_owned(), message });
            }
            Err(bollard::errors::Error::DockerResponseServerError { status_code: 404, .. }) => {
                return Err(Error::NotFound { name: name.to_owned() });
            }
            Err(error) => return Err(engine.explain(format!("read the logs of `{name}`"), error)),
        };
        let Some((nanos, line)) = split(&frame) else {
            return Err(Error::Logs { name: name.to_owned(), message: "a frame without a time".to_owned() });
        };
        if !copier.take(nanos, line, sink).map_err(Error::Output)? {
            return Ok((copier.position, true));
        }
    }
    copier.finish(sink).map_err(Error::Output)?;
    Ok((copier.position, false))
}

/// The time in front of a frame, `2006-01-02T15:04:05.000000000Z `, and what comes after it.
fn split(frame: &Bytes) -> Option<(i64, &[u8])> {
    let space = frame.iter().take(40).position(|&b| b == b' ')?;
    let time = std::str::from_utf8(&frame[..space]).ok()?;
    let nanos = DateTime::parse_from_rfc3339(time).ok()?.timestamp_nanos_opt()?;
    Some((nanos, &frame[space + 1..]))
}

/// Decides which frames are new. Pure but for the writer.
struct Copier {
    position: Position,
    /// How many frames with the cursor's time are still to be skipped.
    skip: u64,
    /// Whether the frame the cursor stands on was seen, or nothing was copied before.
    anchored: bool,
    limit: u64,
    written: u64,
}

impl Copier {
    const fn new(from: Position, limit: u64) -> Self {
        Self { position: from, skip: from.count, anchored: from.count == 0, limit, written: 0 }
    }

    /// `false` if the frame was not taken because the limit is reached.
    fn take(&mut self, nanos: i64, line: &[u8], sink: &mut impl Write) -> std::io::Result<bool> {
        if nanos < self.position.nanos {
            return Ok(true);
        }
        if nanos == self.position.nanos && self.skip > 0 {
            self.skip -= 1;
            self.anchored = self.skip == 0;
            return Ok(true);
        }
        if self.written >= self.limit {
            return Ok(false);
        }
        if !self.anchored {
            // What the cursor stands on has been dropped, and perhaps more behind it.
            self.anchored = true;
            self.position.owes_newline = false;
            self.write(GAP, sink)?;
        }
        if self.position.owes_newline {
            self.write(b"\n", sink)?;
        }
        self.position.owes_newline = !line.ends_with(b"\n") && line.len() < PIECE;
        self.write(line, sink)?;
        if nanos == self.position.nanos {
            self.position.count += 1;
        } else {
            self.position.nanos = nanos;
            self.position.count = 1;
            self.skip = 0;
        }
        Ok(true)
    }

    fn write(&mut self, bytes: &[u8], sink: &mut impl Write) -> std::io::Result<()> {
        sink.write_all(bytes)?;
        self.written += bytes.len() as u64;
        self.position.bytes += bytes.len() as u64;
        Ok(())
    }

    fn finish(&mut self, sink: &mut impl Write) -> std::io::Result<()> {
        sink.flush()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    /// What the Engine would send for `since`: its filter is inclusive.
    fn copy_from(log: &[(i64, Vec<u8>)], from: Position, limit: u64) -> (Vec<u8>, Position, bool) {
        let mut sink = Vec::new();
        let mut copier = Copier::new(from, limit);
        for (nanos, line) in log.iter().filter(|(nanos, _)| *nanos >= from.nanos) {
            if !copier.take(*nanos, line, &mut sink).unwrap() {
                return (sink, copier.position, true);
            }
        }
        (sink, copier.position, false)
    }

    #[test]
    fn a_gap_is_marked_once() {
        let log = vec![(50, b"new\n".to_vec()), (51, b"newer\n".to_vec())];
        let from = Position { nanos: 10, count: 3, bytes: 100, owes_newline: false };
        let (text, position, _) = copy_from(&log, from, 1000);
        assert_eq!(text, [GAP, b"new\nnewer\n"].concat());
        assert_eq!(position, Position { nanos: 51, count: 1, bytes: 100 + text.len() as u64, owes_newline: false });
        assert_eq!(copy_from(&log, position, 1000).0, b"");
    }

    #[test]
    fn a_long_line_keeps_its_newline() {
        // As Docker 20.10 hands them out: the last piece of a long line without the newline.
        let log = vec![(1, vec![b'x'; PIECE]), (1, b"yz".to_vec()), (2, b"next\n".to_vec()), (3, vec![b'x'; PIECE])];
        let whole = [&[b'x'; PIECE][..], b"yz\nnext\n", &[b'x'; PIECE]].concat();
        assert_eq!(copy_from(&log, Position::default(), u64::MAX).0, whole);
        let (mut copied, mut position) = (Vec::new(), Position::default());
        while let (text, next, true) = copy_from(&log, position, 1) {
            copied.extend(text);
            position = next;
        }
        copied.extend(copy_from(&log, position, 1).0);
        assert_eq!(copied, whole);
    }

    #[test]
    fn a_frame_needs_a_time() {
        let frame = Bytes::from_static(b"2026-11-20T11:46:18.964660123Z \xff\0x\n");
        let (nanos, line) = split(&frame).unwrap();
        assert_eq!(nanos % 1_000_000_000, 964_660_123);
        assert_eq!(line, b"\xff\0x\n");
        assert!(split(&Bytes::from_static(b"no time here")).is_none());
        assert!(split(&Bytes::from_static(b"")).is_none());
    }

    proptest! {
        /// However the log grows between calls, and however small the limit, the pieces make the whole.
        #[test]
        fn pieces_make_the_whole(
            steps in proptest::collection::vec((0i64..3, 1usize..5, 0usize..4), 1..60),
            limit in 1u64..12,
        ) {
            let mut now = 1;
            let mut log: Vec<(i64, Vec<u8>)> = Vec::new();
            let (mut position, mut copied) = (Position::default(), Vec::new());
            for (n, (advance, length, calls)) in steps.into_iter().enumerate() {
                now += advance;
                let mut line = vec![u8::try_from(n % 251).unwrap(); length];
                line.push(b'\n');
                log.push((now, line));
                for _ in 0..calls {
                    let (text, next, _) = copy_from(&log, position, limit);
                    copied.extend(text);
                    position = next;
                }
            }
            loop {
                let (text, next, more) = copy_from(&log, position, limit);
                copied.extend(text);
                position = next;
                if !more { break; }
            }
            let whole: Vec<u8> = log.into_iter().flat_map(|(_, line)| line).collect();
            prop_assert_eq!(position.bytes, whole.len() as u64);
            prop_assert_eq!(copied, whole);
        }
    }
}
