//! What is deployed, offered to who comes to its port: connections to the gate are held ready, and each that the gate
//! makes use of is put through to the application on 127.0.0.1.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpStream, UnixStream};
use tokio::sync::Semaphore;
use tokio::time::Instant;

use super::gate_client::GateClient;

/// How many connections are held ready.
const READY: usize = 8;
/// How long a gate that is away is waited for before it is tried again, and the pause between two tries.
const PATIENCE: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_millis(200);
/// How long an application that has only begun may take to listen.
const BEGINNING: Duration = Duration::from_secs(10);
/// The largest answer of the gate's, in bytes.
const LARGEST_HEAD: usize = 16 * 1024;
const OFFER: &[u8] =
    b"GET /taskforge/v1/published HTTP/1.1\r\nhost: gate.taskforge\r\nconnection: upgrade\r\nupgrade: taskforge\r\n\r\n";

/// Holds connections ready for the application on `port`. Never returns.
pub(crate) async fn keep(gate: GateClient, port: u16) {
    let ready = Arc::new(Semaphore::new(READY));
    loop {
        let Ok(seat) = ready.clone().acquire_owned().await else { return };
        match offer(&gate).await {
            Ok(mut held) => drop(tokio::spawn(async move {
                // The gate's one byte: somebody has come.
                let mut word = [0];
                let come = held.read_exact(&mut word).await;
                drop(seat);
                if come.is_ok() {
                    let _ = put_through(held, port).await;
                }
            })),
            Err(_) => tokio::time::sleep(PAUSE).await,
        }
    }
}

async fn offer(gate: &GateClient) -> io::Result<UnixStream> {
    let mut stream = gate.connect(Instant::now() + PATIENCE).await.map_err(io::Error::other)?;
    stream.write_all(OFFER).await?;
    let mut head = Vec::new();
    // Nothing follows the head until somebody has come, and then one byte of the gate's, so that none is read too far.
    while !head.ends_with(b"\r\n\r\n") {
        if head.len() > LARGEST_HEAD {
            return Err(io::ErrorKind::InvalidData.into());
        }
        head.push(stream.read_u8().await?);
    }
    if head.starts_with(b"HTTP/1.1 101 ") { Ok(stream) } else { Err(io::ErrorKind::ConnectionRefused.into()) }
}

async fn put_through(mut held: UnixStream, port: u16) -> io::Result<()> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let until = Instant::now() + BEGINNING;
    let application = loop {
        match TcpStream::connect(address).await {
            Ok(stream) => break Some(stream),
            Err(_) if Instant::now() < until => tokio::time::sleep(PAUSE / 4).await,
            Err(_) => break None,
        }
    };
    let Some(mut application) = application else { return held.write_all(&[0]).await };
    let _ = application.set_nodelay(true);
    held.write_all(&[1]).await?;
    tokio::io::copy_bidirectional(&mut held, &mut application).await.map(drop)
}
