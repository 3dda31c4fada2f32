//! What was received and is not understood yet.

use super::limits::KEPT_BUFFER_BYTES;

/// What is left of received bytes when so many of them are taken. The memory of an empty rest is kept only when it is small.
pub fn rest_of(mut bytes: Vec<u8>, taken: usize) -> Vec<u8> {
    if taken < bytes.len() {
        bytes.drain(..taken);
    } else if bytes.capacity() > KEPT_BUFFER_BYTES {
        return Vec::new();
    } else {
        bytes.clear();
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_taken_is_left_and_large_memory_is_given_back() {
        for (length, taken, left, is_kept) in [
            (10, 0, 10, true),
            (10, 3, 7, true),
            (10, 10, 0, true),
            (KEPT_BUFFER_BYTES + 1, KEPT_BUFFER_BYTES, 1, true),
            (KEPT_BUFFER_BYTES + 1, KEPT_BUFFER_BYTES + 1, 0, false),
            (0, 0, 0, false),
        ] {
            let bytes: Vec<u8> = (0..length).map(|at| at as u8).collect();
            let rest = rest_of(bytes.clone(), taken);
            assert_eq!(rest, bytes[taken..], "{taken} of {length}");
            assert_eq!((rest.len(), rest.capacity() > 0), (left, is_kept), "{taken} of {length}");
        }
    }
}
