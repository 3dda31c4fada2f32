//! Placement against published vectors, against a model written another way, and against chance.

use std::num::NonZeroU16;

use super::{Explanation, Hash, HashTag, Input, Placement};
use crate::base::lsn::GroupId;

/// Computed by another implementation in another language; the format is explained in its head.
const VECTORS: &str = include_str!("../../protocol-tests/vectors/placement.txt");

fn count(count: u16) -> NonZeroU16 {
    NonZeroU16::new(count).unwrap()
}

fn placement(hash: Hash, hash_tag: HashTag, group_count: u16) -> Placement {
    Placement { hash, hash_tag, group_count: count(group_count) }
}

fn from_hex(text: &str) -> Vec<u8> {
    let digit = |at: usize| u8::from_str_radix(&text[at..at + 2], 16).unwrap();
    (0..text.len()).step_by(2).map(digit).collect()
}

#[test]
fn fastdht_places_keys_as_its_own_client_does() {
    for (key, value, groups, servers) in [
        (&b"a"[..], 97, [(1, 4), (97, 1024)], [(0, 2), (1, 3)]),
        (b"key1", 3_959_290, [(2, 4), (506, 1024)], [(0, 2), (1, 3)]),
        (b"foo", 114_852, [(0, 4), (164, 1024)], [(1, 2), (1, 3)]),
        (b"user\x01happy_fish", 1_386_519_819, [(3, 4), (267, 1024)], [(0, 2), (1, 3)]),
        (b"{user:happy_fish}", 1_386_519_819, [(3, 4), (267, 1024)], [(0, 2), (1, 3)]),
        (b"bbs\x01o1", 1_808_142_680, [(0, 4), (344, 1024)], [(0, 2), (2, 3)]),
        (
            b"the quick brown fox jumps over the lazy dog",
            1_750_287_641,
            [(1, 4), (281, 1024)],
            [(1, 2), (2, 3)],
        ),
        (b"a", 97, [(1, 8); 2], [(1, 3); 2]),
        (b"foo", 114_852, [(4, 8); 2], [(1, 3); 2]),
        (b"user:1", 424_010_346, [(2, 8); 2], [(1, 3); 2]),
        (b"ns\x01obj", 146_467_005, [(5, 8); 2], [(1, 3); 2]),
        (b"{ns:obj}name", 146_467_005, [(5, 8); 2], [(1, 3); 2]),
        (&b"\xff\xfe".repeat(8), 950_815_208, [(0, 8); 2], [(2, 3); 2]),
    ] {
        for (group, group_count) in groups {
            let placement = placement(Hash::Fastdht, HashTag::Braces, group_count);
            let found = placement.explain(key);
            assert_eq!((found.hash, found.group), (value, GroupId(group)), "{}", key.escape_ascii());
            assert_eq!(placement.group(key), GroupId(group), "{}", key.escape_ascii());
        }
        for (server, server_count) in servers {
            let found = placement(Hash::Fastdht, HashTag::Braces, 4).server(key, count(server_count));
            assert_eq!(found, server, "{} of {server_count} servers", key.escape_ascii());
        }
    }
}

#[test]
fn the_published_vectors_hold() {
    let mut checked = 0;
    for line in VECTORS.lines().filter(|line| !line.starts_with('#')) {
        let words: Vec<&str> = line.split(' ').collect();
        let [hash, tag, key, input, value, "groups", places @ ..] = words.as_slice() else {
            panic!("not a vector: {line}")
        };
        let (hash, tag) = (Hash::from_name(hash).unwrap(), HashTag::from_name(tag).unwrap());
        let (key, value) = (from_hex(key), u64::from_str_radix(value, 16).unwrap());
        let (groups, servers) = places.split_at(places.iter().position(|word| *word == "servers").unwrap());
        for (group, group_count) in groups.iter().map(|word| word.split_once('/').unwrap()) {
            let placement = placement(hash, tag, group_count.parse().unwrap());
            let group = GroupId(group.parse().unwrap());
            let expected = Explanation { input: from_hex(input).into(), hash: value, group };
            assert_eq!(placement.explain(&key), expected, "{line}");
            assert_eq!(placement.group(&key), group, "{line}");
        }
        for (server, server_count) in servers[1..].iter().map(|word| word.split_once('/').unwrap()) {
            let found = placement(hash, tag, 64).server(&key, server_count.parse().unwrap());
            assert_eq!(found, server.parse::<u16>().unwrap(), "{line}");
        }
        checked += 1;
    }
    assert!(checked >= 80, "only {checked} vectors");
}

