//! Words of `-o` that steer workings of memcached which Larder has not. Their values are checked all the same: what
//! memcached would not start with is a slip that somebody wants to hear of.

use std::ops::RangeInclusive;

use super::number;

/// What may stand behind `=`.
enum Value {
    /// Nothing; what is written there is passed over.
    Unread,
    /// A whole number.
    Whole(RangeInclusive<u64>),
    /// The same, or nothing at all.
    PerhapsWhole(RangeInclusive<u64>),
    /// A number above the first and not above the second.
    Decimal(f64, f64),
    /// One of these.
    OneOf(&'static [&'static str]),
    /// Sizes of slab classes, rising, with `-` between them.
    Sizes,
    /// A file of extstore: `FILE:SIZE`, or `FILE:SIZE:BUCKET`.
    Store,
}
use Value::{Decimal, OneOf, PerhapsWhole, Sizes, Store, Unread, Whole};

const ANY: Value = Whole(0..=u32::MAX as u64);

/// Every such word that memcached knows, or knew once.
const WORDS: &[(&str, Value)] = &[
    ("drop_privileges", Unread),
    ("expirezero_does_not_evict", Unread),
    ("ext_compact_under", ANY),
    ("ext_drop_under", ANY),
    ("ext_drop_unread", Unread),
    ("ext_io_depth", ANY),
    ("ext_item_age", ANY),
    ("ext_item_size", ANY),
    ("ext_low_ttl", ANY),
    ("ext_max_frag", Decimal(f64::NEG_INFINITY, f64::INFINITY)),
    ("ext_max_sleep", ANY),
    ("ext_page_size", Whole(1..=MEGABYTES_MAX)),
    ("ext_path", Store),
    ("ext_recache_rate", ANY),
    ("ext_threads", ANY),
    ("ext_wbuf_size", Whole(1..=MEGABYTES_MAX)),
    ("hash_algorithm", OneOf(&["jenkins", "murmur3", "xxh3"])),
    ("hashpower", Whole(12..=32)),
    ("hot_lru_pct", Whole(1..=79)),
    ("hot_max_factor", Decimal(0.0, f64::INFINITY)),
    ("inline_ascii_resp", Unread),
    ("inline_ascii_response", Unread),
    ("lru_crawler_sleep", Whole(0..=1_000_000)),
    ("lru_crawler_tocrawl", ANY),
    ("maxconns_fast", Unread),
    ("no_chunked_items", Unread),
    ("no_drop_privileges", Unread),
    ("no_hashexpand", Unread),
    ("no_inline_ascii_resp", Unread),
    ("no_maxconns_fast", Unread),
    ("no_slab_automove", Unread),
    ("no_slab_reassign", Unread),
    ("num_napi_ids", Unread),
    ("read_buf_mem_limit", ANY),
    ("relaxed_privileges", Unread),
    ("resp_obj_mem_limit", Unread),
    ("slab_automove", PerhapsWhole(0..=2)),
    ("slab_automove_freeratio", Decimal(f64::NEG_INFINITY, f64::INFINITY)),
    ("slab_automove_ratio", Decimal(0.0, 1.0)),
    ("slab_automove_window", Whole(3..=1800)),
    ("slab_chunk_max", Whole(1..=PAGE_KB)),
    ("slab_reassign", Unread),
    ("slab_sizes", Sizes),
    ("sock_cookie_id", Unread),
    ("tail_repair_time", Whole(10..=i32::MAX as u64)),
    ("temporary_ttl", Whole(0..=i32::MAX as u64)),
    ("warm_lru_pct", Whole(1..=79)),
    ("warm_max_factor", Decimal(0.0, f64::INFINITY)),
    ("watcher_logbuf_size", ANY),
    ("worker_logbuf_size", ANY),
];

