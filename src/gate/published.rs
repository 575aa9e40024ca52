//! A port of the host's 127.0.0.1 for what is deployed. Who connects to it is put through to the application over a
//! connection that the deployment's shim holds ready: its container has no network, and nothing of it listens on the
//! host. Every byte passes, whatever it says; every connection is on record before the first one does.

mod tally;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::{Mutex, OwnedSemaphorePermit, Semaphore, mpsc};

use super::egress::{Counted, Counts, Leash};
use super::front::Front;
use super::policy::{Attempt, Grant};
use super::shared::Gate;
use super::socket::Socket;
use tally::Tally;

/// How many connections are put through at once; the next ones wait in the kernel's backlog.
const MOST: usize = 256;
/// How many the shim may hold ready.
const MOST_READY: usize = 16;
/// How long somebody who came waits for the application.
const PATIENCE: Duration = Duration::from_secs(15);

type Ready = TokioIo<Upgraded>;

/// Connections that the shim holds ready.
pub(crate) struct Offers {
    room: Arc<Semaphore>,
    sender: mpsc::UnboundedSender<(Ready, OwnedSemaphorePermit)>,
    receiver: Mutex<mpsc::UnboundedReceiver<(Ready, OwnedSemaphorePermit)>>,
}

impl Default for Offers {
    fn default() -> Self {
        // Bounded by the room.
        let (sender, receiver) = mpsc::unbounded_channel();
        Self { room: Arc::new(Semaphore::new(MOST_READY)), sender, receiver: Mutex::new(receiver) }
    }
}

/// Room for one more.
pub(crate) struct Place {
    seat: OwnedSemaphorePermit,
    sender: mpsc::UnboundedSender<(Ready, OwnedSemaphorePermit)>,
}

impl Offers {
    /// Room for one more connection, if there is any.
    pub(crate) fn place(&self) -> Option<Place> {
        let seat = self.room.clone().try_acquire_owned().ok()?;
        Some(Place { seat, sender: self.sender.clone() })
    }

    /// A connection behind which the application has taken `client`'s.
    async fn take(&self) -> Result<Ready, &'static str> {
        loop {
            let (mut ready, seat) = self.receiver.lock().await.recv().await.ok_or("no_application")?;
            drop(seat);
            // One whose shim went away, or was restarted, is passed over.
            let mut answer = [0];
            let heard = async {
                ready.write_all(&[1]).await?;
                ready.read_exact(&mut answer).await
            };
            match heard.await {
                Ok(_) if answer == [1] => return Ok(ready),
                Ok(_) => return Err("refused"),
                Err(_) => {}
            }
        }
    }
}

impl Place {
    /// Puts the connection there once it is one.
    pub(crate) async fn keep(self, upgrade: OnUpgrade) {
        if let Ok(upgraded) = upgrade.await {
            let _ = self.sender.send((TokioIo::new(upgraded), self.seat));
        }
    }
}

/// Puts through who comes, until the grant is taken back or the task is aborted.
pub(crate) async fn serve(gate: Arc<Gate>, socket: Arc<Socket>, front: Front) {
    let seats = Arc::new(Semaphore::new(MOST));
    let tally = Arc::new(Tally::default());
    let mut attempts = socket.attempts();
    loop {
        let Some(grant) = grant_of(&attempts.borrow_and_update()) else { return };
        let Ok(seat) = seats.clone().acquire_owned().await else { return };
        tokio::select! {
            biased;
            changed = attempts.changed() => if changed.is_err() { return },
            accepted = front.accept() => match accepted {
                // On its own, so that its end is on record whatever ends it.
                Ok((client, from)) => drop(tokio::spawn(pass(gate.clone(), socket.clone(), grant, client, from, seat, tally.clone()))),
                // Out of descriptors, most likely: those who have some will give them back.
                Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
            },
        }
    }
}

fn grant_of(attempt: &Attempt) -> Option<Grant> {
    attempt.publish.and_then(|_| attempt.grants.first().cloned())
}

async fn pass(
    gate: Arc<Gate>,
    socket: Arc<Socket>,
    grant: Grant,
    client: TcpStream,
    from: SocketAddr,
    seat: OwnedSemaphorePermit,
    tally: Arc<Tally>,
) {
    let begun = Instant::now();
    let attempt = socket.attempt();
    let mut leash = Leash::on(&gate, &socket, std::slice::from_ref(&grant), seat);
    if leash.holds().is_err() {
        return;
    }
    // What cannot be put on record does not happen.
    let Some(entered) = tally.enter(&gate, &socket, &grant, from).await else { return };
    let _ = client.set_nodelay(true);
    let counts = Counts::default();
    let verdict = {
        let mut client = Counted::new(client, counts.clone());
        tokio::select! {
            biased;
            why = leash.pulled() => why,
            verdict = through(&socket, &mut client) => verdict,
        }
    };
    entered.end(&gate, &attempt, verdict, counts.now(), begun.elapsed()).await;
    drop(leash);
}

async fn through(socket: &Socket, client: &mut Counted) -> &'static str {
    let mut application = match tokio::time::timeout(PATIENCE, socket.offers.take()).await {
        Ok(Ok(ready)) => ready,
        Ok(Err(why)) => return why,
        Err(_) => return "no_application",
    };
    // A connection that breaks is the two ends' business.
    let _ = tokio::io::copy_bidirectional(client, &mut application).await;
    "closed"
}
