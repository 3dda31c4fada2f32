//! Programs that watch memcacheds by their `stats`: collectd's and munin's plugins for memcached. What they tell must be
//! what was done.
use std::collections::HashMap;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use super::proxies::{daemon, version};
use super::{Needs, PATIENCE};
use crate::client::Client;
use crate::process::Larder;
use crate::skips::{self, say};
use crate::wait;

/// Where Debian puts munin's plugin; the name that it is called by decides what it tells.
const MUNIN: &str = "/usr/share/munin/plugins/memcached_";
/// Where Debian puts collectd's plugins and its table of types.
const COLLECTD: &str = "/usr/lib/collectd/memcached.so";

/// Every count that the monitors tell differs from those beside it.
fn work(client: &mut Client) {
    for number in 0..7 {
        assert_eq!(client.set(&format!("k{number}"), b"1"), "STORED");
    }
    for _ in 0..5 {
        assert_eq!(client.value("k0"), Some(b"1".to_vec()));
    }
    for _ in 0..3 {
        assert_eq!(client.value("nothing"), None);
    }
    for (request, answer, times) in [
        ("touch k1 1000\r\n", "TOUCHED", 4),
        ("incr k2 1\r\n", "", 6),
        ("incr nothing 1\r\n", "NOT_FOUND", 2),
        ("decr k3 0\r\n", "1", 9),
        ("decr nothing 1\r\n", "NOT_FOUND", 1),
        ("delete nothing\r\n", "NOT_FOUND", 10),
        ("delete k4\r\n", "DELETED", 1),
    ] {
        for _ in 0..times {
            let said = client.ask(request);
            assert!(answer.is_empty() || said == answer, "{request:?}: {said}");
        }
    }
}

/// What one of munin's graphs shows.
fn munin(graph: &str, larder: &Larder, folder: &Path) -> HashMap<String, String> {
    let plugin = folder.join(format!("memcached_{graph}"));
    symlink(MUNIN, &plugin).unwrap();
    let address = larder.address();
    let mut command = Command::new("perl");
    command.arg(plugin).env("host", address.ip().to_string()).env("port", address.port().to_string());
    let output = command.output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    let pair = |line: &str| {
        let (name, value) = line.split_once(".value ")?;
        Some((name.trim_start_matches("memcache_").to_owned(), value.to_owned()))
    };
    said.lines().map(|line| pair(line).unwrap_or_else(|| panic!("{line:?} in {said}"))).collect()
}

#[test]
fn munins_plugin_tells_what_was_done() {
    if !Path::new(MUNIN).is_file() {
        return skips::skip("munin-plugins-extra not found");
    }
    if !Needs::Perl("Cache::Memcached").present() {
        return skips::skip("munin's plugin: no Cache::Memcached");
    }
    let folder = tempfile::tempdir().unwrap();
    let larder = Larder::start(&folder.path().join("data"), &[]).unwrap();
    let mut client = Client::connect(larder.address());
    work(&mut client);
    let mut told = munin("rates", &larder, folder.path());
    told.extend(munin("counters", &larder, folder.path()));
    for (name, expected) in
        [("cmd_get", 8), ("cache_hits", 5), ("cache_misses", 3), ("cmd_set", 7), ("curr_items", 6)]
    {
        assert_eq!(told[name], expected.to_string(), "{name} in {told:?}");
    }
    assert_eq!(told["bytes_allocated"], client.figure("bytes").to_string());
    assert_eq!(told["total_items"], client.figure("total_items").to_string());
    let bytes = munin("bytes", &larder, folder.path());
    for (name, value) in &bytes {
        let now = client.figure(name);
        assert!((1..=now).contains(&value.parse().unwrap()), "{name} is {value}, and now {now}");
    }
    let count = told.len() + bytes.len();
    assert_eq!(count, 11, "{told:?} {bytes:?}");
    say(&format!("monitor munin's memcached_: {count}/{count} figures"));
}

/// A running collectd. It ends when dropped.
struct Collectd(Child);

