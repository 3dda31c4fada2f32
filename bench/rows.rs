//! The rows of the comparison, as data: who takes part with which flags, under which load, which figures are set
//! against each other and what is to be reached. A new row is an entry in [`ROWS`] and nothing else.

use crate::cluster::Asked;
use crate::dialect::Dialect;
use crate::peers::Server;
use crate::workload::{Distribution, ItemShape, Pace, Workload};

/// One comparison.
#[derive(Debug)]
pub(crate) struct Row {
    /// The name on the command line.
    pub(crate) name: &'static str,
    /// What it does, for people.
    pub(crate) about: &'static str,
    /// Whether servers and generator share all cores, since the servers want more than one.
    pub(crate) shares_cores: bool,
    pub(crate) plan: Plan,
    pub(crate) workload: Workload,
    /// Who takes part; the first is set against others.
    pub(crate) entrants: &'static [Entrant],
    /// The figures of which ratios are shown.
    pub(crate) figures: &'static [Figure],
    /// The labels that it is set against; none are all.
    pub(crate) against: &'static [&'static str],
    pub(crate) goals: &'static [Goal],
}

/// The course of one run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Plan {
    /// Every key is stored first, the server comes to rest, every connection asks once, the load is warmed up, then it
    /// is measured.
    Steady {
        /// How often every key is stored: so often that a log is where it stays in the long run, and what is measured
        /// has its share of checkpoints.
        preloads: u64,
    },
    /// The load begins with the empty server, has as many requests as there are keys, and what the server does
    /// afterwards until it has been stopped is counted too.
    Fill,
}

/// A server as it takes part in a row.
#[derive(Debug)]
pub(crate) struct Entrant {
    /// Its name in the table, different from the others of the row.
    pub(crate) label: &'static str,
    pub(crate) server: Server,
    /// Its flags, but for port and directory.
    pub(crate) flags: &'static [&'static str],
    /// A load of its own in place of the row's.
    pub(crate) workload: Option<Workload>,
    /// A load that runs at the same time over connections of its own; only the other one is shown.
    pub(crate) beside: Option<Workload>,
    /// Another protocol than the server's usual one.
    pub(crate) dialect: Option<Dialect>,
    pub(crate) is_tls: bool,
    /// Two servers of one store, and which of them is asked.
    pub(crate) asked: Option<Asked>,
}

/// A figure of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Figure {
    /// The server's CPU time per request, in microseconds.
    CpuPerRequest,
    RequestsPerSecond,
    KeysPerSecond,
    /// The median of the latency, in microseconds.
    P50,
    /// Its 99th percentile.
    P99,
    /// Its 99.9th percentile.
    P999,
    /// Growth of resident memory by storing the keys, in bytes per key.
    BytesPerItem,
    /// Growth of resident memory by opening the connections, in bytes per connection.
    BytesPerConnection,
}

/// What the first entrant is to reach.
#[derive(Debug)]
pub(crate) struct Goal {
    pub(crate) figure: Figure,
    /// The label of the entrant set against: the bound is one of the ratio. Without one, it is of the figure itself.
    pub(crate) against: Option<&'static str>,
    pub(crate) bound: Bound,
}

/// Where a figure or ratio is to lie.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Bound {
    AtMost(f64),
    AtLeast(f64),
}

impl Bound {
    /// Whether it lies there.
    pub(crate) fn holds(self, reached: f64) -> bool {
        match self {
            Self::AtMost(bound) => reached <= bound,
            Self::AtLeast(bound) => reached >= bound,
        }
    }
}

/// What the rows have in common: 50 connections that get one of 100,000 keys of 16 B with a value of 100 B.
pub(crate) const STANDARD: Workload = Workload {
    connections: 50,
    active: 50,
    depth: 1,
    set_share: 0.0,
    keys: 100_000,
    first_key: 0,
    keys_per_get: 1,
    distribution: Distribution::Uniform,
    item: ItemShape { key_bytes: 16, value_bytes: 100, exptime_s: 0 },
    pace: Pace::Closed,
};

const LARDER: Entrant = Entrant {
    label: "larder",
    server: Server::Larder,
    flags: &["-t", "1", "-m", "1024", "--fsync", "everysec"],
    workload: None,
    beside: None,
    dialect: None,
    is_tls: false,
    asked: None,
};
const MEMCACHED: Entrant =
    Entrant { label: "memcached", server: Server::Memcached, flags: &["-t", "1", "-m", "1024"], ..LARDER };
