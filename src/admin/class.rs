//! Kinds of commands, as they are told apart in latencies.

use crate::base::command::{Command, CountedAs, Get, Op};
use crate::proto::{Form, Request};

/// How many there are.
pub(super) const CLASSES: usize = 7;

/// A kind of command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    Get,
    Set,
    Delete,
    Arith,
    Touch,
    Meta,
    Other,
}

impl Class {
    /// All of them, by number.
    pub(super) const ALL: [Class; CLASSES] =
        [Class::Get, Class::Set, Class::Delete, Class::Arith, Class::Touch, Class::Meta, Class::Other];

    /// The kind of this request.
    pub(super) fn of(request: &Request<'_>) -> Class {
        if let Form::Meta(_) = request.form {
            return Class::Meta;
        }
        match &request.command {
            Command::Read(_, get) => Class::of_read(get),
            Command::Keyed(_, op) => match op {
                Op::Get(get) => Class::of_read(get),
                Op::Store(_) | Op::Oversized { .. } => Class::Set,
                Op::Delete(_) => Class::Delete,
                Op::Arith(_) => Class::Arith,
                Op::Touch(_) => Class::Touch,
                Op::Inspect | Op::Expire | Op::Evict(_) => Class::Other,
            },
            _ => Class::Other,
        }
    }

    fn of_read(get: &Get) -> Class {
        if get.counted_as == CountedAs::Touch { Class::Touch } else { Class::Get }
    }

    /// As the label `class` has it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Class::Get => "get",
            Class::Set => "set",
            Class::Delete => "delete",
            Class::Arith => "arith",
            Class::Touch => "touch",
            Class::Meta => "meta",
            Class::Other => "other",
        }
    }
}
