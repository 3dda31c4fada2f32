//! Every difference between Larder and memcached 1.6.18 in the binary protocol: data.
use super::generate::Sent;
use crate::frames::Frame;

/// A difference: units whose first frame is of this pattern, and what the two answer.
pub(super) struct Known {
    /// Opcode, extras, key and value. Opcodes are hexadecimal, `|` between two, or `unknown`; the others are `_` for
    /// whatever, `0` for none, `+` for some, `2G` for more than a 31-bit number of bytes, or `'text'`.
    pub(super) pattern: &'static str,
    /// Such a unit, for the generator.
    pub(super) frames: &'static [Example],
    /// What Larder answers between two noops, those included, up to where it closes: one of these, exactly. `{op}` is
    /// the opcode.
    pub(super) larder: &'static [&'static str],
    /// What memcached 1.6.18 answers.
    pub(super) memcached: &'static [&'static str],
    /// Why.
    pub(super) reason: &'static str,
}

/// A frame to send.
pub(super) struct Example {
    opcode: u8,
    extras: &'static [u8],
    key: &'static str,
    value: &'static str,
    /// Instead of the true length of the body.
    body_bytes: Option<u32>,
}

const fn example(opcode: u8, extras: &'static [u8], key: &'static str, value: &'static str) -> Example {
    Example { opcode, extras, key, value, body_bytes: None }
}

impl Known {
    /// The unit to send.
    pub(super) fn sent(&self) -> Vec<Sent> {
        let sent = |example: &Example| {
            let Example { opcode, extras, key, value, body_bytes } = *example;
            let frame = Frame {
                opcode,
                extras: extras.into(),
                key: key.into(),
                value: value.into(),
                ..Frame::default()
            };
            Sent { body_bytes, ..Sent::of(frame) }
        };
        self.frames.iter().map(sent).collect()
    }

    /// Whether a unit that begins with this frame is one of these.
    pub(super) fn covers(&self, first: &Sent) -> bool {
        let words: Vec<&str> = self.pattern.split(' ').collect();
        let [opcodes, extras, key, value] = words[..] else { panic!("{} is no pattern", self.pattern) };
        let is_known = first.frame.opcode <= 0x24 && !matches!(first.frame.opcode, 0x1b | 0x1f);
        let is_opcode = match opcodes {
            "unknown" => !is_known,
            _ => opcodes.split('|').any(|hex| u8::from_str_radix(hex, 16) == Ok(first.frame.opcode)),
        };
        let parts = [&first.frame.extras, &first.frame.key, &first.frame.value];
        let fits = |((word, length), part): ((&str, i64), &Vec<u8>)| match word {
            "_" => true,
            "0" => length == 0,
            "+" => length > 0,
            "2G" => length > 0x7fff_0000,
            text => text.trim_matches('\'').as_bytes() == part.as_slice(),
        };
        is_opcode && [extras, key, value].into_iter().zip(first.lengths()).zip(parts).all(fits)
    }
}

const FRAMES: &str = "memcached loses track of the frames and closes";
const FORGOTTEN: &str =
    "memcached takes the value for a part of another frame, and forgets what it has not sent";

/// All of them.
pub(super) const KNOWN: &[Known] = &[
    Known {
        pattern: "0b 0 0 0",
        frames: &[example(0x0b, &[], "", "")],
        larder: &["0a 0000 @1; 0b 0000 '1.6.45' @2; 0a 0000 @3"],
        memcached: &["0a 0000 @1; 0b 0000 '1.6.18' @2; 0a 0000 @3"],
        reason: "version",
    },
    Known {
        pattern: "unknown + _ _",
        frames: &[example(0x1b, &[0, 0, 0, 1], "", "")],
        larder: &["0a 0000 @1; {op} 0081 'Unknown command' @2; 0a 0000 @3"],
        memcached: &["0a 0000 @1; {op} 0081 'Unknown command' @2"],
        reason: FRAMES,
    },
    Known {
        pattern: "unknown 0 + _",
        frames: &[example(0x30, &[], "a", "x")],
        larder: &["0a 0000 @1; {op} 0081 'Unknown command' @2; 0a 0000 @3"],
        memcached: &["0a 0000 @1; {op} 0081 'Unknown command' @2"],
        reason: FRAMES,
    },
    Known {
        pattern: "10 0 _ +",
        frames: &[example(0x10, &[], "a", "x")],
        larder: &["0a 0000 @1; 10 0004 'Invalid arguments' @2"],
        memcached: &["0a 0000 @1; 10 0001 'Not found' @2"],
        reason: FRAMES,
    },
    Known {
        pattern: "1c|1d|1e|23|24 + + +",
        frames: &[example(0x1d, &[0; 4], "nowhere", "x")],
        larder: &["0a 0000 @1; {op} 0004 'Invalid arguments' @2"],
        memcached: &["0a 0000 @1; {op} 0001 'Not found' @2", "0a 0000 @1"],
        reason: FORGOTTEN,
    },
    Known {
        pattern: "01|11 + + 2G",
        frames: &[Example { body_bytes: Some(0x7fff_ffff), ..example(0x01, &[0; 8], "a", "x") }],
        larder: &["0a 0000 @1; 01 0004 'Invalid arguments' @2"],
        memcached: &["0a 0000 @1", ""],
        reason: "the length of such a value is negative for memcached, which closes; 1.6.45 answers first",
    },
    Known {
        pattern: "01 _ 'gone' _",
        frames: &[
            example(0x01, &[0; 8], "gone", "x"),
            example(0x18, &[], "", ""),
            example(0x18, &[0, 0, 0x03, 0xe8], "", ""),
            example(0x00, &[], "gone", ""),
            example(0x18, &[], "", ""),
        ],
        larder: &["0a 0000 @1; 01 0000 #1 @2; 00 0001 'Not found' @2; 0a 0000 @3"],
        memcached: &["0a 0000 @1; 01 0000 #1 @2; 00 0000 x00000000 'x' #1 @2; 0a 0000 @3"],
        reason: "what was flushed stays gone; in memcached a later delayed flush shows it again",
    },
];
