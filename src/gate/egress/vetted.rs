//! The client's side of a TLS tunnel, watched for as long as it is open. A server may ask for a second ClientHello in the
//! clear (HelloRetryRequest: RFC 8446, section 4.1.4), and some take the name from that one; so it is judged like the
//! first, and what is no TLS record does not pass at all.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::hello::{self, Hello};

const HANDSHAKE: u8 = 22;
const CLIENT_HELLO: u8 = 1;
/// Types of records: from `change_cipher_spec` to `heartbeat`.
const TYPES: std::ops::RangeInclusive<u8> = 20..=24;
/// The largest record, encrypted, in TLS 1.2 (RFC 5246, section 6.2.3); TLS 1.3 allows less.
const LARGEST: usize = (1 << 14) + 2048;

/// Why the rest does not pass.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Refused {
    NotTls,
    /// A hello for something else than what was granted.
    Name(Hello),
    /// A hello that cannot be read; some server might.
    Unread,
}

/// Whether the message that begins so is a hello, and no ciphertext that happens to begin with the same byte: its length
/// is one that a server takes (OpenSSL's bound is the largest), and the version of TLS 1.0 to 1.3 follows.
fn looks_like_hello(message: &[u8]) -> bool {
    matches!(message, [CLIENT_HELLO, 0..=2, _, _, 3, 0..=4, ..])
}

/// What has been seen of the client's records.
pub(crate) struct Records<F> {
    /// Whether a hello may pass.
    fits: F,
    head: Vec<u8>,
    /// What of the present record is still to come, and its type.
    left: usize,
    kind: u8,
    /// A handshake message in the making that begins like a hello.
    message: Vec<u8>,
    /// Whether the next byte is the first of a record's content.
    begins: bool,
}

impl<F: Fn(&Hello) -> bool> Records<F> {
    pub(crate) fn new(fits: F) -> Self {
        Self { fits, head: Vec::with_capacity(5), left: 0, kind: 0, message: Vec::new(), begins: false }
    }

    /// Judges the next bytes.
    pub(crate) fn push(&mut self, mut bytes: &[u8]) -> Result<(), Refused> {
        while let Some(next) = bytes.first() {
            if self.left == 0 {
                self.head.push(*next);
                bytes = &bytes[1..];
                self.read_head()?;
                continue;
            }
            let (now, later) = bytes.split_at(self.left.min(bytes.len()));
            self.left -= now.len();
            bytes = later;
            self.read_content(now)?;
        }
        Ok(())
    }

    fn read_head(&mut self) -> Result<(), Refused> {
        let fits = match self.head.as_slice() {
            [kind] => TYPES.contains(kind),
            [_, major] => *major == 3,
            [kind, _, _, high, low] => {
                self.left = usize::from(u16::from_be_bytes([*high, *low]));
                self.kind = *kind;
                self.begins = true;
                self.left <= LARGEST
            }
            _ => true,
        };
        if self.head.len() == 5 {
            self.head.clear();
        }
        if fits { Ok(()) } else { Err(Refused::NotTls) }
    }

    fn read_content(&mut self, content: &[u8]) -> Result<(), Refused> {
        let first = std::mem::take(&mut self.begins);
        // A server may pass over other records (`change_cipher_spec`, early data) in the midst of a hello, and join its parts.
        if self.kind != HANDSHAKE {
            return Ok(());
        }
        let begins = first && self.message.is_empty() && content.first() == Some(&CLIENT_HELLO);
        if !begins && self.message.is_empty() {
            return Ok(());
        }
        self.message.extend_from_slice(content);
        match hello::whole(&self.message) {
            Ok(None) => Ok(()),
            Ok(Some(hello)) => {
                self.message.clear();
                if (self.fits)(&hello) { Ok(()) } else { Err(Refused::Name(hello)) }
            }
            Err(_) if looks_like_hello(&self.message) => Err(Refused::Unread),
            Err(_) => {
                self.message.clear();
                Ok(())
            }
        }
    }
}

/// A client whose records are watched. What is refused ends the reading; [`Vetted::refused`] says why.
pub(crate) struct Vetted<C, F> {
    client: C,
    records: Records<F>,
    refused: Option<Refused>,
}

impl<C, F> Vetted<C, F> {
    pub(crate) fn new(client: C, records: Records<F>) -> Self {
        Self { client, records, refused: None }
    }

    pub(crate) fn refused(&self) -> Option<&Refused> {
        self.refused.as_ref()
    }
}

