//! 127.0.0.1:4180 to the gate's socket, byte for byte: nothing is parsed, added or kept, so that whatever a client
//! speaks is what the gate hears.

use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::Instant;

use super::gate_client::GateClient;

/// Connections at a time; the next one waits in the kernel's backlog. Two buffers of 8 KiB each.
const CONCURRENT: usize = 128;
/// A gate that restarts is away for a moment; a client should notice no more than a pause.
const GATE_AWAY: Duration = Duration::from_secs(10);

/// Forwards every connection that `listener` accepts. Never returns.
pub(crate) async fn serve(listener: TcpListener, gate: GateClient) {
    let seats = Arc::new(Semaphore::new(CONCURRENT));
    loop {
        let Ok(seat) = Arc::clone(&seats).acquire_owned().await else { return };
        match listener.accept().await {
            Ok((client, _)) => {
                let gate = gate.clone();
                tokio::spawn(async move {
                    forward(client, &gate).await;
                    drop(seat);
                });
            }
            // Out of descriptors, most likely: accepting at once again would only spin.
            Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
        }
    }
}

/// A gate that stays away closes the connection: the client sees what it would see of any server that is down.
async fn forward(mut client: TcpStream, gate: &GateClient) {
    let Ok(mut upstream) = gate.connect(Instant::now() + GATE_AWAY).await else { return };
    // Head and body written apart would wait 40 ms for a delayed acknowledgement.
    let _ = client.set_nodelay(true);
    // A broken connection is the two ends' business; both see it close.
    let _ = tokio::io::copy_bidirectional(&mut client, &mut upstream).await;
}
