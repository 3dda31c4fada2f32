//! The one test binary. Every module is one kind of proof; the transcripts are the contract on the wire.
mod oracle;
mod skips;
mod tidy;
mod transcript;
mod transcripts;
mod wait;
