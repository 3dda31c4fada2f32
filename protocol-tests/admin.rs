//! The admin port of a real process: who may look, what a look costs, and what programs that others wrote make of it.
use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::client::Client;
use crate::http::{get, send};
use crate::process::Larder;
use crate::skips::{self, require};
use crate::wait;

/// Longest wait for something that the server does by itself.
const PATIENCE: Duration = Duration::from_secs(60);
const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// Where the admin port of this server is: its log says so.
pub(crate) fn admin_address(larder: &Larder) -> SocketAddr {
    let said = larder.said();
    let address = said.split_once("admin page on http://").and_then(|(_, rest)| rest.split('/').next());
    address.and_then(|address| address.parse().ok()).unwrap_or_else(|| panic!("no admin address in {said}"))
}

fn start(options: &[&str]) -> (tempfile::TempDir, Larder, SocketAddr) {
    let folder = tempfile::tempdir().unwrap();
    let data_dir = folder.path().join("data");
    let larder = Larder::start(&data_dir, &[&["--admin-port", "-1"], options].concat()).unwrap();
    let admin = admin_address(&larder);
    (folder, larder, admin)
}

/// Some of everything that is counted.
fn exercise(larder: &Larder) {
    let mut client = Client::connect(larder.address());
    for number in 0..2000 {
        assert_eq!(client.set(&format!("k{number}"), b"12"), "STORED");
    }
    for (request, answers) in [
        ("get k1\r\n", &["VALUE k1 0 2", "12", "END"][..]),
        ("incr k1 1\r\n", &["13"]),
        ("touch k2 60\r\n", &["TOUCHED"]),
        ("mg k3 v\r\n", &["VA 2", "12"]),
    ] {
        client.send(request);
        answers.iter().for_each(|answer| assert_eq!(client.line().trim_end(), *answer, "{request}"));
    }
}

/// One sample: its labels as written, and its value.
type Samples = Vec<(String, f64)>;

/// Reads the format strictly: every sample belongs to the family that was announced last, with HELP and TYPE once each.
/// The families with their kinds and samples.
fn families(text: &str) -> BTreeMap<String, (String, Samples)> {
    let mut families: BTreeMap<String, (String, Samples)> = BTreeMap::new();
    let (mut helped, mut current) = (None, String::new());
    assert!(text.ends_with('\n'), "the last line ends");
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            let (name, help) = rest.split_once(' ').expect("a help text");
            assert!(!help.is_empty() && !families.contains_key(name), "{line}");
            helped = Some(name);
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').expect("a kind");
            assert_eq!(helped.take(), Some(name), "{line}");
            assert!(["counter", "gauge", "histogram"].contains(&kind), "{line}");
            families.insert(name.to_owned(), (kind.to_owned(), Samples::new()));
            name.clone_into(&mut current);
        } else {
            let (sample, value) = line.rsplit_once(' ').unwrap_or_else(|| panic!("{line:?}"));
            let name = sample.split('{').next().unwrap_or_default();
            let (kind, samples) = families.get_mut(&current).unwrap_or_else(|| panic!("{line:?}"));
            let suffix =
                name.strip_prefix(current.as_str()).unwrap_or_else(|| panic!("{line:?} in {current}"));
            let fits = if kind == "histogram" {
                ["_bucket", "_sum", "_count"].contains(&suffix)
            } else {
                suffix.is_empty()
            };
            assert!(fits && !samples.iter().any(|(known, _)| known == sample), "{line:?} in {current}");
            samples.push((sample.to_owned(), value.parse().unwrap_or_else(|_| panic!("{line:?}"))));
        }
    }
    families
}

fn check_histogram(name: &str, samples: &Samples) {
    let mut before: Option<(String, f64)> = None;
    for (sample, value) in samples {
        let labels = sample.split_once('{').map_or("", |(_, labels)| labels);
        let series = labels.split("le=").next().unwrap_or_default().trim_end_matches(['}', ',']).to_owned();
        if sample.contains("_bucket") {
            let falls = before.as_ref().is_some_and(|(last, count)| *last == series && value < count);
            assert!(!falls, "{sample} of {name} is below the bucket before it");
            before = Some((series, *value));
        } else if sample.contains("_count") {
            assert_eq!(before, Some((series, *value)), "{sample} of {name} is what +Inf counts");
        }
    }
}

