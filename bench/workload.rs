//! What a load asks for: which keys, how often a set, what sizes. No sockets and no clock; the same seed gives the
//! same sequence of requests.

/// The form of every item of a workload.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ItemShape {
    /// Length of every key, at least [`MIN_KEY_BYTES`].
    pub(crate) key_bytes: usize,
    /// Length of every value.
    pub(crate) value_bytes: usize,
    /// Time to live given with every set; 0 is for ever.
    pub(crate) exptime_s: u32,
}

/// The shortest key that still has room for its number.
pub(crate) const MIN_KEY_BYTES: usize = 12;
const KEY_PREFIX: &[u8] = b"k-";
const FILLER: u8 = b'v';

impl ItemShape {
    /// Appends the key with this number: a prefix and the number in decimal, filled up with zeros.
    pub(crate) fn put_key(&self, number: u64, out: &mut Vec<u8>) {
        let start = out.len();
        out.extend_from_slice(KEY_PREFIX);
        out.resize(start + self.key_bytes, b'0');
        let mut rest = number;
        for digit in out.iter_mut().rev().take(self.key_bytes - KEY_PREFIX.len()) {
            *digit = b'0' + (rest % 10) as u8;
            rest /= 10;
        }
    }

    /// Appends the value of this key: the key itself, so that a reply shows whose value it is, then filler.
    pub(crate) fn put_value(&self, number: u64, out: &mut Vec<u8>) {
        let end = out.len() + self.value_bytes;
        if self.value_bytes >= self.key_bytes {
            self.put_key(number, out);
        }
        out.resize(end, FILLER);
    }

    /// Whether `key` is the key with this number.
    pub(crate) fn is_key(&self, number: u64, key: &[u8]) -> bool {
        let Some(digits) = key.strip_prefix(KEY_PREFIX) else { return false };
        key.len() == self.key_bytes && decimal(digits) == Some(number)
    }

    /// Whether `value` is the value of this key: its length, its beginning and its end are looked at.
    pub(crate) fn is_value(&self, number: u64, value: &[u8]) -> bool {
        let (head, tail) = value.split_at(self.key_bytes.min(value.len()));
        value.len() == self.value_bytes
            && (self.value_bytes < self.key_bytes || self.is_key(number, head))
            && tail.last().is_none_or(|last| *last == FILLER)
    }
}

/// The number written in decimal digits; nothing but digits, and at least one.
pub(crate) fn decimal(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0u64, |number, digit| {
        let value = digit.checked_sub(b'0').filter(|value| *value < 10)?;
        number.checked_mul(10)?.checked_add(u64::from(value))
    })
}

/// How the keys of the requests are chosen.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Distribution {
    /// Every key is as likely as every other.
    Uniform,
    /// Zipf's law with this exponent (0 < theta < 1): few keys get most of the requests.
    Zipf(f64),
    /// 0, 1, 2 ... and again from 0.
    Sequential,
}

/// When the next request is sent.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Pace {
    /// A connection sends its next batch when all replies of the last one are there.
    Closed,
    /// So many requests per second by the clock, whatever the replies do. Latency counts from the time a request was
    /// due, so a server that stalls pays for everything that should have been sent meanwhile.
    Rate(f64),
    /// The same at this share of the rate that a closed loop of the same requests has just reached.
    Share(f64),
}

/// A load, but for where it goes and how long it lasts.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Workload {
    /// Connections held open.
    pub(crate) connections: usize,
    /// How many of them send; the others stay idle.
    pub(crate) active: usize,
    /// Requests in one pipelined batch (closed loop).
    pub(crate) depth: usize,
    /// Share of sets among the requests, 0 to 1; the rest are gets.
    pub(crate) set_share: f64,
    /// Number of different keys.
    pub(crate) keys: u64,
    /// Number of the first of them.
    pub(crate) first_key: u64,
    /// Keys asked for by one get.
    pub(crate) keys_per_get: usize,
    /// Which keys.
    pub(crate) distribution: Distribution,
    /// What the items look like.
    pub(crate) item: ItemShape,
    /// Closed or open loop.
    pub(crate) pace: Pace,
}

impl Workload {
    /// The load that stores every key of this one once.
    pub(crate) fn preload(&self) -> Self {
        let depth = if self.item.value_bytes > 10_000 { 1 } else { 64 };
        let (distribution, pace) = (Distribution::Sequential, Pace::Closed);
        Self { set_share: 1.0, depth, distribution, pace, ..*self }
    }

    /// The load by which every connection, also those that will be idle, asks once.
    pub(crate) fn greeting(&self) -> Self {
        Self { active: self.connections, depth: 1, pace: Pace::Closed, ..*self }
    }

    /// The same requests as fast as they are answered.
    pub(crate) fn flat_out(&self) -> Self {
        Self { pace: Pace::Closed, ..*self }
    }
}

/// One request, before it becomes bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ask {
    /// Store the next key.
    Set,
    /// Get as many keys as the workload says.
    Get,
}

/// The endless sequence of requests of a workload.
#[derive(Debug)]
pub(crate) struct Sequence {
    random: Random,
    set_share: f64,
    first_key: u64,
    keys: u64,
    order: Order,
}

#[derive(Debug)]
enum Order {
    Uniform,
    Zipf(Zipf),
    Sequential(u64),
}

