//! What `/metrics` says, family after family. `docs/metrics.md` explains each; a test compares the two.

use std::sync::atomic::{AtomicU64, Ordering};

use super::figures::{LogFigures, Process, Snapshot, View};
use super::prometheus::{Kind, Text};
use crate::binlog::State;
use crate::group::figures::Figures;
use crate::peer::End;

use Kind::{Counter, Gauge, Histogram};

/// A family of one sample: kind, name, help and where its value is.
type Row = (Kind, &'static str, &'static str, fn(&View, &Snapshot) -> f64);

/// Everything, or what there is before the server is recovered.
pub(super) fn text(view: Option<&View>) -> Vec<u8> {
    let mut text = Text::default();
    process(&mut text);
    let is_ready = view.is_some_and(|view| view.trouble().is_none());
    text.single(Gauge, "larder_ready", "1 when recovered and taking writes, else 0.", u8::from(is_ready));
    if let Some(view) = view {
        let snapshot = view.snapshot();
        server(&mut text, view, &snapshot);
        commands(&mut text, view, &snapshot);
        for table in [CONNECTIONS, MEMORY, STORE] {
            rows(&mut text, view, &snapshot, table);
        }
        snapshot.log.iter().for_each(|log| binlog(&mut text, log));
        durations(&mut text, &snapshot);
        cluster(&mut text, view);
        groups(&mut text, &snapshot);
    }
    text.into_bytes()
}

fn rows(text: &mut Text, view: &View, snapshot: &Snapshot, rows: &[Row]) {
    for (kind, name, help, value) in rows {
        text.single(*kind, name, help, value(view, snapshot));
    }
}

fn load(counter: &AtomicU64) -> f64 {
    counter.load(Ordering::Relaxed) as f64
}

fn process(text: &mut Text) {
    let process = Process::read();
    text.single(Counter, "process_cpu_seconds_total", "User and system time of the process.", process.cpu_s);
    text.single(Gauge, "process_resident_memory_bytes", "Memory of the process.", process.resident_bytes);
    text.single(Gauge, "process_open_fds", "Open file descriptors.", process.open_fds);
}

const SERVER: &[Row] = &[
    (Gauge, "larder_start_time_seconds", "When the server began, in unix seconds.", |view, _| {
        view.dispatch.settings.started.0 as f64 / 1000.0
    }),
    (Gauge, "larder_workers", "Worker threads.", |view, _| view.dispatch.settings.threads as f64),
    (Gauge, "larder_groups", "Logical groups of this server.", |_, snapshot| snapshot.groups.len() as f64),
    (
        Gauge,
        "larder_groups_complete",
        "Groups that are in memory as a whole: a miss in them asks no disk.",
        |_, snapshot| snapshot.total.complete_groups as f64,
    ),
];

fn server(text: &mut Text, view: &View, snapshot: &Snapshot) {
    let settings = &view.dispatch.settings;
    text.family(Gauge, "larder_build_info", "Always 1; the labels say what runs.");
    let labels = [("version", env!("CARGO_PKG_VERSION")), ("durability", settings.durability)];
    text.sample("larder_build_info", &labels, 1);
    rows(text, view, snapshot, SERVER);
}

const COMMANDS: &[Row] = &[
    (
        Counter,
        "larder_sets_total",
        "Commands that store a value, also those that found their condition wanting.",
        |_, snapshot| snapshot.total.counters.cmd_set as f64,
    ),
    (Counter, "larder_items_stored_total", "Values stored.", |_, snapshot| {
        snapshot.total.counters.total_items as f64
    }),
    (Counter, "larder_flushes_total", "flush_all commands.", |view, _| load(&view.dispatch.flushes)),
    (
        Counter,
        "larder_gets_expired_total",
        "Gets that missed because the item had expired.",
        |_, snapshot| snapshot.total.counters.get_expired as f64,
    ),
    (
        Counter,
        "larder_gets_flushed_total",
        "Gets that missed because the item had been flushed.",
        |_, snapshot| snapshot.total.counters.get_flushed as f64,
    ),
    (
        Counter,
        "larder_cold_reads_total",
        "Reads of the store because memory did not have the key.",
        |_, snapshot| snapshot.total.counters.cold_reads as f64,
    ),
    (
        Counter,
        "larder_commands_parked_total",
        "Commands put off because too much was dirty or the log was full.",
        |_, snapshot| snapshot.total.counters.parked as f64,
    ),
    (Counter, "larder_auth_attempts_total", "Attempts to authenticate.", |view, _| {
        load(&view.dispatch.auth_commands)
    }),
    (Counter, "larder_auth_failures_total", "Attempts that failed.", |view, _| {
        load(&view.dispatch.auth_errors)
    }),
];

