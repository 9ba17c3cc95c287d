//! The PROXY protocol, versions 1 and 2: the first bytes of a connection in which a balancer says for whom it is.
//!
//! Only what belongs to the header is read, so TLS or HTTP can begin right behind it. Extensions of version 2 are skipped.
//!
//! Invariant: a header that is not exactly one of the protocol's never gives an address.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use tokio::io::{AsyncRead, AsyncReadExt as _};

/// The longest line of version 1, with its end.
const MAX_LINE_BYTES: usize = 107;
/// The longest header of version 2 behind its first 16 bytes: addresses and extensions.
const MAX_REST_BYTES: usize = 4096;
/// No header of either version is shorter.
const LEAST_BYTES: usize = 15;
const SIGNATURE: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";
/// The address of a client that the balancer does not know, or of the balancer's own connections.
pub(super) const UNKNOWN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0);

/// Why there is no header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Missing {
    /// The connection ended before its first byte, as those that only look whether somebody listens.
    Nothing,
    /// What came is not a header.
    Malformed,
}

/// For whom the connection is: [`UNKNOWN`] where the header does not say it.
pub(super) async fn read(from: &mut (impl AsyncRead + Unpin)) -> Result<SocketAddr, Missing> {
    let mut header = vec![from.read_u8().await.map_err(|_| Missing::Nothing)?];
    let read = async {
        more(from, &mut header, LEAST_BYTES).await?;
        if !header.starts_with(&SIGNATURE) {
            while header.starts_with(b"PROXY ")
                && !header.ends_with(b"\r\n")
                && header.len() < MAX_LINE_BYTES
            {
                let bytes = header.len() + 1;
                more(from, &mut header, bytes).await?;
            }
            return Ok(());
        }
        more(from, &mut header, 16).await?;
        let rest = usize::from(u16::from_be_bytes([header[14], header[15]]));
        if rest > MAX_REST_BYTES {
            return Ok(());
        }
        more(from, &mut header, 16 + rest).await
    };
    let read: io::Result<()> = read.await;
    read.ok()
        .and_then(|()| parse(&header))
        .ok_or(Missing::Malformed)
}

/// Reads until the header has so many bytes.
async fn more(
    from: &mut (impl AsyncRead + Unpin),
    header: &mut Vec<u8>,
    bytes: usize,
) -> io::Result<()> {
    let have = header.len();
    header.resize(bytes, 0);
    from.read_exact(&mut header[have..]).await.map(drop)
}

/// For whom the connection is, by a whole header.
fn parse(header: &[u8]) -> Option<SocketAddr> {
    match header.strip_prefix(&SIGNATURE) {
        Some(rest) => parse_binary(rest),
        None => parse_line(header),
    }
}

fn parse_line(line: &[u8]) -> Option<SocketAddr> {
    let line = std::str::from_utf8(line).ok()?.strip_suffix("\r\n")?;
    let parts: Vec<_> = line.split(' ').collect();
    let port = |text: &str| {
        let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        text.parse::<u16>().ok().filter(|_| is_number)
    };
    match *parts {
        ["PROXY", "UNKNOWN", ..] => Some(UNKNOWN),
        [
            "PROXY",
            family,
            source,
            destination,
            of_source,
            of_destination,
        ] => {
            let address = |text: &str| match family {
                "TCP4" => text.parse::<Ipv4Addr>().ok().map(IpAddr::V4),
                "TCP6" => text.parse::<Ipv6Addr>().ok().map(IpAddr::V6),
                _ => None,
            };
            // nginx writes the destination in the other family where it learned of the client from another balancer.
            destination
                .parse::<IpAddr>()
                .ok()
                .and(port(of_destination))?;
            Some(SocketAddr::new(address(source)?, port(of_source)?))
        }
        _ => None,
    }
}

