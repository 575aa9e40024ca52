//! The name in a TLS ClientHello (RFC 8446, section 4.1.2; RFC 6066, section 3). Reads only what comes in the clear, and
//! takes nothing for a hello that a server might read in another way.

/// What a ClientHello says of the server it wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Hello {
    /// The one name in `server_name`.
    pub(crate) name: Option<String>,
    /// It carries another name, encrypted: ECH, or ESNI before it.
    pub(crate) encrypted: bool,
}

/// Why the bytes are no hello.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unfit {
    NotTls,
    Malformed,
}

/// The largest plaintext of a record (RFC 8446, section 5.1), in bytes.
const RECORD: usize = 1 << 14;
/// The largest hello that is looked at, in bytes: real ones have two thousand, and each is read anew as it grows.
const LARGEST: usize = 16 * 1024;
const HANDSHAKE: u8 = 22;
const CLIENT_HELLO: u8 = 1;
const SERVER_NAME: u16 = 0;
const ESNI: u16 = 0xffce;
const ECH: u16 = 0xfe0d;
/// The longest name that DNS has.
const LONGEST: usize = 253;

/// Reads the hello at the beginning of a connection, and where it ends; `None` if more bytes are needed.
///
/// # Errors
/// [`Unfit`], as soon as that is certain.
pub(crate) fn read(bytes: &[u8]) -> Result<Option<(Hello, usize)>, Unfit> {
    let mut message = Vec::new();
    let mut rest = bytes;
    loop {
        if message.len() > LARGEST {
            return Err(Unfit::Malformed);
        }
        if let Some(hello) = whole(&message)? {
            return Ok(Some((hello, bytes.len() - rest.len())));
        }
        let unfit = if message.is_empty() { Unfit::NotTls } else { Unfit::Malformed };
        if rest.first().is_some_and(|kind| *kind != HANDSHAKE) || rest.get(1).is_some_and(|major| *major != 3) {
            return Err(unfit);
        }
        let Some((head, after)) = rest.split_at_checked(5) else { return Ok(None) };
        let length = usize::from(u16::from_be_bytes([head[3], head[4]]));
        if length == 0 || length > RECORD {
            return Err(unfit);
        }
        // The type of the message is known before all of its record is there.
        if message.is_empty() && after.first().is_some_and(|kind| *kind != CLIENT_HELLO) {
            return Err(Unfit::Malformed);
        }
        let Some((fragment, after)) = after.split_at_checked(length) else { return Ok(None) };
        message.extend_from_slice(fragment);
        rest = after;
    }
}

/// The hello in a handshake message; `None` if it is not all there.
///
/// # Errors
/// [`Unfit::Malformed`] if it is none.
pub(crate) fn whole(message: &[u8]) -> Result<Option<Hello>, Unfit> {
    let Some((head, body)) = message.split_at_checked(4) else { return Ok(None) };
    if head[0] != CLIENT_HELLO {
        return Err(Unfit::Malformed);
    }
    let length = usize::from(head[1]) << 16 | usize::from(head[2]) << 8 | usize::from(head[3]);
    match body.len() {
        _ if length > LARGEST => Err(Unfit::Malformed),
        have if have < length => Ok(None),
        // Nothing follows a hello in its record.
        have if have > length => Err(Unfit::Malformed),
        _ => parse(body).map(Some).ok_or(Unfit::Malformed),
    }
}

fn parse(body: &[u8]) -> Option<Hello> {
    let mut reader = Reader(body);
    reader.take(2 + 32)?;
    reader.short_list()?;
    reader.list()?;
    reader.short_list()?;
    let mut hello = Hello { name: None, encrypted: false };
    if reader.0.is_empty() {
        return Some(hello);
    }
    let mut extensions = Reader(reader.list()?);
    if !reader.0.is_empty() {
        return None;
    }
    let mut seen = std::collections::HashSet::new();
    while !extensions.0.is_empty() {
        let (kind, data) = (extensions.number()?, extensions.list()?);
        // A server takes the first of two, or the last.
        if !seen.insert(kind) {
            return None;
        }
        match kind {
            SERVER_NAME => hello.name = Some(server_name(data)?),
            ECH | ESNI => hello.encrypted = true,
            _ => {}
        }
    }
    Some(hello)
}

fn server_name(data: &[u8]) -> Option<String> {
    let mut reader = Reader(data);
    let mut names = Reader(reader.list()?);
    let kind = names.take(1)?;
    let name = names.list()?;
    let alone = reader.0.is_empty() && names.0.is_empty();
    // Printable and without white space, since it stands in records.
    let plain = !name.is_empty() && name.len() <= LONGEST && name.iter().all(u8::is_ascii_graphic);
    if kind != [0] || !alone || !plain {
        return None;
    }
    String::from_utf8(name.to_vec()).ok()
}

/// Bytes from the front, by the lengths that TLS writes before them.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (front, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(front)
    }

    fn number(&mut self) -> Option<u16> {
        self.take(2).map(|bytes| u16::from_be_bytes([bytes[0], bytes[1]]))
    }

    fn list(&mut self) -> Option<&'a [u8]> {
        let length = self.number()?;
        self.take(length.into())
    }

    fn short_list(&mut self) -> Option<&'a [u8]> {
        let length = self.take(1)?[0];
        self.take(length.into())
    }
}

#[cfg(test)]
#[path = "hello_tests.rs"]
pub(super) mod tests;
