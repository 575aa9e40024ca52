//! A connection that counts what goes through it.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// Bytes to the other end and from it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Counts(Arc<Both>);

#[derive(Debug, Default)]
struct Both {
    out: AtomicU64,
    back: AtomicU64,
}

impl Counts {
    /// Bytes sent, bytes received.
    pub(crate) fn now(&self) -> (u64, u64) {
        (self.0.out.load(Ordering::Relaxed), self.0.back.load(Ordering::Relaxed))
    }
}

/// A connection to an upstream.
pub(crate) struct Counted {
    stream: TcpStream,
    counts: Counts,
}

impl Counted {
    pub(crate) fn new(stream: TcpStream, counts: Counts) -> Self {
        Self { stream, counts }
    }
}

impl AsyncRead for Counted {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(cx, buffer);
        let count = (buffer.filled().len() - before) as u64;
        self.counts.0.back.fetch_add(count, Ordering::Relaxed);
        read
    }
}

impl AsyncWrite for Counted {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        if let Poll::Ready(Ok(count)) = &written {
            self.counts.0.out.fetch_add(*count as u64, Ordering::Relaxed);
        }
        written
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