fn commands(text: &mut Text, view: &View, snapshot: &Snapshot) {
    let counters = &snapshot.total.counters;
    text.family(
        Counter,
        "larder_commands_total",
        "Commands about keys that look for one, by what they found.",
    );
    for (command, result, count) in [
        ("get", "hit", counters.get_hits),
        ("get", "miss", counters.get_misses),
        ("delete", "hit", counters.delete_hits),
        ("delete", "miss", counters.delete_misses),
        ("incr", "hit", counters.incr_hits),
        ("incr", "miss", counters.incr_misses),
        ("decr", "hit", counters.decr_hits),
        ("decr", "miss", counters.decr_misses),
        ("touch", "hit", counters.touch_hits),
        ("touch", "miss", counters.touch_misses),
        ("cas", "hit", counters.cas_hits),
        ("cas", "miss", counters.cas_misses),
        ("cas", "badval", counters.cas_badval),
    ] {
        text.sample("larder_commands_total", &[("command", command), ("result", result)], count);
    }
    text.family(Counter, "larder_stores_refused_total", "Values that were not stored, by reason.");
    for (reason, count) in [("too_large", counters.store_too_large), ("no_memory", counters.store_no_memory)]
    {
        text.sample("larder_stores_refused_total", &[("reason", reason)], count);
    }
    rows(text, view, snapshot, COMMANDS);
}

const CONNECTIONS: &[Row] = &[
    (Gauge, "larder_connections", "Open client connections.", |_, snapshot| snapshot.connections as f64),
    (Gauge, "larder_connections_limit", "Connections that may be open at a time (-c).", |view, _| {
        view.dispatch.settings.max_connections as f64
    }),
    (Counter, "larder_connections_accepted_total", "Connections accepted.", |view, _| {
        load(&view.dispatch.registry.accepted)
    }),
    (
        Counter,
        "larder_connections_rejected_total",
        "Connections refused because there were too many.",
        |view, _| load(&view.dispatch.registry.rejected),
    ),
    (
        Counter,
        "larder_connections_idle_closed_total",
        "Connections closed because they were silent for too long.",
        |_, snapshot| snapshot.idle_kicks as f64,
    ),
    (
        Counter,
        "larder_connection_yields_total",
        "Turns in which a connection had more requests than its share.",
        |_, snapshot| snapshot.conn_yields as f64,
    ),
    (Counter, "larder_network_received_bytes_total", "Received from clients.", |_, snapshot| {
        snapshot.received_bytes as f64
    }),
    (Counter, "larder_network_sent_bytes_total", "Sent to clients.", |_, snapshot| {
        snapshot.sent_bytes as f64
    }),
    (Gauge, "larder_watchers", "Connections that watch events.", |view, _| {
        view.dispatch.registry.watchers.count() as f64
    }),
    (Counter, "larder_watcher_lines_total", "Event lines sent to watchers.", |view, _| {
        load(&view.dispatch.registry.watchers.sent)
    }),
    (Counter, "larder_watcher_lines_skipped_total", "Event lines that a slow watcher missed.", |view, _| {
        load(&view.dispatch.registry.watchers.skipped)
    }),
];

