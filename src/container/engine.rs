//! The connection to the Docker Engine: a unix socket on this machine, paths without a version, so that the Engine
//! speaks its own. Nothing is negotiated: that would cost each command a request, and API 1.41 has all we use.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bollard::{ClientVersion, Docker};

use super::error::Error;

/// The API we are written for.
pub(crate) const API: ClientVersion = ClientVersion { major_version: 1, minor_version: 41 };

const DEFAULT_SOCKET: &str = "/var/run/docker.sock";

/// Seconds for an answer's first byte: a start on a busy machine takes some, an Engine that hangs takes for ever.
const TIMEOUT: u64 = 120;

/// Seconds for what moves a whole image.
const LONG_TIMEOUT: u64 = 900;

/// The local Engine. Cheap to make and to clone; each request is a connection of its own.
#[derive(Debug, Clone)]
pub struct Engine {
    docker: Docker,
    socket: PathBuf,
}

impl Engine {
    /// Finds the Engine where `DOCKER_HOST` says, else at `/var/run/docker.sock`. Sends nothing: an Engine that does
    /// not answer shows at the first request.
    ///
    /// # Errors
    /// [`Error::Remote`], [`Error::NotReachable`] or [`Error::PermissionDenied`].
    pub fn connect() -> Result<Self, Error> {
        let host = std::env::var_os("DOCKER_HOST");
        Self::connect_to(host.map(|host| host.to_string_lossy().into_owned()).as_deref())
    }

    /// As [`Engine::connect`], with the value of `DOCKER_HOST` given.
    ///
    /// # Errors
    /// As [`Engine::connect`].
    pub fn connect_to(host: Option<&str>) -> Result<Self, Error> {
        Self::connect_at(socket_of(host)?)
    }

    /// The Engine behind this socket.
    ///
    /// # Errors
    /// [`Error::NotReachable`] or [`Error::PermissionDenied`].
    pub fn connect_at(socket: PathBuf) -> Result<Self, Error> {
        if let Err(source) = std::fs::metadata(&socket) {
            return Err(unreachable(&socket, &source));
        }
        if let Err(errno) = rustix::fs::access(&socket, rustix::fs::Access::READ_OK | rustix::fs::Access::WRITE_OK) {
            return Err(unreachable(&socket, &io::Error::from(errno)));
        }
        let text = socket.to_string_lossy().into_owned();
        let docker = Docker::connect_with_unix(&text, TIMEOUT, &API)
            .map_err(|source| Error::NotReachable { socket: socket.clone(), reason: source.to_string() })?;
        Ok(Self { docker, socket })
    }

    /// The Engine's socket.
    #[must_use]
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// The library underneath, for requests that have no words here yet. Who makes a container with it has to send
    /// [`super::security_options`].
    #[must_use]
    pub const fn docker(&self) -> &Docker {
        &self.docker
    }

    /// The same Engine, for requests that take as long as an image is big.
    pub(crate) fn patient(&self) -> Docker {
        self.docker.clone().with_timeout(Duration::from_secs(LONG_TIMEOUT))
    }

    /// An error of the library as one of ours. `what` completes "refused to …".
    pub(crate) fn explain(&self, what: impl Into<String>, error: bollard::errors::Error) -> Error {
        use bollard::errors::Error as Bollard;
        let what = what.into();
        match error {
            Bollard::DockerResponseServerError { status_code, message } => {
                Error::Engine { what, status: status_code, message }
            }
            Bollard::RequestTimeoutError => Error::Timeout { what },
            Bollard::SocketNotFoundError(_) => {
                Error::NotReachable { socket: self.socket.clone(), reason: "there is no socket".to_owned() }
            }
            error => match io_cause(&error) {
                Some(source) if is_connect(source.kind()) => unreachable(&self.socket, source),
                _ => Error::Protocol { what, source: Box::new(error) },
            },
        }
    }
}

/// Where the Engine's socket is, as this process would look for it; none where `DOCKER_HOST` names none.
#[must_use]
pub fn engine_socket() -> Option<PathBuf> {
    socket_of(std::env::var("DOCKER_HOST").ok().as_deref()).ok()
}

fn socket_of(host: Option<&str>) -> Result<PathBuf, Error> {
    let Some(host) = host.filter(|host| !host.is_empty()) else {
        return Ok(PathBuf::from(DEFAULT_SOCKET));
    };
    let remote = |reason| Err(Error::Remote { host: host.to_owned(), reason });
    match host.split_once("://") {
        Some(("unix", path)) if path.starts_with('/') => Ok(PathBuf::from(path)),
        Some(("unix", _)) => remote("the path is not absolute"),
        Some(_) => remote("its mounts would be another machine's files"),
        None => remote("it is not of the form unix:///path"),
    }
}

const fn is_connect(kind: io::ErrorKind) -> bool {
    matches!(
        kind,
        io::ErrorKind::NotFound
            | io::ErrorKind::PermissionDenied
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::ConnectionReset
    )
}

fn unreachable(socket: &Path, source: &io::Error) -> Error {
    let socket = socket.to_path_buf();
    match source.kind() {
        io::ErrorKind::PermissionDenied => Error::PermissionDenied { socket },
        io::ErrorKind::NotFound => Error::NotReachable { socket, reason: "there is no socket".to_owned() },
        io::ErrorKind::ConnectionRefused => {
            Error::NotReachable { socket, reason: "nothing listens behind the socket".to_owned() }
        }
        _ => Error::NotReachable { socket, reason: source.to_string() },
    }
}

/// The library wraps a failed `connect` several layers deep.
fn io_cause(error: &bollard::errors::Error) -> Option<&io::Error> {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = cause {
        if let Some(io) = error.downcast_ref::<io::Error>() {
            return Some(io);
        }
        cause = match error.downcast_ref::<bollard::errors::Error>() {
            Some(bollard::errors::Error::HyperLegacyError { err }) => Some(err),
            Some(bollard::errors::Error::IOError { err }) => Some(err),
            _ => error.source(),
        };
    }
    None
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn where_the_engine_is() {
        let default = Path::new(DEFAULT_SOCKET);
        assert_eq!(socket_of(None).unwrap(), default);
        assert_eq!(socket_of(Some("")).unwrap(), default);
        assert_eq!(socket_of(Some("unix:///x/y.sock")).unwrap(), Path::new("/x/y.sock"));
        for remote in
            ["tcp://127.0.0.1:2375", "ssh://ada@host", "unix://relative", "http://x", "x", "npipe:////./pipe/d"]
        {
            assert!(matches!(socket_of(Some(remote)), Err(Error::Remote { .. })), "{remote}");
        }
    }

    #[test]
    fn an_absent_engine_says_how_to_get_one() {
        let error = Engine::connect_to(Some("unix:///nowhere/docker.sock")).unwrap_err();
        assert_eq!(
            error.to_string(),
            "the Docker Engine cannot be reached at `/nowhere/docker.sock`: there is no socket"
        );
        assert!(error.hints()[0].contains("apt-get install docker.io"));
        assert!(error.is_unreachable());
    }

    #[test]
    fn a_dead_socket_is_told_from_a_missing_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("d.sock");
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        let engine = Engine::connect_to(Some(&format!("unix://{}", path.display()))).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let error = runtime.block_on(engine.list("r")).unwrap_err();
        assert!(error.to_string().ends_with("nothing listens behind the socket"), "{error}");
        assert!(error.hints()[0].contains("systemctl start docker"));
    }
}
