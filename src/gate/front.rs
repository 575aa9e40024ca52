//! Where those arrive who come to what is published: on the host's 127.0.0.1, or, in a network of the gate's own, where
//! the Engine brings them from there. Others on that network have no business here.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use tokio::net::{TcpListener, TcpStream};

/// The kernel's routes, `proc_net(5)`.
const ROUTES: &str = "/proc/net/route";

pub(super) struct Front {
    listener: TcpListener,
    /// Who alone is let in; none where only this machine gets here at all.
    only: Option<Ipv4Addr>,
}

impl Front {
    /// Listens on `port` of 127.0.0.1; with `bridged`, of all addresses, for what comes from the gateway of the network:
    /// the Engine's own forwarding.
    ///
    /// # Errors
    /// When it is somebody else's, or a network with a gateway is expected and there is none.
    pub(super) fn listen(port: u16, bridged: bool) -> io::Result<Self> {
        let only = bridged.then(gateway).transpose()?;
        let address = SocketAddr::from((if bridged { Ipv4Addr::UNSPECIFIED } else { Ipv4Addr::LOCALHOST }, port));
        let listener = std::net::TcpListener::bind(address)
            .map_err(|error| io::Error::new(error.kind(), format!("cannot listen on {address}: {error}")))?;
        listener.set_nonblocking(true)?;
        Ok(Self { listener: TcpListener::from_std(listener)?, only })
    }

    /// The next one who may come in. Others are hung up on: nothing of them gets any further.
    ///
    /// # Errors
    /// As of accept(2).
    pub(super) async fn accept(&self) -> io::Result<(TcpStream, SocketAddr)> {
        loop {
            let (client, from) = self.listener.accept().await?;
            if self.only.is_none_or(|only| from.ip() == IpAddr::V4(only)) {
                return Ok((client, from));
            }
        }
    }
}

fn gateway() -> io::Result<Ipv4Addr> {
    let routes = std::fs::read_to_string(ROUTES)?;
    gateway_of(&routes).ok_or_else(|| io::Error::other("the gate's network has no gateway"))
}

/// Where the default route of a table as the kernel shows it leads: addresses are hexadecimal in the machine's order.
fn gateway_of(routes: &str) -> Option<Ipv4Addr> {
    routes.lines().skip(1).find_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let [_, "00000000", gateway, .., "00000000", _, _, _] = fields[..] else { return None };
        let gateway = u32::from_str_radix(gateway, 16).ok().filter(|address| *address != 0)?;
        Some(Ipv4Addr::from(gateway.to_ne_bytes()))
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_default_route_says_who_the_gateway_is() {
        let table = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n\
                     eth0\t000011AC\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\t0\t0\n\
                     eth0\t00000000\t010011AC\t0003\t0\t0\t0\t00000000\t0\t0\t0\n";
        assert_eq!(gateway_of(table), Some(Ipv4Addr::new(172, 17, 0, 1)));
        let without = table.replace("010011AC", "00000000");
        assert_eq!((gateway_of(&without), gateway_of("")), (None, None));
        // Half of all addresses is not all of them.
        let half = table.replace("\t0003\t0\t0\t0\t00000000", "\t0003\t0\t0\t0\t00000080");
        assert_eq!(gateway_of(&half), None);
    }

    #[tokio::test]
    async fn who_is_not_the_gateway_is_hung_up_on() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let only = Some(Ipv4Addr::new(127, 0, 0, 9));
        let front = Front { listener: TcpListener::from_std(listener).unwrap(), only };
        let stranger = TcpStream::connect(address).await.unwrap();
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.9:0".parse().unwrap()).unwrap();
        let _welcome = socket.connect(address).await.unwrap();
        let (_client, from) = front.accept().await.unwrap();
        assert_eq!(from.ip().to_string(), "127.0.0.9");
        let mut byte = [0];
        stranger.readable().await.unwrap();
        assert!(!stranger.try_read(&mut byte).is_ok_and(|count| count > 0), "it was answered");
    }
}