const MEMORY: &[Row] = &[
    (Gauge, "larder_memory_limit_bytes", "Memory for items (-m).", |view, _| {
        view.dispatch.shared.budget.limit() as f64
    }),
    (Gauge, "larder_memory_used_bytes", "Memory taken of it.", |view, _| {
        view.dispatch.shared.budget.used() as f64
    }),
    (Gauge, "larder_memory_dirty_bytes", "Memory of items that no checkpoint has written yet.", |view, _| {
        view.dispatch.shared.budget.dirty_used() as f64
    }),
    (Gauge, "larder_memory_dirty_limit_bytes", "Dirty memory from which on writers wait.", |view, _| {
        load(&view.dispatch.shared.dirty_bytes_max)
    }),
    (Gauge, "larder_memory_pinned_bytes", "Values held for replies that have not left.", |view, _| {
        view.dispatch.shared.budget.pinned() as f64
    }),
    (Gauge, "larder_items_in_memory", "Items in memory.", |_, snapshot| snapshot.total.hot.live as f64),
    (Gauge, "larder_tombstones", "Removals in memory that no checkpoint has written.", |_, snapshot| {
        snapshot.total.hot.tombstones as f64
    }),
    (Gauge, "larder_items_dirty", "Entries newer than the last checkpoint.", |_, snapshot| {
        snapshot.total.hot.dirty as f64
    }),
    (
        Counter,
        "larder_evictions_total",
        "Items lost for room: with --memory-only, or --on-full evict.",
        |_, snapshot| snapshot.total.hot.evictions as f64,
    ),
    (Counter, "larder_evictions_unfetched_total", "Those of them that nobody had read.", |_, snapshot| {
        snapshot.total.hot.evicted_unfetched as f64
    }),
    (
        Counter,
        "larder_evictions_active_total",
        "Those of them that had been read not long before.",
        |_, snapshot| snapshot.total.hot.evicted_active as f64,
    ),
    (Counter, "larder_cooled_total", "Items dropped from memory that the store still has.", |_, snapshot| {
        snapshot.total.hot.cooled as f64
    }),
    (Counter, "larder_reclaimed_total", "Expired items dropped; only with --memory-only.", |_, snapshot| {
        snapshot.total.hot.reclaimed as f64
    }),
    (Counter, "larder_reclaimed_unfetched_total", "Those of them that nobody had read.", |_, snapshot| {
        snapshot.total.hot.expired_unfetched as f64
    }),
];

const STORE: &[Row] = &[
    (Gauge, "larder_items", "Items stored, in memory or on disk.", |_, snapshot| snapshot.total.items as f64),
    (Gauge, "larder_item_bytes", "Their keys and values.", |_, snapshot| snapshot.total.item_bytes as f64),
    (Gauge, "larder_store_items", "Items in the stores.", |_, snapshot| snapshot.total.rows as f64),
    (Gauge, "larder_store_payload_bytes", "Their keys and values.", |_, snapshot| {
        snapshot.total.payload_bytes as f64
    }),
    (Counter, "larder_checkpoint_rows_total", "Rows that checkpoints wrote or removed.", |_, snapshot| {
        snapshot.timings.checkpoint_rows as f64
    }),
    (Counter, "larder_checkpoint_bytes_total", "Keys and values that checkpoints wrote.", |_, snapshot| {
        snapshot.timings.checkpoint_bytes as f64
    }),
];

/// A figure of the log.
type LogRow = (Kind, &'static str, &'static str, fn(&LogFigures) -> f64);

const BINLOG: &[LogRow] = &[
    (Gauge, "larder_binlog_stopped", "1 when a write or sync failed: no more writes.", |log| {
        f64::from(matches!(log.state, State::Stopped(_)))
    }),
    (Gauge, "larder_binlog_disk_full", "1 while the disk has no room for the log.", |log| {
        f64::from(log.state == State::Full)
    }),
    (Gauge, "larder_binlog_appended_lsn", "Last position given.", |log| log.figures.appended_lsn.0 as f64),
    (Gauge, "larder_binlog_safe_lsn", "Position up to which replies may leave.", |log| log.safe_lsn as f64),
    (Gauge, "larder_binlog_durable_lsn", "Position up to which a power cut loses nothing.", |log| {
        log.figures.durable_lsn.0 as f64
    }),
    (Gauge, "larder_binlog_trim_lsn", "Position up to which the stores have everything.", |log| {
        log.figures.trim_lsn.0 as f64
    }),
    (Gauge, "larder_binlog_used_bytes", "Log that could not be given back yet.", |log| {
        log.figures.used_bytes as f64
    }),
    (Gauge, "larder_binlog_limit_bytes", "Log at which writers wait (--log-size).", |log| {
        log.bytes_max as f64
    }),
    (Gauge, "larder_binlog_buffered_bytes", "Appended and not written yet.", |log| {
        log.figures.buffered_bytes as f64
    }),
    (Counter, "larder_binlog_writes_total", "Writes to the log.", |log| log.figures.writes as f64),
    (Counter, "larder_binlog_written_bytes_total", "Written to the log.", |log| {
        log.figures.written_bytes as f64
    }),
    (Counter, "larder_binlog_syncs_total", "Syncs of the log.", |log| log.figures.syncs as f64),
    (Counter, "larder_binlog_segments_recycled_total", "Files of the log that were used again.", |log| {
        log.figures.segments_recycled as f64
    }),
];

