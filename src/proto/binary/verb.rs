//! What opcodes mean, and how the frames of each are shaped.

/// What a frame asks, whether loudly or quietly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // Each is the name of its opcode.
pub enum Verb {
    Get,
    GetKey,
    Set,
    Add,
    Replace,
    Delete,
    Increment,
    Decrement,
    Quit,
    Flush,
    Noop,
    Version,
    Append,
    Prepend,
    Stat,
    Touch,
    GetTouch,
    GetKeyTouch,
    SaslMechanisms,
    SaslAuth,
    SaslStep,
}

/// How many bytes a part of a frame may have.
enum Part {
    None,
    Some,
    Any,
}

impl Part {
    fn holds(&self, bytes: usize) -> bool {
        match self {
            Part::None => bytes == 0,
            Part::Some => bytes > 0,
            Part::Any => true,
        }
    }
}

impl Verb {
    /// What an opcode asks, and whether quietly; `None` when it is not known.
    pub(super) fn of(opcode: u8) -> Option<(Verb, bool)> {
        Some(match opcode {
            0x00 => (Verb::Get, false),
            0x01 => (Verb::Set, false),
            0x02 => (Verb::Add, false),
            0x03 => (Verb::Replace, false),
            0x04 => (Verb::Delete, false),
            0x05 => (Verb::Increment, false),
            0x06 => (Verb::Decrement, false),
            0x07 => (Verb::Quit, false),
            0x08 => (Verb::Flush, false),
            0x09 => (Verb::Get, true),
            0x0a => (Verb::Noop, false),
            0x0b => (Verb::Version, false),
            0x0c => (Verb::GetKey, false),
            0x0d => (Verb::GetKey, true),
            0x0e => (Verb::Append, false),
            0x0f => (Verb::Prepend, false),
            0x10 => (Verb::Stat, false),
            0x11 => (Verb::Set, true),
            0x12 => (Verb::Add, true),
            0x13 => (Verb::Replace, true),
            0x14 => (Verb::Delete, true),
            0x15 => (Verb::Increment, true),
            0x16 => (Verb::Decrement, true),
            0x17 => (Verb::Quit, true),
            0x18 => (Verb::Flush, true),
            0x19 => (Verb::Append, true),
            0x1a => (Verb::Prepend, true),
            0x1c => (Verb::Touch, false),
            0x1d => (Verb::GetTouch, false),
            0x1e => (Verb::GetTouch, true),
            0x20 => (Verb::SaslMechanisms, false),
            0x21 => (Verb::SaslAuth, false),
            0x22 => (Verb::SaslStep, false),
            0x23 => (Verb::GetKeyTouch, false),
            0x24 => (Verb::GetKeyTouch, true),
            _ => return None,
        })
    }

    /// Whether its frames may have these lengths of extras, key and value.
    pub(super) fn is_shaped(self, extras_bytes: usize, key_bytes: usize, value_bytes: usize) -> bool {
        let (extras, key, value): (&[usize], Part, Part) = match self {
            Verb::Get | Verb::GetKey | Verb::Delete => (&[0], Part::Some, Part::None),
            Verb::Set | Verb::Add | Verb::Replace => (&[8], Part::Some, Part::Any),
            Verb::Append | Verb::Prepend => (&[0], Part::Some, Part::Any),
            Verb::Increment | Verb::Decrement => (&[20], Part::Some, Part::None),
            Verb::Touch | Verb::GetTouch | Verb::GetKeyTouch => (&[4], Part::Some, Part::None),
            Verb::Flush => (&[0, 4], Part::None, Part::None),
            Verb::Stat => (&[0], Part::Any, Part::None),
            Verb::Quit | Verb::Noop | Verb::Version | Verb::SaslMechanisms => (&[0], Part::None, Part::None),
            Verb::SaslAuth | Verb::SaslStep => (&[0], Part::Some, Part::Any),
        };
        extras.contains(&extras_bytes) && key.holds(key_bytes) && value.holds(value_bytes)
    }

    /// Whether it may be asked before authentication.
    pub(super) fn is_open(self) -> bool {
        matches!(self, Verb::SaslMechanisms | Verb::SaslAuth | Verb::SaslStep | Verb::Version)
    }

    /// Whether the answer repeats the key.
    pub(super) fn shows_key(self) -> bool {
        matches!(self, Verb::GetKey | Verb::GetKeyTouch)
    }

    /// Whether it reads: then a quiet one tells no miss, and tells what it finds.
    pub(super) fn reads(self) -> bool {
        matches!(self, Verb::Get | Verb::GetKey | Verb::Touch | Verb::GetTouch | Verb::GetKeyTouch)
    }
}
