//! What the log says when the server is ready: what an operator looks for first.

use crate::config::{Config, Fsync, Keep};
use crate::route::Placement;

/// The lines, for the server that serves on `addresses`.
pub(super) fn lines(config: &Config, placement: Placement, addresses: &str) -> Vec<String> {
    let rule = format!(
        "{} groups, hash {}, hash-tag {}",
        placement.group_count,
        placement.hash.name(),
        placement.hash_tag.name()
    );
    let kept = match &config.keep {
        Keep::Nothing => format!("nothing is kept (--memory-only), {rule}"),
        Keep::Data(data) => format!("data in {}, {rule}, {}", data.dir.display(), durability(data.fsync)),
    };
    let memory = format!(
        "memory {} MB, items up to {} KB, {} workers, {} connections",
        config.memory.bytes >> 20,
        config.memory.item_bytes_max >> 10,
        config.network.threads,
        config.network.connections_max
    );
    vec![kept, memory, format!("larder {}: serving on {addresses}", env!("CARGO_PKG_VERSION"))]
}

fn durability(fsync: Fsync) -> &'static str {
    match fsync {
        Fsync::Always => "fsync always: an acknowledged write survives power loss",
        Fsync::EverySecond => "fsync everysec: power loss costs the last second",
        Fsync::Never => "fsync never: power loss costs what the kernel has not written",
    }
}
