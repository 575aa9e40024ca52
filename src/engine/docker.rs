//! The Engine and the runtime its calls need, made when the first call is made: a tick that finds nothing to do, and
//! a command that only reads, pay for neither.

use std::cell::OnceCell;
use std::future::Future;
use std::path::PathBuf;

use crate::container::Engine;

use super::error::Error;

#[derive(Default)]
pub(crate) struct Docker {
    parts: OnceCell<(tokio::runtime::Runtime, Engine)>,
    /// Its socket, if not that of `DOCKER_HOST`.
    socket: Option<PathBuf>,
}

impl Docker {
    /// The Engine behind this socket, whatever `DOCKER_HOST` says.
    pub(crate) fn at(socket: PathBuf) -> Self {
        Self { parts: OnceCell::new(), socket: Some(socket) }
    }

    fn parts(&self) -> Result<&(tokio::runtime::Runtime, Engine), Error> {
        if let Some(parts) = self.parts.get() {
            return Ok(parts);
        }
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Error::Runtime)?;
        let engine = {
            let _inside = runtime.enter();
            match &self.socket {
                Some(socket) => Engine::connect_at(socket.clone())?,
                None => Engine::connect()?,
            }
        };
        Ok(self.parts.get_or_init(|| (runtime, engine)))
    }

    pub(crate) fn engine(&self) -> Result<&Engine, Error> {
        Ok(&self.parts()?.1)
    }

    /// Runs `call` to its end.
    pub(crate) fn wait<'a, T, E, F>(&'a self, call: impl FnOnce(&'a Engine) -> F) -> Result<T, Error>
    where
        F: Future<Output = Result<T, E>> + 'a,
        Error: From<E>,
    {
        let (runtime, engine) = self.parts()?;
        Ok(runtime.block_on(call(engine))?)
    }
}
