//! memcached's frame of UDP: 8 bytes before a request, and before each piece of its reply.
//!
//! Four big-endian numbers of 16 bits: an id that the client chose and finds in every piece, the number of this piece,
//! how many pieces there are, and a zero.

use crate::base::limits::DATAGRAM_PAYLOAD_BYTES_MAX;

/// The frame, bytes.
pub const HEADER_BYTES: usize = 8;
/// How every answer to what is no request begins.
const ERRORS: [&[u8]; 3] = [b"ERROR", b"CLIENT_ERROR", b"SERVER_ERROR"];

/// The id and the request of a datagram; `None` for one that is not answered: without a whole frame or anything behind
/// it, with a part of a longer request, or with an error. Whoever sends an error is a server that took a reply for a
/// request, and would go on forever. The number of the piece and the zero are not looked at.
pub fn decode(datagram: &[u8]) -> Option<(u16, &[u8])> {
    let ([id0, id1, _, _, 0, 1, _, _], request) = datagram.split_first_chunk::<HEADER_BYTES>()? else {
        return None;
    };
    let is_request = !request.is_empty() && !ERRORS.iter().any(|error| request.starts_with(error));
    is_request.then_some((u16::from_be_bytes([*id0, *id1]), request))
}

/// The datagrams that carry a reply, each written to `datagram` before `send` is called: none for an empty one.
pub fn encode(id: u16, reply: &[u8], datagram: &mut Vec<u8>, mut send: impl FnMut(&[u8])) {
    let count = reply.len().div_ceil(DATAGRAM_PAYLOAD_BYTES_MAX) as u16;
    for (number, piece) in reply.chunks(DATAGRAM_PAYLOAD_BYTES_MAX).enumerate() {
        let ([i0, i1], [n0, n1], [c0, c1]) =
            (id.to_be_bytes(), (number as u16).to_be_bytes(), count.to_be_bytes());
        datagram.clear();
        datagram.extend_from_slice(&[i0, i1, n0, n1, c0, c1, 0, 0]);
        datagram.extend_from_slice(piece);
        send(datagram);
    }
}

/// The length of all the datagrams that carry a reply of `reply_bytes`, bytes.
pub fn length_bytes(reply_bytes: usize) -> usize {
    reply_bytes + reply_bytes.div_ceil(DATAGRAM_PAYLOAD_BYTES_MAX) * HEADER_BYTES
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_is_one_whole_request_or_nothing() {
        for (datagram, expected) in [
            (&b"\x12\x34\0\0\0\x01\0\0get k\r\n"[..], Some((0x1234, &b"get k\r\n"[..]))),
            (b"\xff\xff\0\x05\0\x01\0\x07x", Some((0xffff, b"x"))),
            (b"\0\x01\0\0\0\x02\0\0get k\r\n", None),
            (b"\0\x01\0\0\0\0\0\0get k\r\n", None),
            (b"\0\x01\0\0\x01\x01\0\0get k\r\n", None),
            (b"\0\x01\0\0\0\x01\0\0", None),
            (b"\0\x01\0\0\0\x01\0", None),
            (b"", None),
            (b"\0\x01\0\0\0\x01\0\0ERROR\r\n", None),
            (b"\0\x01\0\0\0\x01\0\0CLIENT_ERROR bad command line format\r\n", None),
            (b"\0\x01\0\0\0\x01\0\0SERVER_ERROR x\r\n", None),
        ] {
            assert_eq!(decode(datagram), expected, "{datagram:02x?}");
        }
    }

    #[test]
    fn a_reply_is_cut_numbered_and_whole() {
        for reply_bytes in [0_usize, 1, 1391, 1392, 1393, 2784, 2785, 64 * 1392] {
            let reply: Vec<u8> = (0..reply_bytes).map(|at| at as u8).collect();
            let (mut pieces, mut room) = (Vec::new(), Vec::new());
            encode(0xabcd, &reply, &mut room, |datagram| pieces.push(datagram.to_vec()));
            assert_eq!(pieces.len(), reply_bytes.div_ceil(1392));
            assert_eq!(pieces.iter().map(Vec::len).sum::<usize>(), length_bytes(reply_bytes));
            for (number, piece) in pieces.iter().enumerate() {
                assert_eq!(piece[..8], [0xab, 0xcd, 0, number as u8, 0, pieces.len() as u8, 0, 0]);
                assert!(piece.len() == 1400 || number + 1 == pieces.len());
            }
            assert_eq!(pieces.iter().flat_map(|piece| &piece[8..]).copied().collect::<Vec<u8>>(), reply);
        }
    }
}
