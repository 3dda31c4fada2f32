//! Where Larder is meant to differ from the very memcached that it answers like, 1.6.45: data.
use super::known::{BAD_LINE, BASE64_APPENDED, Known, OPAQUE_OF_A_NEW_ITEM};

const BAD_DELETE: &str = "CLIENT_ERROR bad command line format.  Usage: delete <key> [noreply]\r\n";
const BAD_LINE_AND_EMPTY: &str = "CLIENT_ERROR bad command line format\r\n\r\n";
const LOST_THEN_BAD_LINE: &str = "without EN: CLIENT_ERROR bad command line format\r\n\r\n";
const EMPTY: &str = "1.6.45 says one line too many, and forgets replies before it";

/// All of them.
pub(super) const KNOWN: &[Known] = &[
    Known {
        pattern: "delete _ _ ..",
        request: "delete none 1\r\n",
        larder: &[BAD_DELETE],
        memcached: &["NOT_FOUND\r\n", "DELETED\r\n", BAD_LINE],
        reason: "what stands behind the key is refused, as 1.6.18 does",
    },
    Known {
        pattern: "get|gets .. {long} ..",
        request: "get {long}\r\n",
        larder: &[BAD_LINE],
        memcached: &[BAD_LINE_AND_EMPTY, LOST_THEN_BAD_LINE],
        reason: EMPTY,
    },
    Known {
        pattern: "gat|gats _ .. {long} ..",
        request: "gat 0 {long}\r\n",
        larder: &[BAD_LINE],
        memcached: &[BAD_LINE_AND_EMPTY, LOST_THEN_BAD_LINE],
        reason: EMPTY,
    },
    Known {
        pattern: "refresh_certs",
        request: "refresh_certs\r\n",
        larder: &["Error TLS not enabled\r\n"],
        memcached: &["ERROR\r\n"],
        reason: "a memcached that is built without TLS does not know it",
    },
    Known {
        pattern: "me nil b",
        request: "me nil b\r\n",
        larder: &[BAD_LINE],
        memcached: &["EN\r\n"],
        reason: "1.6.45 looks at the b only with a further word behind it",
    },
    OPAQUE_OF_A_NEW_ITEM,
    BASE64_APPENDED,
];