fn binlog(text: &mut Text, log: &LogFigures) {
    let figures = &log.figures;
    text.family(
        Gauge,
        "larder_binlog_segments",
        "Files of the log: with records in them, and ready to be used.",
    );
    for (state, count) in [("used", figures.segments), ("ready", figures.segments_ready)] {
        text.sample("larder_binlog_segments", &[("state", state)], count);
    }
    for (kind, name, help, value) in BINLOG {
        text.single(*kind, name, help, value(log));
    }
}

fn durations(text: &mut Text, snapshot: &Snapshot) {
    let name = "larder_request_duration_seconds";
    let help = "From a whole request to a reply that may leave; about one request in 256 is timed.";
    text.family(Histogram, name, help);
    for (class, latencies) in snapshot.by_class() {
        text.histogram(name, &[("class", class.name())], latencies);
    }
    let timings = &snapshot.timings;
    for (name, help, distribution) in [
        (
            "larder_binlog_write_duration_seconds",
            "Writes to the log; one in 16 is timed.",
            &timings.log_write,
        ),
        ("larder_binlog_sync_duration_seconds", "Syncs of the log.", &timings.log_sync),
        ("larder_checkpoint_duration_seconds", "Checkpoints of a group.", &timings.checkpoint),
        (
            "larder_cold_read_duration_seconds",
            "Reads of the store for a request; one in 8 is timed.",
            &timings.cold_read,
        ),
    ] {
        text.family(Histogram, name, help);
        text.histogram(name, &[], distribution);
    }
}

/// What other servers are asked, and ask. All is zero without a cluster.
fn cluster(text: &mut Text, view: &View) {
    let cluster = view.dispatch.cluster.as_ref();
    let figures = cluster.map(|cluster| &cluster.roster.figures);
    let version = cluster.map_or(0, |cluster| cluster.map().version());
    text.single(Gauge, "larder_cluster_map_version", "The version of the map in force.", version);
    let name = "larder_forwarded_total";
    text.family(Counter, name, "Requests that another server was to answer, by what came of it.");
    for end in End::ALL {
        text.sample(name, &[("result", end.name())], figures.map_or(0, |figures| figures.ended(end)));
    }
    let answered = figures.map_or(0.0, |figures| load(&figures.answered));
    let help = "Requests that other servers sent on and this one answered.";
    text.single(Counter, "larder_peer_requests_total", help, answered);
    let name = "larder_forward_duration_seconds";
    text.family(Histogram, name, "From a whole request to the answer of another server.");
    let durations = figures.map(|figures| figures.durations.read()).unwrap_or_default();
    text.histogram(name, &[], &durations);
}

/// A figure of every group: kind, name, help and where it is.
type GroupRow = (Kind, &'static str, &'static str, fn(&Figures) -> u64);

const GROUP_ROWS: &[GroupRow] = &[
    (Gauge, "larder_group_items", "Items stored.", |figures| figures.items),
    (Gauge, "larder_group_item_bytes", "Their keys and values.", |figures| figures.item_bytes),
    (Gauge, "larder_group_items_in_memory", "Items in memory.", |figures| figures.hot.live),
    (Gauge, "larder_group_items_dirty", "Entries newer than the last checkpoint.", |figures| {
        figures.hot.dirty
    }),
    (Gauge, "larder_group_store_items", "Items in the store.", |figures| figures.rows),
    (Gauge, "larder_group_complete", "1 when the whole group is in memory.", |figures| {
        figures.complete_groups
    }),
    (Counter, "larder_group_get_hits_total", "Gets that found an item.", |figures| figures.counters.get_hits),
    (Counter, "larder_group_get_misses_total", "Gets that found none.", |figures| {
        figures.counters.get_misses
    }),
    (Counter, "larder_group_sets_total", "Commands that store a value.", |figures| figures.counters.cmd_set),
    (Counter, "larder_group_cold_reads_total", "Reads of the store.", |figures| figures.counters.cold_reads),
];

fn groups(text: &mut Text, snapshot: &Snapshot) {
    for (kind, name, help, field) in GROUP_ROWS {
        text.family(*kind, name, help);
        for (id, figures) in &snapshot.groups {
            text.sample(name, &[("group", &id.to_string())], field(figures));
        }
    }
}