impl Sequence {
    /// Begins the sequence that this seed gives.
    pub(crate) fn new(workload: &Workload, seed: u64) -> Self {
        let order = match workload.distribution {
            Distribution::Uniform => Order::Uniform,
            Distribution::Zipf(theta) => Order::Zipf(Zipf::new(workload.keys, theta)),
            Distribution::Sequential => Order::Sequential(0),
        };
        let (set_share, first_key, keys) = (workload.set_share, workload.first_key, workload.keys.max(1));
        Self { random: Random(seed), set_share, first_key, keys, order }
    }

    /// What the next request does.
    pub(crate) fn next_ask(&mut self) -> Ask {
        if self.set_share >= 1.0 || (self.set_share > 0.0 && self.random.share() < self.set_share) {
            Ask::Set
        } else {
            Ask::Get
        }
    }

    /// The next key.
    pub(crate) fn next_key(&mut self) -> u64 {
        let place = match &mut self.order {
            Order::Uniform => self.random.below(self.keys),
            Order::Zipf(zipf) => zipf.rank(self.random.share()).min(self.keys - 1),
            Order::Sequential(next) => {
                let key = *next;
                *next = (key + 1) % self.keys;
                key
            }
        };
        self.first_key + place
    }
}

/// SplitMix64: small, fast and good enough to choose keys.
#[derive(Debug)]
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, end: u64) -> u64 {
        ((u128::from(self.next()) * u128::from(end)) >> 64) as u64
    }

    /// Uniform in [0, 1).
    fn share(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }
}

/// Zipf ranks in constant time per draw, after Gray et al., "Quickly generating billion-record synthetic databases"
/// (SIGMOD 1994). The sum over all keys is computed once.
#[derive(Debug)]
struct Zipf {
    keys: f64,
    theta: f64,
    zeta: f64,
    alpha: f64,
    eta: f64,
}

impl Zipf {
    fn new(keys: u64, theta: f64) -> Self {
        let zeta_of = |n: u64| (1..=n).map(|rank| (rank as f64).powf(-theta)).sum::<f64>();
        let zeta = zeta_of(keys);
        let n = keys.max(1) as f64;
        let eta = (1.0 - (2.0 / n).powf(1.0 - theta)) / (1.0 - zeta_of(2) / zeta);
        Self { keys: n, theta, zeta, alpha: 1.0 / (1.0 - theta), eta }
    }

    /// The rank (0 is the most wanted) that a uniform draw stands for.
    fn rank(&self, draw: f64) -> u64 {
        let scaled = draw * self.zeta;
        if scaled < 1.0 {
            return 0;
        }
        if scaled < 1.0 + 0.5f64.powf(self.theta) {
            return 1;
        }
        (self.keys * (self.eta * draw - self.eta + 1.0).powf(self.alpha)) as u64
    }
}

/// Checks keys, values and the distributions; answers what is wrong.
pub(crate) fn check() -> Vec<String> {
    let mut wrong = Vec::new();
    let item = ItemShape { key_bytes: 16, value_bytes: 40, exptime_s: 0 };
    let (mut key, mut value) = (Vec::new(), Vec::new());
    item.put_key(4_711, &mut key);
    item.put_value(4_711, &mut value);
    if key != b"k-00000000004711" || value.len() != 40 || !value.starts_with(&key) {
        wrong.push(format!("workload: key {} value {}", key.escape_ascii(), value.escape_ascii()));
    }
    if !item.is_key(4_711, &key) || item.is_key(4_712, &key) || item.is_key(4_711, &key[..15]) {
        wrong.push("workload: a key is not told from another".to_owned());
    }
    if !item.is_value(4_711, &value) || item.is_value(4_712, &value) || item.is_value(4_711, &value[..39]) {
        wrong.push("workload: a value is not told from another".to_owned());
    }
    wrong.extend(check_distributions());
    wrong
}

fn check_distributions() -> Vec<String> {
    const DRAWS: u64 = 100_000;
    let base = Workload { keys: 1_000, set_share: 0.1, ..crate::rows::STANDARD };
    // The shares of requests that the first and the first ten of a thousand keys get; Zipf 0.99 gives them 1 and 2.98
    // of 7.73 parts.
    let cases = [
        (Distribution::Uniform, [0.001, 0.010]),
        (Distribution::Zipf(0.99), [0.129, 0.386]),
        (Distribution::Sequential, [0.001, 0.010]),
    ];
    let mut wrong = Vec::new();
    for (distribution, expected) in cases {
        let mut sequence = Sequence::new(&Workload { distribution, ..base }, 1);
        let drawn: Vec<u64> = (0..DRAWS).map(|_| sequence.next_key()).collect();
        let share_below = |end: u64| drawn.iter().filter(|key| **key < end).count() as f64 / DRAWS as f64;
        let found = [share_below(1), share_below(10)];
        let near =
            found.iter().zip(expected).all(|(found, expected)| (found - expected).abs() < 0.25 * expected);
        if !near || share_below(base.keys) < 1.0 {
            wrong.push(format!(
                "workload: {distribution:?} gives the first keys {found:.3?}, not {expected:.3?}"
            ));
        }
    }
    let mut elsewhere = Sequence::new(&Workload { first_key: 5_000, ..base }, 1);
    if (0..DRAWS).any(|_| !(5_000..6_000).contains(&elsewhere.next_key())) {
        wrong.push("workload: a key lies outside of those that the load has".to_owned());
    }
    let mut sequence = Sequence::new(&base, 1);
    let sets = (0..DRAWS).filter(|_| sequence.next_ask() == Ask::Set).count();
    if !(9_500..10_500).contains(&sets) {
        wrong.push(format!("workload: {sets} of {DRAWS} requests are sets, not a tenth"));
    }
    wrong
}
