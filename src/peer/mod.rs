//! Servers among themselves, without a socket: what a server asks another on behalf of a client.
//!
//! Owns: the frames between them ([`frame`], drawn in `FORMAT.md`; answers to many keys are [`parts`]), the proof of the shared secret ([`greeting`]), the
//! asking side of one connection ([`link`]) and of all of them together ([`desk`]), the answering side ([`session`]), and
//! what all workers know of the other servers ([`roster`]).
//!
//! May import: base, proto, route.
//!
//! Invariants: no socket; the time comes in. Until both sides have proved the secret nothing but the greeting is
//! accepted. What was sent and not answered is *unknown* and never sent again. Requests of one connection to one server
//! stay in order, also when they are sent on or the connection between the servers is made anew. A server that does not
//! have a group says so and asks nobody: one hop, at most one second try. A client that does not read its replies costs the
//! server that it has asked no more than an outbox and an item: reads say how much room there is, and what there is none for
//! is put off by whoever answers, with all that the client asks behind it ([`held`]).
//!
//! Start reading at [`desk::Desk::take`], then [`session::Session::turn`].

pub mod desk;
pub mod frame;
pub mod greeting;
mod held;
pub mod link;
pub mod parts;
pub mod roster;
pub mod session;
#[cfg(test)]
mod tests;

pub use desk::{Answer, Asker, Desk};
pub use roster::{End, Facts, Figures, Roster, Secret};
pub use session::{Answered, NotNow, Owner, Question, Session};