/// A slab page, kilobytes: pieces must divide it.
const PAGE_KB: u64 = 1024;
/// What 32 bits hold, megabytes.
const MEGABYTES_MAX: u64 = (1 << 12) - 1;
/// Slab classes, at most.
const CLASSES_MAX: usize = 62;
/// A slab class is more than so many bytes larger than that before.
const CLASS_STEP_BYTES: u64 = 8;
/// Both LRUs together, percent of the memory.
const LRU_PCT_MAX: u64 = 80;
const BUCKETS: &[&str] = &["compact", "lowttl", "chunked", "default", "coldcompact", "old"];

/// What other flags say that must agree with them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Others {
    /// The smallest item (`-n`).
    pub(super) item_bytes_min: u64,
    /// The largest (`-I`).
    pub(super) item_bytes_max: u64,
    /// Workers (`-t`), as many as memcached would have.
    pub(super) threads: usize,
    /// Whether the LRU has a maintainer.
    pub(super) has_maintainer: bool,
}

/// What was said of them, as far as one says something of another.
#[derive(Debug)]
pub(super) struct Workings {
    hash_power: Option<u64>,
    hot_pct: u64,
    warm_pct: u64,
    chunk_kb: u64,
    /// It is not memcached's own choice.
    has_chunk: bool,
    page_mb: u64,
    sizes: Option<String>,
    /// What is written, and its size.
    stores_mb: Vec<(String, u64)>,
    has_temporary: bool,
}

impl Default for Workings {
    /// As memcached has them.
    fn default() -> Workings {
        Workings {
            hash_power: None,
            hot_pct: 20,
            warm_pct: 40,
            chunk_kb: PAGE_KB / 2,
            has_chunk: false,
            page_mb: 64,
            sizes: None,
            stores_mb: Vec::new(),
            has_temporary: false,
        }
    }
}

impl Workings {
    /// Takes one word, if it is of this kind; whether it is. The last one of a name counts.
    pub(super) fn take(&mut self, name: &str, value: Option<&str>) -> Result<bool, String> {
        let Some((_, kind)) = WORDS.iter().find(|(known, _)| *known == name) else { return Ok(false) };
        let number = check(name, value, kind)?;
        match name {
            "hashpower" => self.hash_power = Some(number),
            "hot_lru_pct" => self.hot_pct = number,
            "warm_lru_pct" => self.warm_pct = number,
            "ext_page_size" => self.page_mb = number,
            "ext_path" => self.stores_mb.push((value.unwrap_or_default().to_owned(), number)),
            "no_chunked_items" => (self.chunk_kb, self.has_chunk) = (PAGE_KB, false),
            "slab_chunk_max" if !PAGE_KB.is_multiple_of(number) => {
                return Err(format!(
                    "-o {name}={number}: pages have {PAGE_KB} kilobytes; write what divides them"
                ));
            }
            "slab_chunk_max" => (self.chunk_kb, self.has_chunk) = (number, true),
            "slab_sizes" => self.sizes = value.map(str::to_owned),
            "temporary_ttl" => self.has_temporary = true,
            _ => {}
        }
        Ok(true)
    }

    /// Checks what they say together, and of what others say.
    pub(super) fn agree(&self, others: Others) -> Result<(), String> {
        self.agree_on_lru(others.has_maintainer)?;
        self.agree_on_hash(others.threads)?;
        self.agree_on_slabs(others)?;
        match self.stores_mb.iter().find(|(_, megabytes)| *megabytes < self.page_mb) {
            None => Ok(()),
            Some((text, _)) => Err(format!(
                "-o ext_path={text}: less than a page; write a size of {}m or more",
                self.page_mb
            )),
        }
    }

    fn agree_on_lru(&self, has_maintainer: bool) -> Result<(), String> {
        let (hot, warm) = (self.hot_pct, self.warm_pct);
        if hot + warm > LRU_PCT_MAX {
            return Err(format!(
                "-o hot_lru_pct={hot},warm_lru_pct={warm}: together more than {LRU_PCT_MAX}; write less for one of them"
            ));
        }
        if self.has_temporary && !has_maintainer {
            return Err(
                "-o temporary_ttl: there is no maintainer of the LRU; write lru_maintainer too".into()
            );
        }
        Ok(())
    }

