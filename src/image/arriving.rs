//! Bytes that the Engine sends, for whoever reads them as a file would be read, in a thread of its own.

use std::io::{self, Read};

use bytes::Bytes;
use futures_util::{Stream, StreamExt as _};
use tokio::sync::mpsc;

use super::error::Error;

/// Chunks that may wait for the reader.
const WAITING: usize = 16;

/// What has arrived so far; reading waits for more.
pub(super) struct Arriving {
    chunks: mpsc::Receiver<Bytes>,
    current: Bytes,
}

impl Read for Arriving {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        while self.current.is_empty() {
            let Some(next) = self.chunks.blocking_recv() else { return Ok(0) };
            self.current = next;
        }
        let count = self.current.len().min(into.len());
        into[..count].copy_from_slice(&self.current.split_to(count));
        Ok(count)
    }
}

/// Lets `read` have all of `stream`. One that breaks off ends early for the reader, and is the error here.
///
/// # Errors
/// The Engine's, or else what `read` says.
pub(super) async fn pump<T: Send + 'static>(
    mut stream: impl Stream<Item = Result<Bytes, bollard::errors::Error>> + Unpin,
    read: impl FnOnce(Arriving) -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    let (send, chunks) = mpsc::channel(WAITING);
    let reader = tokio::task::spawn_blocking(move || read(Arriving { chunks, current: Bytes::new() }));
    let mut broken = None;
    while let Some(chunk) = stream.next().await {
        match chunk {
            // A reader that has seen enough hears no more.
            Ok(chunk) => {
                if send.send(chunk).await.is_err() {
                    break;
                }
            }
            Err(error) => {
                broken = Some(Error::engine("reading the files of the image")(error));
                break;
            }
        }
    }
    drop(send);
    let done = reader.await.map_err(|error| Error::format("the files of the image", error.to_string()))?;
    broken.map_or(done, Err)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use futures_util::stream;

    fn read(chunks: Vec<Result<Bytes, bollard::errors::Error>>, most: u64) -> Result<Vec<u8>, Error> {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(pump(stream::iter(chunks), move |arriving| {
            let mut bytes = Vec::new();
            arriving.take(most).read_to_end(&mut bytes).map_err(|e| Error::format("x", e.to_string()))?;
            Ok(bytes)
        }))
    }

    #[test]
    fn all_arrives_in_order_and_whoever_reads_less_holds_nobody_up() {
        let all: Vec<u8> = (0..200_000_u32).map(|n| n.to_le_bytes()[0]).collect();
        let chunks = || all.chunks(777).map(|chunk| Ok(Bytes::copy_from_slice(chunk))).collect();
        assert_eq!(read(chunks(), u64::MAX).unwrap(), all);
        assert_eq!(read(chunks(), 10).unwrap(), all[..10]);
        assert_eq!(read(Vec::new(), 10).unwrap(), b"");
    }

    #[test]
    fn a_stream_that_breaks_off_is_an_error_and_no_short_answer() {
        let broken = vec![Ok(Bytes::from_static(b"half")), Err(bollard::errors::Error::RequestTimeoutError)];
        assert!(matches!(read(broken, u64::MAX), Err(Error::Engine { .. })));
    }
}
