//! Random pipelines of frames, some of which end with quit.
use super::known::KNOWN;
use crate::frames::Frame;
use crate::random::Random;

const COUNTING: [u8; 4] = [0x05, 0x06, 0x15, 0x16];
const SHOWING: [u8; 9] = [0x00, 0x09, 0x0c, 0x0d, 0x1c, 0x1d, 0x1e, 0x23, 0x24];
/// With a cas that is not the item's memcached counts no miss here, as it does in text and Larder does in both.
const DELETES: [u8; 2] = [0x04, 0x14];
/// Of values that are too large memcached counts none here, as it does in text and Larder does in both.
const STORES: [u8; 10] = [0x01, 0x02, 0x03, 0x0e, 0x0f, 0x11, 0x12, 0x13, 0x19, 0x1a];
/// The last one but one has bytes that no line can hold.
const KEYS: [&str; 6] = ["n", "m", "a", "b", "c d\r\n", "p:q"];
const VALUES: [&str; 10] = [
    "",
    "x",
    "5",
    "100",
    "007",
    "5 ",
    "18446744073709551615",
    "18446744073709551616",
    "value",
    "\u{80}\0\r\n",
];
const NUMBERS: [u64; 8] = [0, 1, 2, 5, 99, u64::MAX, u64::MAX - 1, 1 << 63];
/// In seconds: one is a moment of 1970, the last one is negative for memcached.
const EXPTIMES: [u32; 6] = [0, 0, 0, 1000, 2_592_001, u32::MAX - 1];
const OPCODES: [u8; 44] = [
    0x00, 0x00, 0x00, 0x01, 0x01, 0x01, 0x02, 0x03, 0x04, 0x05, 0x05, 0x06, 0x08, 0x09, 0x09, 0x0a, 0x0b,
    0x0c, 0x0d, 0x0e, 0x0f, 0x10, 0x11, 0x11, 0x12, 0x13, 0x14, 0x15, 0x16, 0x18, 0x19, 0x1a, 0x1b, 0x1c,
    0x1d, 0x1e, 0x20, 0x21, 0x22, 0x23, 0x24, 0x30, 0x3c, 0x7f,
];
/// Figures that do not tell of the server.
const TOPICS: [&str; 6] = ["reset", "detail off", "detail", "bogus", "cachedump 1 1", "sizes"];
/// The largest value is some bytes less.
const ITEM_BYTES: usize = 1 << 20;

/// Which cas a frame compares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Compared {
    Nothing,
    /// The one that the preparation has shown at this place.
    Shown(usize),
    Wrong,
}

/// A frame as it is sent.
#[derive(Clone, Debug)]
pub(super) struct Sent {
    pub(super) frame: Frame,
    pub(super) compared: Compared,
    /// What the header says instead of the true length of the body.
    pub(super) body_bytes: Option<u32>,
}

impl Sent {
    pub(super) fn of(frame: Frame) -> Sent {
        Sent { frame, compared: Compared::Nothing, body_bytes: None }
    }

    /// Its bytes, where the preparation has shown these numbers.
    pub(super) fn bytes(&self, shown: &[u64]) -> Vec<u8> {
        let cas = match self.compared {
            Compared::Nothing => 0,
            Compared::Shown(at) => shown.get(at).copied().unwrap_or(u64::MAX - 1),
            Compared::Wrong => u64::MAX - 1,
        };
        let mut bytes = Frame { cas, ..self.frame.clone() }.bytes();
        if let Some(length) = self.body_bytes {
            bytes[8..12].copy_from_slice(&length.to_be_bytes());
        }
        bytes
    }

    /// The lengths of extras, key and value, as the header has them.
    pub(super) fn lengths(&self) -> [i64; 3] {
        let bytes = self.bytes(&[]);
        let Some(header) = bytes.first_chunk::<24>() else { return [0; 3] };
        let (key, extras) = (u16::from_be_bytes([header[2], header[3]]), header[4]);
        let body = u32::from_be_bytes([header[8], header[9], header[10], header[11]]);
        [extras.into(), key.into(), i64::from(body) - i64::from(extras) - i64::from(key)]
    }
}

/// What is sent: first the preparation, then, once it is answered, the rest. Frames that belong together stand together.
#[derive(Clone, Debug)]
pub(super) struct Pipeline {
    pub(super) preparation: Vec<Sent>,
    pub(super) units: Vec<Vec<Sent>>,
    /// Bytes of one piece when it is not sent at once.
    pub(super) piece: Option<usize>,
    /// Whether the counters of `stats` are compared behind it.
    pub(super) counted: bool,
}

/// A generator of pipelines.
pub(super) struct Generator(Random);

impl Generator {
    pub(super) fn new(seed: u64) -> Generator {
        Generator(Random::new(seed))
    }

