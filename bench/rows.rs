//! The rows of the comparison, as data: who takes part with which flags, under which load, which figures are set
//! against each other and what is to be reached. A new row is an entry in [`ROWS`] and nothing else.

use crate::peers::Server;
use crate::workload::{Distribution, ItemShape, Pace, Workload};

/// One comparison.
#[derive(Debug)]
pub(crate) struct Row {
    /// The name on the command line.
    pub(crate) name: &'static str,
    /// What it does, for people.
    pub(crate) about: &'static str,
    /// Whether it runs when no row is named; the others take long or much memory.
    pub(crate) usual: bool,
    pub(crate) plan: Plan,
    pub(crate) workload: Workload,
    /// Who takes part; the first is set against each of the others.
    pub(crate) entrants: &'static [Entrant],
    /// The figures of which ratios are shown.
    pub(crate) figures: &'static [Figure],
    pub(crate) goals: &'static [Goal],
}

/// The course of one run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Plan {
    /// Every key is stored first, the server comes to rest and is warmed up, then the load is measured.
    Steady,
    /// The load begins with the empty server, has as many requests as there are keys, and what the server does
    /// afterwards until it rests is counted too.
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
}

/// A figure of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Figure {
    /// The server's CPU time per request, in microseconds.
    CpuPerRequest,
    RequestsPerSecond,
    KeysPerSecond,
    /// The 99th percentile of the latency, in microseconds.
    P99,
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
};
const MEMCACHED: Entrant = Entrant {
    label: "memcached",
    server: Server::Memcached,
    flags: &["-t", "1", "-m", "1024"],
    workload: None,
};
const FLOOR_GET: Entrant =
    Entrant { label: "floor", server: Server::Floor, flags: &["--answer", "get"], workload: None };
const FLOOR_SET: Entrant =
    Entrant { label: "floor", server: Server::Floor, flags: &["--answer", "set"], workload: None };

const MANY_CONNECTIONS: &[&str] = &["-t", "1", "-m", "1024", "-c", "11000"];
const LARGE_VALUES: &[&str] = &["-t", "1", "-m", "1024", "-I", "2m"];
const CPU_AND_RATE: &[Figure] = &[Figure::CpuPerRequest, Figure::RequestsPerSecond];

const fn cpu_goal(against: &'static str, at_most: f64) -> Goal {
    Goal { figure: Figure::CpuPerRequest, against: Some(against), bound: Bound::AtMost(at_most) }
}