#[test]
fn metrics_are_well_formed_and_those_that_the_docs_name() {
    let (_folder, larder, admin) = start(&[]);
    exercise(&larder);
    let answer = get(admin, "/metrics");
    assert_eq!(answer.status, 200);
    let families = families(&answer.body);
    for (name, (kind, samples)) in &families {
        assert!(!samples.is_empty(), "{name} has no sample");
        assert_eq!(kind == "counter", name.ends_with("_total"), "{name} is a {kind}");
        if kind == "histogram" {
            assert!(name.ends_with("_seconds"), "{name}");
            check_histogram(name, samples);
        }
    }
    let value = |sample: &str| {
        let all = families.values().flat_map(|(_, samples)| samples);
        all.into_iter().find(|(name, _)| name == sample).map(|(_, value)| *value)
    };
    assert_eq!(value("larder_items"), Some(2000.0));
    assert_eq!(value("larder_sets_total"), Some(2000.0));
    assert_eq!(value("larder_commands_total{command=\"get\",result=\"hit\"}"), Some(2.0));
    let timed = value("larder_request_duration_seconds_count{class=\"set\"}");
    assert!(timed.is_some_and(|timed| timed > 0.0), "{timed:?} sets were timed");
    let groups: f64 =
        (0..64).map(|group| value(&format!("larder_group_items{{group=\"{group}\"}}")).unwrap()).sum();
    assert_eq!(groups, 2000.0);

    let docs = std::fs::read_to_string(format!("{ROOT}/docs/metrics.md")).unwrap();
    let documented: BTreeSet<(String, String)> = docs.lines().filter_map(documented).collect();
    let shown: BTreeSet<_> = families.iter().map(|(name, (kind, _))| (name.clone(), kind.clone())).collect();
    assert_eq!(shown, documented, "docs/metrics.md against /metrics");
}

/// The metric of a row of the docs' tables: name and kind.
fn documented(line: &str) -> Option<(String, String)> {
    let mut cells = line.strip_prefix("| `")?.split('|');
    let name = cells.next()?.split(['`', '{']).next()?;
    let is_metric = name.starts_with("larder_") || name.starts_with("process_");
    is_metric.then_some(())?;
    Some((name.to_owned(), cells.next()?.trim().to_owned()))
}

#[test]
fn promtool_finds_nothing() {
    let Some(promtool) = require("promtool") else { return };
    let (_folder, larder, admin) = start(&[]);
    exercise(&larder);
    let mut check = Command::new(&promtool)
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    check.stdin.take().unwrap().write_all(get(admin, "/metrics").body.as_bytes()).unwrap();
    let output = check.wait_with_output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    assert!(output.status.success() && said.is_empty(), "{}", String::from_utf8_lossy(&said));
    for (what, file) in [
        ("rules", "contrib/prometheus/larder.rules.yml"),
        ("test", "contrib/prometheus/larder.rules.test.yml"),
    ] {
        let words: &[&str] = if what == "test" { &["test", "rules"] } else { &["check", "rules"] };
        let output = Command::new(&promtool).args(words).arg(file).current_dir(ROOT).output().unwrap();
        let said = [output.stdout, output.stderr].concat();
        assert!(output.status.success(), "{file}: {}", String::from_utf8_lossy(&said));
    }
}

#[test]
fn rules_and_dashboard_name_metrics_that_exist() {
    let docs = std::fs::read_to_string(format!("{ROOT}/docs/metrics.md")).unwrap();
    let known: BTreeSet<String> = docs.lines().filter_map(documented).map(|(name, _)| name).collect();
    for file in ["contrib/prometheus/larder.rules.yml", "contrib/grafana/larder.json"] {
        let text = std::fs::read_to_string(format!("{ROOT}/{file}")).unwrap();
        let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
        let named: BTreeSet<&str> =
            words.filter(|word| word.starts_with("larder_") || word.starts_with("process_")).collect();
        assert!(named.len() >= 5, "{file} names {named:?}");
        for name in named {
            let family = ["_bucket", "_sum", "_count"]
                .iter()
                .find_map(|suffix| name.strip_suffix(suffix))
                .unwrap_or(name);
            assert!(known.contains(family) || known.contains(name), "{file} names {name}");
        }
    }
}

#[test]
fn the_memcached_exporter_works() {
    let names = ["prometheus-memcached-exporter", "memcached_exporter"];
    let Some(exporter) = names.iter().find_map(|name| skips::find(name)) else {
        return skips::tell_missing("memcached_exporter not found: no package of Debian 12 has it");
    };
    let (_folder, larder, _) = start(&[]);
    exercise(&larder);
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut child = Command::new(exporter)
        .args([format!("--memcached.address={}", larder.address()), format!("--web.listen-address={free}")])
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let listens = wait::until(PATIENCE, || TcpStream::connect(free).ok());
    let body = listens.map(|_| get(free, "/metrics").body).unwrap_or_default();
    let _ = child.kill();
    let _ = child.wait();
    for line in [
        "memcached_up 1",
        "memcached_current_items 2000",
        "memcached_commands_total{command=\"get\",status=\"hit\"} 2",
    ] {
        assert!(body.lines().any(|found| found == line), "{line} in\n{body}");
    }
}

