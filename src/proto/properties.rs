//! What holds for every input: any split gives the same steps, no more is taken than was given, nothing panics, and a
//! request survives being written and read.

use proptest::prelude::*;

use super::tests::show;
use super::*;

/// A small item size, so that values over it stay short.
const LIMITS: Limits = Limits {
    item_bytes_max: 200,
    flush_enabled: true,
    dump_enabled: true,
    watch_enabled: true,
    shutdown_enabled: true,
    protocols: Protocols::Text,
    sasl: false,
};

/// What pipelines are made of: requests of every kind, right and wrong, and bytes that shift whatever follows.
const PIECES: [&str; 64] = [
    "get a\r\n",
    "get  a b c \r\n",
    "gets a\n",
    "gat 5 a b\r\n",
    "gats -1 a\r\n",
    "get\r\n",
    "gat x a\r\n",
    "set a 1 2 3\r\nxyz\r\n",
    "set a 0 0 0\r\n\r\n",
    "set a 0 0 2 noreply\r\n\r\n\r\n",
    "add a 0 -1 4\r\nget \r\n",
    "replace a 7 0 1\nx\r\n",
    "append a 0 0 1 foo\r\nx\r\n",
    "prepend a 0 0 1\r\nx\r\n",
    "cas a 0 0 1 9\r\nx\r\n",
    "cas a 0 0 1 9 noreply\r\nx\r\n",
    "cas a 0 0 1\r\nx\r\n",
    "set a 0 0 3\r\nwxyz\r\n",
    "set a 0 0 3 noreply\r\nxy\r\n",
    "set a -1 0 3\r\nxyz\r\n",
    "set a 0 0 x\r\n",
    "set a 0 0 150\r\n",
    "set a 0 0 141\r\n",
    "add a 0 0 300\r\n",
    "delete a\r\n",
    "delete a 0 noreply\r\n",
    "delete a junk\r\n",
    "incr a 18446744073709551615\r\n",
    "decr a x\r\n",
    "decr a 1 noreply\r\n",
    "touch a 5\r\n",
    "touch a\r\n",
    "flush_all\r\n",
    "flush_all 10 noreply\r\n",
    "version\r\n",
    "verbosity 1\r\n",
    "stats\r\n",
    "stats cachedump 1 2\r\n",
    "stats detail dump\r\n",
    "shutdown graceful\r\n",
    "cache_memlimit 64\r\n",
    "lru_crawler metadump all\r\n",
    "lru_crawler mgdump hash\r\n",
    "watch evictions\r\n",
    "lru mode flat\r\n",
    "quit\r\n",
    "mn\r\n",
    "mn\n",
    "mg a v t k Oabc\r\n",
    "mg Zm9v b k q\r\n",
    "mg a v v\r\n",
    "ms a 3 T5 c k\r\nxyz\r\n",
    "ms Zm9v 2 b MA N5\r\nhi\r\n",
    "ms a 2 MX\r\nhi\r\n",
    "ms a 2 q\r\nhi!\r\n",
    "ms a 300 ME\r\n",
    "md a q I T5\r\n",
    "ma a MD D5 N6 J7 v\r\n",
    "me Zm9v b\r\n",
    "nope\r\n",
    "\r\n",
    "GET / HTTP/1.1\r\n",
    "x",
    "\n",
];

/// A connection without a socket: what it has received and not used, and what it was told about that.
struct Stream {
    bytes: Vec<u8>,
    /// Bytes to throw away before the next request.
    swallow: u64,
    /// Bytes without which another try is useless.
    total: usize,
    searched: usize,
    closed: bool,
    steps: Vec<String>,
}

impl Stream {
    /// The steps that this input gives when it arrives in pieces that end at `cuts`.
    fn steps(input: &[u8], cuts: &[usize]) -> (Vec<String>, Vec<u8>) {
        let mut stream =
            Stream { bytes: Vec::new(), swallow: 0, total: 0, searched: 0, closed: false, steps: Vec::new() };
        let mut start = 0;
        for end in cuts.iter().copied().chain([input.len()]) {
            stream.receive(&input[start..end]);
            start = end;
        }
        (stream.steps, stream.bytes)
    }

    fn receive(&mut self, bytes: &[u8]) {
        if !self.closed {
            self.bytes.extend_from_slice(bytes);
        }
        while !self.closed {
            let swallowed = self.bytes.len().min(usize::try_from(self.swallow).unwrap());
            self.bytes.drain(..swallowed);
            self.swallow -= swallowed as u64;
            if self.swallow > 0 || self.bytes.len() < self.total || !self.step() {
                return;
            }
        }
    }

