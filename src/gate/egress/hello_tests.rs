#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use proptest::prelude::*;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, RootCertStore};

use super::{ECH, ESNI, Hello, Unfit};

/// What is read of a hello, wherever it ends.
fn read(bytes: &[u8]) -> Result<Option<Hello>, Unfit> {
    Ok(super::read(bytes)?.map(|(hello, _)| hello))
}

/// The first flight of a real client.
pub(crate) fn hello(name: &'static str) -> Vec<u8> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = config.with_root_certificates(RootCertStore::empty()).with_no_client_auth();
    let mut client = ClientConnection::new(Arc::new(config), ServerName::try_from(name).unwrap()).unwrap();
    let mut bytes = Vec::new();
    client.write_tls(&mut bytes).unwrap();
    bytes
}

/// The handshake message of a hello in one record.
pub(crate) fn message(hello: &[u8]) -> &[u8] {
    &hello[5..]
}

/// A handshake message in records of the given sizes, and one of the rest.
pub(crate) fn records(message: &[u8], sizes: &[usize]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = message;
    for size in sizes.iter().copied().chain([usize::MAX]) {
        let (now, later) = rest.split_at(size.min(rest.len()));
        if now.is_empty() {
            break;
        }
        bytes.extend([22, 3, 1]);
        bytes.extend(u16::try_from(now.len()).unwrap().to_be_bytes());
        bytes.extend(now);
        rest = later;
    }
    bytes
}

/// A hello with exactly these extensions.
fn made(extensions: &[(u16, Vec<u8>)]) -> Vec<u8> {
    let mut listed = Vec::new();
    for (kind, data) in extensions {
        listed.extend(kind.to_be_bytes());
        listed.extend(u16::try_from(data.len()).unwrap().to_be_bytes());
        listed.extend(data);
    }
    let mut body = vec![3, 3];
    body.extend([7; 32]);
    body.extend([0, 0, 2, 0x13, 1, 1, 0]);
    body.extend(u16::try_from(listed.len()).unwrap().to_be_bytes());
    body.extend(listed);
    let mut message = vec![1];
    message.extend(&u32::try_from(body.len()).unwrap().to_be_bytes()[1..]);
    message.extend(body);
    records(&message, &[])
}

/// The data of a `server_name` with these entries.
fn names(entries: &[(u8, &[u8])]) -> Vec<u8> {
    let mut list = Vec::new();
    for (kind, name) in entries {
        list.push(*kind);
        list.extend(u16::try_from(name.len()).unwrap().to_be_bytes());
        list.extend(*name);
    }
    let mut data = u16::try_from(list.len()).unwrap().to_be_bytes().to_vec();
    data.extend(list);
    data
}

fn asks(name: &str) -> Hello {
    Hello { name: Some(name.to_owned()), encrypted: false }
}

#[test]
fn a_real_hello_is_read_with_its_name() {
    assert_eq!(read(&hello("api.example.org")), Ok(Some(asks("api.example.org"))));
    // To an address, a client asks for no name.
    assert_eq!(read(&hello("127.0.0.1")), Ok(Some(Hello { name: None, encrypted: false })));
    let made = made(&[(0, names(&[(0, b"a.example")]))]);
    assert_eq!(read(&made), Ok(Some(asks("a.example"))));
}

#[test]
fn what_a_server_might_read_in_another_way_is_malformed() {
    let name = || names(&[(0, b"a.example")]);
    for (what, bytes) in [
        ("two names", made(&[(0, names(&[(0, b"a.example"), (0, b"b.example")]))])),
        ("two name lists", made(&[(0, name()), (0, names(&[(0, b"b.example")]))])),
        ("another kind of name", made(&[(0, names(&[(1, b"a.example")]))])),
        ("an empty name", made(&[(0, names(&[(0, b"")]))])),
        ("an empty list", made(&[(0, vec![0, 0])])),
        ("bytes behind the list", made(&[(0, [name(), vec![0]].concat())])),
        ("a NUL in the name", made(&[(0, names(&[(0, b"a.example\0.b")]))])),
        ("a space in the name", made(&[(0, names(&[(0, b"a.example b")]))])),
        ("a name that is too long", made(&[(0, names(&[(0, &[b'a'; 254])]))])),
        ("another handshake message", records(&[2, 0, 0, 1, 0], &[])),
        ("another type in the middle", {
            let mut bytes = records(message(&hello("a.example")), &[50]);
            bytes[5 + 50] = 23;
            bytes
        }),
        ("a message behind the hello", {
            let whole = hello("a.example");
            records(&[message(&whole), message(&whole)].concat(), &[])
        }),
    ] {
        assert_eq!(read(&bytes), Err(Unfit::Malformed), "{what}");
    }
}

#[test]
fn an_encrypted_name_is_noticed() {
    for kind in [ECH, ESNI] {
        let made = made(&[(0, names(&[(0, b"a.example")])), (kind, vec![0])]);
        assert!(read(&made).unwrap().unwrap().encrypted);
    }
}

#[test]
fn other_protocols_are_not_tls() {
    for bytes in
        [&b"GET / HTTP/1.1\r\n"[..], b"SSH-2.0-x\r\n", b"\x00\x00\x00\x08\x04\xd2\x16\x2f", b"\x80\x2e\x01\x03\x01"]
    {
        assert_eq!(read(bytes), Err(Unfit::NotTls), "{bytes:?}");
    }
    assert_eq!(read(&[22, 2, 0]), Err(Unfit::NotTls));
    assert_eq!(read(&[22, 3, 1, 0x7f, 0xff]), Err(Unfit::NotTls));
    assert_eq!(read(&[22, 3, 1, 0, 0]), Err(Unfit::NotTls));
}

proptest! {
    /// However it is cut into records, and however much of it is there, a hello is read the same or not yet.
    #[test]
    fn cutting_changes_nothing(sizes in prop::collection::vec(1usize..80, 0..40), at in any::<prop::sample::Index>()) {
        let bytes = records(message(&hello("api.example.org")), &sizes);
        prop_assert_eq!(read(&bytes), Ok(Some(asks("api.example.org"))));
        // And what comes behind it is not taken for a part of it.
        let more = [&bytes[..], b"more"].concat();
        prop_assert_eq!(super::read(&more).unwrap().unwrap().1, bytes.len());
        let part = &bytes[..at.index(bytes.len())];
        prop_assert_eq!(read(part), Ok(None));
    }

    /// A changed byte never turns the name into another one unnoticed: it is read as what stands there, or not at all.
    #[test]
    fn a_changed_hello_is_read_as_what_it_is(at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let mut bytes = hello("api.example.org");
        let at = at.index(bytes.len());
        bytes[at] = byte;
        if let Ok(Some(Hello { name: Some(name), .. })) = read(&bytes) {
            prop_assert!(bytes.windows(name.len()).any(|window| window == name.as_bytes()));
        }
    }

    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..300), like in any::<bool>()) {
        let mut bytes = bytes;
        if like && bytes.len() > 9 {
            bytes[..6].copy_from_slice(&[22, 3, 1, 0, 200, 1]);
        }
        let _ = read(&bytes);
    }

    /// Nobody is made to hold more than the largest hello.
    #[test]
    fn it_comes_to_an_end(size in 1usize..1000) {
        let mut message = vec![1, 0, 0xff, 0xff];
        message.resize(80_000, 0);
        let sizes = vec![size; 80_000 / size];
        prop_assert!(read(&records(&message[..70_000], &sizes)).is_err());
    }
}