#[test]
fn larder_hashes_by_xxh3_with_seed_0() {
    for (input, value) in [
        (&b""[..], 0x2d06_8005_38d3_94c2_u64),
        (b"a", 0xe6c6_32b6_1e96_4e1f),
        (b"abc", 0x78af_5f94_892f_3950),
    ] {
        assert_eq!(Hash::Larder.value(Input::Key(input)), value, "{input:?}");
    }
}

#[test]
fn names_and_codes_are_fixed() {
    for (hash, name, code) in [(Hash::Larder, "larder", 1), (Hash::Fastdht, "fastdht", 2)] {
        assert_eq!((hash.name(), hash.code()), (name, code));
        assert_eq!((Hash::from_name(name), Hash::from_code(code)), (Some(hash), Some(hash)));
    }
    for (tag, name, code) in [(HashTag::Braces, "braces", 1), (HashTag::None, "none", 2)] {
        assert_eq!((tag.name(), tag.code()), (name, code));
        assert_eq!((HashTag::from_name(name), HashTag::from_code(code)), (Some(tag), Some(tag)));
    }
    assert_eq!((Hash::from_name("Larder"), Hash::from_code(0), Hash::from_code(3)), (None, None, None));
    assert_eq!((HashTag::from_name(""), HashTag::from_code(0), HashTag::from_code(3)), (None, None, None));
}

#[test]
fn keys_of_one_object_share_a_group() {
    for hash in Hash::ALL {
        let placement = placement(hash, HashTag::Braces, 4096);
        let group = placement.group(b"{shop:user42}");
        for key in [&b"{shop:user42}cart"[..], b"cart{shop:user42}", b"x{shop:user42}{other}"] {
            assert_eq!(placement.group(key), group, "{hash:?} {}", key.escape_ascii());
        }
        let whole = Placement { hash_tag: HashTag::None, ..placement };
        assert_ne!(whole.group(b"{shop:user42}cart"), group, "{hash:?}");
    }
}

/// Splitmix64: enough chance for tests.
struct Chance(u64);

impl Chance {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound
    }

    /// A key of 1 to 250 bytes in which the bytes that matter are frequent.
    fn key(&mut self) -> Vec<u8> {
        let length = if self.below(4) == 0 { 1 + self.below(250) } else { 1 + self.below(12) };
        let byte = |chance: &mut Chance| match chance.below(3) {
            0 => b"{}:\x01"[chance.below(4) as usize],
            1 => b"abc"[chance.below(3) as usize],
            _ => chance.below(256) as u8,
        };
        (0..length).map(|_| byte(self)).collect()
    }
}

