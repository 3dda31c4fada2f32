//! Who may ask (`-Y`, `-S`): names and passwords from a file, read again on SIGHUP.

use std::path::PathBuf;

use parking_lot::RwLock;

use crate::base::fault::{Fault, FaultKind};

/// The most lines of the file: memcached's.
const USERS_MAX: usize = 8;

/// The users of an authentication file.
#[derive(Debug)]
pub struct Users {
    path: PathBuf,
    lines: RwLock<Vec<Vec<u8>>>,
}

impl Users {
    /// Reads the file: `user:password` lines.
    pub fn open(path: PathBuf) -> Result<Users, Fault> {
        let users = Users { path, lines: RwLock::new(Vec::new()) };
        users.reload()?;
        Ok(users)
    }

    /// Reads the file again. On an error those of before stay.
    pub fn reload(&self) -> Result<(), Fault> {
        let text = std::fs::read(&self.path)
            .map_err(|error| Fault::io("cannot read the users", &self.path, &error))?;
        // A line ends in a newline, or in both bytes that end one elsewhere.
        let lines = text.split(|byte| *byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
        let lines: Vec<Vec<u8>> = lines.filter(|line| !line.is_empty()).map(<[u8]>::to_vec).collect();
        let is_wrong = |line: &Vec<u8>| !line.contains(&b':');
        if lines.is_empty() || lines.len() > USERS_MAX || lines.iter().any(is_wrong) {
            let message = format!("the file must have 1 to {USERS_MAX} lines of the form user:password");
            return Err(Fault::new(FaultKind::Unusable, message).at(&self.path));
        }
        *self.lines.write() = lines;
        Ok(())
    }

    /// Whether this payload (`user password`) is one of them.
    pub fn accepts(&self, payload: &[u8]) -> bool {
        self.has(|line| is_same(line, payload))
    }

    /// Whether this response of SASL PLAIN is one of them: the name to act as, which must be none or the same, the
    /// name, and the password, with a zero byte between them.
    pub fn accepts_plain(&self, response: &[u8]) -> bool {
        let mut parts = response.split(|byte| *byte == 0);
        let (Some(acting_as), Some(name), Some(password), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return false;
        };
        let is_own_name = acting_as.is_empty() || acting_as == name;
        // A name with a colon would be another name and a longer password.
        let is_name = !name.is_empty() && !name.contains(&b':');
        let wanted = [name, b":", password].concat();
        is_own_name && is_name && self.has(|line| differing_bits(line, wanted.iter().copied()) == 0)
    }

    /// Every line is compared in full, so that the time taken says nothing about which bytes were right.
    fn has(&self, is_one: impl Fn(&[u8]) -> bool) -> bool {
        self.lines.read().iter().fold(false, |found, line| found | is_one(line))
    }
}

/// Whether a line `user:password` says the same as a payload `user password`.
fn is_same(line: &[u8], payload: &[u8]) -> bool {
    let colon = line.iter().position(|byte| *byte == b':').unwrap_or(line.len());
    let wanted = |(at, byte): (usize, &u8)| if at == colon { b' ' } else { *byte };
    differing_bits(payload, line.iter().enumerate().map(wanted)) == 0
}

/// 0 for the same bytes. All are looked at, whichever differ first.
fn differing_bits(given: &[u8], wanted: impl ExactSizeIterator<Item = u8>) -> usize {
    let lengths = given.len() ^ wanted.len();
    given.iter().zip(wanted).fold(lengths, |all, (a, b)| all | usize::from(a ^ b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plain_response_names_one_user_and_his_password() {
        let lines = RwLock::new(vec![b"u:p q".to_vec(), b"v:".to_vec()]);
        let users = Users { path: PathBuf::new(), lines };
        for (response, accepted) in [
            ("\0u\0p q", true),
            ("u\0u\0p q", true),
            ("\0v\0", true),
            ("v\0u\0p q", false),
            ("\0u p\0q", false),
            ("\0u:p\0q", false),
            ("\0u\0p q\0", false),
            ("u\0p q", false),
            ("\0u\0p", false),
            ("\0\0", false),
            ("", false),
        ] {
            assert_eq!(users.accepts_plain(response.as_bytes()), accepted, "{response:?}");
        }
    }

    #[test]
    fn a_payload_matches_a_line_exactly() {
        for (line, payload, same) in [
            ("u:p", "u p", true),
            ("u:p:q", "u p:q", true),
            ("u:p", "u:p", false),
            ("u:p", "u pp", false),
            ("u:pp", "u p", false),
            ("u:p", "", false),
        ] {
            assert_eq!(is_same(line.as_bytes(), payload.as_bytes()), same, "{line} {payload}");
        }
    }
}
