//! What `stats` shows (PROTOCOL.md sections 4 and 9): every field of memcached's, true where it means something here,
//! else 0 or the neutral value.

use std::fmt::Display;
use std::io::Write as _;
use std::sync::atomic::Ordering;

use super::Dispatch;
use super::cluster::Cluster;
use crate::base::command::StatsTopic;
use crate::base::counters::GroupCounters;
use crate::base::reply::Sink;
use crate::base::time::UnixMs;
use crate::config;
use crate::conn::registry::Traffic;
use crate::conn::{Backend, Outbox};
use crate::group::figures::Figures;
use crate::peer::End;
use crate::proto::{Form, binary, texts};

/// The memcached that Larder answers like.
pub(super) const MEMCACHED_VERSION: &str = "1.6.45";

/// What memcached calls a page: `stats slabs` counts the memory in use in these. Tools pass over a class of none.
const PAGE_BYTES: usize = 1 << 20;

/// Whether sessions of TLS are kept: then they are counted.
pub type KeepsSessions = bool;

/// What is shown of the configuration.
#[derive(Debug, Default)]
pub struct Settings {
    /// Whether `shutdown` is allowed (`-A`).
    pub shutdown_enabled: bool,
    /// When the process began.
    pub started: UnixMs,
    /// Workers.
    pub threads: usize,
    /// `-c`.
    pub max_connections: usize,
    /// Whether the figures of the LRU crawler and the LRU maintainer are shown, and the sizes of items.
    pub shown: config::Shown,
    /// Idle timeout, seconds; 0 for none.
    pub idle_timeout_s: u32,
    /// Whether clients come in by TLS, and then whether their sessions are kept.
    pub tls: Option<KeepsSessions>,
    /// The lines of `stats settings`, but for `maxbytes`, which can change.
    pub lines: Vec<(&'static str, String)>,
    /// The durability level as the command line names it.
    pub durability: &'static str,
}

/// Writes figures: `STAT name value` lines, or frames.
struct Table<'a> {
    form: &'a Form<'a>,
    out: &'a mut Outbox,
    line: Vec<u8>,
}

impl Table<'_> {
    fn row(&mut self, name: impl Display, value: impl Display) {
        if let Form::Binary(form) = self.form {
            let (name, value) = (name.to_string(), value.to_string());
            return binary::encode_stat(form, name.as_bytes(), value.as_bytes(), self.out);
        }
        self.line.clear();
        // Writing to a Vec cannot fail.
        let _ = write!(self.line, "STAT {name} {value}\r\n");
        self.out.put(&self.line);
    }

    fn rows(&mut self, rows: &[(&str, u64)]) {
        for (name, value) in rows {
            self.row(name, value);
        }
    }

    fn zeros_if(&mut self, are_shown: bool, names: &[&str]) {
        if are_shown {
            self.zeros(names);
        }
    }

    /// Fields that steer or count workings which Larder has not.
    fn zeros(&mut self, names: &[&str]) {
        for name in names {
            self.row(name, 0);
        }
    }
}

/// Everything that is added up for one answer.
struct Totals {
    counters: GroupCounters,
    figures: Figures,
    bytes_read: u64,
    bytes_written: u64,
    conn_yields: u64,
    idle_kicks: u64,
}

impl Dispatch {
    /// Writes the answer to `stats TOPIC`, which `connection` has asked.
    pub(super) fn write_stats(
        &self,
        topic: StatsTopic<'_>,
        form: &Form<'_>,
        now: UnixMs,
        connection: u64,
        out: &mut Outbox,
    ) {
        if let StatsTopic::Reset = topic {
            self.reset_counters();
            return end(form, texts::RESET, out);
        }
        if let StatsTopic::Unknown(_) = topic {
            return end(form, texts::ERROR, out);
        }
        if let StatsTopic::DetailOn | StatsTopic::DetailOff = topic {
            self.prefixes.turn(topic == StatsTopic::DetailOn);
            return end(form, texts::OK, out);
        }
        if let StatsTopic::DetailDump = topic {
            return self.write_prefixes(form, out);
        }
        let table = &mut Table { form, out, line: Vec::new() };
        match topic {
            StatsTopic::General => self.general(table, now),
            StatsTopic::Settings => self.settings(table),
            StatsTopic::Items => self.items(table),
            StatsTopic::Slabs => self.slabs(table),
            StatsTopic::Sizes => table.row("sizes_status", "disabled"),
            StatsTopic::Conns => self.conns(table, now, connection),
            StatsTopic::Larder => self.larder(table),
            StatsTopic::Groups => self.each_group(table),
            _ => {}
        }
        end(form, texts::END, out);
    }

