//! Frames as tables: a frame, and the step that it is; a reply, and the frame that tells it.

use super::*;
use crate::base::command::Key;
use crate::base::item::{Item, Marks, Value};
use crate::base::reply::{Changed, Denial, Hit, Number, Reply};
use crate::base::time::{Deadline, UnixMs};
use crate::base::version::Version;
use crate::proto::tests::show;
use crate::proto::{Limits, Step};

/// A frame. `extras` are 32-bit numbers.
fn frame(opcode: u8, extras: &[u32], key: &str, value: &str, cas: u64) -> Vec<u8> {
    let body_bytes = extras.len() * 4 + key.len() + value.len();
    let mut bytes = vec![REQUEST_MAGIC, opcode];
    bytes.extend((key.len() as u16).to_be_bytes());
    bytes.extend([extras.len() as u8 * 4, 0, 0, 0]);
    bytes.extend((body_bytes as u32).to_be_bytes());
    bytes.extend(0xabcd_u32.to_be_bytes());
    bytes.extend(cas.to_be_bytes());
    extras.iter().for_each(|number| bytes.extend(number.to_be_bytes()));
    bytes.extend_from_slice(key.as_bytes());
    bytes.extend_from_slice(value.as_bytes());
    bytes
}

/// The frame with this body length instead of its own.
fn with_body_bytes(mut frame: Vec<u8>, body_bytes: u32) -> Vec<u8> {
    frame[8..12].copy_from_slice(&body_bytes.to_be_bytes());
    frame
}

/// Every frame is the step told of, and whole only when its last byte is there.
fn check(limits: &Limits, table: &[(Vec<u8>, &str)]) {
    for (bytes, expected) in table {
        assert_eq!(show(&decode(bytes, false, limits)), *expected, "{bytes:02x?}");
    }
}

#[test]
fn frames_about_keys() {
    check(
        &Limits::default(),
        &[
            (frame(0x00, &[], "k", "", 0), "25+0 k get Get abcd"),
            (frame(0x09, &[], "k", "", 0), "25+0 k get Get quiet abcd"),
            (frame(0x0d, &[], "k", "", 0), "25+0 k get GetKey quiet abcd"),
            (frame(0x00, &[], "a b", "", 0), "27+0 a b(b64) get Get abcd"),
            (frame(0x01, &[7, 60], "k", "v", 0), "34+0 k Set [v] F7 T60 Set abcd"),
            (frame(0x11, &[0, u32::MAX], "k", "", 9), "33+0 k Set [] F0 T2147483647 C9 Set quiet abcd"),
            (frame(0x02, &[0, 0], "k", "v", 0), "34+0 k Add [v] F0 T0 Add abcd"),
            (frame(0x02, &[0, 0], "k", "v", 9), "34+0 k Set [v] F0 T0 C9 Add abcd"),
            (frame(0x13, &[0, 0], "k", "v", 0), "34+0 k Replace [v] F0 T0 Replace quiet abcd"),
            (frame(0x0e, &[], "k", "v", 0), "26+0 k Append [v] F0 T0 Append abcd"),
            (frame(0x1a, &[], "k", "v", 9), "26+0 k Prepend [v] F0 T0 C9 Prepend quiet abcd"),
            (frame(0x1c, &[60], "k", "", 0), "29+0 k get T60 Touch abcd"),
            (frame(0x1e, &[0], "k", "", 0), "29+0 k get T0 GetTouch quiet abcd"),
            (frame(0x23, &[0], "k", "", 0), "29+0 k get T0 GetKeyTouch abcd"),
        ],
    );
}

#[test]
fn other_frames() {
    let shown = |bytes: Vec<u8>| show(&decode(&bytes, false, &Limits::default()));
    for (bytes, expected) in [
        (frame(0x0a, &[], "", "", 0), "24+0 Noop Noop abcd"),
        (frame(0x0b, &[], "", "", 0), "24+0 Version Version abcd"),
        (frame(0x17, &[], "", "", 0), "24+0 Quit Quit quiet abcd"),
        (frame(0x08, &[], "", "", 0), "24+0 FlushAll(None) Flush abcd"),
        (frame(0x18, &[0], "", "", 0), "28+0 FlushAll(None) Flush quiet abcd"),
        (frame(0x08, &[5], "", "", 0), "28+0 FlushAll(Some(Exptime(5))) Flush abcd"),
        (frame(0x10, &[], "", "", 0), "24+0 Stats(General) Stat abcd"),
        (frame(0x10, &[], "detail on", "", 0), "33+0 Stats(DetailOn) Stat abcd"),
        (frame(0x10, &[], "cachedump 1 1", "", 0), "refuse 24+13 NotFound"),
        (frame(0x10, &[], "bogus", "", 0), "refuse 24+5 NotFound"),
        (frame(0x21, &[], "PLAIN", "", 0), "refuse 24+5 UnknownCommand"),
        (frame(0x1b, &[1], "", "", 0), "refuse 24+4 UnknownCommand"),
        (frame(0xff, &[1], "k", "v", 0), "refuse 24+6 UnknownCommand"),
    ] {
        assert_eq!(shown(bytes.clone()), expected, "{bytes:02x?}");
    }
    let arith = [0, 3, 0, 9, 60];
    let expected = "45+0 k Decr 3 C8 J9 N60 Decrement quiet abcd";
    assert_eq!(shown(frame(0x16, &arith, "k", "", 8)), expected);
}

