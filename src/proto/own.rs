//! The commands of Larder's own: memcached answers them with ERROR, so that a client can tell.

use super::line::{Words, key, number_u32};
use super::reply::{LINE_END, put_number};
use super::{ClassicForm, Limits, Parsed, Request, texts};
use crate::base::command::{Command, Own};
use crate::base::limits::{KEYS_DEFAULT, KEYS_MAX};
use crate::base::reply::Sink;

/// Understands `verb`, which is one of these, with the words behind it.
pub(super) fn decode<'a>(verb: &[u8], args: &'a [u8], limits: &Limits) -> Parsed<'a> {
    let mut words = Words(args);
    let own = match (verb, words.next(), words.next(), words.next(), words.next()) {
        (b"config", Some(b"get"), Some(b"cluster"), None, _) => Own::Discover,
        (b"config", ..) => return Err(texts::BAD_CONFIG),
        (b"cluster", Some(b"map"), None, ..) => Own::ClusterMap,
        (b"cluster", Some(b"reload"), None, ..) => Own::ClusterReload,
        (b"cluster", ..) => return Err(texts::BAD_CLUSTER),
        (b"route", Some(name), None, ..) => Own::Route(key(name)?),
        (b"route", ..) => return Err(texts::BAD_ROUTE),
        _ if !limits.dump_enabled => return Err(texts::KEYS_OFF),
        (_, Some(prefix), limit, after, None) => {
            let limit = limit.map_or(Some(KEYS_DEFAULT), number_u32).ok_or(texts::BAD_KEYS)?;
            let after = after.unwrap_or_default();
            Own::Keys { prefix: key(prefix)?, limit: limit.min(KEYS_MAX), after: key(after)? }
        }
        _ => return Err(texts::BAD_KEYS),
    };
    Ok(Request::classic(Command::Own(own), ClassicForm::default()))
}

/// Writes the servers of a cluster in the form that auto-discovering clients read: `head` with the length, the version,
/// the servers as `host|ip|port`, and END.
pub fn encode_discovery<'s>(
    head: &[u8],
    version: u64,
    servers: impl Iterator<Item = (&'s str, u16)>,
    out: &mut impl Sink,
) {
    let servers: Vec<String> = servers.map(|(host, port)| format!("{host}|{host}|{port}")).collect();
    let text = format!("{version}\n{}\n", servers.join(" "));
    out.put(head);
    out.put(b" 0 ");
    put_number(text.len(), out);
    out.put(LINE_END);
    out.put(text.as_bytes());
    out.put(LINE_END);
    out.put(texts::END);
}

#[cfg(test)]
mod tests {
    use super::super::{Step, decode};
    use super::*;

    #[test]
    fn own_commands_are_understood_or_say_what_to_write() {
        let keys = |prefix, limit, after| Ok(Own::Keys { prefix, limit, after });
        for (line, expected) in [
            ("config get cluster", Ok(Own::Discover)),
            ("config get other", Err(texts::BAD_CONFIG)),
            ("config", Err(texts::BAD_CONFIG)),
            ("cluster map", Ok(Own::ClusterMap)),
            ("cluster reload", Ok(Own::ClusterReload)),
            ("cluster reload now", Err(texts::BAD_CLUSTER)),
            ("route {a:b}c", Ok(Own::Route(b"{a:b}c"))),
            ("route", Err(texts::BAD_ROUTE)),
            ("keys {a:b}", keys(b"{a:b}", KEYS_DEFAULT, b"")),
            ("keys p 7", keys(b"p", 7, b"")),
            ("keys p 4294967295 p9", keys(b"p", KEYS_MAX, b"p9")),
            ("keys", Err(texts::BAD_KEYS)),
            ("keys p x", Err(texts::BAD_KEYS)),
            ("keys p 1 2 3", Err(texts::BAD_KEYS)),
        ] {
            let text = format!("{line}\r\n");
            let found = match decode(text.as_bytes(), 0, &Limits::default()) {
                Step::Request { request: Request { command: Command::Own(own), .. }, .. } => Ok(own),
                Step::Reject { reply, .. } => Err(reply),
                other => panic!("{line}: {other:?}"),
            };
            assert_eq!(found, expected, "{line}");
        }
        let forbidden = Limits { dump_enabled: false, ..Limits::default() };
        assert!(matches!(decode(b"keys p\r\n", 0, &forbidden), Step::Reject { reply: texts::KEYS_OFF, .. }));
    }

    #[test]
    fn discovery_looks_as_clients_expect() {
        let mut out = Vec::new();
        encode_discovery(b"CONFIG cluster", 12, [("a.b", 11211), ("10.0.0.2", 7)].into_iter(), &mut out);
        let expected = "CONFIG cluster 0 42\r\n12\na.b|a.b|11211 10.0.0.2|10.0.0.2|7\n\r\nEND\r\n";
        assert_eq!(
            String::from_utf8(out).unwrap(),
            expected.replace("42", &"12\na.b|a.b|11211 10.0.0.2|10.0.0.2|7\n".len().to_string())
        );
    }
}
