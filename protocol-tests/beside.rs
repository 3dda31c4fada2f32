//! Larder and a memcached side by side, and streams of random pipelines that are sent to both: what the comparisons of
//! text and of frames have in common.
use std::net::SocketAddr;
use std::path::Path;
use std::thread;

use crate::oracle::Oracle;
use crate::process::Larder;

/// Streams of pipelines, each with servers of its own: what one flushes is no other's.
pub(crate) const LANES: u64 = 2;

/// Two servers that are asked the same.
pub(crate) struct Both {
    larder: Larder,
    memcached: Oracle,
    _folder: tempfile::TempDir,
}

impl Both {
    pub(crate) fn start(memcached: &Path) -> Both {
        let folder = tempfile::tempdir().unwrap();
        // One group: a cas is unique among the keys of a group, and here it stands for its place in a row.
        let larder = Larder::start(&folder.path().join("data"), &["--groups", "1", "-t", "1"]).unwrap();
        let memcached = Oracle::start(memcached, &["-t".into(), "1".into()]).unwrap();
        Both { larder, memcached, _folder: folder }
    }

    /// Larder's address and memcached's.
    pub(crate) fn addresses(&self) -> (SocketAddr, SocketAddr) {
        (self.larder.address(), self.memcached.address())
    }
}

/// Where the random pipelines begin: `LARDER_SEED`, or this.
pub(crate) fn seed(usual: u64) -> u64 {
    std::env::var("LARDER_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or(usual)
}

/// What all lanes come to, each on a thread of its own.
pub(crate) fn run<L: Send>(lane: impl Fn(u64) -> L + Sync) -> Vec<L> {
    thread::scope(|scope| {
        let lane = &lane;
        let lanes: Vec<_> = (0..LANES).map(|number| scope.spawn(move || lane(number))).collect();
        lanes.into_iter().map(|lane| lane.join().unwrap()).collect()
    })
}

/// How often each listed difference was met, over all lanes.
pub(crate) fn sums<'a>(met: impl Iterator<Item = &'a Vec<u64>>) -> Vec<u64> {
    let add = |sums: Vec<u64>, met: &Vec<u64>| sums.iter().zip(met).map(|(a, b)| a + b).collect();
    met.fold(None, |sums, met| Some(sums.map_or_else(|| met.clone(), |sums| add(sums, met))))
        .unwrap_or_default()
}

/// In words, for the line that a run prints.
pub(crate) fn counted(met: &[u64]) -> String {
    let ever = met.iter().filter(|count| **count > 0).count();
    format!("{ever} of {} listed differences met, {} times", met.len(), met.iter().sum::<u64>())
}

/// Fails for what differed and is not listed, and for what is listed (pattern and reason) and was not met.
pub(crate) fn check<'a>(
    failures: impl Iterator<Item = &'a String>,
    listed: impl Iterator<Item = (&'a str, &'a str)>,
    met: &[u64],
) {
    let failures: Vec<&str> = failures.map(String::as_str).collect();
    assert!(failures.is_empty(), "{} differ:\n\n{}", failures.len(), failures.join("\n"));
    let unmet: Vec<_> = listed.zip(met).filter(|(_, met)| **met == 0).map(|(listed, _)| listed).collect();
    assert!(unmet.is_empty(), "listed, but not met: {unmet:?}");
}
