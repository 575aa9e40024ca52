//! Which addresses are not an ordinary host of the Internet. Nothing is connected to one of these on the strength of a
//! name: whoever may make a name point somewhere must not thereby choose what is reached behind the gate.
//!
//! The ranges are those of the IANA special-purpose registries (RFC 6890 and its updates).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Why an address is special.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Special {
    /// This host.
    Loopback,
    /// The local link; clouds answer for metadata there.
    LinkLocal,
    /// A private network, unique local addresses and the old site-local ones among them.
    Private,
    /// The space that carriers share (RFC 6598).
    Shared,
    Multicast,
    Unspecified,
    /// An IPv6 address with an IPv4 address inside: mapped, compatible, 6to4, NAT64 or Teredo.
    Embedded,
    /// For documentation, benchmarks, protocols or the future; no host has it.
    Reserved,
}

impl Special {
    /// As it stands in a sentence after "it is".
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Self::Loopback => "a loopback address",
            Self::LinkLocal => "a link-local address",
            Self::Private => "a private address",
            Self::Shared => "an address of the space that carriers share",
            Self::Multicast => "a multicast address",
            Self::Unspecified => "the unspecified address",
            Self::Embedded => "an IPv6 address with an IPv4 address inside",
            Self::Reserved => "a reserved address",
        }
    }
}

/// Why `address` is special, if it is.
#[must_use]
pub fn special(address: IpAddr) -> Option<Special> {
    match address {
        IpAddr::V4(address) => special_v4(address),
        IpAddr::V6(address) => special_v6(address),
    }
}

/// Whether a connection to `address` can be granted at all: a host that is one, in the one way of writing it.
#[must_use]
pub fn is_a_host(address: IpAddr) -> bool {
    let broadcast = address == IpAddr::V4(Ipv4Addr::BROADCAST);
    !broadcast && !matches!(special(address), Some(Special::Multicast | Special::Unspecified | Special::Embedded))
}

fn special_v4(address: Ipv4Addr) -> Option<Special> {
    let [a, b, c, _] = address.octets();
    match (a, b, c) {
        (0, ..) => Some(Special::Unspecified),
        (127, ..) => Some(Special::Loopback),
        (169, 254, _) => Some(Special::LinkLocal),
        (10, ..) | (172, 16..=31, _) | (192, 168, _) => Some(Special::Private),
        (100, 64..=127, _) => Some(Special::Shared),
        (224..=239, ..) => Some(Special::Multicast),
        (192, 0, 0 | 2) | (192, 88, 99) | (198, 18..=19, _) | (198, 51, 100) | (203, 0, 113) | (240..=255, ..) => {
            Some(Special::Reserved)
        }
        _ => None,
    }
}

