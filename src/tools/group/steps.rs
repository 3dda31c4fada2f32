//! Where a crash could come: each step is durable before the next, and tests end a command behind any of them.

use crate::base::fault::{Fault, FaultKind};

/// So many steps are taken; all of them unless a test says otherwise.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::tools) struct Steps(pub(in crate::tools) Option<usize>);

impl Steps {
    /// A step was taken.
    ///
    /// # Errors
    /// It was the last one that was to be taken.
    pub(super) fn took(&mut self) -> Result<(), Fault> {
        match &mut self.0 {
            Some(0) => Err(Fault::new(FaultKind::Unusable, "ended here, as was asked")),
            Some(left) => {
                *left -= 1;
                Ok(())
            }
            None => Ok(()),
        }
    }
}
