//! Every difference between Larder and the memcached that it is compared with: data. Larder answers like 1.6.45, so that
//! the list for 1.6.18 is long, and the one for 1.6.45 in `newest.rs` holds what is meant to differ.

/// A difference: requests of this pattern, and what the two answer.
pub(crate) struct Known {
    /// Words of the request's first line: `_` is any word, `..` any number of words, `X*` a word that begins with X, `X|Y`
    /// one of two, `{long}` one of more than 250 bytes, `{bad}` one that is no decimal number, `{space}` a space before
    /// the first word.
    pub(crate) pattern: &'static str,
    /// Such a request, for the generator: `{long}` is a key that is too long, `{O33}` an opaque that is.
    pub(crate) request: &'static str,
    /// What Larder answers behind an `mg` that is a miss: one of these, exactly.
    pub(crate) larder: &'static [&'static str],
    /// What memcached 1.6.18 answers: one of these, exactly. `without EN: ` says that the answer to the `mg` before is
    /// missing.
    pub(crate) memcached: &'static [&'static str],
    /// Why, in the words of PROTOCOL.md where it has a row for it.
    pub(crate) reason: &'static str,
}

/// The list for a memcached of this version.
pub(crate) fn of(version: &str) -> &'static [Known] {
    if version == "1.6.45" { super::newest::KNOWN } else { KNOWN }
}

pub(super) const BAD_LINE: &str = "CLIENT_ERROR bad command line format\r\n";
const BAD_LINE_THEN_ERROR: &str = "CLIENT_ERROR bad command line format\r\nERROR\r\n";
const BAD_TOKEN: &str = "CLIENT_ERROR bad token in command line format\r\n";
const BAD_KEY: &str = "CLIENT_ERROR error decoding key\r\n";
const BAD_FLAG: &str = "CLIENT_ERROR invalid flag\r\n";
const BAD_OR_DUPLICATE: &str = "CLIENT_ERROR invalid or duplicate flag\r\n";
const DUPLICATE: &str = "CLIENT_ERROR duplicate flag\r\n";
const TOO_MANY: &str = "CLIENT_ERROR options flags are too long\r\n";
const TOO_MANY_OLD: &str = "CLIENT_ERROR options flags too long\r\n";
const OPAQUE_THEN_END: &str = "CLIENT_ERROR opaque token too long\r\nEND\r\n";
const LOST_THEN_BAD_LINE: &str = "without EN: CLIENT_ERROR bad command line format\r\n";
const ERROR: &str = "ERROR\r\n";
const END: &str = "END\r\n";

const LEADING_SPACE: &str = "a leading space: 1.6.45 ERROR, 1.6.18 accepted";
const SHORT: &str = "a line of less than 4 bytes: 1.6.45 BCLF, 1.6.18 ERROR";
const TOO_FEW: &str = "too few words: 1.6.45 BCLF, 1.6.18 ERROR";
const EXTRA: &str = "1.6.45 passes over words too many";
const SWALLOWED: &str = "1.6.45 throws away the value behind a line that it refuses";
const NEW_FLAG: &str = "the flag is new";
const OTHER_TEXT: &str = "another text";
const NUMBER: &str = "1.6.45 takes no sign, and no number of more bits than it keeps";
const FLAG_BYTE: &str = "1.6.45 takes no line apart in which a flag is no letter";
const NO_EFFECT: &str =
    "here what is refused has no effect; memcached has made the item before it looks at the opaque";
const QUIET_VIVIFY: &str = "1.6.18 answers a quiet count that makes the item";
const NOT_PARSED: &str = "1.6.45 tells a line that does not parse in spite of noreply";
const BASE64_KEPT: &str =
    "PROTOCOL.md: the binary mark is kept with the item; memcached forgets it when the value grows";
const LOST: &str = "1.6.18 forgets the replies before a get with a key that is too long";