/// The specification read literally, byte by byte and in wide numbers: hashed bytes, hash value, group and server.
fn model(placement: &Placement, key: &[u8], servers: u16) -> (Vec<u8>, u64, u16, u16) {
    let (mut depth, mut tag) = (0, Vec::new());
    for byte in key {
        match (depth, byte) {
            (0, b'{') => depth = 1,
            (1, b'}') => depth = 2,
            (1, other) => tag.push(*other),
            _ => {}
        }
    }
    let tagged = placement.hash_tag == HashTag::Braces && depth == 2 && !tag.is_empty();
    let mut input = if tagged { tag } else { key.to_vec() };
    let groups = u128::from(placement.group_count.get());
    let servers = u128::from(servers);
    if placement.hash == Hash::Larder {
        let mut hasher = xxhash_rust::xxh3::Xxh3::with_seed(0);
        input.iter().for_each(|byte| hasher.update(&[*byte]));
        let value = u128::from(hasher.digest());
        let (high, low) = (value / (1 << 32), value % (1 << 32));
        return (input, value as u64, (high * groups / (1 << 32)) as u16, (low * servers / (1 << 32)) as u16);
    }
    let colon = input.iter().position(|byte| *byte == b':').filter(|_| tagged);
    if let Some(colon) = colon.filter(|colon| *colon > 0 && colon + 1 < input.len()) {
        input[colon] = 1;
    }
    let mut value: u128 = 0;
    for byte in &input {
        value = (value * 33 + u128::from(*byte)) % (1 << 32);
    }
    value %= 1 << 31;
    let swapped = (value % (1 << 16) * (1 << 16) + value / (1 << 16)) % (1 << 31);
    (input, value as u64, (value % groups) as u16, (swapped % servers) as u16)
}

#[test]
fn seeded_keys_agree_with_the_model() {
    let seed = 20_240_229;
    let mut chance = Chance(seed);
    for round in 0..1000 {
        let key = chance.key();
        let (groups, servers) = (1 + chance.below(65_535) as u16, 1 + chance.below(65_535) as u16);
        for (hash, tag) in Hash::ALL.into_iter().flat_map(|hash| HashTag::ALL.map(|tag| (hash, tag))) {
            let placement = placement(hash, tag, groups);
            let found = placement.explain(&key);
            let found =
                (found.input.into_owned(), found.hash, found.group.0, placement.server(&key, count(servers)));
            let (key, expected) = (key.escape_ascii(), model(&placement, &key, servers));
            assert_eq!(found, expected, "seed {seed} round {round} {hash:?} {tag:?} {key}");
        }
    }
}

/// The counts that divide each other, that are prime, and that divide 65535, where a swap of halves changes nothing.
const COUNTS: [u16; 36] = [
    1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28,
    29, 30, 31, 32, 51, 85, 255, 257,
];
/// A fair choice looks less even than what was found with this probability; below it the choice is not fair.
const P_MIN: f64 = 1e-6;
/// Keys that each cell of a matrix expects: the test's approximation is good from 5 on.
const KEYS_PER_CELL: usize = 20;

/// The probability that even chance is spread as unevenly as `cells`: the chi-squared test.
fn chance_of(cells: &[u32]) -> f64 {
    let keys = cells.iter().map(|found| f64::from(*found)).sum::<f64>();
    let expected = keys / cells.len() as f64;
    let squares = cells.iter().map(|found| (f64::from(*found) - expected).powi(2)).sum::<f64>();
    upper_gamma(cells.len() - 1, squares / expected)
}

/// The upper tail of the chi-squared distribution with `freedom` degrees of freedom, by the continued fraction of the
/// incomplete gamma function. Left of the fraction's range, where the tail is above 0.2, the answer is 1.
fn upper_gamma(freedom: usize, chi_squared: f64) -> f64 {
    let (a, x) = (freedom as f64 / 2.0, chi_squared / 2.0);
    if x < a + 1.0 {
        return 1.0;
    }
    let (first, log_first) =
        if freedom.is_multiple_of(2) { (1.0, 0.0) } else { (0.5, std::f64::consts::PI.sqrt().ln()) };
    let steps = (a - first).round() as usize;
    let log_gamma = log_first + (0..steps).map(|step| (first + step as f64).ln()).sum::<f64>();
    let (mut b, mut c) = (x + 1.0 - a, f64::MAX);
    let mut d = 1.0 / b;
    let mut fraction = d;
    for step in 1..100_000 {
        let factor = f64::from(step) * (a - f64::from(step));
        b += 2.0;
        d = 1.0 / (factor * d + b);
        c = b + factor / c;
        fraction *= c * d;
        if (c * d - 1.0).abs() < 1e-12 {
            break;
        }
    }
    (a * x.ln() - x - log_gamma).exp() * fraction
}