    pub(super) fn pipeline(&mut self) -> Pipeline {
        let count = 1 + self.0.below(16);
        let mut units: Vec<Vec<Sent>> = (0..count).map(|_| self.unit()).collect();
        // While an answer that shows an item has not left, memcached does not write a number over the old one, and then
        // the number is not padded. So what shows items comes last where there is counting.
        let has =
            |unit: &[Sent], opcodes: &[u8]| unit.iter().any(|sent| opcodes.contains(&sent.frame.opcode));
        if units.iter().any(|unit| has(unit, &COUNTING)) {
            units.sort_by_key(|unit| has(unit, &SHOWING));
        }
        if self.one_in(6) {
            let opcode = if self.one_in(2) { 0x07 } else { 0x17 };
            units.push(vec![Sent::of(Frame { opcode, ..Frame::default() })]);
        }
        for (opaque, sent) in (1..).zip(units.iter_mut().flatten()) {
            sent.frame.opaque = opaque;
        }
        let piece = self.one_in(4).then(|| 1 + self.0.below(60) as usize);
        let counts_otherwise = |sent: &Sent| {
            DELETES.contains(&sent.frame.opcode) && sent.compared != Compared::Nothing
                || STORES.contains(&sent.frame.opcode) && sent.frame.value.len() >= ITEM_BYTES
        };
        let counted = self.one_in(10) && !units.iter().flatten().any(counts_otherwise);
        Pipeline { preparation: self.preparation(), units, piece, counted }
    }

    /// Stores some keys, whose cas the answers show.
    fn preparation(&mut self) -> Vec<Sent> {
        let flush = Frame { opcode: 0x08, ..Frame::default() };
        let reset = Frame { opcode: 0x10, key: "reset".into(), ..Frame::default() };
        let off = Frame { opcode: 0x10, key: "detail off".into(), ..Frame::default() };
        let mut all = vec![Sent::of(flush), Sent::of(reset), Sent::of(off)];
        for _ in 0..3 {
            let extras = [[0, 0, 0, self.0.next() as u8], [0, 0, 0, 0]].concat();
            let (key, value) = (self.pick(&KEYS).into(), self.pick(&VALUES).into());
            all.push(Sent::of(Frame { opcode: 0x01, extras, key, value, ..Frame::default() }));
        }
        all
    }

    fn unit(&mut self) -> Vec<Sent> {
        if self.one_in(30) {
            let known = &KNOWN[self.0.below(KNOWN.len() as u64) as usize];
            return known.sent();
        }
        let opcode = OPCODES[self.0.below(OPCODES.len() as u64) as usize];
        let frame = Frame {
            opcode,
            extras: self.extras(opcode),
            key: self.key(opcode),
            value: self.value(opcode),
            ..Frame::default()
        };
        let compared = match self.0.below(8) {
            0 => Compared::Wrong,
            1 | 2 => Compared::Shown(self.0.below(3) as usize),
            _ => Compared::Nothing,
        };
        vec![Sent { frame, compared, body_bytes: None }]
    }

    fn extras(&mut self, opcode: u8) -> Vec<u8> {
        let exptime = EXPTIMES[self.0.below(EXPTIMES.len() as u64) as usize].to_be_bytes();
        let created = if self.one_in(4) { [0xff; 4] } else { exptime };
        let number = |random: &mut Random| NUMBERS[random.below(NUMBERS.len() as u64) as usize].to_be_bytes();
        match opcode {
            0x01..=0x03 | 0x11..=0x13 => [(self.0.next() as u32).to_be_bytes(), exptime].concat(),
            0x05 | 0x06 | 0x15 | 0x16 => [&number(&mut self.0)[..], &number(&mut self.0), &created].concat(),
            0x1c..=0x1e | 0x23 | 0x24 => exptime.to_vec(),
            0x08 | 0x18 if self.one_in(2) => vec![0; 4],
            _ => Vec::new(),
        }
    }

    fn key(&mut self, opcode: u8) -> Vec<u8> {
        match opcode {
            0x08 | 0x0a | 0x0b | 0x18 | 0x1b | 0x20 | 0x25.. => Vec::new(),
            0x10 => self.pick(&TOPICS).into(),
            0x21 | 0x22 => b"PLAIN".to_vec(),
            _ => match self.0.below(200) {
                0 => vec![b'k'; 250],
                1..5 => b"none".to_vec(),
                _ => self.pick(&KEYS).into(),
            },
        }
    }

    fn value(&mut self, opcode: u8) -> Vec<u8> {
        match opcode {
            0x01..=0x03 | 0x11..=0x13 | 0x0e | 0x0f | 0x19 | 0x1a => match self.0.below(2000) {
                0 => vec![b'v'; ITEM_BYTES],
                1..40 => vec![b'v'; self.0.below(3000) as usize],
                _ => self.pick(&VALUES).into(),
            },
            // What an unknown opcode brings is passed over, as long as it is a value.
            0x1b | 0x25.. => self.pick(&VALUES).into(),
            _ => Vec::new(),
        }
    }

    fn one_in(&mut self, count: u64) -> bool {
        self.0.below(count) == 0
    }

    fn pick(&mut self, from: &[&'static str]) -> &'static str {
        from[self.0.below(from.len() as u64) as usize]
    }
}
