//! What clients are told of the configuration: to the codec its limits, to `stats settings` its lines.

use crate::base::time::UnixMs;
use crate::config::{Config, Fsync, Keep, ListenAddr, Protocol, Tls};
use crate::dispatch::stats::Settings;
use crate::proto::{Limits, Protocols};

/// What the codec must know.
pub(super) fn limits(config: &Config) -> Limits {
    Limits {
        item_bytes_max: config.memory.item_bytes_max,
        flush_enabled: config.allow.flush,
        dump_enabled: config.allow.dump,
        watch_enabled: config.allow.watch,
        shutdown_enabled: config.allow.shutdown,
        protocols: match config.allow.protocol {
            Protocol::Auto => Protocols::Any,
            Protocol::Ascii => Protocols::Text,
            Protocol::Binary => Protocols::Binary,
        },
        sasl: config.allow.sasl,
    }
}

/// The durability level as the command line names it.
fn durability(config: &Config) -> &'static str {
    match &config.keep {
        Keep::Nothing => "memory-only",
        Keep::Data(data) => match data.fsync {
            Fsync::Always => "always",
            Fsync::EverySecond => "everysec",
            Fsync::Never => "never",
        },
    }
}

/// What `stats` shows. Fields of memcached's that steer nothing here have the value of a fresh memcached
/// (PROTOCOL.md section 9), so that tools which read them go on.
pub(super) fn settings(config: &Config, started: UnixMs) -> Settings {
    Settings {
        shutdown_enabled: config.allow.shutdown,
        started,
        threads: config.network.threads,
        max_connections: config.network.connections_max,
        shown: config.shown,
        idle_timeout_s: config.network.idle_timeout_s.unwrap_or(0),
        lines: lines(config),
        durability: durability(config),
        tls: config.network.tls.as_ref().filter(|tls| tls.clients).map(|tls| tls.keeps_sessions),
    }
}

fn binding_protocol(config: &Config) -> &'static str {
    match config.allow.protocol {
        Protocol::Auto => "auto-negotiate",
        Protocol::Ascii => "ascii",
        Protocol::Binary => "binary",
    }
}

/// The lines of `stats settings`, in memcached's order.
fn lines(config: &Config) -> Vec<(&'static str, String)> {
    let on = |yes: bool| if yes { "yes" } else { "no" }.to_owned();
    let (inter, port) = listening(config);
    let socket = config.network.unix_socket.as_ref();
    let (path, mask) =
        socket.map_or(("NULL".into(), 0o700), |unix| (unix.path.display().to_string(), unix.mode));
    let threads = config.network.threads.to_string();
    let mut lines: Vec<(&'static str, String)> = vec![
        ("maxconns", config.network.connections_max.to_string()),
        ("tcpport", port.to_string()),
        ("udpport", config.network.datagrams.first().map_or(0, ListenAddr::port).to_string()),
        ("inter", inter),
        ("verbosity", config.process.verbosity.to_string()),
        ("oldest", "0".into()),
        ("evictions", if config.memory.evict { "on" } else { "off" }.into()),
        ("domain_socket", path),
        ("umask", format!("{mask:o}")),
        ("shutdown_command", on(config.allow.shutdown)),
    ];
    lines.extend(constants(&[("growth_factor", "1.25"), ("chunk_size", "48")]));
    // Each UDP socket belongs to one worker.
    let per_udp = if config.network.datagrams.is_empty() { threads.clone() } else { "1".into() };
    lines.extend([("num_threads", threads), ("num_threads_per_udp", per_udp)]);
    lines.push(("stat_key_prefix", char::from(config.prefixes.delimiter).to_string()));
    lines.push(("detail_enabled", on(config.prefixes.counted)));
    lines.push(("reqs_per_event", config.network.turn_requests.to_string()));
    lines.push(("cas_enabled", on(config.allow.cas)));
    lines.push(("tcp_backlog", config.network.backlog.to_string()));
    lines.push(("binding_protocol", binding_protocol(config).into()));
    lines.push(("auth_enabled_sasl", on(config.allow.sasl)));
    lines.push(("auth_enabled_ascii", on(config.allow.auth_file.is_some())));
    lines.push(("item_size_max", config.memory.item_bytes_max.to_string()));
    lines.extend(constants(&[
        ("maxconns_fast", "yes"),
        ("hashpower_init", "0"),
        ("slab_reassign", "no"),
        ("slab_automove", "0"),
        ("slab_automove_ratio", "0.80"),
        ("slab_automove_window", "10"),
        ("slab_chunk_max", "524288"),
        ("lru_crawler", "yes"),
        ("lru_crawler_sleep", "100"),
        ("lru_crawler_tocrawl", "0"),
        ("tail_repair_time", "0"),
    ]));
    lines.push(("flush_enabled", on(config.allow.flush)));
    lines.push(("dump_enabled", on(config.allow.dump)));
    lines.extend(constants(&[
        ("hash_algorithm", "foldhash"),
        ("lru_maintainer_thread", "no"),
        ("lru_segmented", "no"),
        ("hot_lru_pct", "20"),
        ("warm_lru_pct", "40"),
        ("hot_max_factor", "0.20"),
        ("warm_max_factor", "2.00"),
        ("temp_lru", "no"),
        ("temporary_ttl", "61"),
    ]));
    lines.push(("idle_timeout", config.network.idle_timeout_s.unwrap_or(0).to_string()));
    lines.extend(constants(&BUFFERS));
    lines.push(("track_sizes", on(config.shown.sizes)));
    lines.push(("inline_ascii_response", "no".into()));
    lines.extend(constants(&EXTSTORE));
    match config.network.tls.as_ref().filter(|tls| tls.clients) {
        Some(tls) => lines.extend(of_tls(tls)),
        None => lines.push(("ssl_enabled", "no".into())),
    }
    lines.extend(constants(&LAST));
    lines
}

