//! Values of memcached's options: what memcached does not start with, Larder does not start with either. Left out are
//! values whose limits come of what Larder has not: without `-o slab_chunk_max` any `-I` will do, and no file of extstore
//! is opened, so that its folder need not exist.
use std::ffi::OsString;
use std::path::Path;
use std::process::Command;

use larder::config::{self, Machine, Stop};

use crate::oracle::Oracle;
use crate::skips;

/// Options, and what the refusal names.
type Refused = &'static [(&'static str, &'static str)];

/// What every memcached refuses.
const REFUSED: Refused = &[
    ("-f 0.5", "-f 0.5"),
    ("-f 1", "-f 1"),
    ("-f x", "-f x"),
    ("-f nan", "-f nan"),
    ("-f 1,5", "-f 1,5"),
    ("-n 0", "-n 0"),
    ("-n x", "-n x"),
    ("-N 0", "-N 0"),
    ("-N x", "-N x"),
    ("-N 5", "-N 5"),
    ("-t 2 -N 3", "-N 3"),
    ("-R 0", "-R 0"),
    ("-R x", "-R x"),
    ("-t 0", "-t 0"),
    ("-c 0", "-c 0"),
    ("-c x", "-c x"),
    ("-m 0", "-m 0"),
    ("-I 1x", "-I 1x"),
    ("-B http", "-B http"),
    ("-B auto -Y users", "-Y"),
    ("-B binary -Y users", "-Y"),
    ("-o ,", "-o "),
    ("-o modern,,modern", "-o "),
    ("-o =5", "-o =5"),
    ("-o slab_fooble", "slab_fooble"),
    ("-o no_slab_fooble", "no_slab_fooble"),
    ("-o lru_fooble", "lru_fooble"),
    ("-o ext_fooble", "ext_fooble"),
    ("-o hashpower", "hashpower"),
    ("-o hashpower=", "hashpower"),
    ("-o hashpower=11", "hashpower 11"),
    ("-o hashpower=33", "hashpower 33"),
    ("-o hashpower=12", "-t 4"),
    ("-t 5 -o hashpower=13", "write 14 or more"),
    ("-t 11 -o hashpower=14", "write 15 or more"),
    ("-t 21 -o hashpower=15", "write 16 or more"),
    ("-o slab_automove=3", "slab_automove 3"),
    ("-o slab_automove=-1", "slab_automove -1"),
    ("-o slab_automove_ratio", "slab_automove_ratio"),
    ("-o slab_automove_ratio=0", "above 0 and not above 1"),
    ("-o slab_automove_ratio=1.1", "slab_automove_ratio 1.1"),
    ("-o slab_automove_ratio=x", "slab_automove_ratio x"),
    ("-o slab_automove_window", "slab_automove_window"),
    ("-o slab_automove_window=2", "slab_automove_window 2"),
    ("-o slab_automove_freeratio", "slab_automove_freeratio"),
    ("-o slab_automove_freeratio=0.5x", "slab_automove_freeratio 0.5x"),
    ("-o tail_repair_time", "tail_repair_time"),
    ("-o tail_repair_time=9", "tail_repair_time 9"),
    ("-o hash_algorithm", "hash_algorithm"),
    ("-o hash_algorithm=foo", "jenkins, murmur3, xxh3"),
    ("-o hash_algorithm=JENKINS", "hash_algorithm=JENKINS"),
    ("-o lru_crawler_sleep", "lru_crawler_sleep"),
    ("-o lru_crawler_sleep=-1", "lru_crawler_sleep -1"),
    ("-o lru_crawler_sleep=1000001", "lru_crawler_sleep 1000001"),
    ("-o lru_crawler_tocrawl", "lru_crawler_tocrawl"),
    ("-o lru_crawler_tocrawl=5x", "lru_crawler_tocrawl 5x"),
    ("-o hot_lru_pct", "hot_lru_pct"),
    ("-o hot_lru_pct=0", "hot_lru_pct 0"),
    ("-o hot_lru_pct=80", "hot_lru_pct 80"),
    ("-o hot_lru_pct=41", "hot_lru_pct=41,warm_lru_pct=40"),
    ("-o warm_lru_pct", "warm_lru_pct"),
    ("-o warm_lru_pct=0", "warm_lru_pct 0"),
    ("-o warm_lru_pct=80", "warm_lru_pct 80"),
    ("-o warm_lru_pct=61", "hot_lru_pct=20,warm_lru_pct=61"),
    ("-o hot_max_factor", "hot_max_factor"),
    ("-o hot_max_factor=0", "hot_max_factor 0"),
    ("-o warm_max_factor", "warm_max_factor"),
    ("-o warm_max_factor=-1", "warm_max_factor -1"),
    ("-o temporary_ttl", "temporary_ttl"),
    ("-o temporary_ttl=61,no_lru_maintainer", "temporary_ttl"),
    ("-o no_modern,temporary_ttl=61", "temporary_ttl"),
    ("-o idle_timeout", "idle_timeout"),
    ("-o watcher_logbuf_size", "watcher_logbuf_size"),
    ("-o watcher_logbuf_size=x", "watcher_logbuf_size x"),
    ("-o worker_logbuf_size=-1", "worker_logbuf_size -1"),
    ("-o slab_sizes=", "slab_sizes="),
    ("-o slab_sizes=x", "slab_sizes=x"),
    ("-o slab_sizes=300-200", "slab_sizes=300-200"),
    ("-o slab_sizes=100-108", "slab_sizes=100-108"),
    ("-o slab_sizes=47", "from 48 to 524288"),
    ("-o slab_sizes=524289", "slab_sizes=524289"),
    ("-n 101 -o slab_sizes=100", "from 101 to 524288"),
    ("-o slab_chunk_max", "slab_chunk_max"),
    ("-o slab_chunk_max=x", "slab_chunk_max x"),
    ("-o slab_chunk_max=0", "slab_chunk_max 0"),
    ("-o slab_chunk_max=3", "slab_chunk_max=3"),
    ("-o slab_chunk_max=1025", "slab_chunk_max 1025"),
    ("-I 1500000 -o slab_chunk_max=512", "-I 1500000"),
    ("-o read_buf_mem_limit", "read_buf_mem_limit"),
    ("-o read_buf_mem_limit=x", "read_buf_mem_limit x"),
    ("-o ext_path", "ext_path"),
    ("-o ext_path=", "ext_path="),
    ("-o ext_path=DIR/x", "FILE:SIZE"),
    ("-o ext_path=DIR/x:64m:foo", "no such bucket"),
    ("-o ext_page_size", "ext_page_size"),
    ("-o ext_page_size=x", "ext_page_size x"),
    ("-o ext_wbuf_size=x", "ext_wbuf_size x"),
    ("-o ext_threads=x", "ext_threads x"),
    ("-o ext_io_depth=x", "ext_io_depth x"),
    ("-o ext_item_size=x", "ext_item_size x"),
    ("-o ext_item_age=x", "ext_item_age x"),
    ("-o ext_low_ttl=x", "ext_low_ttl x"),
    ("-o ext_recache_rate=x", "ext_recache_rate x"),
    ("-o ext_compact_under=x", "ext_compact_under x"),
    ("-o ext_drop_under=x", "ext_drop_under x"),
    ("-o ext_max_sleep=x", "ext_max_sleep x"),
    ("-o ext_max_frag=x", "ext_max_frag x"),
];

