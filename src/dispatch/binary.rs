//! What only the binary protocol asks, and what it answers in its own way: noop, version, quit, SASL.

use std::sync::atomic::Ordering;

use super::Dispatch;
use super::stats::MEMCACHED_VERSION;
use crate::base::command::{Command, Sasl};
use crate::base::lsn::Lsn;
use crate::conn::{Ask, Outbox, Verdict};
use crate::proto::binary::{self, BinaryForm, Status};

/// The one way to authenticate (RFC 4616). It sends the password as it is: over an untrusted network only inside TLS.
const MECHANISM: &[u8] = b"PLAIN";
/// What a client is told that has authenticated.
const AUTHENTICATED: &[u8] = b"Authenticated";

impl Dispatch {
    /// Answers a frame that is not about keys, flush and stat apart: the text protocol has those too.
    pub(super) fn administer_frame(
        &self,
        command: &Command<'_>,
        form: &BinaryForm,
        ask: &mut Ask<'_>,
        out: &mut Outbox,
    ) -> Verdict {
        match command {
            Command::Noop | Command::Quit => binary::encode_done(form, out),
            Command::Version => binary::encode_body(form, MEMCACHED_VERSION.as_bytes(), out),
            Command::SaslMechanisms => binary::encode_body(form, MECHANISM, out),
            Command::Sasl(sasl) => self.authenticate_sasl(sasl, form, ask, out),
            _ => binary::encode_status(form, Status::UnknownCommand, out),
        }
        out.seal(Lsn::ZERO);
        if matches!(command, Command::Quit) { Verdict::Close } else { Verdict::Done }
    }

    /// One step of SASL PLAIN. A client may name the mechanism first and send name and password in a second step.
    fn authenticate_sasl(&self, sasl: &Sasl<'_>, form: &BinaryForm, ask: &mut Ask<'_>, out: &mut Outbox) {
        let session = &mut *ask.session;
        let is_understood = sasl.mechanism == MECHANISM && (sasl.is_first || session.sasl_begun);
        if is_understood && sasl.is_first && sasl.response.is_empty() {
            session.sasl_begun = true;
            return binary::encode_status(form, Status::AuthContinue, out);
        }
        session.sasl_begun = false;
        self.auth_commands.fetch_add(1, Ordering::Relaxed);
        let users = self.users.as_ref().filter(|_| is_understood);
        if users.is_some_and(|users| users.accepts_plain(sasl.response)) {
            session.authenticated = true;
            return binary::encode_body(form, AUTHENTICATED, out);
        }
        self.auth_errors.fetch_add(1, Ordering::Relaxed);
        binary::encode_status(form, Status::AuthFailure, out);
    }
}
