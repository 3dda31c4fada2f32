//! The admin port.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use super::{Flags, Machine, number};

/// Where people and their tools look, and who may.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Admin {
    /// The address; port 0 takes a free one.
    pub address: SocketAddr,
    /// The file of the token that must be shown, absolute. There is one unless the address is a loopback address.
    pub token_file: Option<PathBuf>,
}

/// What `--admin-port` and its siblings say: `None` for no admin port.
pub(super) fn admin(flags: &Flags, machine: &Machine) -> Result<Option<Admin>, String> {
    let Some(text) = flags.admin_port.as_deref() else {
        return match (&flags.admin_address, &flags.admin_token_file) {
            (None, None) => Ok(None),
            _ => {
                Err("--admin-address and --admin-token-file need a port; write --admin-port PORT too".into())
            }
        };
    };
    let (ip, port) = match (text.parse::<SocketAddr>(), flags.admin_address.as_deref()) {
        (Ok(address), None) => (address.ip(), address.port()),
        (Ok(_), Some(other)) => {
            return Err(format!(
                "--admin-port {text} has an address, --admin-address {other} too: leave out one"
            ));
        }
        (Err(_), None) => (Ipv4Addr::LOCALHOST.into(), port(text)?),
        (Err(_), Some(address)) => (ip(address)?, port(text)?),
    };
    let token_file =
        flags.admin_token_file.as_deref().map(|path| machine.working_dir.join(path).components().collect());
    if !ip.is_loopback() && token_file.is_none() {
        return Err(format!(
            "--admin-port: whoever reaches {ip} could look; write --admin-token-file FILE, or leave out the address"
        ));
    }
    Ok(Some(Admin { address: (ip, port).into(), token_file }))
}

fn port(text: &str) -> Result<u16, String> {
    if text == "-1" {
        return Ok(0);
    }
    let port = number::digits(text).and_then(|number| u16::try_from(number).ok()).filter(|port| *port != 0);
    port.ok_or_else(|| {
        format!("--admin-port {text}: write 1 to 65535, -1 for any free port, ip:port or [ipv6]:port")
    })
}

fn ip(text: &str) -> Result<IpAddr, String> {
    text.parse().map_err(|_| format!("--admin-address {text}: not an address; write an ip such as 0.0.0.0"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(words: &str) -> Result<Option<(String, bool)>, String> {
        let machine = Machine { cores: 1, working_dir: "/w".into(), port_file: None, sasl_file: None };
        match super::super::read(words.split_whitespace().map(Into::into), &machine) {
            Ok(config) => Ok(config.admin.map(|admin| {
                let is_absolute = admin.token_file.as_ref().is_some_and(|file| file.starts_with("/w"));
                (admin.address.to_string(), is_absolute)
            })),
            Err(super::super::Stop::Refusal(text) | super::super::Stop::Answer(text)) => Err(text),
        }
    }

    #[test]
    fn the_port_is_closed_unless_asked_for_and_guarded_where_others_reach_it() {
        let cases = [
            ("", None),
            ("--admin-port 9150", Some(("127.0.0.1:9150", false))),
            ("--admin-port -1", Some(("127.0.0.1:0", false))),
            ("--admin-port 127.0.0.2:9150", Some(("127.0.0.2:9150", false))),
            ("--admin-port [::1]:9150", Some(("[::1]:9150", false))),
            ("--admin-port 9150 --admin-token-file t", Some(("127.0.0.1:9150", true))),
            ("--admin-port 0.0.0.0:9150 --admin-token-file t", Some(("0.0.0.0:9150", true))),
            ("--admin-port 9150 --admin-address :: --admin-token-file t", Some(("[::]:9150", true))),
        ];
        for (words, expected) in cases {
            let expected = expected.map(|(address, guarded): (&str, bool)| (address.to_owned(), guarded));
            assert_eq!(read(words), Ok(expected), "{words:?}");
        }
        let refused = [
            ("--admin-port 0", "1 to 65535"),
            ("--admin-port x", "1 to 65535"),
            ("--admin-port 0.0.0.0:9150", "--admin-token-file"),
            ("--admin-port 9150 --admin-address 0.0.0.0", "--admin-token-file"),
            ("--admin-port 9150 --admin-address here", "not an address"),
            ("--admin-port 127.0.0.1:1 --admin-address ::1", "leave out one"),
            ("--admin-token-file t", "--admin-port PORT"),
        ];
        for (words, hint) in refused {
            let refusal = read(words).unwrap_err();
            assert!(refusal.contains(hint) && !refusal.contains('\n'), "{words:?}: {refusal}");
        }
    }
}