impl<C: AsyncRead + Unpin, F: Fn(&Hello) -> bool + Unpin> AsyncRead for Vetted<C, F> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let before = buffer.filled().len();
        let read = Pin::new(&mut this.client).poll_read(cx, buffer);
        if let Err(refused) = this.records.push(&buffer.filled()[before..]) {
            // Nothing of it goes on.
            buffer.set_filled(before);
            this.refused = Some(refused);
            return Poll::Ready(Err(io::ErrorKind::InvalidData.into()));
        }
        read
    }
}

impl<C: AsyncWrite + Unpin, F: Unpin> AsyncWrite for Vetted<C, F> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.client).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.client).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.client).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::hello::tests::{hello, message};
    use super::*;
    use proptest::prelude::*;

    fn watch() -> Records<impl Fn(&Hello) -> bool> {
        Records::new(|hello: &Hello| hello.name.as_deref() == Some("good.example"))
    }

    /// A record of any type.
    fn record(kind: u8, content: &[u8]) -> Vec<u8> {
        let length = u16::try_from(content.len()).unwrap().to_be_bytes();
        [&[kind, 3, 3][..], &length, content].concat()
    }

    proptest! {
        /// A second hello is judged wherever it stands before, between and behind other records, and however it and the
        /// reading are cut.
        #[test]
        fn a_second_hello_is_judged(
            others in prop::collection::vec((prop::sample::select(vec![20u8, 21, 23]), prop::collection::vec(any::<u8>(), 1..40)), 0..6),
            sizes in prop::collection::vec(1usize..60, 0..8),
            step in 1usize..50,
            good in any::<bool>(),
        ) {
            let name = if good { "good.example" } else { "evil.example" };
            let mut whole = message(&hello(name)).to_vec();
            let mut others = others.iter();
            let mut sizes = sizes.iter();
            let mut bytes = Vec::new();
            while !whole.is_empty() {
                bytes.extend(others.next().map(|(kind, content)| record(*kind, content)).unwrap_or_default());
                let size = sizes.next().copied().unwrap_or(whole.len()).min(whole.len());
                bytes.extend(record(HANDSHAKE, &whole.drain(..size).collect::<Vec<u8>>()));
            }
            bytes.extend(others.flat_map(|(kind, content)| record(*kind, content)));
            let mut watch = watch();
            let judged: Result<Vec<()>, Refused> = bytes.chunks(step).map(|part| watch.push(part)).collect();
            match judged {
                Ok(_) => prop_assert!(good),
                Err(Refused::Name(hello)) => prop_assert!(!good && hello.name.as_deref() == Some("evil.example")),
                Err(refused) => prop_assert!(false, "{refused:?}"),
            }
        }

        /// Encrypted records pass, whatever is in them.
        #[test]
        fn ciphertext_passes(contents in prop::collection::vec((20u8..=24, prop::collection::vec(any::<u8>(), 0..300)), 0..20), step in 1usize..400) {
            let bytes: Vec<u8> = contents.iter().flat_map(|(kind, content)| record(*kind, content)).collect();
            let mut watch = watch();
            for part in bytes.chunks(step) {
                prop_assert_eq!(watch.push(part), Ok(()));
            }
        }
    }

    /// What is a hello but for one thing that we do not take: a server might.
    #[test]
    fn a_second_hello_that_cannot_be_read_does_not_pass() {
        let whole = message(&hello("evil.example")).to_vec();
        let longer = [&whole[..], &[0]].concat();
        let mut cut = whole.clone();
        cut[3] -= 1;
        let mut large = whole.clone();
        large[1] = 2;
        for (what, bytes) in [("something behind it", &longer), ("too short a length", &cut), ("a large one", &large)] {
            assert_eq!(watch().push(&record(HANDSHAKE, bytes)), Err(Refused::Unread), "{what}");
        }
        let mut ciphertext = whole;
        ciphertext[4] = 0x17;
        ciphertext.push(0);
        assert_eq!(watch().push(&record(HANDSHAKE, &ciphertext)), Ok(()));
    }

    #[test]
    fn what_is_no_record_does_not_pass() {
        for bytes in [&b"GET / HTTP/1.1\r\n"[..], &[25, 3, 3, 0, 1], &[23, 2], &[23, 3, 3, 0xff, 0xff]] {
            let mut watch = watch();
            watch.push(&record(23, b"x")).unwrap();
            assert_eq!(watch.push(bytes), Err(Refused::NotTls), "{bytes:?}");
        }
    }
}