/// What 1.6.45 refuses, and 1.6.18 does not.
const REFUSED_SINCE: Refused = &[
    ("-n -1", "-n -1"),
    ("-o slab_automove_window=1801", "slab_automove_window 1801"),
    ("-o slab_chunk_max=16384", "slab_chunk_max 16384"),
    ("-I 512k -o slab_chunk_max=1024", "-I 524288"),
    ("-o ext_path=DIR/x:64", "FILE:SIZE"),
    ("-o ext_path=DIR/x:64k", "FILE:SIZE"),
    ("-o ext_path=DIR/x:63m", "64m or more"),
    ("-o ext_path=DIR/x:0g", "64m or more"),
];

/// What every memcached starts with: values at their limits.
const ACCEPTED: &[&str] = &[
    "-m 64 -c 100 -t 2 -R 5 -b 10 -I 2m -k -C -F -X -W -A -D : -v",
    "--memory-limit=64 --conn-limit=100 --threads=2 --max-reqs-per-event=5 --listen-backlog=10 --max-item-size=2m",
    "--disable-evictions --disable-cas --disable-flush-all --disable-dumping --disable-watch --enable-shutdown -D :",
    "-B ascii -Y users",
    "--protocol=auto -e DIR/memory",
    "-f 1.01",
    "-n 1",
    "-N 4",
    "-t 5 -N 5",
    "-o modern,",
    "--verbose --verbose=2",
    "-o hashpower=13",
    "-t 3 -o hashpower=12",
    "-t 10 -o hashpower=14",
    "-t 20 -o hashpower=15",
    "-t 21 -o hashpower=16",
    "-o slab_automove,slab_automove=0,slab_automove=2",
    "-o slab_automove_ratio=1,slab_automove_window=3,slab_automove_freeratio=-5",
    "-o slab_automove_window=1800,tail_repair_time=10",
    "-o hash_algorithm=jenkins,hash_algorithm=murmur3,hash_algorithm=xxh3",
    "-o lru_crawler=x,lru_crawler_sleep=1000000,lru_crawler_tocrawl=4294967295",
    "-o hot_lru_pct=40 -o hot_max_factor=0.01,warm_max_factor=9",
    "-o hot_lru_pct=79,warm_lru_pct=1",
    "-o warm_lru_pct=60,temporary_ttl=0",
    "-o no_lru_maintainer,temporary_ttl=61,lru_maintainer",
    "-o slab_sizes=48-57-524288",
    "-n 1 -o slab_sizes=40",
    "-o slab_sizes=100--200-",
    "-o slab_chunk_max=512",
    "-I 1536k -o slab_chunk_max=512",
    "-o slab_chunk_max=1024",
    "-o no_chunked_items,no_hashexpand=5,no_slab_automove,no_slab_reassign,no_maxconns_fast",
    "-o watcher_logbuf_size=64,worker_logbuf_size=64,read_buf_mem_limit=10,resp_obj_mem_limit",
    "-o ext_path=DIR/x:64M",
    "-o ext_path=DIR/x:1g,ext_item_size=64,ext_item_age=1,ext_low_ttl=1,ext_recache_rate=1",
    "-o ext_page_size=8,ext_wbuf_size=4,ext_threads=2,ext_io_depth=2,ext_max_frag=0.5,ext_drop_unread",
];

