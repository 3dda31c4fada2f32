//! The admin port of a server, if it has one.

use std::sync::Arc;

use super::patience::patiently;
use crate::admin::{Admin, Pulse};
use crate::base::fault::Fault;
use crate::config::Config;

/// Opens it, and says where.
pub(super) fn open(config: &Config, pulse: &Arc<Pulse>) -> Result<Option<Admin>, Fault> {
    let Some(wanted) = &config.admin else { return Ok(None) };
    let open = || Admin::open(wanted.address, wanted.token_file.as_deref(), Arc::clone(pulse));
    let admin = patiently(open)?;
    log::info!("admin page on http://{}/", admin.address());
    Ok(Some(admin))
}