#[test]
fn lengths_that_lie() {
    let key = "k".repeat(251);
    check(
        &Limits::default(),
        &[
            (with_body_bytes(frame(0x00, &[], "k", "", 0), 0), "refuse 24+0 UnknownCommand and close"),
            (with_body_bytes(frame(0x01, &[0, 0], "k", "", 0), 8), "refuse 24+0 UnknownCommand and close"),
            (
                with_body_bytes(frame(0x01, &[0, 0], "k", "", 0), (1 << 30) + 1),
                "refuse 24+0 Invalid and close",
            ),
            (with_body_bytes(frame(0xff, &[], "", "", 0), u32::MAX), "refuse 24+0 Invalid and close"),
            (frame(0x00, &[], &key, "", 0), "refuse 24+0 Invalid and close"),
            (frame(0x00, &[], "", "", 0), "refuse 24+0 Invalid and close"),
            (frame(0x00, &[0], "k", "", 0), "refuse 24+0 Invalid and close"),
            (frame(0x00, &[], "k", "v", 0), "refuse 24+0 Invalid and close"),
            (frame(0x01, &[0], "k", "v", 0), "refuse 24+0 Invalid and close"),
            (frame(0x0e, &[0], "k", "v", 0), "refuse 24+0 Invalid and close"),
            (frame(0x1c, &[0], "k", "v", 0), "refuse 24+0 Invalid and close"),
            (frame(0x0a, &[], "", "v", 0), "refuse 24+0 Invalid and close"),
            (frame(0x08, &[0, 0], "", "", 0), "refuse 24+0 Invalid and close"),
            (b"get k\r\n".to_vec(), "close"),
            (b"\x81".to_vec(), "close"),
        ],
    );
}

#[test]
fn a_value_that_is_too_large_is_answered_before_it_comes() {
    let set = with_body_bytes(frame(0x11, &[0, 0], "k", "", 0), 1 << 30);
    let append = with_body_bytes(frame(0x0e, &[], "k", "", 0), 2_000_001);
    check(
        &Limits::default(),
        &[
            (set.clone(), "33+1073741815 k Oversized { drops_old: true } Set quiet abcd"),
            (set[..32].to_vec(), "more 33"),
            (append, "25+2000000 k Oversized { drops_old: false } Append abcd"),
        ],
    );
}

#[test]
fn a_frame_is_awaited_whole() {
    let bytes = frame(0x01, &[0, 0], "key", "value", 0);
    for given in 0..bytes.len() {
        let expected = if given < 24 { "more 24" } else { "more 40" };
        assert_eq!(show(&decode(&bytes[..given], false, &Limits::default())), expected, "{given}");
    }
}

#[test]
fn before_authentication() {
    let limits = Limits { sasl: true, ..Limits::default() };
    check(
        &limits,
        &[
            (frame(0x0a, &[], "", "", 0), "refuse 24+0 AuthFailure and close"),
            (frame(0xff, &[], "", "", 0), "refuse 24+0 AuthFailure and close"),
            (frame(0x0b, &[], "", "", 0), "24+0 Version Version abcd"),
            (frame(0x20, &[], "", "", 0), "24+0 SaslMechanisms SaslMechanisms abcd"),
            (frame(0x21, &[], &"M".repeat(33), "v", 0), "refuse 24+34 Invalid"),
            (frame(0x21, &[], "PLAIN", &"v".repeat(16385), 0), "refuse 24+16390 OutOfMemory"),
        ],
    );
    let noop = frame(0x0a, &[], "", "", 0);
    assert_eq!(show(&decode(&noop, true, &limits)), "24+0 Noop Noop abcd");
    let off = Limits { flush_enabled: false, ..Limits::default() };
    check(&off, &[(frame(0x08, &[5], "", "", 0), "refuse 24+4 AuthFailure")]);
}

/// The frame that answers `opcode`: what differs between answers, and its body.
fn answer(opcode: u8, reply: &Reply<'_>) -> Option<(u16, [u8; 2], u64, String)> {
    let (verb, quiet) = Verb::of(opcode).unwrap();
    let mut out = Vec::new();
    put(&BinaryForm { opcode, opaque: 0xabcd, verb, quiet }, &Key::plain(b"key"), reply, &mut out);
    let (header, body) = out.split_first_chunk::<24>()?;
    let [0x81, echoed, 0, key, extras, 0, s0, s1, 0, 0, 0, total, 0, 0, 0xab, 0xcd, cas @ ..] = *header
    else {
        panic!("{header:02x?}");
    };
    assert_eq!((echoed, usize::from(total)), (opcode, body.len()));
    let cas = u64::from_be_bytes(cas);
    Some((u16::from_be_bytes([s0, s1]), [extras, key], cas, body.escape_ascii().to_string()))
}