    /// What was counted by prefix: lines, in a frame as one figure.
    fn write_prefixes(&self, form: &Form<'_>, out: &mut Outbox) {
        let Form::Binary(frame) = form else { return self.prefixes.write(out) };
        let mut lines = Vec::new();
        self.prefixes.write(&mut lines);
        binary::encode_stat(frame, b"detailed", &lines, out);
        binary::encode_stats_end(frame, out);
    }

    fn totals(&self) -> Totals {
        let mut figures = Figures::default();
        for group in self.groups.iter() {
            figures += &group.figures();
        }
        let sum = |field: fn(&Traffic) -> u64| self.traffic.iter().map(|traffic| field(traffic)).sum();
        Totals {
            counters: figures.counters,
            figures,
            bytes_read: sum(|traffic| traffic.bytes_read.read()),
            bytes_written: sum(|traffic| traffic.bytes_written.read()),
            conn_yields: sum(|traffic| traffic.conn_yields.read()),
            idle_kicks: sum(|traffic| traffic.idle_kicks.read()),
        }
    }

    fn general(&self, table: &mut Table<'_>, now: UnixMs) {
        let totals = self.totals();
        self.process(table, now);
        self.connections(table);
        commands(table, &totals.counters, self);
        if self.settings.idle_timeout_s > 0 {
            table.row("idle_kicks", totals.idle_kicks);
        }
        table.rows(&[
            ("bytes_read", totals.bytes_read),
            ("bytes_written", totals.bytes_written),
            ("limit_maxbytes", self.shared.budget.limit() as u64),
            ("accepting_conns", 1),
            ("listen_disabled_num", 0),
            ("time_in_listen_disabled_us", 0),
            ("threads", self.settings.threads as u64),
            ("conn_yields", totals.conn_yields),
        ]);
        table.zeros(&[
            "hash_power_level",
            "hash_bytes",
            "hash_is_expanding",
            "slab_reassign_rescues",
            "slab_reassign_chunk_rescues",
            "slab_reassign_inline_reclaim",
            "slab_reassign_busy_items",
            "slab_reassign_busy_deletes",
            "slab_reassign_busy_nomem",
        ]);
        table.row("slab_reassign_last_busy_status", "none");
        table.zeros(&["slab_reassign_running", "slabs_moved"]);
        let shown = self.settings.shown;
        table.zeros_if(shown.crawler, &["lru_crawler_running", "lru_crawler_starts"]);
        table.zeros_if(shown.maintainer, &["lru_maintainer_juggles"]);
        table.zeros(&["malloc_fails", "log_worker_dropped", "log_worker_written"]);
        let watchers = &self.registry.watchers;
        table.rows(&[
            ("log_watcher_skipped", watchers.skipped.load(Ordering::Relaxed)),
            ("log_watcher_sent", watchers.sent.load(Ordering::Relaxed)),
            ("log_watchers", watchers.count() as u64),
        ]);
        if let Some(keeps_sessions) = self.settings.tls {
            self.tls(table, keeps_sessions, now);
        }
        table.zeros(&["unexpected_napi_ids", "round_robin_fallback"]);
        table.rows(&[
            ("bytes", totals.figures.item_bytes),
            ("curr_items", totals.figures.items),
            ("total_items", totals.counters.total_items),
            ("slab_global_page_pool", 0),
            ("expired_unfetched", totals.figures.hot.expired_unfetched),
            ("evicted_unfetched", totals.figures.hot.evicted_unfetched),
        ]);
        if shown.maintainer {
            table.row("evicted_active", totals.figures.hot.evicted_active);
        }
        table.rows(&[
            ("evictions", totals.figures.hot.evictions),
            ("reclaimed", totals.figures.hot.reclaimed),
        ]);
        table.zeros(&["crawler_reclaimed", "crawler_items_checked", "lrutail_reflocked"]);
        let moves =
            ["moves_to_cold", "moves_to_warm", "moves_within_lru", "direct_reclaims", "lru_bumps_dropped"];
        table.zeros_if(shown.maintainer, &moves);
    }