    fn agree_on_hash(&self, threads: usize) -> Result<(), String> {
        let least = hash_power_min(threads);
        match self.hash_power.filter(|power| *power < least) {
            None => Ok(()),
            Some(power) => {
                Err(format!("-o hashpower={power}: too little for -t {threads}; write {least} or more"))
            }
        }
    }

    fn agree_on_slabs(&self, others: Others) -> Result<(), String> {
        let (item_bytes, chunk_bytes) = (others.item_bytes_max, self.chunk_kb * 1024);
        if self.has_chunk && !item_bytes.is_multiple_of(chunk_bytes) {
            return Err(format!(
                "-I {item_bytes}: write a multiple of {chunk_bytes}, which is -o slab_chunk_max={}",
                self.chunk_kb
            ));
        }
        self.sizes.as_ref().map_or(Ok(()), |text| sizes(text, others.item_bytes_min, chunk_bytes))
    }
}

/// With more workers memcached has more locks, and a hash table is to have more places than there are locks.
fn hash_power_min(threads: usize) -> u64 {
    match threads {
        0..=3 => 12,
        4 => 13,
        5..=10 => 14,
        11..=20 => 15,
        _ => 16,
    }
}

/// Checks one value; the number that it is, 0 when it is none.
fn check(name: &str, value: Option<&str>, kind: &Value) -> Result<u64, String> {
    let flag = format!("-o {name}");
    if matches!((kind, value), (Unread, _) | (PerhapsWhole(_), None)) {
        return Ok(0);
    }
    let text = value.ok_or_else(|| format!("{flag}: the value is missing; write {flag}=VALUE"))?;
    match kind {
        Whole(range) | PerhapsWhole(range) => number::within(&flag, text, range.clone()),
        Decimal(above, most) => number::decimal(&flag, text, *above, *most).map(|()| 0),
        OneOf(names) if names.contains(&text) => Ok(0),
        OneOf(names) => Err(format!("{flag}={text}: no such one; write {}", names.join(", "))),
        Store => store(text),
        Sizes | Unread => Ok(0),
    }
}

/// The size of a file of extstore, megabytes.
fn store(text: &str) -> Result<u64, String> {
    let mut parts = text.split(':').filter(|part| !part.is_empty());
    let size = parts.next().and(parts.next()).and_then(megabytes);
    let size = size.ok_or_else(|| {
        format!(
            "-o ext_path={text}: write FILE:SIZE, the size a number with m, g, t or p, such as /data/x:64m"
        )
    })?;
    match parts.next() {
        Some(bucket) if !BUCKETS.contains(&bucket) => {
            Err(format!("-o ext_path={text}: no such bucket; write {}", BUCKETS.join(", ")))
        }
        _ => Ok(size),
    }
}

/// A number with m, g, t or p.
fn megabytes(text: &str) -> Option<u64> {
    let shift = match text.as_bytes().last()?.to_ascii_lowercase() {
        b'm' => 0,
        b'g' => 10,
        b't' => 20,
        b'p' => 30,
        _ => return None,
    };
    number::digits(text.get(..text.len() - 1)?)?.checked_mul(1 << shift)
}

/// Checks the sizes of slab classes.
fn sizes(text: &str, least: u64, most: u64) -> Result<(), String> {
    let refusal = || {
        format!(
            "-o slab_sizes={text}: write at most {CLASSES_MAX} sizes from {least} to {most} bytes, each more than \
             {CLASS_STEP_BYTES} above that before, such as 100-200-300"
        )
    };
    let words: Vec<&str> = text.split('-').filter(|word| !word.is_empty()).collect();
    if text.is_empty() || words.len() > CLASSES_MAX {
        return Err(refusal());
    }
    let mut before = None;
    for word in words {
        let size = number::digits(word).filter(|size| (least..=most).contains(size)).ok_or_else(refusal)?;
        if before.is_some_and(|before| size <= before + CLASS_STEP_BYTES) {
            return Err(refusal());
        }
        before = Some(size);
    }
    Ok(())
}
