//! Command lines and what becomes of them.

use std::ffi::OsString;
use std::path::PathBuf;

use super::*;
#[cfg(feature = "tls")]
use crate::base::tls::PeerCerts;

fn machine() -> Machine {
    Machine { cores: 8, working_dir: PathBuf::from("/srv/here"), port_file: None, sasl_file: None }
}

fn read_line(line: &str) -> Result<Config, Stop> {
    read(line.split_whitespace().map(OsString::from), &machine())
}

fn config(line: &str) -> Config {
    read_line(line).unwrap_or_else(|stop| panic!("larder {line}: {stop:?}"))
}

/// Runs a table of command lines and one part of what they mean.
fn check<T: PartialEq + std::fmt::Debug>(
    part: impl Fn(Config) -> T,
    table: impl IntoIterator<Item = (&'static str, T)>,
) {
    for (line, expected) in table {
        assert_eq!(part(config(line)), expected, "larder {line}");
    }
}

fn plain(address: ListenAddr) -> Listen {
    Listen { address, tls: None }
}

fn socket(text: &str) -> Listen {
    plain(ListenAddr::Socket(text.parse().unwrap()))
}

fn name(host: &str, port: u16) -> Listen {
    plain(ListenAddr::Name { host: host.to_owned(), port })
}

#[test]
fn without_flags_it_is_safe_and_keeps_data() {
    let expected = Config {
        network: Network {
            listen: vec![socket("127.0.0.1:11211")],
            datagrams: Vec::new(),
            unix_socket: None,
            backlog: 1024,
            threads: 4,
            connections_max: 1024,
            turn_requests: 20,
            idle_timeout_s: None,
            port_file: None,
            tls: None,
        },
        memory: Memory { bytes: 64 << 20, item_bytes_max: 1 << 20, evict: true },
        keep: Keep::Data(Data {
            archive: None,
            dir: "/srv/here/larder-data".into(),
            fsync: Fsync::EverySecond,
            log_bytes: None,
            disk_limit: DiskLimit::Percent(90),
            on_full: OnFull::Refuse,
        }),
        placement: PlacementChoice::default(),
        cluster: None,
        allow: Allow {
            flush: true,
            shutdown: false,
            cas: true,
            dump: true,
            watch: true,
            auth_file: None,
            protocol: Protocol::Auto,
            sasl: false,
        },
        prefixes: Prefixes { delimiter: b':', counted: false },
        shown: Shown { crawler: true, maintainer: true, sizes: false },
        process: Process::default(),
        admin: None,
        notes: Vec::new(),
    };
    check(|config| config, [("", expected.clone()), ("serve", expected)]);
}

#[test]
fn tcp_addresses() {
    check(
        |config| config.network.listen,
        [
            ("-p11311", vec![socket("127.0.0.1:11311")]),
            ("-p 11311", vec![socket("127.0.0.1:11311")]),
            ("--port=11311", vec![socket("127.0.0.1:11311")]),
            ("--port 11311", vec![socket("127.0.0.1:11311")]),
            ("serve -p 1 -p 2", vec![socket("127.0.0.1:2")]),
            ("-vp 7", vec![socket("127.0.0.1:7")]),
            ("-p -1", vec![socket("127.0.0.1:0")]),
            ("--port=-1 -U 0", vec![socket("127.0.0.1:0")]),
            ("-p 0", vec![]),
            ("-p 0 -l 127.0.0.1:5", vec![]),
            ("-U 7", vec![socket("127.0.0.1:7")]),
            ("-U -1", vec![socket("127.0.0.1:0")]),
            ("-U 7 -p 8", vec![socket("127.0.0.1:8")]),
            ("-U 7 -p 0", vec![]),
            ("-s /tmp/sock", vec![]),
            ("-s /tmp/sock -p 11211", vec![]),
            ("-l 0.0.0.0", vec![socket("0.0.0.0:11211")]),
            ("-l 10.0.0.1:5,10.0.0.2 -p 6", vec![socket("10.0.0.1:5"), socket("10.0.0.2:6")]),
            (
                "-l 10.0.0.1,10.0.0.2 -l 10.0.0.3",
                ["1", "2", "3"].map(|end| socket(&format!("10.0.0.{end}:11211"))).to_vec(),
            ),
            ("-l ::1", vec![socket("[::1]:11211")]),
            ("-l [::1]", vec![socket("[::1]:11211")]),
            ("-l [::1]:5", vec![socket("[::1]:5")]),
            ("--listen=localhost", vec![name("localhost", 11211)]),
            ("-l cache-1.example.org:5", vec![name("cache-1.example.org", 5)]),
            ("-l fooble", vec![name("fooble", 11211)]),
            ("-l *", vec![plain(ListenAddr::All { port: 11211 })]),
            ("-l *:5", vec![plain(ListenAddr::All { port: 5 })]),
            ("-l notls:127.0.0.1:5", vec![socket("127.0.0.1:5")]),
        ],
    );
}

#[test]
#[cfg(feature = "tls")]
fn tls() {
    let tls = |line| config(line).network.tls.unwrap();
    let plainest = tls("-Z -o ssl_chain_cert=c.pem");
    assert_eq!((plainest.chain, plainest.ca), (PathBuf::from("/srv/here/c.pem"), None));
    assert_eq!(plainest.key, PathBuf::from("/srv/here/c.pem"), "it may be in the same file");
    assert_eq!((plainest.write_bytes, plainest.only_tls13, plainest.keeps_sessions), (16384, false, false));
    let full =
        tls("--enable-ssl -o ssl_chain_cert=c,ssl_key=/k,ssl_keyformat=DER,ssl_ca_cert=a,ssl_verify_mode=2 \
         -o ssl_min_version=tlsv1.3,ssl_wbuf_size=64,ssl_session_cache,ssl_ciphers=HIGH:!aNULL");
    assert_eq!((full.key, full.key_is_der), (PathBuf::from("/k"), true));
    assert_eq!((full.peer_certs, full.shown.verify_bits), (PeerCerts::Required, 3));
    assert_eq!((full.write_bytes, full.only_tls13, full.keeps_sessions), (65536, true, true));
    assert!(config("-o ssl_key=x").network.tls.is_none(), "without -Z there is none");
    let notes = |line| config(line).notes.join("\n");
    assert!(notes("-o ssl_key=x").contains("without -Z"));
    assert!(notes("-Z -o ssl_chain_cert=c,ssl_min_version=0").contains("taken as tlsv1.2"));
}

#[test]
#[cfg(feature = "tls")]
fn addresses_with_a_word_about_tls() {
    use PeerCerts::{Required, Unasked, Welcome};
    let asked = |line| config(line).network.listen.into_iter().map(|listen| listen.tls).collect::<Vec<_>>();
    let by_mode =
        "-Z -o ssl_chain_cert=c,ssl_ca_cert=a,ssl_verify_mode=1 -l 127.0.0.1,notls:::1,btls:::2,mtls:::3";
    assert_eq!(asked(by_mode), [Some(Welcome), None, Some(Unasked), Some(Required)]);
    assert_eq!(asked("-Z -o ssl_chain_cert=c"), [Some(Unasked)]);
    assert_eq!(asked("-o ssl_chain_cert=c,ssl_ca_cert=a,ssl_verify_mode=2"), [None]);
}

#[test]
fn udp_addresses() {
    check(
        |config| config.network.datagrams.into_iter().map(plain).collect(),
        [
            ("-p 7", vec![]),
            ("-U 0", vec![]),
            ("-U 7", vec![socket("127.0.0.1:7")]),
            ("-p 0 --udp-port=7", vec![socket("127.0.0.1:7")]),
            ("-U -1", vec![socket("127.0.0.1:0")]),
            ("-U 7 -l 127.0.0.1,::1", vec![socket("127.0.0.1:7"), socket("[::1]:7")]),
            ("-U 7 -l 127.0.0.1:5,*", vec![socket("127.0.0.1:5"), plain(ListenAddr::All { port: 7 })]),
            ("-U 7 -s /tmp/sock", vec![]),
        ],
    );
}

#[test]
fn the_unix_socket() {
    let unix = |path: &str, mode| Some(UnixSocket { path: path.into(), mode });
    check(
        |config| config.network.unix_socket,
        [
            ("-a 777", None),
            ("-s /tmp/sock", unix("/tmp/sock", 0o700)),
            ("-s sock -a 0666", unix("sock", 0o666)),
            ("--unix-socket=sock --unix-mask=755 -d", unix("/srv/here/sock", 0o755)),
        ],
    );
}

#[test]
fn counts_and_sizes() {
    check(
        |config| {
            let network = config.network;
            (network.threads, network.connections_max, network.turn_requests, network.backlog)
        },
        [
            ("-t 1 -c 10 -R 20 -b 5", (1, 10, 20, 5)),
            ("--threads=16 --conn-limit=4096 --max-reqs-per-event=1 --listen-backlog=1", (16, 4096, 1, 1)),
        ],
    );
    check(
        |config| (config.memory.bytes, config.memory.item_bytes_max, config.memory.evict),
        [
            ("-m1024", (1 << 30, 1 << 20, true)),
            ("-m 2", (2 << 20, 1 << 20, true)),
            ("--memory-limit=64 -I 2m", (64 << 20, 2 << 20, true)),
            ("-I 1024", (64 << 20, 1024, true)),
            ("-I 512K", (64 << 20, 512 << 10, true)),
            ("-m 2048 -I 1g -M --memory-only", (2 << 30, 1 << 30, false)),
            ("--max-item-size=32m", (64 << 20, 32 << 20, true)),
        ],
    );
}

#[test]
fn what_is_kept() {
    let data = |dir: &str, fsync, log_bytes| {
        let (disk_limit, on_full) = (DiskLimit::Percent(90), OnFull::Refuse);
        Keep::Data(Data { dir: dir.into(), fsync, log_bytes, disk_limit, on_full, archive: None })
    };
    check(
        |config| config.keep,
        [
            ("--memory-only", Keep::Nothing),
            ("-d", data("/srv/here/larder-data", Fsync::EverySecond, None)),
            ("--data-dir /var/lib/larder --fsync always", data("/var/lib/larder", Fsync::Always, None)),
            ("--data-dir=./x --fsync never --log-size 1g", data("/srv/here/x", Fsync::Never, Some(1 << 30))),
            (
                "--fsync everysec --log-size=16m",
                data("/srv/here/larder-data", Fsync::EverySecond, Some(16 << 20)),
            ),
        ],
    );
    check(
        |config| match config.keep {
            Keep::Data(data) => data.archive,
            Keep::Nothing => None,
        },
        [("--archive old", Some("/srv/here/old".into())), ("--archive=/old", Some("/old".into()))],
    );
    check(
        |config| match config.keep {
            Keep::Data(data) => Some((data.disk_limit, data.on_full)),
            Keep::Nothing => None,
        },
        [
            ("-d", Some((DiskLimit::Percent(90), OnFull::Refuse))),
            ("--disk-limit 20g", Some((DiskLimit::Bytes(20 << 30), OnFull::Refuse))),
            ("--disk-limit=100% --on-full evict", Some((DiskLimit::Percent(100), OnFull::Evict))),
        ],
    );
    let choice =
        |groups, hash, hash_tag| PlacementChoice { group_count: NonZeroU16::new(groups), hash, hash_tag };
    check(
        |config| config.placement,
        [
            ("--groups 1024", choice(1024, None, None)),
            ("--hash fastdht --hash-tag none", choice(0, Some(Hash::Fastdht), Some(HashTag::None))),
            ("--hash=larder --hash-tag=braces", choice(0, Some(Hash::Larder), Some(HashTag::Braces))),
        ],
    );
}

#[test]
fn protocols_and_users() {
    let row = |protocol, sasl, file: Option<&str>| (protocol, sasl, file.map(PathBuf::from));
    let users = Some("/srv/here/users");
    let shown = |config: Config| (config.allow.protocol, config.allow.sasl, config.allow.auth_file);
    check(
        shown,
        [
            ("", row(Protocol::Auto, false, None)),
            ("-B auto", row(Protocol::Auto, false, None)),
            ("-B auto --protocol=ascii", row(Protocol::Ascii, false, None)),
            ("-B binary", row(Protocol::Binary, false, None)),
            ("-Y users", row(Protocol::Ascii, false, users)),
            ("-S -Y users", row(Protocol::Auto, true, users)),
            ("-S -Y users -B binary", row(Protocol::Binary, true, users)),
        ],
    );
    let machine = Machine { sasl_file: Some("others".into()), ..machine() };
    let read = |words: &str| read(words.split_whitespace().map(Into::into), &machine).map(shown).unwrap();
    assert_eq!(read("-S"), row(Protocol::Binary, true, Some("/srv/here/others")));
    assert_eq!(read("-S -Y users"), row(Protocol::Auto, true, users));
    assert_eq!(read(""), row(Protocol::Auto, false, None));
}

#[test]
fn switches() {
    check(
        |Config { allow, .. }| [allow.flush, allow.shutdown, allow.cas, allow.dump, allow.watch],
        [
            ("-F", [false, false, true, true, true]),
            ("-A", [true, true, true, true, true]),
            ("-C", [true, false, false, true, true]),
            ("-XW", [true, false, true, false, false]),
            (
                "--disable-flush-all --enable-shutdown --disable-cas --disable-dumping --disable-watch",
                [false, true, false, false, false],
            ),
        ],
    );
    check(
        |config| (config.prefixes.delimiter, config.prefixes.counted),
        [("-D /", (b'/', true)), ("-D-", (b'-', true)), ("-D -", (b'-', true))],
    );
    check(
        |config| config.network.idle_timeout_s,
        [("-o idle_timeout=30", Some(30)), ("-o idle_timeout=0", None)],
    );
    let shown = |crawler, maintainer, sizes| Shown { crawler, maintainer, sizes };
    check(
        |config| config.shown,
        [
            ("-o no_lru_crawler", shown(false, true, false)),
            ("-o no_lru_crawler,no_lru_maintainer -o track_sizes", shown(false, false, true)),
            ("-o no_modern", shown(false, false, false)),
            ("-o no_modern,lru_crawler,lru_maintainer", shown(true, true, false)),
        ],
    );
    let process = |daemon, user: Option<&str>, pid_file: Option<&str>, verbosity| Process {
        daemon,
        user: user.map(str::to_owned),
        pid_file: pid_file.map(PathBuf::from),
        verbosity,
    };
    check(
        |config| config.process,
        [
            ("-v", process(false, None, None, 1)),
            ("-vv", process(false, None, None, 2)),
            ("-v -v --verbose", process(false, None, None, 3)),
            ("-vvvvvv", process(false, None, None, 3)),
            ("-d -u memcache -P run.pid", process(true, Some("memcache"), Some("/srv/here/run.pid"), 0)),
            ("--daemon --user=x --pidfile=/run/l.pid", process(true, Some("x"), Some("/run/l.pid"), 0)),
        ],
    );
}

/// With such words memcached's users and its own tests start it.
#[test]
fn what_memcached_is_started_with_is_accepted() {
    for line in [
        "-U 0",
        "-A",
        "-t 1 -c 8 -R 1 -b 10",
        "-m 2",
        "-m 3 -M",
        "-m 32 -I 2m",
        "-m 1024 -I 512m",
        "-I 16384 -f 1.5 -n 96",
        "-B auto -D : -F -X -W -C -k -r",
        "-B ascii",
        "-s sock -a 0766",
        "-l 127.0.0.1,127.0.0.2:11999 -p 11998",
        "-o modern -o no_modern",
        "-o slab_reassign,slab_automove,lru_crawler,lru_maintainer",
        "-o slab_reassign,slab_automove=2,slab_automove_window=3,slab_automove_ratio=0.5",
        "-o no_slab_reassign,no_lru_crawler,no_lru_maintainer,no_hashexpand",
        "-o slab_chunk_max=16,no_chunked_items -o slab_sizes=100-200-300,",
        "-o hash_algorithm=murmur3,hashpower=13,tail_repair_time=60",
        "-o lru_maintainer,hot_lru_pct=3,warm_lru_pct=3,hot_max_factor=0.1,warm_max_factor=0.1,temporary_ttl=61",
        "-o watcher_logbuf_size=64,worker_logbuf_size=64,read_buf_mem_limit=10,resp_obj_mem_limit=10",
        "-o idle_timeout=3,maxconns_fast,inline_ascii_resp,no_inline_ascii_resp,no_maxconns_fast",
        "-o expirezero_does_not_evict,track_sizes,no_drop_privileges,drop_privileges",
        "-e /tmp/mem",
        "-u root -P pid -vvv",
    ] {
        config(line);
    }
}

#[test]
fn what_has_no_effect_is_told() {
    for (line, notes) in [
        ("-o inline_ascii_resp,modern", &["-o inline_ascii_resp "][..]),
        (
            "-o slab_reassign,hashpower=20 -o no_lru_crawler -o lru_crawler_sleep=1",
            &["slab_reassign", "hashpower=20", "lru_crawler_sleep=1"],
        ),
        ("-o hash_algorithm=xxh3,maxconns_fast,lru_maintainer", &["hash_algorithm", "maxconns_fast"]),
        ("-o idle_timeout=5", &[]),
        ("-o ext_path=/x:1G", &["data directory"]),
        ("-k -r -L -f 1.25 -n 48 -N 1 -e /tmp/x", &["-k", "-r", "-L", "-f", "-n", "-N", "-e"]),
        ("-M", &["-M has no effect"]),
        ("-M --memory-only", &[]),
        ("-s x -p 5", &["-p and -l have no effect"]),
        ("-p 0", &["no client can come in"]),
    ] {
        let found = config(line).notes;
        assert_eq!(found.len(), notes.len(), "larder {line}: {found:?}");
        for (note, expected) in found.iter().zip(notes) {
            assert!(note.contains(expected), "larder {line}: {note}");
        }
    }
}

/// What is written, and two things that its refusal says.
#[cfg(feature = "tls")]
const TLS_REFUSALS: &[(&str, [&str; 2])] = &[
    ("-Z", ["which certificate", "ssl_chain_cert=FILE"]),
    ("-Z -o ssl_chain_cert=c,ssl_verify_mode=1", ["which CA", "ssl_ca_cert=FILE"]),
    ("-Z -o ssl_chain_cert=c -l mtls:::1", ["which CA", "ssl_ca_cert=FILE"]),
    ("--peer-tls -o ssl_chain_cert=c,ssl_ca_cert=a", ["--peer-tls", "--cluster FILE"]),
    ("--cluster m --server-id 1 --peer-secret-file s --peer-tls", ["--peer-tls", "ssl_chain_cert=FILE"]),
    (
        "--cluster m --server-id 1 --peer-secret-file s --peer-tls -o ssl_chain_cert=c",
        ["--peer-tls", "ssl_ca_cert=FILE"],
    ),
];

const REFUSALS: &[(&str, [&str; 2])] = &[
    ("-p x", ["-p x", "1 to 65535"]),
    ("-p 65536", ["-p 65536", "1 to 65535"]),
    ("-p -2", ["-p -2", "-1 for any free port"]),
    ("-p +5", ["-p +5", "1 to 65535"]),
    ("-p", ["--port", "value is missing"]),
    ("--port=", ["-p ", "1 to 65535"]),
    ("-U x", ["-U x", "0 for no UDP"]),
    ("-U 70000", ["-U 70000", "1 to 65535"]),
    ("-U 7 -Y users", ["-U", "datagrams cannot authenticate"]),
    ("-U 7 -S -Y users", ["-U", "datagrams cannot authenticate"]),
    ("-l ,", ["-l", "not an address"]),
    ("-l 300.1.1.1", ["-l 300.1.1.1", "not an address"]),
    ("-l 127.0.0.1:x", ["-l 127.0.0.1:x", "1 to 65535"]),
    ("-l 127.0.0.1:0", ["-l 127.0.0.1:0", "1 to 65535"]),
    ("-l 127.0.0.1:65536", ["127.0.0.1:65536", "1 to 65535"]),
    ("-l ::1:x", ["-l ::1:x", "1 to 65535"]),
    ("-l [::1]5", ["-l [::1]5", "[ipv6]:port"]),
    ("-l [::1", ["-l [::1", "[ipv6]:port"]),
    ("-l foo!", ["-l foo!", "not an address"]),
    ("-s /tmp/x -l foo!", ["-l foo!", "not an address"]),
    ("-l mtls:127.0.0.1", ["mtls", "-Z"]),
    ("-s x -a 9", ["-a 9", "octal"]),
    ("-a 1777", ["-a 1777", "octal"]),
    ("-t 0", ["-t 0", "from 1 to"]),
    ("-t -1", ["-t -1", "from 1 to"]),
    ("-t 257", ["-t 257", "from 1 to 256"]),
    ("-c 0", ["-c 0", "from 1 to"]),
    ("-c -1", ["-c -1", "from 1 to"]),
    ("-R 0", ["-R 0", "from 1 to"]),
    ("-b x", ["-b x", "from 1 to"]),
    ("-m 0", ["-m 0", "from 1 to"]),
    ("-m 64m", ["-m 64m", "in megabytes"]),
    ("-m 99999999999999999999", ["-m 9", "from 1 to"]),
    ("-m 1", ["half of the memory limit", "write -m 2"]),
    ("-I 1023", ["cannot be less than 1024 bytes", "1k"]),
    ("-I 33m", ["half of the memory limit", "write -m 66"]),
    ("-I 1025m -m 8192", ["cannot be more than a gigabyte", "1024m"]),
    ("-I 2x", ["-I 2x", "not a size"]),
    ("-I m", ["-I m", "not a size"]),
    ("-I 99999999999g", ["-I 9", "not a size"]),
    ("-I 5é", ["-I 5é", "not a size"]),
    ("-B http", ["-B http", "ascii or binary"]),
    ("-S", ["no users", "-Y FILE"]),
    ("-S -Y users -B ascii", ["-S", "-B auto"]),
    ("-Y users -B binary", ["-Y", "write -S too"]),
    ("-D ab", ["-D ab", "one ASCII character"]),
    ("-D", ["--delimiter", "value is missing"]),
    ("-o bogus", ["-o bogus", "idle_timeout"]),
    ("-o modern,nolru", ["-o nolru", "no such option"]),
    ("-o idle_timeout", ["idle_timeout", "seconds are missing"]),
    ("-o idle_timeout=x", ["idle_timeout x", "whole number"]),
    ("-o ssl_key", ["ssl_key", "value is missing"]),
    ("-o ssl_colour=red", ["ssl_colour", "no such option"]),
    ("-o ssl_verify_mode=4", ["ssl_verify_mode=4", "2 (require)"]),
    ("-o ssl_min_version=tlsv1.4", ["ssl_min_version=tlsv1.4", "tlsv1.2 or tlsv1.3"]),
    ("-o ssl_keyformat=ENGINE", ["ssl_keyformat=ENGINE", "PEM or DER"]),
    ("-o ssl_wbuf_size=0", ["ssl_wbuf_size 0", "from 1 to 1024"]),
    ("--fsync sometimes", ["--fsync sometimes", "always, everysec or never"]),
    ("--memory-only --fsync always", ["--memory-only", "--fsync"]),
    ("--memory-only --data-dir x", ["--memory-only", "--data-dir"]),
    ("--memory-only --log-size 1g", ["--memory-only", "--log-size"]),
    ("--memory-only --archive x", ["--memory-only", "--archive"]),
    ("--log-size 1m", ["--log-size 1m", "16m to 64g"]),
    ("--log-size big", ["--log-size big", "512m"]),
    ("--memory-only --disk-limit 1g", ["--memory-only", "--disk-limit"]),
    ("--disk-limit 0%", ["--disk-limit 0%", "1% to 100%"]),
    ("--disk-limit 101%", ["--disk-limit 101%", "20g"]),
    ("--disk-limit much", ["--disk-limit much", "20g"]),
    ("--on-full panic", ["--on-full panic", "refuse or evict"]),
    ("--data-dir=", ["--data-dir", "value is missing"]),
    ("--groups 0", ["--groups 0", "from 1 to 4096"]),
    ("--groups 4097", ["--groups 4097", "from 1 to 4096"]),
    ("--hash md5", ["--hash md5", "larder or fastdht"]),
    ("--hash-tag (", ["--hash-tag (", "braces or none"]),
    ("--bogus", ["--bogus", "no such option"]),
    ("--memory-only=yes", ["--memory-only", "takes no value"]),
    ("nonsense", ["nonsense", "no such command"]),
    ("-p 5 serve", ["serve", "no such command"]),
];

#[test]
fn refusals_are_one_line_that_says_what_to_write() {
    #[cfg(not(feature = "tls"))]
    const TLS_REFUSALS: &[(&str, [&str; 2])] = &[("-Z -o ssl_chain_cert=c", ["-Z", "without TLS"])];
    for (line, texts) in REFUSALS.iter().chain(TLS_REFUSALS) {
        let Err(Stop::Refusal(refusal)) = read_line(line) else { panic!("larder {line} is not refused") };
        assert!(texts.iter().all(|text| refusal.contains(text)), "larder {line}: {refusal}");
        assert_eq!(refusal.lines().count(), 1, "larder {line}: {refusal}");
    }
}

#[test]
fn version_and_help_begin_as_clients_expect() {
    for line in ["-V", "--version", "-h", "--help", "serve -h", "-m 1 -V"] {
        let Err(Stop::Answer(text)) = read_line(line) else { panic!("larder {line} is not answered") };
        assert_eq!(text.lines().next(), Some(VERSION_LINE), "larder {line}");
    }
    let Err(Stop::Answer(help)) = read_line("-h") else { panic!("-h is not answered") };
    for word in ["larder [serve]", "--data-dir", "-p, --port", "-o, --extended"] {
        assert!(help.contains(word), "{word} is missing in:\n{help}");
    }
}

#[test]
fn the_machine_sets_threads_and_paths() {
    for (cores, threads) in [(0, 1), (1, 1), (3, 3), (64, 4)] {
        let machine = Machine { cores, ..machine() };
        assert_eq!(read([], &machine).map(|config| config.network.threads), Ok(threads), "{cores} cores");
    }
    let machine = Machine { port_file: Some("ports".into()), ..machine() };
    let network = read([], &machine).map(|config| config.network.port_file);
    assert_eq!(network, Ok(Some("/srv/here/ports".into())));
}

#[test]
#[cfg(unix)]
fn file_names_need_not_be_text() {
    use std::os::unix::ffi::OsStringExt;
    let bytes = OsString::from_vec(b"/srv/\xff".to_vec());
    let config = read(["--data-dir".into(), bytes.clone()], &machine()).unwrap();
    assert!(matches!(config.keep, Keep::Data(data) if data.dir.as_os_str() == bytes));
    let refused = read(["-m".into(), bytes], &machine());
    assert!(matches!(refused, Err(Stop::Refusal(text)) if text.contains("UTF-8")));
}
