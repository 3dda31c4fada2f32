//! How its bytes arrive makes no difference to what a client is answered.
use crate::differential::well_framed;
use crate::drivers::InProcess;
use crate::skips::say;
use crate::transcript::{Received, Wire};

const BYTES: usize = 64 << 10;
const SEED: u64 = 64;

/// All replies to these bytes, sent in pieces of this length, from a server of its own whose clock stands still.
fn replies(bytes: &[u8], piece: usize) -> Vec<u8> {
    let mut server = InProcess::start(&[]).unwrap();
    let conn = server.connect();
    let mut all = Vec::new();
    for piece in bytes.chunks(piece) {
        server.send(conn, piece);
        while let Received::Bytes(bytes) = server.receive(conn) {
            all.extend_from_slice(&bytes);
        }
    }
    all
}

#[test]
fn sixty_four_kilobytes_split_at_every_byte_give_the_same_answers() {
    let bytes = well_framed(SEED, BYTES);
    let whole = replies(&bytes, bytes.len());
    say(&format!("split: seed {SEED}, {} bytes, {} bytes of replies", bytes.len(), whole.len()));
    assert!(whole.len() > BYTES / 4, "it is answered");
    for piece in [1, 2, 3, 7, 64, 1447, 16 << 10] {
        assert!(replies(&bytes, piece) == whole, "in pieces of {piece}");
    }
}