/// The words of `line`; `DIR` is a folder, and `users` a file that lets somebody in.
fn words(line: &str, folder: &Path) -> Vec<String> {
    let users = folder.join("users");
    std::fs::write(&users, "ann:one\n").unwrap();
    let word = |word: &str| match word {
        "users" => users.display().to_string(),
        _ => word.replace("DIR", &folder.display().to_string()),
    };
    line.split(' ').map(word).collect()
}

#[test]
fn a_value_that_memcached_refuses_is_refused_in_one_line() {
    let folder = tempfile::tempdir().unwrap();
    let machine = Machine { cores: 4, working_dir: folder.path().into(), port_file: None, sasl_file: None };
    let read = |line| config::read(words(line, folder.path()).into_iter().map(OsString::from), &machine);
    for (line, word) in REFUSED.iter().chain(REFUSED_SINCE) {
        let Err(Stop::Refusal(text)) = read(line) else { panic!("{line} is not refused") };
        assert!(text.contains(word) && text.lines().count() == 1, "{line}: {word:?} in {text}");
    }
    for line in ACCEPTED {
        assert!(read(line).is_ok(), "{line}: {:?}", read(line));
    }
}

#[test]
fn memcached_refuses_the_same_values() {
    let Some(memcached) = skips::require("memcached") else { return };
    let version = Command::new(&memcached).arg("-V").output().unwrap().stdout;
    let is_newest = String::from_utf8_lossy(&version).contains("1.6.45");
    let starts = |line: &str| {
        let folder = tempfile::tempdir().unwrap();
        Oracle::start(&memcached, &words(line, folder.path())).is_ok()
    };
    let rows = |refused: Refused, does_start| refused.iter().map(move |(line, _)| (*line, does_start));
    let accepted = ACCEPTED.iter().map(|line| (*line, true));
    for (line, does_start) in rows(REFUSED, false).chain(rows(REFUSED_SINCE, !is_newest)).chain(accepted) {
        assert_eq!(starts(line), does_start, "memcached with {line}");
    }
}
