//! What was cut and has not ended yet: a policy is in force when nothing is left of what it takes away.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::Instant;

use super::socket::Socket;
use crate::run::id::RequestId;

/// How long it may take before that is said.
const PATIENCE: Duration = Duration::from_secs(5);

/// Everything that is still to end. Nobody waits for one of it: the gate goes on looking.
#[derive(Default)]
pub(super) struct Ending {
    tasks: JoinSet<u64>,
    /// What each is, in words, and since when.
    under_way: BTreeMap<u64, (String, Instant)>,
    next: u64,
}

impl Ending {
    /// All that `socket` had open is to end; `what` says so should it last.
    pub(super) fn of_socket(&mut self, socket: &Arc<Socket>, what: String) {
        let socket = socket.clone();
        self.add(what, async move { socket.drained().await });
    }

    /// What is connected by the grant of `request` is to end.
    pub(super) fn of_grant(&mut self, socket: &Arc<Socket>, request: &RequestId) {
        let what = format!("a connection by the grant of {request} is still under way");
        let (socket, request) = (socket.clone(), request.clone());
        self.add(what, async move { socket.has_left(&request).await });
    }

    fn add(&mut self, what: String, ended: impl Future<Output = ()> + Send + 'static) {
        let id = self.next;
        self.next += 1;
        self.under_way.insert(id, (what, Instant::now()));
        self.tasks.spawn(async move {
            ended.await;
            id
        });
    }

    /// Whether something has not ended yet, and what of it takes longer than it may.
    pub(super) fn look(&mut self) -> (bool, Vec<String>) {
        while let Some(ended) = self.tasks.try_join_next() {
            self.forget(ended);
        }
        let late = self.under_way.values().filter(|(_, since)| since.elapsed() >= PATIENCE);
        (!self.under_way.is_empty(), late.map(|(what, _)| what.clone()).collect())
    }

    /// Returns when one more has ended; never, while there is none.
    pub(super) async fn changed(&mut self) {
        match self.tasks.join_next().await {
            Some(ended) => self.forget(ended),
            None => std::future::pending().await,
        }
    }

    /// Waits until all of it has ended.
    pub(super) async fn all(&mut self) {
        while self.tasks.join_next().await.is_some() {}
    }

    fn forget(&mut self, ended: Result<u64, tokio::task::JoinError>) {
        // A task of ours neither panics nor is aborted; if one did, what it waited for stays under way.
        if let Ok(id) = ended {
            self.under_way.remove(&id);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::gate::policy::Attempt;

    #[tokio::test]
    async fn what_does_not_end_is_under_way_and_said_however_often_it_is_looked_at() {
        let mut ending = Ending::default();
        let (end, ended) = tokio::sync::oneshot::channel::<()>();
        ending.add("a request".to_owned(), async move { ended.await.unwrap() });
        assert_eq!(ending.look(), (true, Vec::new()));
        let Some((_, since)) = ending.under_way.get_mut(&0) else { panic!("it is gone") };
        *since = since.checked_sub(PATIENCE).unwrap();
        for _ in 0..3 {
            assert_eq!(ending.look(), (true, vec!["a request".to_owned()]));
        }
        end.send(()).unwrap();
        ending.changed().await;
        assert_eq!(ending.look(), (false, Vec::new()));
    }

    #[tokio::test]
    async fn a_cut_waits_for_who_was_there_and_for_nobody_who_came_later() {
        let attempt: Attempt =
            serde_json::from_str(r#"{"socket": "a1", "node": "n", "attempt": 1, "deadline": "2100-01-01T00:00:00Z"}"#)
                .unwrap();
        let socket = Arc::new(Socket::new(attempt));
        let (before, mut ending) = (socket.upstream(), Ending::default());
        socket.cut();
        let after = socket.upstream();
        ending.of_socket(&socket, "before".to_owned());
        assert!(ending.look().0);
        drop(before);
        ending.changed().await;
        assert!(!ending.look().0, "who came after the cut is in nobody's way");
        drop(after);
    }
}