    fn process(&self, table: &mut Table<'_>, now: UnixMs) {
        table.row("pid", std::process::id());
        table.row("uptime", now.seconds().saturating_sub(self.settings.started.seconds()));
        table.row("time", now.seconds());
        table.row("version", MEMCACHED_VERSION);
        table.row("libevent", "none");
        table.row("pointer_size", usize::BITS);
        let (user, system) = processor_times();
        table.row("rusage_user", user);
        table.row("rusage_system", system);
    }

    fn connections(&self, table: &mut Table<'_>) {
        let clients = self.registry.clients() as u64;
        table.rows(&[
            ("max_connections", self.settings.max_connections as u64),
            ("curr_connections", clients),
            ("total_connections", self.registry.accepted.load(Ordering::Relaxed)),
            ("rejected_connections", self.registry.rejected.load(Ordering::Relaxed)),
            ("connection_structures", clients),
        ]);
        table.zeros(&[
            "response_obj_oom",
            "response_obj_count",
            "response_obj_bytes",
            "read_buf_count",
            "read_buf_bytes",
            "read_buf_bytes_free",
            "read_buf_oom",
            "reserved_fds",
        ]);
    }

    fn tls(&self, table: &mut Table<'_>, keeps_sessions: KeepsSessions, now: UnixMs) {
        let counts = &self.registry.tls;
        if keeps_sessions {
            table.row("ssl_new_sessions", counts.new_sessions.load(Ordering::Relaxed));
        }
        table.row("ssl_handshake_errors", counts.handshake_errors.load(Ordering::Relaxed));
        table.row("ssl_proto_errors", counts.protocol_errors.load(Ordering::Relaxed));
        let since_s = now.seconds().saturating_sub(counts.refreshed_s.load(Ordering::Relaxed));
        table.row("time_since_server_cert_refresh", since_s);
    }

    fn settings(&self, table: &mut Table<'_>) {
        table.row("maxbytes", self.shared.budget.limit());
        for (name, value) in &self.settings.lines {
            match *name {
                "lru_crawler" => table.row(name, yes(self.crawler.is_enabled.load(Ordering::Relaxed))),
                "detail_enabled" => table.row(name, yes(self.prefixes.is_on())),
                _ => table.row(name, value),
            }
        }
    }

    /// Larder has no slab classes: everything is shown as class 1.
    fn items(&self, table: &mut Table<'_>) {
        let totals = self.totals();
        if totals.figures.items == 0 {
            return;
        }
        for (name, value) in [
            ("number", totals.figures.items),
            ("number_hot", 0),
            ("number_warm", 0),
            ("number_cold", totals.figures.items),
            ("age_hot", 0),
            ("age_warm", 0),
            ("age", 0),
            ("mem_requested", totals.figures.item_bytes),
            ("evicted", totals.figures.hot.evictions),
            ("evicted_nonzero", 0),
            ("evicted_time", 0),
            ("outofmemory", totals.counters.store_no_memory),
            ("tailrepairs", 0),
            ("reclaimed", totals.figures.hot.reclaimed),
            ("expired_unfetched", totals.figures.hot.expired_unfetched),
            ("evicted_unfetched", totals.figures.hot.evicted_unfetched),
            ("evicted_active", totals.figures.hot.evicted_active),
            ("crawler_reclaimed", 0),
            ("crawler_items_checked", 0),
            ("lrutail_reflocked", 0),
            ("moves_to_cold", 0),
            ("moves_to_warm", 0),
            ("moves_within_lru", 0),
            ("direct_reclaims", 0),
            ("hits_to_hot", 0),
            ("hits_to_warm", 0),
            ("hits_to_cold", totals.counters.get_hits),
            ("hits_to_temp", 0),
        ] {
            table.row(format_args!("items:1:{name}"), value);
        }
    }

    fn slabs(&self, table: &mut Table<'_>) {
        let Totals { counters, figures, .. } = self.totals();
        let pages = self.shared.budget.used().div_ceil(PAGE_BYTES) as u64;
        if figures.items > 0 {
            for (name, value) in [
                ("chunk_size", 0),
                ("chunks_per_page", 0),
                ("total_pages", pages),
                ("total_chunks", figures.items),
                ("used_chunks", figures.items),
                ("free_chunks", 0),
                ("free_chunks_end", 0),
                ("get_hits", counters.get_hits),
                ("cmd_set", counters.cmd_set),
                ("delete_hits", counters.delete_hits),
                ("incr_hits", counters.incr_hits),
                ("decr_hits", counters.decr_hits),
                ("cas_hits", counters.cas_hits),
                ("cas_badval", counters.cas_badval),
                ("touch_hits", counters.touch_hits),
            ] {
                table.row(format_args!("1:{name}"), value);
            }
        }
        table.row("active_slabs", u64::from(figures.items > 0));
        table.row("total_malloced", self.shared.budget.used());
    }