#[test]
fn a_loopback_port_answers_its_own_machine_alone() {
    let (_folder, _larder, admin) = start(&[]);
    let cases = [
        ("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", 200),
        ("GET /metrics HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", 200),
        ("GET /health/live HTTP/1.0\r\n\r\n", 200),
        ("GET /health/ready HTTP/1.1\r\nHost: localhost\r\n\r\n", 200),
        ("HEAD /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n", 200),
        ("GET /api/overview HTTP/1.1\r\nHost: rebound.example\r\n\r\n", 403),
        ("GET /metrics HTTP/1.1\r\nHost: rebound.example\r\n\r\n", 403),
        ("GET /nothing HTTP/1.1\r\nHost: localhost\r\n\r\n", 404),
        ("GET /api/key HTTP/1.1\r\nHost: localhost\r\n\r\n", 400),
        ("GET /api/key?key= HTTP/1.1\r\nHost: localhost\r\n\r\n", 400),
        ("POST /metrics HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\n\r\nabc", 405),
        ("OPTIONS / HTTP/1.1\r\nHost: localhost\r\nOrigin: http://a.example\r\n\r\n", 405),
        ("get k\r\n", 400),
        ("\0\0\0\0\r\n\r\n", 400),
    ];
    for (request, status) in cases {
        let answer = send(admin, request);
        assert_eq!(answer.status, status, "{request:?}: {answer:?}");
        assert!(!answer.headers.to_ascii_lowercase().contains("access-control"), "{answer:?}");
        assert!(!request.starts_with("HEAD") || answer.body.is_empty(), "{answer:?}");
    }
    assert_eq!(send(admin, [b'x'; 100_000]).status, 431);
    assert_eq!(
        send(admin, format!("GET / HTTP/1.1\r\nHost: localhost\r\nX: {}", "x".repeat(100_000))).status,
        431
    );
    let page = get(admin, "/");
    assert!(
        page.headers.contains("default-src 'none'") && page.headers.contains("frame-ancestors 'none'"),
        "{page:?}"
    );
    assert!(
        !page.body.contains("NONCE-HERE") && get(admin, "/").headers != page.headers,
        "each has its own number"
    );
}

#[test]
fn a_token_guards_everything_but_health_and_the_empty_page() {
    let folder = tempfile::tempdir().unwrap();
    let token_file = folder.path().join("token");
    std::fs::write(&token_file, "open-sesame\n").unwrap();
    let (_folder, _larder, admin) = start(&["--admin-token-file", token_file.to_str().unwrap()]);
    for (path, token, status) in [
        ("/", "", 200),
        ("/health/live", "", 200),
        ("/health/ready", "", 200),
        ("/metrics", "", 401),
        ("/api/overview", "", 401),
        ("/api/key?key=a", "Authorization: Bearer open-sesam\r\n", 401),
        ("/nothing", "", 401),
        ("/metrics", "Authorization: Basic open-sesame\r\n", 401),
        ("/metrics", "Authorization: Bearer open-sesame\r\n", 200),
        ("/api/groups", "authorization: bearer open-sesame\r\n", 200),
    ] {
        let answer = send(admin, format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n{token}\r\n"));
        assert_eq!(answer.status, status, "{path} {token}");
    }
}

#[test]
fn looking_at_a_key_is_no_access() {
    let (_folder, larder, admin) = start(&[]);
    let mut client = Client::connect(larder.address());
    assert_eq!(client.ask("set a{b} 7 600 3\r\nxyz\r\n"), "STORED");
    let before = client.ask("me a{b}\r\n");
    let answer = get(admin, "/api/key?key=a%7Bb%7D");
    for fact in ["\"found\":true", "\"value_bytes\":3", "\"flags\":7", "\"in_memory\":true"] {
        assert!(answer.body.contains(fact), "{fact} in {answer:?}");
    }
    assert!(!answer.body.contains("xyz"), "no value is shown: {answer:?}");
    assert!(get(admin, "/api/key?key=none").body.contains("\"found\":false"));
    assert!(before.contains("fetch=no") && client.ask("me a{b}\r\n").contains("fetch=no"), "{before}");
    assert_eq!((client.figure("cmd_get"), client.figure("get_misses")), (0, 0));
    larder.kill();
}

#[test]
fn whoever_is_stuck_at_the_admin_port_stalls_nobody() {
    let (_folder, larder, admin) = start(&[]);
    let stuck: Vec<TcpStream> = (0..100)
        .map(|_| {
            let mut stream = TcpStream::connect(admin).unwrap();
            stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nX: ").unwrap();
            stream
        })
        .collect();
    let mut client = Client::connect(larder.address());
    for number in 0..1000 {
        assert_eq!(client.set(&format!("k{number}"), b"v"), "STORED");
    }
    assert_eq!(get(admin, "/metrics").status, 200);
    assert_eq!(get(admin, "/health/ready").status, 200);
    drop(stuck);
}

#[test]
fn others_reach_the_port_only_with_a_token() {
    let (status, said) =
        crate::process::run_to_end(&["--memory-only", "-p", "-1", "--admin-port", "0.0.0.0:9150"]);
    assert!(status == Some(2) && said.contains("--admin-token-file"), "{status:?} {said}");
    let folder = tempfile::tempdir().unwrap();
    let empty = folder.path().join("empty");
    std::fs::write(&empty, "\n").unwrap();
    let words =
        ["--memory-only", "-p", "-1", "--admin-port", "-1", "--admin-token-file", empty.to_str().unwrap()];
    let (status, said) = crate::process::run_to_end(&words);
    assert!(status == Some(3) && said.contains("first line"), "{status:?} {said}");
}
