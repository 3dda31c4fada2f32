//! The greeting: both sides prove that they know the shared secret, each on the other's challenge, and agree on what
//! the cluster is. The secret itself never leaves.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::frame::{Kind, put};
use super::roster::{Facts, Secret};
use crate::base::rest::Rest;

/// A challenge, and a proof: bytes.
pub const PROOF_BYTES: usize = 32;
/// Random bytes that are never used twice.
pub type Challenge = [u8; PROOF_BYTES];

/// What the proof of each side begins with: one can never stand for the other.
const ANSWERER: &[u8] = b"larder peer 1 answers";
const ASKER: &[u8] = b"larder peer 1 asks";

/// Who asks, until it is known whom.
#[derive(Debug)]
pub struct Asking {
    hello: Vec<u8>,
    facts: Facts,
    server: u16,
}

/// Who answers, until it is known who asks.
#[derive(Debug)]
pub struct Answering {
    hello: Vec<u8>,
    welcome: Vec<u8>,
}

impl Asking {
    /// Begins: writes the hello for this server.
    pub fn begin(facts: Facts, server: u16, challenge: Challenge, out: &mut Vec<u8>) -> Asking {
        let hello = [&challenge[..], &facts.bytes()].concat();
        put(Kind::Hello, &[&hello], out);
        Asking { hello, facts, server }
    }

    /// Judges the welcome, and writes the proof.
    ///
    /// # Errors
    /// Why this is not the server that was meant.
    pub fn finish(self, welcome: &[u8], secret: &Secret, out: &mut Vec<u8>) -> Result<(), String> {
        let cut = welcome.len().checked_sub(PROOF_BYTES).and_then(|at| welcome.split_at_checked(at));
        let (said, proof) = cut.ok_or("its greeting is too short")?;
        let mut fields = Rest(said);
        let _: Challenge = fields.take().ok_or("its greeting is too short")?;
        let theirs = Facts::read(fields.0).ok_or("its greeting cannot be understood")?;
        if !is_proof(secret, &[ANSWERER, &self.hello, said], proof) {
            return Err("it does not know the secret of this cluster".into());
        }
        self.facts.agree(&theirs)?;
        if theirs.server != self.server {
            return Err(format!("it is server {}", theirs.server));
        }
        put(Kind::Proof, &[&prove(secret, &[ASKER, &self.hello, said])], out);
        Ok(())
    }
}

impl Answering {
    /// Answers a hello with a welcome.
    ///
    /// # Errors
    /// Why there is no talking to who asks.
    pub fn begin(
        hello: &[u8],
        facts: &Facts,
        challenge: Challenge,
        secret: &Secret,
        out: &mut Vec<u8>,
    ) -> Result<Answering, String> {
        let mut fields = Rest(hello);
        let _: Challenge = fields.take().ok_or("the greeting is too short")?;
        let theirs = Facts::read(fields.0).ok_or("the greeting cannot be understood")?;
        facts.agree(&theirs)?;
        let welcome = [&challenge[..], &facts.bytes()].concat();
        let proof = prove(secret, &[ANSWERER, hello, &welcome]);
        put(Kind::Welcome, &[&welcome, &proof], out);
        Ok(Answering { hello: hello.to_vec(), welcome })
    }

    /// Whether this proves that who asks knows the secret.
    pub fn finish(&self, proof: &[u8], secret: &Secret) -> bool {
        is_proof(secret, &[ASKER, &self.hello, &self.welcome], proof)
    }
}

/// The keyed hash of these pieces, each told apart by its length.
pub(super) fn prove(secret: &Secret, pieces: &[&[u8]]) -> [u8; PROOF_BYTES] {
    keyed(secret, pieces).map_or([0; PROOF_BYTES], |mac| mac.finalize().into_bytes().into())
}

/// Compared in constant time.
fn is_proof(secret: &Secret, pieces: &[&[u8]], proof: &[u8]) -> bool {
    keyed(secret, pieces).is_some_and(|mac| mac.verify_slice(proof).is_ok())
}

fn keyed(secret: &Secret, pieces: &[&[u8]]) -> Option<Hmac<Sha256>> {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.bytes()).ok()?;
    for piece in pieces {
        mac.update(&(piece.len() as u64).to_le_bytes());
        mac.update(piece);
    }
    Some(mac)
}