/// Of every memcached.
pub(super) const OPAQUE_OF_A_NEW_ITEM: Known = Known {
    pattern: "mg none N100 O*",
    request: "mg none N100 {O33}\r\nget none\r\ndelete none noreply\r\n",
    larder: &[OPAQUE_THEN_END],
    memcached: &["CLIENT_ERROR opaque token too long\r\nVALUE none 0 0\r\n\r\nEND\r\n"],
    reason: NO_EFFECT,
};
/// Of every memcached.
pub(super) const BASE64_APPENDED: Known = Known {
    pattern: "ms Ym9uZQ== 1 b",
    request: "ms Ym9uZQ== 1 b\r\nx\r\nappend bone 0 0 1\r\ny\r\nmg bone k\r\ndelete bone noreply\r\n",
    larder: &["HD\r\nSTORED\r\nHD kYm9uZQ== b\r\n"],
    memcached: &["HD\r\nSTORED\r\nHD kbone\r\n"],
    reason: BASE64_KEPT,
};

/// All of them.
const KNOWN: &[Known] = &[
    Known {
        pattern: "{space} get none",
        request: " get none\r\n",
        larder: &[ERROR],
        memcached: &[END],
        reason: LEADING_SPACE,
    },
    Known {
        pattern: "{space} mn",
        request: "  mn\r\n",
        larder: &[ERROR],
        memcached: &["MN\r\n"],
        reason: LEADING_SPACE,
    },
    Known {
        pattern: "{space} version",
        request: " version\r\n",
        larder: &[ERROR],
        memcached: &["VERSION 1.6.18\r\n"],
        reason: LEADING_SPACE,
    },
    Known { pattern: "", request: "\r\n", larder: &[BAD_LINE], memcached: &[ERROR], reason: SHORT },
    Known { pattern: "x|m", request: "x\r\n", larder: &[BAD_LINE], memcached: &[ERROR], reason: SHORT },
    Known { pattern: "{space}", request: " \r\n", larder: &[BAD_LINE], memcached: &[ERROR], reason: SHORT },
    Known {
        pattern: "version",
        request: "version\r\n",
        larder: &["VERSION 1.6.45\r\n"],
        memcached: &["VERSION 1.6.18\r\n"],
        reason: "version",
    },
    Known {
        pattern: "version x",
        request: "version x\r\n",
        larder: &["VERSION 1.6.45\r\n"],
        memcached: &["VERSION 1.6.18\r\n"],
        reason: "version",
    },
    Known { pattern: "get", request: "get\r\n", larder: &[BAD_LINE], memcached: &[ERROR], reason: TOO_FEW },
    Known { pattern: "gets", request: "gets\r\n", larder: &[BAD_LINE], memcached: &[ERROR], reason: TOO_FEW },
    Known { pattern: "gat", request: "gat\r\n", larder: &[BAD_LINE], memcached: &[ERROR], reason: TOO_FEW },
    Known { pattern: "gats", request: "gats\r\n", larder: &[BAD_LINE], memcached: &[ERROR], reason: TOO_FEW },
    Known { pattern: "set", request: "set\r\n", larder: &[BAD_LINE], memcached: &[ERROR], reason: TOO_FEW },
    Known { pattern: "add", request: "add\r\n", larder: &[BAD_LINE], memcached: &[ERROR], reason: TOO_FEW },
    Known {
        pattern: "delete",
        request: "delete\r\n",
        larder: &[BAD_LINE],
        memcached: &[ERROR],
        reason: TOO_FEW,
    },
    Known { pattern: "incr", request: "incr\r\n", larder: &[BAD_LINE], memcached: &[ERROR], reason: TOO_FEW },
    Known { pattern: "decr", request: "decr\r\n", larder: &[BAD_LINE], memcached: &[ERROR], reason: TOO_FEW },
    Known {
        pattern: "touch",
        request: "touch\r\n",
        larder: &[BAD_LINE],
        memcached: &[ERROR],
        reason: TOO_FEW,
    },
    Known { pattern: "mg", request: "mg\r\n", larder: &[BAD_LINE], memcached: &[ERROR], reason: TOO_FEW },
    Known { pattern: "ms", request: "ms\r\n", larder: &[BAD_LINE], memcached: &[ERROR], reason: TOO_FEW },
    Known { pattern: "md", request: "md\r\n", larder: &[BAD_LINE], memcached: &[ERROR], reason: TOO_FEW },
    Known { pattern: "ma", request: "ma\r\n", larder: &[BAD_LINE], memcached: &[ERROR], reason: TOO_FEW },
    Known {
        pattern: "verbosity",
        request: "verbosity\r\n",
        larder: &[BAD_LINE],
        memcached: &[ERROR],
        reason: TOO_FEW,
    },
    Known {
        pattern: "incr|decr _",
        request: "incr a\r\n",
        larder: &[BAD_LINE],
        memcached: &[ERROR],
        reason: TOO_FEW,
    },
    Known {
        pattern: "touch _",
        request: "touch a\r\n",
        larder: &[BAD_LINE],
        memcached: &[ERROR],
        reason: TOO_FEW,
    },
    Known {
        pattern: "set a",
        request: "set a\r\n",
        larder: &[BAD_LINE],
        memcached: &[ERROR],
        reason: TOO_FEW,
    },
    Known {
        pattern: "append a 0 0",
        request: "append a 0 0\r\n",
        larder: &[BAD_LINE],
        memcached: &[ERROR],
        reason: TOO_FEW,
    },
    Known {
        pattern: "cas a 0 0 1",
        request: "cas a 0 0 1\r\n",
        larder: &[BAD_LINE],
        memcached: &[ERROR],
        reason: TOO_FEW,
    },
    Known {
        pattern: "cas a 0 0",
        request: "cas a 0 0\r\n",
        larder: &[BAD_LINE],
        memcached: &[ERROR],
        reason: TOO_FEW,
    },
    Known {
        pattern: "gat _",
        request: "gat 5\r\n",
        larder: &[BAD_LINE],
        memcached: &[END, "CLIENT_ERROR invalid exptime argument\r\n"],
        reason: TOO_FEW,
    },
    Known {
        pattern: "gats _",
        request: "gats 5\r\n",
        larder: &[BAD_LINE],
        memcached: &[END, "CLIENT_ERROR invalid exptime argument\r\n"],
        reason: TOO_FEW,
    },
    Known {
        pattern: "shutdown",
        request: "shutdown\r\n",
        larder: &["SERVER_ERROR: shutdown not enabled\r\n"],
        memcached: &["ERROR: shutdown not enabled\r\n"],
        reason: OTHER_TEXT,
    },
    Known {
        pattern: "set|add|replace|append|prepend|cas {long} ..",
        request: "set {long} 0 0 5\r\nvalue\r\n",
        larder: &[BAD_LINE, ""],
        memcached: &[BAD_LINE_THEN_ERROR, ERROR],
        reason: SWALLOWED,
    },
    Known {
        pattern: "set|add|replace|append|prepend|cas _ {bad}|-* ..",
        request: "set a -1 0 5\r\nvalue\r\n",
        larder: &[BAD_LINE, ""],
        memcached: &[BAD_LINE_THEN_ERROR, ERROR],
        reason: SWALLOWED,
    },
    Known {
        pattern: "set|add|replace|append|prepend|cas _ _ {bad} ..",
        request: "set a 0 1x 5\r\nvalue\r\n",
        larder: &[BAD_LINE, ""],
        memcached: &[BAD_LINE_THEN_ERROR, ERROR],
        reason: SWALLOWED,
    },
    Known {
        pattern: "cas _ _ _ _ {bad}|-* ..",
        request: "cas a 0 0 5 x\r\nvalue\r\n",
        larder: &[BAD_LINE, ""],
        memcached: &[BAD_LINE_THEN_ERROR, ERROR],
        reason: SWALLOWED,
    },
    Known {
        pattern: "ms {long} ..",
        request: "ms {long} 5\r\nvalue\r\n",
        larder: &[BAD_LINE],
        memcached: &[BAD_LINE_THEN_ERROR],
        reason: SWALLOWED,
    },
    Known {
        pattern: "set a 0 0 1 foo noreply",
        request: "set a 0 0 1 foo noreply\r\nx\r\n",
        larder: &[""],
        memcached: &["ERROR\r\nERROR\r\n"],
        reason: EXTRA,
    },
    Known {
        pattern: "set|add|replace|append|prepend|cas _ _ _ {bad}|-*|2147483647|3000000000 .. noreply",
        request: "set a 0 0 1x noreply\r\nvalue\r\n",
        larder: &[BAD_LINE_THEN_ERROR],
        memcached: &[ERROR],
        reason: NOT_PARSED,
    },
    Known {
        pattern: "set a 0 0 -1 noreply",
        request: "set a 0 0 -1 noreply\r\n",
        larder: &[BAD_LINE],
        memcached: &[""],
        reason: NOT_PARSED,
    },
    Known {
        pattern: "mg none E7",
        request: "mg none E7\r\n",
        larder: &["EN\r\n"],
        memcached: &[BAD_FLAG],
        reason: NEW_FLAG,
    },
    Known {
        pattern: "ms none 2 E77 c",
        request: "ms none 2 E77 c\r\nhi\r\ndelete none noreply\r\n",
        larder: &["HD c#3\r\n", "HD c#2\r\n", "HD c#1\r\n", "HD c#4\r\n", "HD c#5\r\n", "HD c#6\r\n"],
        memcached: &[BAD_FLAG],
        reason: NEW_FLAG,
    },
    Known {
        pattern: "md none E7",
        request: "md none E7\r\n",
        larder: &["NF\r\n"],
        memcached: &[BAD_OR_DUPLICATE],
        reason: NEW_FLAG,
    },
    Known {
        pattern: "ma none E7",
        request: "ma none E7\r\n",
        larder: &["NF\r\n"],
        memcached: &[BAD_OR_DUPLICATE],
        reason: NEW_FLAG,
    },
    Known {
        pattern: "md none x",
        request: "md none x\r\n",
        larder: &["NF\r\n"],
        memcached: &[BAD_OR_DUPLICATE],
        reason: NEW_FLAG,
    },
    Known {
        pattern: "ms none 2 s",
        request: "ms none 2 s\r\nhi\r\ndelete none noreply\r\n",
        larder: &["HD s2\r\n"],
        memcached: &["HD\r\n"],
        reason: NEW_FLAG,
    },
    Known {
        pattern: "ms none 2 MA N0",
        request: "ms none 2 MA N0\r\nhi\r\ndelete none noreply\r\n",
        larder: &["HD\r\n"],
        memcached: &["NS\r\n"],
        reason: NEW_FLAG,
    },
    Known {
        pattern: "ms none 2 N0 MP",
        request: "ms none 2 N0 MP\r\nhi\r\ndelete none noreply\r\n",
        larder: &["HD\r\n"],
        memcached: &["NS\r\n"],
        reason: NEW_FLAG,
    },
    Known {
        pattern: "get|gets .. {long} ..",
        request: "get {long}\r\n",
        larder: &[BAD_LINE],
        memcached: &[LOST_THEN_BAD_LINE],
        reason: LOST,
    },
    Known {
        pattern: "gat|gats _ .. {long} ..",
        request: "gat 0 {long}\r\n",
        larder: &[BAD_LINE],
        memcached: &[LOST_THEN_BAD_LINE],
        reason: LOST,
    },
    Known {
        pattern: "ms none 2 M",
        request: "ms none 2 M\r\nhi\r\n",
        larder: &["CLIENT_ERROR invalid mode for ms M token\r\n"],
        memcached: &["CLIENT_ERROR incorrect length for M token\r\n"],
        reason: OTHER_TEXT,
    },
    Known {
        pattern: "ma none M",
        request: "ma none M\r\n",
        larder: &["CLIENT_ERROR invalid mode for ma M token\r\n"],
        memcached: &[BAD_OR_DUPLICATE],
        reason: OTHER_TEXT,
    },
    Known {
        pattern: "ms none 5 v v ..",
        request: "ms none 5 v v v v v v v v v v v v v v v v v v v v v v\r\nvalue\r\n",
        larder: &[TOO_MANY],
        memcached: &["CLIENT_ERROR options flags too long\r\nERROR\r\n"],
        reason: SWALLOWED,
    },
    Known {
        pattern: "md none v v ..",
        request: "md none v v v v v v v v v v v v v v v v v v v v v v\r\n",
        larder: &[TOO_MANY],
        memcached: &[TOO_MANY_OLD],
        reason: OTHER_TEXT,
    },
    Known {
        pattern: "ma none v v ..",
        request: "ma none v v v v v v v v v v v v v v v v v v v v v v\r\n",
        larder: &[BAD_OR_DUPLICATE],
        memcached: &[TOO_MANY_OLD],
        reason: OTHER_TEXT,
    },
    Known {
        pattern: "md _ .. Tx|T1x|Cx|C-1 ..",
        request: "md none Tx\r\n",
        larder: &[BAD_TOKEN, BAD_KEY, DUPLICATE],
        memcached: &[BAD_OR_DUPLICATE],
        reason: OTHER_TEXT,
    },
    Known {
        pattern: "md abc .. b ..",
        request: "md abc b\r\n",
        larder: &[BAD_KEY, BAD_TOKEN],
        memcached: &[BAD_OR_DUPLICATE],
        reason: OTHER_TEXT,
    },
    Known {
        pattern: "md none k k",
        request: "md none k k\r\n",
        larder: &[DUPLICATE],
        memcached: &[BAD_OR_DUPLICATE],
        reason: OTHER_TEXT,
    },
    Known {
        pattern: "md none z",
        request: "md none z\r\n",
        larder: &[BAD_FLAG],
        memcached: &[BAD_OR_DUPLICATE],
        reason: OTHER_TEXT,
    },
    Known {
        pattern: "ma {long} ..",
        request: "ma {long}\r\n",
        larder: &[BAD_OR_DUPLICATE],
        memcached: &[BAD_LINE],
        reason: OTHER_TEXT,
    },
    OPAQUE_OF_A_NEW_ITEM,
    Known {
        pattern: "ma none N100 J5 O*",
        request: "ma none N100 J5 {O33}\r\nget none\r\ndelete none noreply\r\n",
        larder: &[OPAQUE_THEN_END],
        memcached: &["CLIENT_ERROR opaque token too long\r\nVALUE none 0 1\r\n5\r\nEND\r\n"],
        reason: NO_EFFECT,
    },
    Known {
        pattern: "mg Ym9uZQ== b N100 k",
        request: "mg Ym9uZQ== b N100 k\r\ndelete bone noreply\r\n",
        larder: &["HD kYm9uZQ== b W\r\n"],
        memcached: &["HD kbone W\r\n"],
        reason: "1.6.18 forgets that the key of a vivified item was base64",
    },
    Known {
        pattern: "ma none q N0",
        request: "ma none q N0\r\ndelete none noreply\r\n",
        larder: &[""],
        memcached: &["HD\r\n"],
        reason: QUIET_VIVIFY,
    },
    Known {
        pattern: "ma none N0 q v",
        request: "ma none N0 q v\r\ndelete none noreply\r\n",
        larder: &[""],
        memcached: &["VA 1\r\n0\r\n"],
        reason: QUIET_VIVIFY,
    },
    Known {
        pattern: "set gone 0 0 1",
        request: "set gone 0 0 1\r\nx\r\nflush_all\r\nflush_all 1000\r\nget gone\r\nflush_all\r\ndelete gone noreply\r\n",
        larder: &["STORED\r\nOK\r\nOK\r\nEND\r\nOK\r\n"],
        memcached: &["STORED\r\nOK\r\nOK\r\nVALUE gone 0 1\r\nx\r\nEND\r\nOK\r\n"],
        reason: "what was flushed stays gone; in memcached a later delayed flush_all shows it again",
    },
    BASE64_APPENDED,
    Known {
        pattern: "ms Ym9uZQ== 2 b",
        request: "ms Ym9uZQ== 2 b\r\n99\r\nincr bone 1\r\nmg bone k\r\ndelete bone noreply\r\n",
        larder: &["HD\r\n100\r\nHD kYm9uZQ== b\r\n"],
        memcached: &["HD\r\n100\r\nHD kbone\r\n"],
        reason: BASE64_KEPT,
    },
    Known {
        pattern: "set bone 0 0 2",
        request: "set bone 0 0 2\r\n99\r\nma bone T100\r\nmg bone t\r\ndelete bone noreply\r\n",
        larder: &["STORED\r\nHD\r\nHD t100\r\n", "STORED\r\nHD\r\nHD t99\r\n"],
        memcached: &["STORED\r\nHD\r\nHD t-1\r\n"],
        reason: "a new deadline is kept; where the number grows memcached gives it to the item that goes",
    },
    Known {
        pattern: "touch none 4294967296",
        request: "touch none 4294967296\r\n",
        larder: &["CLIENT_ERROR invalid exptime argument\r\n"],
        memcached: &["NOT_FOUND\r\n"],
        reason: NUMBER,
    },
    Known {
        pattern: "gat 2147483648 none",
        request: "gat 2147483648 none\r\n",
        larder: &["CLIENT_ERROR invalid exptime argument\r\n"],
        memcached: &[END],
        reason: NUMBER,
    },
    Known {
        pattern: "flush_all +1000",
        request: "flush_all +1000\r\nflush_all\r\n",
        larder: &["CLIENT_ERROR invalid exptime argument\r\nOK\r\n"],
        memcached: &["OK\r\nOK\r\n"],
        reason: NUMBER,
    },
    Known {
        pattern: "incr none +5",
        request: "incr none +5\r\n",
        larder: &["CLIENT_ERROR invalid numeric delta argument\r\n"],
        memcached: &["NOT_FOUND\r\n"],
        reason: NUMBER,
    },
    Known {
        pattern: "cas none 0 0 1 +5",
        request: "cas none 0 0 1 +5\r\nx\r\n",
        larder: &[BAD_LINE],
        memcached: &["NOT_FOUND\r\n"],
        reason: NUMBER,
    },
    Known {
        pattern: "mg none T4294967296",
        request: "mg none T4294967296\r\n",
        larder: &[BAD_TOKEN],
        memcached: &["EN\r\n"],
        reason: NUMBER,
    },
    Known {
        pattern: "mg none R2147483648",
        request: "mg none R2147483648\r\n",
        larder: &[BAD_TOKEN],
        memcached: &["EN\r\n"],
        reason: NUMBER,
    },
    Known {
        pattern: "ms none 2 F4294967296",
        request: "ms none 2 F4294967296\r\nhi\r\ndelete none noreply\r\n",
        larder: &[BAD_LINE],
        memcached: &["HD\r\n"],
        reason: NUMBER,
    },
    Known {
        pattern: "md none C+1",
        request: "md none C+1\r\n",
        larder: &[BAD_TOKEN],
        memcached: &["NF\r\n"],
        reason: NUMBER,
    },
    Known {
        pattern: "ma none D+5",
        request: "ma none D+5\r\n",
        larder: &[BAD_OR_DUPLICATE],
        memcached: &["NF\r\n"],
        reason: NUMBER,
    },
    Known {
        pattern: "cache_memlimit +64",
        request: "cache_memlimit +64\r\n",
        larder: &[ERROR],
        memcached: &["OK\r\n"],
        reason: NUMBER,
    },
    Known {
        pattern: "mg none =",
        request: "mg none =\r\n",
        larder: &[BAD_LINE],
        memcached: &[BAD_FLAG],
        reason: FLAG_BYTE,
    },
    Known {
        pattern: "mg none \u{e9}",
        request: "mg none \u{e9}\r\n",
        larder: &[BAD_LINE],
        memcached: &[DUPLICATE],
        reason: FLAG_BYTE,
    },
    Known {
        pattern: "ms none 5 =",
        request: "ms none 5 =\r\nvalue\r\n",
        larder: &[BAD_LINE_THEN_ERROR],
        memcached: &[BAD_FLAG],
        reason: FLAG_BYTE,
    },
];