    /// Takes one step; answers whether another may follow.
    fn step(&mut self) -> bool {
        let given = self.bytes.len();
        let step = decode(&self.bytes, self.searched, &LIMITS);
        let shown = show(&step);
        let (length, swallow) = match step {
            Step::NeedMore { total, searched } => {
                assert!(total > given, "asks for {total} of {given}");
                assert!(searched <= given);
                (self.total, self.searched) = (total, searched);
                return false;
            }
            Step::Request { length, swallow, .. } | Step::Reject { length, swallow, .. } => (length, swallow),
            Step::Refuse { .. } => unreachable!("text"),
            Step::Close => (given, 0),
        };
        assert!((1..=given).contains(&length) || shown == "close", "takes {length} of {given}: {shown}");
        self.closed = shown == "close";
        self.bytes.drain(..if self.closed { given } else { length });
        (self.swallow, self.total, self.searched) = (swallow, 0, 0);
        self.steps.push(shown);
        true
    }
}

/// A mix of pieces, some of them cut short or followed by other bytes.
fn pipeline() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        9 => proptest::sample::select(&PIECES[..]).prop_map(|piece| piece.as_bytes().to_vec()),
        1 => proptest::collection::vec(any::<u8>(), 0..8),
    ];
    proptest::collection::vec(piece, 0..20).prop_map(|pieces| pieces.concat())
}

/// Bytes that look like requests from afar.
fn noise() -> impl Strategy<Value = Vec<u8>> {
    let byte = prop_oneof![
        4 => proptest::sample::select(&b" \r\n0123456789"[..]),
        4 => proptest::sample::select(&b"getsmdancrxbkvqOTNCE"[..]),
        1 => any::<u8>(),
    ];
    (proptest::sample::select(&PIECES[..]), proptest::collection::vec(byte, 0..64))
        .prop_map(|(piece, noise)| [&piece.as_bytes()[..piece.len() / 2], &noise].concat())
}

#[test]
fn a_pipeline_cut_at_every_byte_gives_the_same_steps() {
    let input: Vec<u8> =
        PIECES.iter().filter(|piece| !piece.contains("HTTP")).flat_map(|p| p.bytes()).collect();
    let whole = Stream::steps(&input, &[]);
    assert!(whole.0.len() > 40, "the pieces are understood: {whole:?}");
    for cut in 0..input.len() {
        assert_eq!(Stream::steps(&input, &[cut]), whole, "cut at {cut}");
    }
    let all: Vec<usize> = (0..input.len()).collect();
    assert_eq!(Stream::steps(&input, &all), whole);
}

#[test]
fn every_kind_of_request_survives_being_written() {
    let mut survived = 0;
    for piece in PIECES {
        let Step::Request { request, .. } = decode(piece.as_bytes(), 0, &LIMITS) else { continue };
        survived += usize::from(survives(&request));
    }
    assert!(survived >= 36, "{survived}");
}

/// Whether the request has a text; if so it must read as the same.
fn survives(request: &Request<'_>) -> bool {
    let mut text = Vec::new();
    if !write_request(request, &mut text) {
        return false;
    }
    let Step::Request { request: again, length, swallow: 0 } = decode(&text, 0, &LIMITS) else {
        panic!("{:?} is no request", String::from_utf8_lossy(&text));
    };
    assert_eq!(length, text.len());
    let show =
        |request: &Request<'_>| show(&Step::Request { request: request.clone(), length: 0, swallow: 0 });
    assert_eq!(show(&again), show(request));
    true
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_split_gives_the_same_steps(
        input in pipeline(),
        cuts in proptest::collection::vec(any::<proptest::sample::Index>(), 0..6),
    ) {
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(input.len() + 1)).collect();
        cuts.sort_unstable();
        prop_assert_eq!(Stream::steps(&input, &cuts), Stream::steps(&input, &[]));
    }

    #[test]
    fn noise_is_borne(input in noise()) {
        Stream::steps(&input, &[input.len() / 2]);
        decode_unauthenticated(&input, 0);
    }

    #[test]
    fn what_is_read_survives_being_written(input in noise()) {
        if let Step::Request { request, .. } = decode(&input, 0, &LIMITS) {
            survives(&request);
        }
    }

    #[test]
    fn a_store_survives_being_written(
        key in "[!-~]{1,250}",
        value in proptest::collection::vec(any::<u8>(), 0..100),
        client_flags in any::<u32>(),
        exptime in any::<i32>(),
        compare in any::<Option<u64>>(),
        noreply in any::<bool>(),
    ) {
        use crate::base::command::{Key, Op, Store};
        let store = Store {
            mode: StoreMode::Set,
            value: &value,
            client_flags,
            exptime: crate::base::time::Exptime(exptime),
            compare,
            new_cas: None,
            invalidate: false,
            vivify: None,
        };
        let command = Command::Keyed(Key::plain(key.as_bytes()), Op::Store(store));
        let request = Request::classic(command, ClassicForm { noreply, with_cas: false });
        let mut text = Vec::new();
        prop_assert!(write_request(&request, &mut text));
        let limits = Limits::default();
        let expected = show(&Step::Request { request, length: text.len(), swallow: 0 });
        prop_assert_eq!(show(&decode(&text, 0, &limits)), expected);
    }
}