/// How `pick` spreads hash values over groups x servers: the probability that chance is as uneven.
fn evenness(values: &[u64], groups: u16, servers: u16, pick: impl Fn(u64) -> (u16, u16)) -> f64 {
    let mut cells = vec![0; usize::from(groups) * usize::from(servers)];
    let keys = cells.len() * KEYS_PER_CELL;
    assert!(keys <= values.len());
    for value in &values[..keys] {
        let (group, server) = pick(*value);
        cells[usize::from(group) * usize::from(servers) + usize::from(server)] += 1;
    }
    chance_of(&cells)
}

/// The hash values of numbered keys, enough of them for the largest matrix.
fn values(hash: Hash) -> Vec<u64> {
    let keys = 257 * 257 * KEYS_PER_CELL;
    (0..keys).map(|number| hash.value(Input::Key(format!("user:{number}").as_bytes()))).collect()
}

#[test]
fn group_and_server_are_independent_for_all_counts() {
    let values = values(Hash::Larder);
    for (groups, servers) in COUNTS.into_iter().flat_map(|groups| COUNTS.map(|servers| (groups, servers))) {
        let pick =
            |value| (Hash::Larder.group(value, count(groups)).0, Hash::Larder.server(value, count(servers)));
        let p = evenness(&values, groups, servers, pick);
        assert!(p > P_MIN, "{groups} groups x {servers} servers: p = {p:e}");
    }
}

#[test]
fn the_test_of_independence_sees_what_is_not() {
    let larder = values(Hash::Larder);
    for (groups, servers) in [(3, 3), (2, 4), (6, 3), (15, 5), (255, 51)] {
        let p = evenness(&larder, groups, servers, |value| {
            ((value % u64::from(groups)) as u16, (value % u64::from(servers)) as u16)
        });
        assert!(p < P_MIN, "both by modulo of one hash, {groups} x {servers}: p = {p:e}");
    }
    let fastdht = values(Hash::Fastdht);
    let p = evenness(&fastdht, 3, 3, |value| {
        (Hash::Fastdht.group(value, count(3)).0, Hash::Fastdht.server(value, count(3)))
    });
    assert!(p < P_MIN, "FastDHT's own choice for 3 x 3, which is why it is not the default: p = {p:e}");
}

#[test]
fn the_tail_of_chi_squared_is_computed_right() {
    for (freedom, chi_squared, p) in [
        (1, 3.841_458_820_694_124, 0.05),
        (2, 13.815_510_557_964_274, 1e-3),
        (3, 7.814_727_903_251_179, 0.05),
        (10, 18.307_038_053_275_15, 0.05),
        (100, 124.342_113_404_004_1, 0.05),
    ] {
        let found = upper_gamma(freedom, chi_squared);
        assert!((found / p - 1.0).abs() < 1e-6, "freedom {freedom}: {found:e} instead of {p:e}");
    }
}

#[test]
fn shares_can_be_computed_in_signed_32_bits() {
    let mut chance = Chance(32);
    for _ in 0..10_000 {
        let (half, count) = (chance.below(1 << 32) as u32, 1 + chance.below(32_767) as u16);
        // As docs/placement.md has it: `>>>` shifts in zeros, products must not overflow.
        let (upper, lower) = ((half >> 16) as i32, (half & 0xffff) as i32);
        let product = |part: i32| part.checked_mul(i32::from(count)).unwrap();
        let found = product(upper).checked_add(product(lower) >> 16).unwrap() >> 16;
        let expected = Hash::Larder.server(u64::from(half), self::count(count));
        assert_eq!(found, i32::from(expected), "{half} {count}");
    }
}
