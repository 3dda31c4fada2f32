//! Two servers of one store, of which the second has all the groups: asked through the first, every request is sent on.

use crate::peers::{self, Launch, Running};
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use tempfile::TempDir;

/// Which of the two is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    /// The one that has the groups.
    Owner,
    /// The other, which sends requests on.
    Neighbour,
}

/// Starts both; the one that is asked has the other for company.
pub(crate) fn start(launch: &Launch<'_>, asked: Asked) -> io::Result<(Running, TempDir)> {
    let plan = tempfile::Builder::new().prefix("larder-bench-").tempdir_in(launch.data_root)?;
    let (map, secret) = (plan.path().join("cluster.toml"), plan.path().join("secret"));
    fs::write(&map, map_text(peers::free_port()?, peers::free_port()?))?;
    fs::write(&secret, "what the two of them know and nobody else needs to\n")?;
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o600))?;
    let owner = start_one(launch, &map, &secret, "2")?;
    let neighbour = start_one(launch, &map, &secret, "1")?;
    let (mut running, company) = match asked {
        Asked::Owner => (owner, neighbour),
        Asked::Neighbour => (neighbour, owner),
    };
    running.company = Some(Box::new(company));
    Ok((running, plan))
}

fn start_one(launch: &Launch<'_>, map: &Path, secret: &Path, id: &str) -> io::Result<Running> {
    let (map, secret) = (map.to_string_lossy(), secret.to_string_lossy());
    let membership = ["--cluster", &map, "--server-id", id, "--peer-secret-file", &secret];
    peers::start(&Launch { flags: &[launch.flags, &membership].concat(), ..*launch })
}

/// The clients' addresses are told to clients only: both servers listen where their flags say.
fn map_text(first_peer: u16, second_peer: u16) -> String {
    let server = |id: u8, peer: u16| {
        format!("[[server]]\nid = {id}\nclient = \"127.0.0.1:{id}\"\npeer = \"127.0.0.1:{peer}\"\n\n")
    };
    format!(
        "version = 1\ncluster = \"bench\"\ngroups = 64\nhash = \"larder\"\nhash-tag = \"braces\"\n\n{}{}\
         [[range]]\ngroups = \"0-63\"\nservers = [2]\n",
        server(1, first_peer),
        server(2, second_peer),
    )
}
