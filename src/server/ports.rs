//! Where clients come in: addresses bound, and told to whoever asked for a free one.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs};
use std::sync::Arc;

use super::certificates::Certificates;
use super::patience::patiently;

use crate::base::fault::{Fault, FaultKind};
use crate::config::{ListenAddr, Network};
use crate::net::{Bound, BoundDatagrams, Door};

/// Binds everything that is listened on.
pub(super) fn bind(network: &Network, certificates: Option<&Arc<Certificates>>) -> Result<Vec<Bound>, Fault> {
    let backlog = i32::try_from(network.backlog).unwrap_or(i32::MAX);
    let mut bound = Vec::new();
    if let Some(unix) = &network.unix_socket {
        bound.push(patiently(|| Bound::unix(&unix.path, unix.mode, backlog))?);
    }
    for listen in &network.listen {
        let door = listen.tls.and_then(|peer_certs| certificates?.door(peer_certs));
        match &listen.address {
            ListenAddr::Socket(address) => bound.push(tcp(*address, backlog, door)?),
            ListenAddr::Name { host, port } => {
                for address in resolve(host, *port)? {
                    bound.push(tcp(address, backlog, door)?);
                }
            }
            ListenAddr::All { port } => {
                bound.push(tcp((Ipv4Addr::UNSPECIFIED, *port).into(), backlog, door)?);
                let port = addresses(&bound).last().map_or(*port, |address| address.port());
                // A machine without IPv6 is no reason not to start.
                let everywhere = (IpAddr::V6(Ipv6Addr::UNSPECIFIED), port);
                bound.extend(Bound::tcp(everywhere.into(), backlog, door).ok());
            }
        }
    }
    Ok(bound)
}

/// Binds everything that datagrams come to.
pub(super) fn bind_datagrams(network: &Network) -> Result<Vec<BoundDatagrams>, Fault> {
    let mut bound = Vec::new();
    for listen in &network.datagrams {
        match listen {
            ListenAddr::Socket(address) => bound.push(udp(*address)?),
            ListenAddr::Name { host, port } => {
                for address in resolve(host, *port)? {
                    bound.push(udp(address)?);
                }
            }
            ListenAddr::All { port } => {
                let any = udp((Ipv4Addr::UNSPECIFIED, *port).into())?;
                let port = any.address.port();
                bound.push(any);
                // A machine without IPv6 is no reason not to start.
                bound.extend(BoundDatagrams::bind((IpAddr::V6(Ipv6Addr::UNSPECIFIED), port).into()).ok());
            }
        }
    }
    Ok(bound)
}

fn udp(address: SocketAddr) -> Result<BoundDatagrams, Fault> {
    patiently(|| BoundDatagrams::bind(address))
}

fn tcp(address: SocketAddr, backlog: i32, door: Option<&Arc<Door>>) -> Result<Bound, Fault> {
    patiently(|| Bound::tcp(address, backlog, door))
}

fn resolve(host: &str, port: u16) -> Result<Vec<SocketAddr>, Fault> {
    let refusal = |why: String| {
        Fault::new(
            FaultKind::Unusable,
            format!("-l {host}: {why}; write an address or a name of this machine"),
        )
    };
    let found: Vec<SocketAddr> =
        (host, port).to_socket_addrs().map_err(|error| refusal(error.to_string()))?.collect();
    if found.is_empty() { Err(refusal("the name has no address".into())) } else { Ok(found) }
}

/// The TCP addresses among what is bound.
pub(super) fn addresses(bound: &[Bound]) -> Vec<SocketAddr> {
    bound
        .iter()
        .filter_map(|bound| if let Bound::Tcp(_, address, _) = bound { Some(*address) } else { None })
        .collect()
}

/// Writes the ports to the file that `MEMCACHED_PORT_FILENAME` names: whole or not at all.
pub(super) fn tell(
    network: &Network,
    addresses: &[SocketAddr],
    datagrams: &[SocketAddr],
) -> Result<(), Fault> {
    let Some(path) = &network.port_file else { return Ok(()) };
    let line = |name: &str, address: &SocketAddr| {
        let family = if address.is_ipv6() { "INET6" } else { "INET" };
        format!("{name} {family}: {}\n", address.port())
    };
    let tcp = addresses.iter().map(|address| line("TCP", address));
    let text: String = tcp.chain(datagrams.iter().map(|address| line("UDP", address))).collect();
    let mut draft = path.clone().into_os_string();
    draft.push(".lck");
    std::fs::write(&draft, text)
        .and_then(|()| std::fs::rename(&draft, path))
        .map_err(|error| Fault::io("cannot write the port file", path, &error))
}

/// Where clients come in.
pub(super) fn listed(network: &Network, addresses: &[SocketAddr]) -> Vec<String> {
    let socket = network.unix_socket.iter().map(|unix| unix.path.display().to_string());
    addresses.iter().map(SocketAddr::to_string).chain(socket).collect()
}

/// The same in words for the log.
pub(super) fn named(network: &Network, addresses: &[SocketAddr]) -> String {
    let all = listed(network, addresses);
    if all.is_empty() { "no address (-p 0 without -s)".into() } else { all.join(", ") }
}
