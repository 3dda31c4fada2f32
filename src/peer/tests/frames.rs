//! The frames byte by byte.

use super::*;

#[test]
fn frames_are_these_bytes() {
    let mut bytes = Vec::new();
    let room = Room { bytes: 0x1_0002, is_sure: true };
    let question = asked(2, 3, Some(GroupId(4)), b"mn\r\n");
    frame::Question { client: 7, heard: 1, room, ..question }.put(&mut bytes);
    let golden = "4c500304 2b000000 CRC 00000000 0200000000000000 0300000000000000 0400 \
                  0700000000000000 0100000000000000 02000100 01 6d6e0d0a";
    assert_eq!(shown(&bytes), golden.replace(' ', "").replace("CRC", &crc(&bytes)));
    let mut bytes = Vec::new();
    let status = Status::NotMine { owner: 5, map_version: 6 };
    Reply { sequence: 1, status, text: b"x" }.put(&mut bytes);
    let golden = "4c500305 14000000 CRC 00000000 0100000000000000 01 0500 0600000000000000 78";
    assert_eq!(shown(&bytes), golden.replace(' ', "").replace("CRC", &crc(&bytes)));
    let mut bytes = Vec::new();
    greeting::Asking::begin(facts(1), 2, [0xcc; 32], &mut bytes);
    let golden = format!(
        "4c500301 32000000 CRC 00000000 {} 0100 4000 01 01 0500000000000000 73686f70",
        "cc".repeat(32)
    );
    assert_eq!(shown(&bytes), golden.replace(' ', "").replace("CRC", &crc(&bytes)));
}

pub(super) fn shown(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The checksum by its definition, over head and body.
pub(super) fn crc(bytes: &[u8]) -> String {
    let covered = bytes[..8].iter().chain(&bytes[HEAD_BYTES..]);
    let sum = !covered.fold(!0_u32, |sum, byte| {
        (0..8).fold(
            sum ^ u32::from(*byte),
            |sum, _| if sum & 1 == 1 { sum >> 1 ^ 0x82f6_3b78 } else { sum >> 1 },
        )
    });
    shown(&sum.to_le_bytes())
}

#[test]
fn every_cut_of_a_frame_needs_more_and_every_flipped_bit_is_noticed() {
    let mut bytes = Vec::new();
    let question = asked(1, 2, None, b"get key\r\n");
    question.put(&mut bytes);
    let Found::Whole(Kind::Question, body, length) = frame::find(&bytes, 100) else { panic!("a frame") };
    assert_eq!((frame::Question::read(body), length), (Some(question), bytes.len()));
    for cut in 0..bytes.len() {
        assert!(matches!(frame::find(&bytes[..cut], 100), Found::NeedMore(more) if more > cut), "{cut}");
    }
    for bit in 0..bytes.len() * 8 {
        let mut damaged = bytes.clone();
        damaged[bit / 8] ^= 1 << (bit % 8);
        let found = frame::find(&damaged, 100);
        let is_longer = (32..64).contains(&bit) && matches!(found, Found::NeedMore(_));
        assert!(matches!(found, Found::Bad(_)) || is_longer, "bit {bit}: {found:?}");
    }
    assert!(matches!(frame::find(&bytes, body.len() - 1), Found::Bad(_)), "too long");
    assert!(frame::Question::read(&[2; 39]).is_none(), "room that is neither sure nor not");
    assert!(frame::Question::read(&[0; 38]).is_none() && Reply::read(&[0; 18]).is_none());
    assert!(Reply::read(&[5; 19]).is_none(), "an unknown status");
}