#[test]
fn answers() {
    let now = UnixMs(1_700_000_000_000);
    let item = Item {
        value: Value::Plain(b"value"),
        client_flags: 5,
        deadline: Deadline::NEVER,
        version: Version(9),
        cas: 77,
        meta_version: Version(9),
        marks: Marks::default(),
        accessed_s: 0,
    };
    let hit = Hit {
        item: &item,
        deadline: Deadline::NEVER,
        now,
        held: false,
        won: false,
        stale: false,
        taken: false,
        created: false,
    };
    let hit = Reply::Hit(hit);
    let stored = Reply::Stored(Changed { cas: 8, value_bytes: 2, deadline: Deadline::NEVER });
    let number =
        Reply::Number(Number { value: 258, cas: 8, deadlines: [Deadline::NEVER; 2], created: false, now });
    let non_numeric = "Non-numeric server-side value for incr or decr";
    for (opcode, reply, expected) in [
        (0x00, hit, Some((0, [4, 0], 77, "\\x00\\x00\\x00\\x05value"))),
        (0x09, hit, Some((0, [4, 0], 77, "\\x00\\x00\\x00\\x05value"))),
        (0x0c, hit, Some((0, [4, 3], 77, "\\x00\\x00\\x00\\x05keyvalue"))),
        (0x1c, hit, Some((0, [4, 0], 77, "\\x00\\x00\\x00\\x05"))),
        (0x24, hit, Some((0, [4, 3], 77, "\\x00\\x00\\x00\\x05keyvalue"))),
        (0x00, Reply::Miss, Some((1, [0, 0], 0, "Not found"))),
        (0x0c, Reply::Miss, Some((1, [0, 3], 0, "key"))),
        (0x0d, Reply::Miss, None),
        (0x1e, Reply::Miss, None),
        (0x01, stored, Some((0, [0, 0], 8, ""))),
        (0x11, stored, None),
        (0x11, Reply::Exists, Some((2, [0, 0], 0, "Data exists for key."))),
        (0x02, Reply::NotStored, Some((2, [0, 0], 0, "Data exists for key."))),
        (0x13, Reply::NotStored, Some((1, [0, 0], 0, "Not found"))),
        (0x0f, Reply::NotStored, Some((5, [0, 0], 0, "Not stored."))),
        (0x04, Reply::Deleted, Some((0, [0, 0], 0, ""))),
        (0x14, Reply::Deleted, None),
        (0x14, Reply::NotFound, Some((1, [0, 0], 0, "Not found"))),
        (0x05, number, Some((0, [0, 0], 8, "\\x00\\x00\\x00\\x00\\x00\\x00\\x01\\x02"))),
        (0x15, number, None),
        (0x06, Reply::Denied(Denial::NonNumeric), Some((6, [0, 0], 0, non_numeric))),
        (0x01, Reply::Denied(Denial::TooLarge), Some((3, [0, 0], 0, "Too large."))),
        (0x11, Reply::Denied(Denial::OutOfMemory), Some((0x82, [0, 0], 0, "Out of memory"))),
        (0x01, Reply::Denied(Denial::DiskFull), Some((0x86, [0, 0], 0, "Disk full"))),
    ] {
        let expected = expected.map(|(status, lengths, cas, body)| (status, lengths, cas, body.to_owned()));
        assert_eq!(answer(opcode, &reply), expected, "{opcode:02x} {reply:?}");
    }
}

#[test]
fn a_lost_answer_keeps_its_opcode_and_opaque() {
    let mut told = Vec::new();
    let form = BinaryForm { opcode: 0x01, opaque: 0xabcd, verb: Verb::Set, quiet: false };
    encode_body(&form, b"anything", &mut told);
    let (mut lost, mut expected) = (Vec::new(), Vec::new());
    encode_lost(&told, &mut lost);
    encode_status(&form, Status::Internal, &mut expected);
    assert_eq!(lost, expected);
}

#[test]
fn every_kind_of_request_survives_being_written() {
    let limits = Limits { sasl: true, ..Limits::default() };
    for bytes in [
        frame(0x0d, &[], "k", "", 0),
        frame(0x13, &[7, 60], "k", "v", 9),
        frame(0x19, &[], "k", "v", 0),
        frame(0x14, &[], "k", "", 9),
        frame(0x15, &[1, 2, 0, 4, u32::MAX], "k", "", 3),
        frame(0x24, &[5], "k", "", 0),
        frame(0x08, &[5], "", "", 0),
        frame(0x0a, &[], "", "", 0),
        frame(0x10, &[], "detail dump", "", 0),
        frame(0x21, &[], "PLAIN", "\0u\0p", 0),
    ] {
        let Step::Request { request, .. } = decode(&bytes, true, &limits) else { panic!("{bytes:02x?}") };
        let mut again = Vec::new();
        assert!(crate::proto::write_request(&request, &mut again));
        // What is not to be created has no number to begin with.
        let expected =
            if bytes[1] == 0x15 { frame(0x15, &[1, 2, 0, 0, u32::MAX], "k", "", 3) } else { bytes };
        assert_eq!(again, expected);
    }
}