/// All rows, in the order of the report.
pub(crate) const ROWS: &[Row] = &[
    Row {
        name: "get",
        about: "get, one request at a time",
        usual: true,
        plan: Plan::Steady,
        workload: STANDARD,
        entrants: &[LARDER, MEMCACHED, FLOOR_GET],
        figures: CPU_AND_RATE,
        goals: &[cpu_goal("memcached", 0.80), cpu_goal("floor", 1.08)],
    },
    Row {
        name: "set",
        about: "set, one request at a time; larder with log and checkpoint",
        usual: true,
        plan: Plan::Steady,
        workload: Workload { set_share: 1.0, ..STANDARD },
        entrants: &[LARDER, MEMCACHED, FLOOR_SET],
        figures: CPU_AND_RATE,
        goals: &[cpu_goal("memcached", 0.90)],
    },
    Row {
        name: "mixed",
        about: "one set to nine gets, one request at a time",
        usual: true,
        plan: Plan::Steady,
        workload: Workload { set_share: 0.1, ..STANDARD },
        entrants: &[LARDER, MEMCACHED],
        figures: CPU_AND_RATE,
        goals: &[cpu_goal("memcached", 0.82)],
    },
    Row {
        name: "pipelined-get",
        about: "get, pipelined by 16",
        usual: true,
        plan: Plan::Steady,
        workload: Workload { depth: 16, ..STANDARD },
        entrants: &[LARDER, MEMCACHED, FLOOR_GET],
        figures: CPU_AND_RATE,
        goals: &[cpu_goal("memcached", 0.10)],
    },
    Row {
        name: "pipelined-set",
        about: "set, pipelined by 16; larder with log and checkpoint",
        usual: true,
        plan: Plan::Steady,
        workload: Workload { depth: 16, set_share: 1.0, ..STANDARD },
        entrants: &[LARDER, MEMCACHED, FLOOR_SET],
        figures: CPU_AND_RATE,
        goals: &[cpu_goal("memcached", 0.75)],
    },
    Row {
        name: "fill",
        about: "set of 2 million different keys; larder with log and checkpoint",
        usual: false,
        plan: Plan::Fill,
        workload: Workload {
            set_share: 1.0,
            keys: 2_000_000,
            distribution: Distribution::Sequential,
            ..STANDARD
        },
        entrants: &[LARDER, MEMCACHED],
        figures: CPU_AND_RATE,
        goals: &[cpu_goal("memcached", 1.3)],
    },
    Row {
        name: "multi-get",
        about: "get of 100 keys",
        usual: false,
        plan: Plan::Steady,
        workload: Workload { keys_per_get: 100, ..STANDARD },
        entrants: &[LARDER, MEMCACHED],
        figures: &[Figure::CpuPerRequest, Figure::KeysPerSecond],
        goals: &[Goal {
            figure: Figure::KeysPerSecond,
            against: Some("memcached"),
            bound: Bound::AtLeast(1.5),
        }],
    },
    Row {
        name: "always",
        about: "set, on the disk before the reply",
        usual: false,
        plan: Plan::Steady,
        workload: Workload { set_share: 1.0, ..STANDARD },
        entrants: &[
            Entrant { flags: &["-t", "1", "-m", "1024", "--fsync", "always"], ..LARDER },
            Entrant {
                label: "redis",
                server: Server::Redis,
                flags: &["--save", "", "--appendonly", "yes", "--appendfsync", "always"],
                workload: None,
            },
        ],
        figures: CPU_AND_RATE,
        goals: &[Goal {
            figure: Figure::RequestsPerSecond,
            against: Some("redis"),
            bound: Bound::AtLeast(1.6),
        }],
    },
    Row {
        name: "memory",
        about: "1 million items of 32 B with a time to live, kept in memory only",
        usual: false,
        plan: Plan::Fill,
        workload: Workload {
            set_share: 1.0,
            depth: 16,
            keys: 1_000_000,
            distribution: Distribution::Sequential,
            item: ItemShape { key_bytes: 16, value_bytes: 32, exptime_s: 86_400 },
            ..STANDARD
        },
        entrants: &[
            Entrant { flags: &["-t", "1", "-m", "1024", "--memory-only"], ..LARDER },
            MEMCACHED,
            Entrant { label: "redis", server: Server::Redis, flags: &["--save", ""], workload: None },
        ],
        figures: &[Figure::BytesPerItem],
        goals: &[Goal { figure: Figure::BytesPerItem, against: None, bound: Bound::AtMost(90.0) }],
    },
    Row {
        name: "connections",
        about: "get, 10,000 connections of which 100 are active, beside 50 connections",
        usual: false,
        plan: Plan::Steady,
        workload: Workload { connections: 10_000, active: 100, ..STANDARD },
        entrants: &[
            Entrant { label: "larder 10,000", flags: MANY_CONNECTIONS, ..LARDER },
            Entrant { label: "larder 50", flags: MANY_CONNECTIONS, workload: Some(STANDARD), ..LARDER },
            Entrant { label: "memcached 10,000", flags: MANY_CONNECTIONS, ..MEMCACHED },
        ],
        figures: &[Figure::CpuPerRequest, Figure::BytesPerConnection],
        goals: &[
            cpu_goal("larder 50", 1.1),
            Goal { figure: Figure::BytesPerConnection, against: None, bound: Bound::AtMost(2_048.0) },
        ],
    },
    Row {
        name: "large",
        about: "get of values of 1 MB",
        usual: false,
        plan: Plan::Steady,
        workload: Workload {
            keys: 200,
            item: ItemShape { value_bytes: 1_000_000, ..STANDARD.item },
            ..STANDARD
        },
        entrants: &[Entrant { flags: LARGE_VALUES, ..LARDER }, Entrant { flags: LARGE_VALUES, ..MEMCACHED }],
        figures: CPU_AND_RATE,
        goals: &[Goal {
            figure: Figure::RequestsPerSecond,
            against: Some("memcached"),
            bound: Bound::AtLeast(1.0),
        }],
    },
];
