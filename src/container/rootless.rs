//! An Engine without root lives in a user namespace that its user made: root in there is that user, and every other id
//! is one of the ids that `/etc/subuid` sets aside for them. Who takes part in the namespace can give files to each of
//! these ids and take them back, which is all that an Engine's operator needs root for; and has no right over anything
//! that its user did not have before, by newuidmap(1).

use std::fs::File;
use std::os::fd::AsFd as _;
use std::path::PathBuf;

use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use super::engine::engine_socket;

/// Where the Engine of this process is one without root, of this very user: goes into its user namespace, and stays
/// there with all that it starts. This process may have no other thread yet. Where anything of that does not hold,
/// nothing happens, and [`super::Engine::remap`] says what is wrong.
pub fn take_part() {
    let _ = join();
}

fn join() -> Option<()> {
    let own = rustix::process::geteuid();
    // Root needs no namespace for this, and in one it is who has gone there already.
    if own.is_root() {
        return None;
    }
    let engine = namespace_of(listener(own)?);
    if std::fs::read_link(&engine).ok()? == std::fs::read_link(namespace_of("self")).ok()? {
        return None;
    }
    let namespace = File::open(engine).ok()?;
    move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::User)).ok()
}

/// The process that listens on the Engine's socket, if it is `own`'s.
fn listener(own: rustix::process::Uid) -> Option<i32> {
    let address = SocketAddrUnix::new(engine_socket()?).ok()?;
    // An Engine that hangs is not waited for.
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None).ok()?;
    rustix::net::connect(&socket, &address).ok()?;
    let peer = rustix::net::sockopt::socket_peercred(&socket).ok()?;
    (peer.uid == own).then(|| peer.pid.as_raw_nonzero().get())
}

fn namespace_of(process: impl std::fmt::Display) -> PathBuf {
    format!("/proc/{process}/ns/user").into()
}

/// Whether process `pid` takes part in the user namespace of this one, and that is not the machine's own. One that has
/// ended is nobody; `None`.
pub(super) fn is_shared_with(pid: u32) -> Option<bool> {
    let theirs = match std::fs::read_link(namespace_of(pid)) {
        Ok(theirs) => theirs,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return None,
        // Of another namespace, then: within its own this process may look at everybody.
        Err(_) => return Some(false),
    };
    let own = std::fs::read_link(namespace_of("self")).ok();
    Some(crate::user_namespace::ids().is_some() && own == Some(theirs))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn on_an_ordinary_machine_nothing_is_shared() {
        // The tests' own user namespace may be a container's.
        assert_eq!(is_shared_with(std::process::id()), Some(crate::user_namespace::ids().is_some()));
        assert_eq!(is_shared_with(u32::MAX), None);
    }
}
