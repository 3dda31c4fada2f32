//! The one test binary. Every module is one kind of proof; the transcripts are the contract on the wire.
//!
//! What the environment may say: `LARDER_REQUIRE_ALL` makes a skip a failure; `LARDER_LONG` runs what takes minutes;
//! `LARDER_BINARY` names another larder to test, such as a release build; `LARDER_RELEASE` names the release build
//! whose instructions are counted; `LARDER_PYTHON` names a Python that has pymemcache; `LARDER_CLIENTS` names the
//! folder that `clients/install` filled; `LARDER_PICTURES` names a folder for pictures of the admin page;
//! `LARDER_FUZZ_SECONDS` and `LARDER_FUZZ_SEED` make the fuzzing of the codecs long (`fuzz`); `LARDER_SEED` begins
//! the random pipelines elsewhere.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on fails")]

mod acceptor;
mod access;
mod admin;
mod answers;
mod backups;
mod bad_input;
mod beside;
mod budgets;
mod capable;
mod client;
mod clients;
mod cluster;
mod cold;
mod command_line;
mod counts;
mod crash;
mod datagrams;
mod differential;
mod disk_limit;
mod documents;
mod drivers;
mod durability;
mod frames;
mod full_disk;
mod fuzz;
mod groups;
mod http;
mod lost_files;
mod model;
mod options;
mod oracle;
mod page;
mod people;
mod process;
mod random;
mod real_input;
mod rust_client;
mod scale;
mod skips;
mod space;
mod split;
mod tidy;
#[cfg(feature = "tls")]
mod tls;
mod tool;
mod torture;
mod transcript;
mod transcripts;
mod wait;
mod watching;
