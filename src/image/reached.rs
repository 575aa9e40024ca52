//! Whether something in a container without a network tried to reach one, by what the kernel counted in the container's
//! network namespace: no program of the container is asked, and none can take a count back.

use std::fs;
use std::path::Path;

/// How often something was sent to where no route leads (addresses, and names, which are asked of a server), or to a port
/// of the container's own where nobody listens. `None` where process `pid` cannot be looked at from here, or is not
/// in a namespace without a network.
///
/// An address of version 6 in a namespace without that version is refused before it is counted.
pub(super) fn attempts(pid: i64) -> Option<u64> {
    let net = Path::new("/proc").join(pid.to_string()).join("net");
    let devices = fs::read_to_string(net.join("dev")).ok()?;
    if !has_loopback_only(&devices) {
        return None;
    }
    let four = fs::read_to_string(net.join("snmp")).ok()?;
    let six = fs::read_to_string(net.join("snmp6")).unwrap_or_default();
    Some(counted(&four, &six))
}

/// Ends of tunnels that some kernels put into each namespace; they are down and lead nowhere.
const OF_TUNNELS: [&str; 11] = [
    "tunl0",
    "gre0",
    "gretap0",
    "erspan0",
    "ip_vti0",
    "ip6_vti0",
    "sit0",
    "ip6tnl0",
    "ip6gre0",
    "ip6gretap0",
    "ip6erspan0",
];

/// Whether `/proc/net/dev` has no interface that leads anywhere.
fn has_loopback_only(devices: &str) -> bool {
    let names = devices.lines().filter_map(|line| line.split_once(':')).map(|(name, _)| name.trim());
    let mut names = names.filter(|name| !OF_TUNNELS.contains(name));
    names.next() == Some("lo") && names.next().is_none()
}

/// What `/proc/net/snmp` (pairs of lines: names, values) and `/proc/net/snmp6` (a name and a value a line) counted.
fn counted(four: &str, six: &str) -> u64 {
    let lines: Vec<&str> = four.lines().collect();
    let value = |protocol: &str, name: &str| {
        let pair = lines.windows(2).find(|pair| pair.iter().all(|line| line.starts_with(protocol)))?;
        let at = pair[0].split_whitespace().position(|word| word == name)?;
        pair[1].split_whitespace().nth(at)?.parse::<u64>().ok()
    };
    let of_six = |name: &str| {
        let line = six.lines().find_map(|line| line.strip_prefix(name).filter(|rest| rest.starts_with([' ', '\t'])))?;
        line.trim().parse::<u64>().ok()
    };
    let all = [value("Ip:", "OutNoRoutes"), value("Udp:", "NoPorts"), of_six("Ip6OutNoRoutes"), of_six("Udp6NoPorts")];
    all.into_iter().flatten().fold(0, u64::saturating_add)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FOUR: &str = "Ip: Forwarding DefaultTTL OutRequests OutNoRoutes ReasmTimeout\nIp: 1 64 7 3 0\n\
                        Icmp: InMsgs\nIcmp: 9\nUdp: InDatagrams NoPorts InErrors\nUdp: 5 2 0\n\
                        UdpLite: InDatagrams NoPorts\nUdpLite: 8 8\n";

    #[test]
    fn what_no_route_led_to_and_nobody_listened_for_is_counted() {
        assert_eq!(counted(FOUR, ""), 5);
        assert_eq!(counted(FOUR, "Ip6OutNoRoutes                  \t4\nUdp6NoPorts\t1\nUdp6NoPortsElse 9\n"), 10);
        assert_eq!(counted("", ""), 0);
        assert_eq!(counted("Ip: OutNoRoutes\nIp: many\n", "Ip6OutNoRoutes -1\n"), 0);
        assert_eq!(counted(&format!("Ip: OutNoRoutes\nIp: {}\nUdp: NoPorts\nUdp: 9\n", u64::MAX), ""), u64::MAX);
    }

    #[test]
    fn a_namespace_with_an_interface_is_none_without_a_network() {
        let head = "Inter-|   Receive  |  Transmit\n face |bytes    packets|bytes\n";
        assert!(has_loopback_only(&format!(
            "{head}    lo:  1 2\n{}",
            OF_TUNNELS.map(|name| format!(" {name}: 0 0\n")).concat()
        )));
        assert!(!has_loopback_only(&format!("{head}    lo:  1 2\n  eth0: 0 0\n")));
        assert!(!has_loopback_only(head));
    }
}