const REDIS: Entrant = Entrant { label: "redis", server: Server::Redis, flags: &["--save", ""], ..LARDER };
const REDIS_ALWAYS: Entrant =
    Entrant { flags: &["--save", "", "--appendonly", "yes", "--appendfsync", "always"], ..REDIS };
const REDIS_EVERYSEC: Entrant =
    Entrant { flags: &["--save", "", "--appendonly", "yes", "--appendfsync", "everysec"], ..REDIS };
const POGOCACHE: Entrant = Entrant {
    label: "pogocache",
    server: Server::Pogocache,
    flags: &["--threads", "1", "--maxmemory", "1gb"],
    ..LARDER
};
const FLOOR_GET: Entrant =
    Entrant { label: "floor", server: Server::Floor, flags: &["--answer", "get"], ..LARDER };
const FLOOR_SET: Entrant =
    Entrant { label: "floor", server: Server::Floor, flags: &["--answer", "set"], ..LARDER };

/// Two servers of one store: asked is the one that has nothing, and the one that has all.
const FORWARDED_AND_DIRECT: &[Entrant] = &[
    Entrant { label: "larder forwarded", asked: Some(Asked::Neighbour), ..LARDER },
    Entrant { label: "larder direct", asked: Some(Asked::Owner), ..LARDER },
];

const ALWAYS: &[&str] = &["-t", "1", "-m", "1024", "--fsync", "always"];
const MANY_CONNECTIONS: &[&str] = &["-t", "1", "-m", "1024", "-c", "11000"];
const LARGE_VALUES: &[&str] = &["-t", "1", "-m", "1024", "-I", "2m"];
const TLS: &[&str] = &["-t", "1", "-m", "1024", "-Z", "-o", "ssl_chain_cert=cert.pem,ssl_key=key.pem"];
const CPU_AND_RATE: &[Figure] = &[Figure::CpuPerRequest, Figure::RequestsPerSecond];
const CPU_AND_KEYS: &[Figure] = &[Figure::CpuPerRequest, Figure::KeysPerSecond];
const LATENCIES: &[Figure] = &[Figure::P50, Figure::P99, Figure::P999];

const SETS: Workload = Workload { set_share: 1.0, ..STANDARD };
const HUNDRED_KEYS: Workload = Workload { keys_per_get: 100, ..STANDARD };
const MIXED: Workload = Workload { set_share: 0.1, ..STANDARD };
/// Gets at a quarter of what the server can do, and sets of other keys at a quarter too.
const QUARTER_OF_GETS: Workload = Workload { pace: Pace::Share(0.25), ..STANDARD };
const QUARTER_OF_SETS: Workload = Workload { pace: Pace::Share(0.25), first_key: 1_000_000, ..SETS };

/// Once is enough where nothing is set.
const STORED: Plan = Plan::Steady { preloads: 1 };
/// 500,000 records fill more than half of the default log, so that checkpoints go on for as long as sets do.
const STORED_OFTEN: Plan = Plan::Steady { preloads: 5 };

const fn cpu_goal(against: &'static str, at_most: f64) -> Goal {
    Goal { figure: Figure::CpuPerRequest, against: Some(against), bound: Bound::AtMost(at_most) }
}

/// What most rows are.
const ROW: Row = Row {
    name: "get",
    about: "get, one request at a time",
    shares_cores: false,
    plan: STORED,
    workload: STANDARD,
    entrants: &[LARDER, MEMCACHED, FLOOR_GET, POGOCACHE],
    figures: CPU_AND_RATE,
    against: &[],
    goals: &[cpu_goal("memcached", 0.80), cpu_goal("floor", 1.08)],
};