impl Drop for Collectd {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn collectd_words(larder: &Larder, folder: &Path) -> PathBuf {
    let (place, address) = (folder.display(), larder.address());
    let words = format!(
        "Hostname \"here\"\nInterval 1\nBaseDir \"{place}\"\nPIDFile \"{place}/pid\"\n\
         PluginDir \"/usr/lib/collectd\"\nTypesDB \"/usr/share/collectd/types.db\"\n\
         LoadPlugin csv\nLoadPlugin memcached\n<Plugin csv>\nDataDir \"stdout\"\n</Plugin>\n\
         <Plugin memcached>\n<Instance \"larder\">\nAddress \"{}\"\nPort {}\n</Instance>\n</Plugin>\n",
        address.ip(),
        address.port()
    );
    let path = folder.join("collectd.conf");
    std::fs::write(&path, words).unwrap();
    path
}

/// The first figures of each name, as it prints them: `PUTVAL here/PLUGIN/NAME interval=S TIME:FIGURES`.
fn figures(said: &str) -> HashMap<String, String> {
    let mut first = HashMap::new();
    for line in said.lines() {
        let words: Vec<&str> = line.split(' ').collect();
        let [_, name, _, figures] = words[..] else { continue };
        let (Some((_, name)), Some((_, figures))) = (name.rsplit_once('/'), figures.split_once(':')) else {
            continue;
        };
        first.entry(name.to_owned()).or_insert_with(|| figures.to_owned());
    }
    first
}

#[test]
fn collectds_plugin_tells_what_was_done() {
    let Some(collectd) = daemon("collectd") else { return };
    if !Path::new(COLLECTD).is_file() {
        return skips::skip("collectd-core not found");
    }
    let folder = tempfile::tempdir().unwrap();
    let larder = Larder::start(&folder.path().join("data"), &[]).unwrap();
    let mut client = Client::connect(larder.address());
    work(&mut client);
    let said = folder.path().join("said");
    let mut command = Command::new(&collectd);
    command.arg("-f").arg("-C").arg(collectd_words(&larder, folder.path())).stdin(Stdio::null());
    command.stdout(std::fs::File::create(&said).unwrap()).stderr(Stdio::null());
    let _running = Collectd(command.spawn().unwrap());
    // The last that it tells in a round, and the end of its line.
    let told = wait::until(PATIENCE, || {
        let text = std::fs::read_to_string(&said).unwrap();
        let end = text.find("percent-hitratio").map(|at| at + text[at..].find('\n').unwrap_or(0));
        end.filter(|end| text.as_bytes().get(*end) == Some(&b'\n')).map(|_| figures(&text))
    });
    let told = told.unwrap_or_else(|| panic!("{}", std::fs::read_to_string(&said).unwrap()));
    let expected = [
        ("memcached_command-get", "8"),
        ("memcached_command-set", "7"),
        ("memcached_command-touch", "4"),
        ("memcached_command-flush", "0"),
        ("memcached_ops-hits", "5"),
        ("memcached_ops-misses", "3"),
        ("memcached_ops-incr_hits", "6"),
        ("memcached_ops-incr_misses", "2"),
        ("memcached_ops-decr_hits", "9"),
        ("memcached_ops-decr_misses", "1"),
        ("memcached_ops-delete_hits", "1"),
        ("memcached_ops-delete_misses", "10"),
        ("memcached_ops-evictions", "0"),
        ("memcached_items-current", "6.000000"),
    ];
    for (name, figure) in expected {
        assert_eq!(told.get(name).map(String::as_str), Some(figure), "{name} in {told:?}");
    }
    let bytes = client.figure("bytes");
    let free = client.figure("limit_maxbytes") - bytes;
    assert_eq!(told["df-cache"], format!("{bytes}.000000:{free}.000000"), "used and free");
    let count = expected.len() + 1;
    let version = version(&collectd, "-h", "\ncollectd ");
    say(&format!("monitor collectd {}: {count}/{count} figures", version.split(',').next().unwrap()));
}
