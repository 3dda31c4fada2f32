//! What is understood before a client has authenticated (`-Y`): one storage command whose value is `name password`.

use super::line::{Block, Line, Words, number_u64};
use super::{ClassicForm, Request, Step, texts};
use crate::base::command::Command;
use crate::base::limits::{AUTH_BYTES_MAX, AUTH_LINE_BYTES_MIN, LINE_BYTES_MAX};

/// Reads the first request of a connection that is not authenticated: [`Command::Authenticate`] or a rejection.
///
/// `searched` as in [`decode`](super::decode).
pub fn decode_unauthenticated(bytes: &[u8], searched: usize) -> Step<'_> {
    let Some(line) = Line::first(bytes, searched) else {
        let total = bytes.len() + 1;
        return if bytes.len() > LINE_BYTES_MAX {
            Step::Close
        } else {
            Step::NeedMore { total, searched: bytes.len() }
        };
    };
    if line.length < AUTH_LINE_BYTES_MIN {
        return Step::Close;
    }
    let Some(token_bytes) = announced(line.text) else { return line.reject(texts::UNAUTHENTICATED) };
    match usize::try_from(token_bytes) {
        Ok(token_bytes) if token_bytes <= AUTH_BYTES_MAX => take_token(&line, token_bytes),
        _ => line.reject(texts::AUTH_LONG),
    }
}

/// The length of the name and password: the fifth word behind a `set`; the words between say nothing.
fn announced(text: &[u8]) -> Option<u64> {
    let mut words = Words(text);
    (words.next()? == b"set").then_some(())?;
    number_u64(words.nth(3)?)
}

/// The name and password, if they are here and look like two words.
fn take_token<'a>(line: &Line<'a>, token_bytes: usize) -> Step<'a> {
    match line.block(token_bytes) {
        Block::Partial { total } => Step::NeedMore { total, searched: 0 },
        Block::Broken { length } => Step::Reject { reply: texts::AUTH_END, length, swallow: 0 },
        Block::Whole { value, length } if Words(value).nth(1).is_none() => {
            Step::Reject { reply: texts::AUTH_FORMAT, length, swallow: 0 }
        }
        Block::Whole { value, length } => {
            let request = Request::classic(Command::Authenticate(value), ClassicForm::default());
            Step::Request { request, length, swallow: 0 }
        }
    }
}