/// All rows, in the order of the report.
pub(crate) const ROWS: &[Row] = &[
    ROW,
    Row {
        name: "set",
        about: "set, one request at a time; larder with log and checkpoint",
        plan: STORED_OFTEN,
        workload: SETS,
        entrants: &[LARDER, MEMCACHED, FLOOR_SET, POGOCACHE],
        goals: &[cpu_goal("memcached", 0.90)],
        ..ROW
    },
    Row {
        name: "fill",
        about: "set of 2 million different keys; larder with log and checkpoint, and what it writes when it is \
                stopped",
        plan: Plan::Fill,
        workload: Workload { keys: 2_000_000, distribution: Distribution::Sequential, ..SETS },
        entrants: &[LARDER, MEMCACHED],
        goals: &[cpu_goal("memcached", 1.3)],
        ..ROW
    },
    Row {
        name: "mixed",
        about: "one set to nine gets, one request at a time",
        plan: STORED_OFTEN,
        workload: MIXED,
        entrants: &[LARDER, MEMCACHED, POGOCACHE],
        goals: &[cpu_goal("memcached", 0.82)],
        ..ROW
    },
    Row {
        name: "pipelined-get",
        about: "get, pipelined by 16",
        workload: Workload { depth: 16, ..STANDARD },
        goals: &[cpu_goal("memcached", 0.10)],
        ..ROW
    },
    Row {
        name: "pipelined-set",
        about: "set, pipelined by 16; larder with log and checkpoint",
        plan: STORED_OFTEN,
        workload: Workload { depth: 16, ..SETS },
        entrants: &[LARDER, MEMCACHED, FLOOR_SET, POGOCACHE],
        goals: &[cpu_goal("memcached", 0.75)],
        ..ROW
    },
    Row {
        name: "multi-get",
        about: "get of 100 keys",
        workload: HUNDRED_KEYS,
        entrants: &[LARDER, MEMCACHED],
        figures: CPU_AND_KEYS,
        goals: &[Goal {
            figure: Figure::KeysPerSecond,
            against: Some("memcached"),
            bound: Bound::AtLeast(1.5),
        }],
        ..ROW
    },
    Row {
        name: "always",
        about: "set, on the disk before the reply",
        plan: STORED_OFTEN,
        workload: SETS,
        entrants: &[Entrant { flags: ALWAYS, ..LARDER }, REDIS_ALWAYS],
        goals: &[Goal {
            figure: Figure::RequestsPerSecond,
            against: Some("redis"),
            bound: Bound::AtLeast(1.6),
        }],
        ..ROW
    },
    Row {
        name: "always-reads",
        about: "get, open loop at a quarter of saturation, beside sets of other keys that are on the disk before the \
                reply, open loop at a quarter of theirs; and the same gets alone",
        plan: STORED_OFTEN,
        workload: QUARTER_OF_GETS,
        entrants: &[
            Entrant { label: "larder beside sets", flags: ALWAYS, beside: Some(QUARTER_OF_SETS), ..LARDER },
            Entrant { label: "larder alone", flags: ALWAYS, ..LARDER },
            Entrant { label: "redis beside sets", beside: Some(QUARTER_OF_SETS), ..REDIS_ALWAYS },
            Entrant { label: "redis alone", ..REDIS_ALWAYS },
        ],
        figures: LATENCIES,
        against: &["larder alone", "redis beside sets"],
        goals: &[Goal { figure: Figure::P99, against: Some("larder alone"), bound: Bound::AtMost(2.0) }],
        ..ROW
    },
    Row {
        name: "memory",
        about: "1 million items of 32 B with a time to live, kept in memory only",
        plan: Plan::Fill,
        workload: Workload {
            depth: 16,
            keys: 1_000_000,
            distribution: Distribution::Sequential,
            item: ItemShape { key_bytes: 16, value_bytes: 32, exptime_s: 86_400 },
            ..SETS
        },
        entrants: &[
            Entrant { flags: &["-t", "1", "-m", "1024", "--memory-only"], ..LARDER },
            MEMCACHED,
            REDIS,
        ],
        figures: &[Figure::BytesPerItem],
        goals: &[Goal { figure: Figure::BytesPerItem, against: None, bound: Bound::AtMost(90.0) }],
        ..ROW
    },
    Row {
        name: "connections",
        about: "get, 10,000 connections of which 100 are active, beside 50 connections; the memory of a connection that \
                has asked once",
        workload: Workload { connections: 10_000, active: 100, ..STANDARD },
        entrants: &[
            Entrant { label: "larder 10,000", flags: MANY_CONNECTIONS, ..LARDER },
            Entrant { label: "larder 50", flags: MANY_CONNECTIONS, workload: Some(STANDARD), ..LARDER },
            Entrant { label: "memcached 10,000", flags: MANY_CONNECTIONS, ..MEMCACHED },
            Entrant { label: "memcached 50", flags: MANY_CONNECTIONS, workload: Some(STANDARD), ..MEMCACHED },
        ],
        figures: &[Figure::CpuPerRequest],
        against: &["larder 50", "memcached 10,000"],
        goals: &[
            cpu_goal("larder 50", 1.1),
            Goal { figure: Figure::BytesPerConnection, against: None, bound: Bound::AtMost(2_048.0) },
        ],
        ..ROW
    },
    Row {
        name: "large",
        about: "get of values of 1 MB",
        workload: Workload {
            keys: 200,
            item: ItemShape { value_bytes: 1_000_000, ..STANDARD.item },
            ..STANDARD
        },
        entrants: &[Entrant { flags: LARGE_VALUES, ..LARDER }, Entrant { flags: LARGE_VALUES, ..MEMCACHED }],
        goals: &[Goal {
            figure: Figure::RequestsPerSecond,
            against: Some("memcached"),
            bound: Bound::AtLeast(1.0),
        }],
        ..ROW
    },
    Row {
        name: "two-workers",
        about: "one set to nine gets, one request at a time; two workers on all cores, which the generator shares, \
                beside one worker there",
        shares_cores: true,
        plan: STORED_OFTEN,
        workload: MIXED,
        entrants: &[
            Entrant { label: "larder -t 2", flags: &["-t", "2", "-m", "1024"], ..LARDER },
            Entrant { label: "larder -t 1", ..LARDER },
            Entrant { label: "memcached -t 2", flags: &["-t", "2", "-m", "1024"], ..MEMCACHED },
            Entrant { label: "memcached -t 1", ..MEMCACHED },
        ],
        against: &["larder -t 1", "memcached -t 2"],
        goals: &[cpu_goal("larder -t 1", 1.1)],
        ..ROW
    },
    Row {
        name: "half-get",
        about: "get, open loop at half of saturation",
        workload: Workload { pace: Pace::Share(0.5), ..STANDARD },
        entrants: &[LARDER, MEMCACHED, REDIS, POGOCACHE],
        figures: LATENCIES,
        goals: &[],
        ..ROW
    },
    Row {
        name: "half-set",
        about: "set, open loop at half of saturation; larder and redis with their logs",
        plan: STORED_OFTEN,
        workload: Workload { pace: Pace::Share(0.5), ..SETS },
        entrants: &[LARDER, MEMCACHED, REDIS_EVERYSEC, POGOCACHE],
        figures: LATENCIES,
        goals: &[],
        ..ROW
    },
    Row {
        name: "binary",
        about: "get by the binary protocol beside get by the text protocol",
        entrants: &[
            Entrant { label: "larder binary", dialect: Some(Dialect::Binary), ..LARDER },
            Entrant { label: "larder text", ..LARDER },
            Entrant { label: "memcached binary", dialect: Some(Dialect::Binary), ..MEMCACHED },
            Entrant { label: "memcached text", ..MEMCACHED },
        ],
        against: &["larder text", "memcached binary"],
        goals: &[],
        ..ROW
    },
    Row {
        name: "tls",
        about: "get over TLS beside get over a plain connection",
        entrants: &[
            Entrant { label: "larder TLS", flags: TLS, is_tls: true, ..LARDER },
            Entrant { label: "larder plain", ..LARDER },
            Entrant { label: "memcached TLS", flags: TLS, is_tls: true, ..MEMCACHED },
            Entrant { label: "memcached plain", ..MEMCACHED },
        ],
        against: &["larder plain", "memcached TLS"],
        goals: &[],
        ..ROW
    },
    Row {
        name: "forwarded",
        about: "get from the server that sends it on to another, beside get from that other one; both servers' CPU, on \
                the same core",
        entrants: FORWARDED_AND_DIRECT,
        goals: &[],
        ..ROW
    },
    Row {
        name: "forwarded-multi-get",
        about: "get of 100 keys from the server that sends it on to another, beside the same from that other one; both \
                servers' CPU, on the same core",
        workload: HUNDRED_KEYS,
        entrants: FORWARDED_AND_DIRECT,
        figures: CPU_AND_KEYS,
        goals: &[],
        ..ROW
    },
];
