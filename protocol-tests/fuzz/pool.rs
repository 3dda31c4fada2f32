//! The inputs that later ones are made from: the corpus, and what led the codec where nothing had before.
use std::collections::HashSet;
use std::env;

use super::Codec;
use super::mutate::{INPUT_BYTES_MAX, mutate};
use crate::random::Random;
use crate::transcript::parse::{Action, Transcript};
use crate::transcript::text::Part;
use crate::transcripts;

/// Inputs at most; then new ones replace old ones.
const POOL_MAX: usize = 8192;

/// Most inputs are cut to this, bytes: short ones are tried sooner.
const SHORT_INPUT_BYTES: usize = 300;
/// One of so many is left as long as it is.
const LONG_INPUTS: u64 = 8;

/// Inputs, and the places they led to.
pub(crate) struct Pool {
    inputs: Vec<Vec<u8>>,
    /// Hashes of what the codec did, and after what.
    places: HashSet<u64>,
    next: usize,
}

impl Pool {
    /// The requests of the codec's transcripts, or its grammar's first word where it has none.
    pub(crate) fn of(codec: &Codec) -> Pool {
        let is_ours = |transcript: &Transcript| {
            codec.transcripts.iter().any(|folder| transcript.file.contains(&format!("transcripts/{folder}")))
        };
        let mut inputs: Vec<Vec<u8>> = transcripts::all().iter().filter(|t| is_ours(t)).map(sent).collect();
        inputs.retain(|input| input.len() <= INPUT_BYTES_MAX);
        let is_partial = codec.transcripts.is_empty() || env::var_os("TRANSCRIPT").is_some();
        assert!(inputs.len() > 20 || is_partial, "the corpus of {} is found", codec.name);
        inputs.push(Vec::new());
        Pool { inputs, places: HashSet::new(), next: 0 }
    }

    pub(crate) fn len(&self) -> usize {
        self.inputs.len()
    }

    /// Another input: one of the pool, spoiled, or a pipeline of the grammar.
    pub(crate) fn next(&self, codec: &Codec, random: &mut Random) -> Vec<u8> {
        let mut input = Vec::new();
        if random.below(4) == 0 {
            for _ in 0..=random.below(5) {
                (codec.grammar)(random, &mut input);
            }
        } else {
            input.extend_from_slice(self.any(random));
        }
        for _ in 0..random.below(5) {
            mutate(&mut input, self.any(random), codec, random);
        }
        if random.below(LONG_INPUTS) != 0 {
            input.truncate(SHORT_INPUT_BYTES);
        }
        input
    }

    fn any(&self, random: &mut Random) -> &[u8] {
        &self.inputs[random.below(self.inputs.len() as u64) as usize]
    }

    /// Keeps an input that led to a place where none had been.
    pub(crate) fn learn(&mut self, input: Vec<u8>, places: &[u64]) {
        let before = self.places.len();
        self.places.extend(places);
        if self.places.len() == before {
            return;
        }
        if self.inputs.len() < POOL_MAX {
            self.inputs.push(input);
        } else {
            self.inputs[self.next] = input;
            self.next = (self.next + 1) % POOL_MAX;
        }
    }
}

/// All that a transcript's clients send, on whatever connection.
fn sent(transcript: &Transcript) -> Vec<u8> {
    let mut bytes = Vec::new();
    for step in &transcript.steps {
        if let Action::Send(parts) = &step.action {
            for part in parts {
                if let Part::Bytes(piece) = part {
                    bytes.extend_from_slice(piece);
                }
            }
        }
    }
    bytes
}