    fn conns(&self, table: &mut Table<'_>, now: UnixMs, asking: u64) {
        self.registry.visit(|id, entry| {
            if entry.is_udp() {
                table.row(format_args!("{id}:UDP"), "UDP");
            }
            table.row(format_args!("{id}:addr"), &entry.address);
            let last_s = entry.last_request_s.load(Ordering::Relaxed).max(self.settings.started.seconds());
            let idle_s = now.seconds().saturating_sub(last_s);
            match &entry.listen_address {
                None if entry.is_udp() => table.row(format_args!("{id}:state"), "conn_read"),
                None => table.row(format_args!("{id}:state"), "conn_listening"),
                Some(listen_address) => {
                    table.row(format_args!("{id}:listen_addr"), listen_address);
                    let state = match entry.awaits_value.load(Ordering::Relaxed) {
                        _ if id == asking => "conn_parse_cmd",
                        true => "conn_nread",
                        false => "conn_read",
                    };
                    table.row(format_args!("{id}:state"), state);
                }
            }
            table.row(format_args!("{id}:secs_since_last_cmd"), idle_s);
        });
    }

    /// Larder's own figures.
    fn larder(&self, table: &mut Table<'_>) {
        let Totals { counters, figures, .. } = self.totals();
        table.row("larder_version", env!("CARGO_PKG_VERSION"));
        table.row("durability", self.settings.durability);
        table.row("groups", self.groups.len());
        table.row("hash", self.placement.hash.name());
        table.row("memory_limit_bytes", self.shared.budget.limit());
        table.row("memory_used_bytes", self.shared.budget.used());
        table.row("memory_dirty_bytes", self.shared.budget.dirty_used());
        table.row("memory_dirty_bytes_max", self.shared.dirty_bytes_max.load(Ordering::Relaxed));
        table.row("outbox_pinned_bytes", self.shared.budget.pinned());
        table.rows(&[
            ("items_in_memory", figures.hot.live),
            ("items_dirty", figures.hot.dirty),
            ("items_in_store", figures.rows),
            ("store_payload_bytes", figures.payload_bytes),
            ("groups_complete", figures.complete_groups),
            ("cold_reads", counters.cold_reads),
            ("cooled", figures.hot.cooled),
            ("parked", counters.parked),
        ]);
        if let Some(cluster) = &self.cluster {
            forwarding(table, cluster);
        }
        let Some(log) = self.shared.log.get() else { return };
        self.space(table);
        table.row("log_state", if self.is_stopped() { "stopped" } else { "running" });
        table.row("log_appended_lsn", log.appended_lsn());
        table.row("log_safe_lsn", log.safe_lsn());
        table.row("log_durable_lsn", log.durable_lsn());
        table.row("log_used_bytes", log.used_bytes());
        table.row("log_bytes_max", log.bytes_max());
        if let Some(archive) = log.archive_figures() {
            table.row("archive_segments", archive.kept);
            table.row("archive_lost_segments", archive.lost);
            table.row("archive_failing", yes(archive.is_failing));
        }
    }

    /// What the groups' files take, and what is written for that.
    fn space(&self, table: &mut Table<'_>) {
        let mut space = crate::store::Figures::default();
        for group in self.groups.iter() {
            space += &group.space();
        }
        table.rows(&[
            ("store_allocated_bytes", space.allocated_bytes),
            ("store_file_bytes", space.file_bytes),
            ("store_written_bytes", space.written_bytes),
            ("compactions", space.compactions),
            ("compaction_rewritten_bytes", space.rewritten_bytes),
        ]);
        table.row("disk_state", self.shared.trouble.name());
        table.row("disk_used_bytes", self.shared.disk_use.taken.load(Ordering::Relaxed));
        table.row("disk_limit_bytes", self.shared.disk_use.limit.load(Ordering::Relaxed));
        let amplification = space.allocated_bytes as f64 / space.payload_bytes.max(1) as f64;
        table.row("store_space_amplification", format_args!("{amplification:.2}"));
        // Since the start: what the files were written for the keys and values of checkpoints, compactions included.
        let kept = self.shared.timings.checkpoint_bytes.load(Ordering::Relaxed);
        table.row("checkpoint_bytes", kept);
        let amplification = space.written_bytes as f64 / kept.max(1) as f64;
        table.row("store_write_amplification", format_args!("{amplification:.2}"));
    }

