//! The rule by which keys find their groups, as options.

use std::num::NonZeroU16;

use clap::Args;

use super::Stop;
use crate::base::limits::GROUPS_MAX;
use crate::route::{Hash, HashTag, Placement};

/// Options of every command that names a rule of placement.
#[derive(Args, Debug)]
pub(super) struct Rule {
    /// Logical groups
    #[arg(long, value_name = "NUMBER", default_value_t = 64, value_parser = clap::value_parser!(u16).range(1..=GROUPS_MAX as i64))]
    groups: u16,
    /// How keys are hashed: larder or fastdht
    #[arg(long, value_name = "NAME", default_value = "larder", value_parser = ["larder", "fastdht"])]
    hash: String,
    /// Whether the text in {braces} stands for the whole key: braces or none
    #[arg(long, value_name = "NAME", default_value = "braces", value_parser = ["braces", "none"])]
    hash_tag: String,
}

impl Rule {
    /// The rule that is named; clap has looked at the words.
    pub(super) fn placement(&self) -> Result<Placement, Stop> {
        let unknown = || Stop::Usage("no such rule of placement".into());
        Ok(Placement {
            hash: Hash::from_name(&self.hash).ok_or_else(unknown)?,
            hash_tag: HashTag::from_name(&self.hash_tag).ok_or_else(unknown)?,
            group_count: NonZeroU16::new(self.groups).ok_or_else(unknown)?,
        })
    }
}
