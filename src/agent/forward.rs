//! 127.0.0.1:4180 to the gate's socket, byte for byte: nothing is parsed, added or kept, so that whatever a client
//! speaks is what the gate hears. And what is granted as `tcp:`, through a tunnel that the gate opens.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::sync::Semaphore;
use tokio::time::Instant;

use super::gate_client::GateClient;

/// Connections at a time; the next one waits in the kernel's backlog. Two buffers of 8 KiB each.
const CONCURRENT: usize = 128;
/// A gate that restarts is away for a moment; a client should notice no more than a pause.
const GATE_AWAY: Duration = Duration::from_secs(10);

/// The largest answer to a CONNECT, in bytes.
const LARGEST_HEAD: usize = 16 * 1024;

/// Forwards every connection that `listener` accepts to the gate. Never returns.
pub(crate) async fn serve(listener: TcpListener, gate: GateClient) {
    accept(listener, gate, None).await;
}

/// Forwards every connection that `listener` accepts to `target` (`host:port`), by way of the gate. Never returns.
pub(crate) async fn serve_target(listener: TcpListener, gate: GateClient, target: String) {
    accept(listener, gate, Some(Arc::from(target))).await;
}

async fn accept(listener: TcpListener, gate: GateClient, target: Option<Arc<str>>) {
    let seats = Arc::new(Semaphore::new(CONCURRENT));
    loop {
        let Ok(seat) = Arc::clone(&seats).acquire_owned().await else { return };
        match listener.accept().await {
            Ok((client, _)) => {
                let (gate, target) = (gate.clone(), target.clone());
                tokio::spawn(async move {
                    forward(client, &gate, target.as_deref()).await;
                    drop(seat);
                });
            }
            // Out of descriptors, most likely: accepting at once again would only spin.
            Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
        }
    }
}

/// A gate that stays away closes the connection: the client sees what it would see of any server that is down.
async fn forward(mut client: TcpStream, gate: &GateClient, target: Option<&str>) {
    let Ok(mut upstream) = gate.connect(Instant::now() + GATE_AWAY).await else { return };
    // Head and body written apart would wait 40 ms for a delayed acknowledgement.
    let _ = client.set_nodelay(true);
    if let Some(target) = target
        && !matches!(tunnel(&mut client, &mut upstream, target).await, Ok(true))
    {
        return;
    }
    // A broken connection is the two ends' business; both see it close.
    let _ = tokio::io::copy_bidirectional(&mut client, &mut upstream).await;
}

/// Has the gate open a tunnel; whether it did. What of the target's own bytes came with the answer goes to the client.
async fn tunnel(client: &mut TcpStream, gate: &mut UnixStream, target: &str) -> io::Result<bool> {
    gate.write_all(format!("CONNECT {target} HTTP/1.1\r\nhost: {target}\r\n\r\n").as_bytes()).await?;
    let mut head = Vec::new();
    let end = loop {
        if let Some(at) = head.windows(4).position(|four| four == b"\r\n\r\n") {
            break at + 4;
        }
        if head.len() > LARGEST_HEAD || gate.read_buf(&mut head).await? == 0 {
            return Ok(false);
        }
    };
    let open = head.starts_with(b"HTTP/1.1 200 ");
    if open {
        client.write_all(&head[end..]).await?;
    }
    Ok(open)
}