    fn each_group(&self, table: &mut Table<'_>) {
        for group in self.groups.iter() {
            let figures = group.figures();
            let id = group.id;
            for (name, value) in [
                ("items", figures.items),
                ("items_in_memory", figures.hot.live),
                ("items_dirty", figures.hot.dirty),
                ("items_in_store", figures.rows),
                ("bytes", figures.item_bytes),
                ("complete", figures.complete_groups),
                ("get_hits", figures.counters.get_hits),
                ("get_misses", figures.counters.get_misses),
                ("cmd_set", figures.counters.cmd_set),
                ("cold_reads", figures.counters.cold_reads),
            ] {
                table.row(format_args!("{id}:{name}"), value);
            }
        }
    }
}

/// What ends an answer: a line, or a figure without a name.
fn end(form: &Form<'_>, line: &[u8], out: &mut Outbox) {
    match form {
        Form::Binary(form) => binary::encode_stats_end(form, out),
        _ => out.put(line),
    }
}

/// What other servers were asked, and asked; how long they took.
fn forwarding(table: &mut Table<'_>, cluster: &Cluster) {
    let figures = &cluster.roster.figures;
    table.row("server_id", cluster.own);
    table.row("cluster_map_version", cluster.map().version());
    for end in End::ALL {
        table.row(format_args!("forwarded_{}", end.name()), figures.ended(end));
    }
    table.row("peer_requests", figures.answered.load(Ordering::Relaxed));
    let durations = figures.durations.read();
    for (name, part) in [("forward_us_p50", 0.5), ("forward_us_p99", 0.99)] {
        table.row(name, durations.quantile_ns(part).unwrap_or(0) / 1000);
    }
}

fn yes(is_so: bool) -> &'static str {
    if is_so { "yes" } else { "no" }
}

fn commands(table: &mut Table<'_>, counters: &GroupCounters, dispatch: &Dispatch) {
    table.rows(&[
        ("cmd_get", counters.cmd_get),
        ("cmd_set", counters.cmd_set + dispatch.broken_values.load(Ordering::Relaxed)),
        ("cmd_flush", dispatch.flushes.load(Ordering::Relaxed)),
        ("cmd_touch", counters.cmd_touch),
        ("cmd_meta", dispatch.inspections.load(Ordering::Relaxed)),
        ("get_hits", counters.get_hits),
        ("get_misses", counters.get_misses),
        ("get_expired", counters.get_expired),
        ("get_flushed", counters.get_flushed),
        ("delete_misses", counters.delete_misses),
        ("delete_hits", counters.delete_hits),
        ("incr_misses", counters.incr_misses),
        ("incr_hits", counters.incr_hits),
        ("decr_misses", counters.decr_misses),
        ("decr_hits", counters.decr_hits),
        ("cas_misses", counters.cas_misses),
        ("cas_hits", counters.cas_hits),
        ("cas_badval", counters.cas_badval),
        ("touch_hits", counters.touch_hits),
        ("touch_misses", counters.touch_misses),
        ("store_too_large", counters.store_too_large),
        ("store_no_memory", counters.store_no_memory),
        ("auth_cmds", dispatch.auth_commands.load(Ordering::Relaxed)),
        ("auth_errors", dispatch.auth_errors.load(Ordering::Relaxed)),
    ]);
}

/// User and system time of this process, as memcached writes them: seconds with six decimals.
fn processor_times() -> (String, String) {
    let text = |time: nix::sys::time::TimeVal| format!("{}.{:06}", time.tv_sec(), time.tv_usec());
    match nix::sys::resource::getrusage(nix::sys::resource::UsageWho::RUSAGE_SELF) {
        Ok(usage) => (text(usage.user_time()), text(usage.system_time())),
        Err(_) => ("0.000000".into(), "0.000000".into()),
    }
}
