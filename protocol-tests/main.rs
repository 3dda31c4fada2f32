//! The one test binary. Every module is one kind of proof; the transcripts are the contract on the wire.
//!
//! What the environment may say: `LARDER_REQUIRE_ALL` makes a skip a failure; `LARDER_LONG` runs what takes minutes;
//! `LARDER_BINARY` names another larder to test, such as a release build; `LARDER_RELEASE` names the release build whose
//! instructions are counted; `LARDER_SEED` begins the random pipelines elsewhere; `LARDER_PYTHON` names a Python that has
//! `clients/requirements.txt`.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on fails")]

mod access;
mod answers;
mod bad_input;
mod budgets;
mod capable;
mod client;
mod command_line;
mod crash;
mod differential;
mod drivers;
mod durability;
mod model;
mod oracle;
mod process;
mod random;
mod real_input;
mod rust_client;
mod scale;
mod skips;
mod split;
mod tidy;
mod tool;
mod torture;
mod transcript;
mod transcripts;
mod wait;