fn special_v6(address: Ipv6Addr) -> Option<Special> {
    if address.is_unspecified() {
        return Some(Special::Unspecified);
    }
    if address.is_loopback() {
        return Some(Special::Loopback);
    }
    let [a, b, c, d, e, f, ..] = address.segments();
    match (a, b) {
        // IPv4-compatible, IPv4-mapped, IPv4-translated (RFC 2765).
        (0, 0) if c == 0 && d == 0 && (matches!((e, f), (0, _)) || (e, f) == (0xffff, 0)) => Some(Special::Embedded),
        // NAT64's own prefix, and the one for local use: RFC 6052, RFC 8215.
        (0x64, 0xff9b) => Some(Special::Embedded),
        // Teredo, 6to4.
        (0x2001, 0) | (0x2002, _) => Some(Special::Embedded),
        (0xfe80..=0xfebf, _) => Some(Special::LinkLocal),
        (0xfc00..=0xfdff, _) | (0xfec0..=0xfeff, _) => Some(Special::Private),
        (0xff00..=0xffff, _) => Some(Special::Multicast),
        // ISATAP hides an IPv4 address in the interface's half of any prefix.
        _ if matches!(address.segments(), [_, _, _, _, 0 | 0x200, 0x5efe, ..]) => Some(Special::Embedded),
        // Global unicast is 2000::/3; protocols, documentation, segment routing and the rest are no hosts.
        (0x2001, 0x1..=0x1ff | 0xdb8) | (0x3fff, 0..=0xfff) => Some(Special::Reserved),
        (0x2000..=0x3fff, _) => None,
        _ => Some(Special::Reserved),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn every_range_is_known() {
        use Special::{Embedded, LinkLocal, Loopback, Multicast, Private, Reserved, Shared, Unspecified};
        for (text, what) in [
            ("0.0.0.0", Unspecified),
            ("0.1.2.3", Unspecified),
            ("127.0.0.1", Loopback),
            ("127.255.255.254", Loopback),
            ("169.254.169.254", LinkLocal),
            ("10.0.0.1", Private),
            ("172.16.0.1", Private),
            ("172.31.255.255", Private),
            ("192.168.1.1", Private),
            ("100.64.0.1", Shared),
            ("100.127.255.255", Shared),
            ("100.100.100.200", Shared),
            ("224.0.0.1", Multicast),
            ("239.255.255.255", Multicast),
            ("255.255.255.255", Reserved),
            ("240.0.0.1", Reserved),
            ("192.0.0.192", Reserved),
            ("192.0.2.1", Reserved),
            ("198.18.0.1", Reserved),
            ("::", Unspecified),
            ("::1", Loopback),
            ("::ffff:127.0.0.1", Embedded),
            ("::ffff:8.8.8.8", Embedded),
            ("::127.0.0.1", Embedded),
            ("::ffff:0:127.0.0.1", Embedded),
            ("64:ff9b::7f00:1", Embedded),
            ("64:ff9b:1::a00:1", Embedded),
            ("2002:7f00:1::", Embedded),
            ("2001::1", Embedded),
            ("2606:4700::5efe:7f00:1", Embedded),
            ("2606:4700::200:5efe:7f00:1", Embedded),
            ("fe80::1", LinkLocal),
            ("fec0::1", Private),
            ("fd00:ec2::254", Private),
            ("fc00::1", Private),
            ("ff02::1", Multicast),
            ("2001:db8::1", Reserved),
            ("3fff::1", Reserved),
            ("100::1", Reserved),
            ("5f00::1", Reserved),
            ("4000::1", Reserved),
        ] {
            assert_eq!(special(text.parse().unwrap()), Some(what), "{text}");
        }
        for text in ["8.8.8.8", "100.63.255.255", "100.128.0.0", "172.32.0.1", "169.253.0.1", "1.1.1.1"] {
            assert_eq!(special(text.parse().unwrap()), None, "{text}");
        }
        for text in ["2606:4700::1111", "2a00::1", "2001:4860:4860::8888", "2003::1"] {
            assert_eq!(special(text.parse().unwrap()), None, "{text}");
        }
    }

    proptest! {
        /// Whatever carries an IPv4 address inside is never an ordinary one, and never one that can be granted.
        #[test]
        fn no_embedding_is_ordinary(v4 in any::<u32>(), low in any::<u64>()) {
            let v4 = Ipv4Addr::from(v4);
            let bits = u128::from(v4.to_bits());
            let forms = [
                bits,
                0xffff_u128 << 32 | bits,
                0xffff_u128 << 48 | bits,
                0x64_ff9b_u128 << 96 | bits,
                0x64_ff9b_0001_u128 << 80 | bits,
                0x2002_u128 << 112 | bits << 80 | u128::from(low),
                0x2001_0000_u128 << 96 | bits << 64 | u128::from(low),
            ];
            for form in forms {
                let address = IpAddr::V6(Ipv6Addr::from_bits(form));
                prop_assert!(special(address).is_some(), "{}", address);
                // `::1` is the one of them that is a host, and a loopback one.
                prop_assert!(!is_a_host(address) || address.is_loopback(), "{}", address);
            }
        }

        /// The standard library's own words for the same, where it has them.
        #[test]
        fn agrees_with_the_standard_library(bits in any::<u32>()) {
            let address = Ipv4Addr::from(bits);
            let theirs = address.is_loopback() || address.is_private() || address.is_link_local()
                || address.is_multicast() || address.is_broadcast() || address.is_unspecified() || address.is_documentation();
            prop_assert!(!theirs || special(address.into()).is_some(), "{}", address);
        }
    }
}
