//! One connection of an agent's: how long it is waited for, and what is said of it when that was too long. What is in
//! the way of a client that does not read is bounded by the pipe's buffers: nothing more is read from its upstream.

use std::io::{self, ErrorKind};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use rustix::net::Shutdown;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::UnixStream;
use tokio::time::Sleep;

/// What a client did that its connection was ended for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Fault {
    /// The head of a request did not come in time.
    SlowHead = 1,
    /// Its body did not.
    SlowBody,
    /// What was there to be read was not read in time.
    SlowReading,
    HeadTooLarge,
    NotHttp,
}

impl Fault {
    const ALL: [Self; 5] = [Self::SlowHead, Self::SlowBody, Self::SlowReading, Self::HeadTooLarge, Self::NotHttp];

    /// As it stands in the records.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::SlowHead => "slow_head",
            Self::SlowBody => "slow_body",
            Self::SlowReading => "slow_reading",
            Self::HeadTooLarge => "head_too_large",
            Self::NotHttp => "not_http",
        }
    }
}

/// How a client has behaved so far.
#[derive(Debug, Default)]
pub(crate) struct Manners {
    /// Bytes have come since the last request was answered.
    heard: AtomicBool,
    /// Bytes pass both ways, and how fast is nobody's business.
    tunnel: AtomicBool,
    /// A [`Fault`], or 0.
    fault: AtomicU8,
}

impl Manners {
    /// The first fault stays.
    pub(crate) fn blame(&self, fault: Fault) {
        let _ = self.fault.compare_exchange(0, fault as u8, Ordering::AcqRel, Ordering::Acquire);
    }

    pub(crate) fn fault(&self) -> Option<Fault> {
        let fault = self.fault.load(Ordering::Acquire);
        Fault::ALL.into_iter().find(|known| *known as u8 == fault)
    }

    /// A request was answered.
    pub(crate) fn answered(&self) {
        self.heard.store(false, Ordering::Release);
    }

    /// Whether a request has begun to come.
    pub(crate) fn has_begun(&self) -> bool {
        self.heard.load(Ordering::Acquire)
    }

    pub(crate) fn becomes_a_tunnel(&self) {
        self.tunnel.store(true, Ordering::Release);
    }
}

/// A connection that is not waited for without end.
pub(crate) struct Client {
    stream: Arc<UnixStream>,
    manners: Arc<Manners>,
    reading: Duration,
    /// Runs while the client could read and does not.
    patience: Option<Pin<Box<Sleep>>>,
}

impl Client {
    /// `reading` is how long the client may leave what is sent to it where it is.
    pub(crate) fn new(stream: Arc<UnixStream>, manners: Arc<Manners>, reading: Duration) -> Self {
        Self { stream, manners, reading, patience: None }
    }

    fn poll_sent(
        &mut self,
        cx: &mut Context<'_>,
        send: impl Fn(&UnixStream) -> io::Result<usize>,
    ) -> Poll<io::Result<usize>> {
        while let Poll::Ready(able) = self.stream.poll_write_ready(cx) {
            able?;
            match send(&self.stream) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                sent => {
                    self.patience = None;
                    return Poll::Ready(sent);
                }
            }
        }
        if self.manners.tunnel.load(Ordering::Acquire) {
            return Poll::Pending;
        }
        let reading = self.reading;
        let patience = self.patience.get_or_insert_with(|| Box::pin(tokio::time::sleep(reading)));
        ready!(patience.as_mut().poll(cx));
        self.manners.blame(Fault::SlowReading);
        Poll::Ready(Err(ErrorKind::TimedOut.into()))
    }
}

impl AsyncRead for Client {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        loop {
            ready!(self.stream.poll_read_ready(cx))?;
            match self.stream.try_read(buffer.initialize_unfilled()) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Ok(count) => {
                    if count > 0 {
                        self.manners.heard.store(true, Ordering::Release);
                    }
                    buffer.advance(count);
                    return Poll::Ready(Ok(()));
                }
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }
}

impl AsyncWrite for Client {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_sent(cx, |stream| stream.try_write(bytes))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.poll_sent(cx, |stream| stream.try_write_vectored(pieces))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(rustix::net::shutdown(&*self.stream, Shutdown::Write).map_err(io::Error::from))
    }
}

/// Reads and throws away what a client that is refused is still sending: one that finds the connection closed does not
/// get to read why. At most `bytes`, and not for longer than `patience`.
pub(crate) async fn drain(stream: &UnixStream, bytes: usize, patience: Duration) {
    let draining = async {
        let (mut seen, mut buffer) = (0, [0; 8192]);
        while seen < bytes && stream.readable().await.is_ok() {
            match stream.try_read(&mut buffer) {
                Ok(0) => return,
                Ok(count) => seen += count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(_) => return,
            }
        }
    };
    let _ = tokio::time::timeout(patience, draining).await;
}
