//! Larder.
pub mod base;
pub mod engine;
pub mod proto;
pub mod route;

#[cfg(feature = "server")]
pub mod binlog;
#[cfg(feature = "server")]
pub mod config;
#[cfg(feature = "server")]
pub mod conn;
#[cfg(feature = "server")]
pub mod dispatch;
#[cfg(feature = "server")]
pub mod group;
#[cfg(feature = "server")]
pub mod hot;
#[cfg(feature = "server")]
pub mod net;
#[cfg(feature = "server")]
pub mod server;
#[cfg(feature = "server")]
pub mod store;