/// What is behind the signature of version 2.
fn parse_binary(header: &[u8]) -> Option<SocketAddr> {
    let [command, family, high, low, rest @ ..] = header else {
        return None;
    };
    if rest.len() != usize::from(u16::from_be_bytes([*high, *low])) {
        return None;
    }
    match (command, family) {
        // The balancer's own connection, or one of a kind that has no address here.
        (0x20, _) | (0x21, 0x00 | 0x12 | 0x22 | 0x31 | 0x32) => Some(UNKNOWN),
        (0x21, 0x11) => {
            let (address, ports) = rest.split_first_chunk::<4>()?;
            let port = ports.get(4..8)?;
            let port = u16::from_be_bytes([port[0], port[1]]);
            Some(SocketAddr::new(IpAddr::from(*address), port))
        }
        (0x21, 0x21) => {
            let (address, ports) = rest.split_first_chunk::<16>()?;
            let port = ports.get(16..20)?;
            let port = u16::from_be_bytes([port[0], port[1]]);
            Some(SocketAddr::new(IpAddr::from(*address), port))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// What is read, and what is left behind it.
    fn told(bytes: &[u8]) -> (Result<SocketAddr, Missing>, usize) {
        let mut rest = bytes;
        let runtime = tokio::runtime::Builder::new_current_thread().build();
        let told = runtime.unwrap().block_on(read(&mut rest));
        (told, rest.len())
    }

    fn line(source: SocketAddr) -> Vec<u8> {
        let (family, other) = match source {
            SocketAddr::V4(_) => ("TCP4", "192.0.2.1"),
            SocketAddr::V6(_) => ("TCP6", "::1"),
        };
        let (ip, port) = (source.ip(), source.port());
        format!("PROXY {family} {ip} {other} {port} 443\r\n").into_bytes()
    }

    fn binary(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
        let length = u16::try_from(rest.len()).unwrap().to_be_bytes();
        [&SIGNATURE[..], &[command, family], &length, rest].concat()
    }

    fn addresses(source: SocketAddr) -> (u8, Vec<u8>) {
        let port = source.port().to_be_bytes();
        match source.ip() {
            IpAddr::V4(ip) => (0x11, [&ip.octets()[..], &[0; 4], &port, &[1, 187]].concat()),
            IpAddr::V6(ip) => (
                0x21,
                [&ip.octets()[..], &[0; 16], &port, &[1, 187]].concat(),
            ),
        }
    }

    #[test]
    fn both_versions_say_for_whom_a_connection_is() {
        let client: SocketAddr = "203.0.113.9:5123".parse().unwrap();
        assert_eq!(told(&line(client)), (Ok(client), 0));
        let published =
            b"PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\nGET / HTTP/1.1\r\n";
        let most = "255.255.255.255:65535".parse().unwrap();
        assert_eq!(told(published), (Ok(most), 16));
        let (family, rest) = addresses(client);
        assert_eq!(told(&binary(0x21, family, &rest)), (Ok(client), 0));
        let mixed = b"PROXY TCP6 2a00:1450::9 127.0.0.1 5123 443\r\n";
        let v6 = "[2a00:1450::9]:5123".parse().unwrap();
        assert_eq!(told(mixed), (Ok(v6), 0));
        // Extensions are skipped.
        let longer = [&rest[..], &[0x04, 0, 1, 0]].concat();
        assert_eq!(told(&binary(0x21, family, &longer)), (Ok(client), 0));
    }

    #[test]
    fn a_balancers_own_connections_and_those_without_an_address_are_not_known() {
        let unix = [0; 216];
        for header in [
            b"PROXY UNKNOWN\r\n".to_vec(),
            b"PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n".to_vec(),
            binary(0x20, 0x00, &[]),
            binary(0x20, 0x11, &[9; 12]),
            binary(0x21, 0x00, &[]),
            binary(0x21, 0x31, &unix),
        ] {
            assert_eq!(told(&header), (Ok(UNKNOWN), 0), "{header:?}");
        }
    }

    #[test]
    fn what_is_not_exactly_a_header_gives_no_address() {
        let (family, rest) = addresses("203.0.113.9:5123".parse().unwrap());
        let large = vec![0; MAX_REST_BYTES + 1];
        for header in [
            b"GET / HTTP/1.1\r\nhost: a\r\n\r\n".to_vec(),
            b"PROXY TCP4 203.0.113.9 192.0.2.1 5123\r\n".to_vec(),
            b"PROXY TCP4 203.0.113.9 192.0.2.1 5123 443\n".to_vec(),
            b"PROXY TCP4 203.0.113.9  192.0.2.1 5123 443\r\n".to_vec(),
            b"PROXY TCP4 2001:db8::1 ::1 5123 443\r\n".to_vec(),
            b"PROXY TCP6 203.0.113.9 192.0.2.1 5123 443\r\n".to_vec(),
            b"PROXY TCP4 203.0.113.09 192.0.2.1 5123 443\r\n".to_vec(),
            b"PROXY TCP4 203.0.113.9 192.0.2.1 +123 443\r\n".to_vec(),
            b"PROXY TCP4 203.0.113.9 192.0.2.1 65536 443\r\n".to_vec(),
            b"proxy tcp4 203.0.113.9 192.0.2.1 5123 443\r\n".to_vec(),
            [b"PROXY UNKNOWN ".to_vec(), vec![b'a'; 200]].concat(),
            binary(0x31, family, &rest),
            binary(0x22, family, &rest),
            binary(0x21, 0x41, &rest),
            binary(0x21, family, &rest[..11]),
            binary(0x21, family, &large),
            binary(0x21, family, &rest)[..20].to_vec(),
            b"PROXY".to_vec(),
        ] {
            assert_eq!(told(&header).0, Err(Missing::Malformed), "{header:?}");
        }
        assert_eq!(told(b"").0, Err(Missing::Nothing));
    }

    fn any_address() -> impl Strategy<Value = SocketAddr> {
        (any::<IpAddr>(), any::<u16>()).prop_map(SocketAddr::from)
    }

    proptest! {
        #[test]
        fn any_address_comes_through_and_nothing_behind_the_header_is_read(
            client in any_address(), behind in prop::collection::vec(any::<u8>(), 0..40), more in 0_usize..300,
        ) {
            let (family, mut rest) = addresses(client);
            rest.resize(rest.len() + more, 7);
            for header in [line(client), binary(0x21, family, &rest)] {
                let bytes = [&header[..], &behind].concat();
                prop_assert_eq!(told(&bytes), (Ok(client), behind.len()));
            }
        }

        #[test]
        fn whatever_comes_is_read_within_its_bound(
            head in prop::sample::select(vec![&b""[..], b"PROXY ", b"PROXY TCP4 ", &SIGNATURE]),
            bytes in prop::collection::vec(any::<u8>(), 0..9000),
        ) {
            let all = [head, &bytes[..]].concat();
            let (_, left) = told(&all);
            prop_assert!(all.len() - left <= 16 + MAX_REST_BYTES);
        }
    }
}