/// The lines that memcached shows of TLS.
fn of_tls(tls: &Tls) -> [(&'static str, String); 11] {
    let on = |yes: bool| if yes { "yes" } else { "no" }.to_owned();
    let or_null = |text: Option<String>| text.unwrap_or_else(|| "NULL".into());
    [
        ("ssl_enabled", on(true)),
        ("ssl_chain_cert", tls.chain.display().to_string()),
        ("ssl_key", tls.key.display().to_string()),
        ("ssl_verify_mode", tls.shown.verify_bits.to_string()),
        ("ssl_keyformat", if tls.key_is_der { "2" } else { "1" }.into()),
        ("ssl_ciphers", or_null(tls.shown.ciphers.clone())),
        ("ssl_ca_cert", or_null(tls.ca.as_ref().map(|path| path.display().to_string()))),
        ("ssl_wbuf_size", tls.write_bytes.to_string()),
        ("ssl_session_cache", on(tls.keeps_sessions)),
        ("ssl_kernel_tls", on(tls.shown.kernel)),
        ("ssl_min_version", if tls.only_tls13 { "tlsv1.3" } else { "tlsv1.2" }.into()),
    ]
}

const BUFFERS: [(&str, &str); 3] =
    [("watcher_logbuf_size", "262144"), ("worker_logbuf_size", "65536"), ("read_buf_mem_limit", "0")];
/// The lines behind all others.
const LAST: [(&str, &str); 3] =
    [("num_napi_ids", "0"), ("memory_file", "(null)"), ("client_flags_size", "4")];
/// memcached shows these of a disk behind its memory: none, as far as it means one.
const EXTSTORE: [(&str, &str); 11] = [
    ("ext_item_size", "0"),
    ("ext_item_age", "0"),
    ("ext_low_ttl", "0"),
    ("ext_recache_rate", "0"),
    ("ext_wbuf_size", "0"),
    ("ext_compact_under", "0"),
    ("ext_drop_under", "0"),
    ("ext_max_sleep", "0"),
    ("ext_max_frag", "0.00"),
    ("slab_automove_freeratio", "0.000"),
    ("ext_drop_unread", "no"),
];

fn constants(rows: &[(&'static str, &str)]) -> Vec<(&'static str, String)> {
    rows.iter().map(|(name, value)| (*name, (*value).to_owned())).collect()
}

/// The first address that is listened on, as `inter` and `tcpport` show it.
fn listening(config: &Config) -> (String, u16) {
    match config.network.listen.first().map(|listen| &listen.address) {
        Some(ListenAddr::Socket(address)) => (address.ip().to_string(), address.port()),
        Some(ListenAddr::Name { host, port }) => (host.clone(), *port),
        Some(ListenAddr::All { port }) => ("NULL".into(), *port),
        None => ("NULL".into(), 0),
    }
}
