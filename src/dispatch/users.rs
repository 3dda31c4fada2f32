//! Who may ask (`-Y`): names and passwords from a file, read again on SIGHUP.

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
        let lines: Vec<Vec<u8>> =
            text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).map(<[u8]>::to_vec).collect();
        let is_wrong = |line: &Vec<u8>| !line.contains(&b':');
        if lines.is_empty() || lines.len() > USERS_MAX || lines.iter().any(is_wrong) {
            let message = format!("the file must have 1 to {USERS_MAX} lines of the form user:password");
            return Err(Fault::new(FaultKind::Unusable, message).at(&self.path));
        }
        *self.lines.write() = lines;
        Ok(())
    }

    /// Whether this payload (`user password`) is one of them. Every line is compared in full, so that the time taken
    /// says nothing about which bytes were right.
    pub fn accepts(&self, payload: &[u8]) -> bool {
        let mut found = false;
        for line in self.lines.read().iter() {
            found |= is_same(line, payload);
        }
        found
    }
}

/// Whether a line `user:password` says the same as a payload `user password`.
fn is_same(line: &[u8], payload: &[u8]) -> bool {
    let colon = line.iter().position(|byte| *byte == b':').unwrap_or(line.len());
    let wanted = |(at, byte): (usize, &u8)| if at == colon { b' ' } else { *byte };
    let differing = line.iter().enumerate().map(wanted).zip(payload).fold(0, |all, (a, b)| all | (a ^ b));
    line.len() == payload.len() && differing == 0
}

#[cfg(test)]
mod tests {
    use super::*;

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
