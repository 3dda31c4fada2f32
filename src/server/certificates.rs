//! The certificates: read at the start, on SIGHUP and by `refresh_certs`, from the files that `-o` names.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::sync::atomic::Ordering;
use std::sync::{Arc, OnceLock};

use parking_lot::Mutex;

use crate::base::fault::{Fault, FaultKind};
use crate::base::limits::CERTIFICATE_BYTES_MAX;
use crate::base::time::Clock;
use crate::base::tls::{PeerCerts, TlsCounts};
use crate::config::{Config, Tls};
use crate::net::{Dialer, Door, door::NameOf};
use crate::tls::{Acceptor, Connector, Identity, Part, Refusal, Rules};

/// Everything that is made of the files.
pub(super) struct Certificates {
    tls: Tls,
    clock: Arc<dyn Clock>,
    pub(super) counts: Arc<TlsCounts>,
    /// Where clients come in, by what is asked of them.
    doors: BTreeMap<u8, Arc<Door>>,
    /// Where other servers come in.
    pub(super) peer_door: Option<Arc<Door>>,
    dialer: OnceLock<Arc<Dialer>>,
    /// One renewal at a time.
    renewal: Mutex<()>,
}

/// The files' content at one moment.
struct Content {
    chain: Vec<u8>,
    key: Vec<u8>,
    ca: Option<Vec<u8>>,
}

/// What could not be read or used, and the file.
struct Problem<'a> {
    part: Part,
    path: &'a Path,
    why: String,
}

/// All three kinds of doors.
const KINDS: [PeerCerts; 3] = [PeerCerts::Unasked, PeerCerts::Welcome, PeerCerts::Required];

impl Certificates {
    /// Reads and checks them, if there is anything to be used for.
    ///
    /// # Errors
    /// The file that cannot be used, and why.
    pub(super) fn read(config: &Config, clock: &Arc<dyn Clock>) -> Result<Option<Arc<Certificates>>, Fault> {
        let Some(tls) = &config.network.tls else { return Ok(None) };
        let counts: Arc<TlsCounts> = Arc::default();
        let made = read_files(tls).and_then(|content| {
            let mut doors = BTreeMap::new();
            for kind in KINDS.into_iter().filter(|kind| tls.clients && can_ask(tls, *kind)) {
                doors.insert(kind as u8, Door::new(acceptor(tls, &content, kind, Some(&counts))?));
            }
            let peer_door =
                tls.peers.then(|| acceptor(tls, &content, PeerCerts::Required, None)).transpose()?;
            Ok((doors, peer_door.map(Door::new)))
        });
        let (doors, peer_door) = made.map_err(|problem| {
            Fault::new(FaultKind::Unusable, format!("TLS: {}", problem.told())).at(problem.path)
        })?;
        counts.refreshed_s.store(clock.now().seconds(), Ordering::Relaxed);
        Ok(Some(Arc::new(Certificates {
            tls: tls.clone(),
            clock: Arc::clone(clock),
            counts,
            doors,
            peer_door,
            dialer: OnceLock::new(),
            renewal: Mutex::new(()),
        })))
    }

    /// Where clients come in of whom this is asked.
    pub(super) fn door(&self, peer_certs: PeerCerts) -> Option<&Arc<Door>> {
        self.doors.get(&(peer_certs as u8))
    }

    /// How the other servers are reached by TLS, if they are.
    ///
    /// # Errors
    /// As [`Certificates::read`].
    pub(super) fn dialer(&self, name_of: NameOf) -> Result<Option<Arc<Dialer>>, Fault> {
        if !self.tls.peers {
            return Ok(None);
        }
        let made = read_files(&self.tls).and_then(|content| connector(&self.tls, &content));
        let connector = made.map_err(|problem| {
            Fault::new(FaultKind::Unusable, format!("TLS: {}", problem.told())).at(problem.path)
        })?;
        let dialer = self.dialer.get_or_init(|| Dialer::new(connector, name_of));
        Ok(Some(Arc::clone(dialer)))
    }

    /// Reads the files again: all of it counts for new connections, or nothing.
    ///
    /// # Errors
    /// What is wrong, as a client is told.
    pub(super) fn refresh(&self) -> Result<(), String> {
        let _alone = self.renewal.lock();
        self.renew().map_err(|problem| {
            let text = problem.answer();
            log::error!("the certificates stay as they were: {text}");
            text
        })?;
        self.counts.refreshed_s.store(self.clock.now().seconds(), Ordering::Relaxed);
        log::info!("the certificates were read again");
        Ok(())
    }

    fn renew(&self) -> Result<(), Problem<'_>> {
        let content = read_files(&self.tls)?;
        let mut renewed = Vec::new();
        for kind in KINDS {
            if let Some(door) = self.door(kind) {
                renewed.push((door, acceptor(&self.tls, &content, kind, Some(&self.counts))?));
            }
        }
        if let Some(door) = &self.peer_door {
            renewed.push((door, acceptor(&self.tls, &content, PeerCerts::Required, None)?));
        }
        if let Some(dialer) = self.dialer.get() {
            dialer.renew(connector(&self.tls, &content)?);
        }
        renewed.into_iter().for_each(|(door, acceptor)| door.renew(acceptor));
        Ok(())
    }
}

impl Problem<'_> {
    /// In the words of an answer, which memcached's clients know.
    fn answer(&self) -> String {
        let path = self.path.display();
        match self.part {
            Part::Chain => format!("Error loading the certificate chain: {path} : {}", self.why),
            Part::Key => format!("Error loading the key: {path} : {}", self.why),
            Part::Ca => format!("Error loading the CA certificate: {path} : {}", self.why),
            Part::Pair => format!("Error validating the certificate: {}", self.why),
        }
    }

    /// In words for who starts the server: the file is named beside them.
    fn told(&self) -> String {
        Refusal { part: self.part, why: self.why.clone() }.to_string()
    }
}

/// Certificates can be asked for only by who knows a CA.
fn can_ask(tls: &Tls, kind: PeerCerts) -> bool {
    kind == PeerCerts::Unasked || tls.ca.is_some()
}

fn read_files(tls: &Tls) -> Result<Content, Problem<'_>> {
    let ca = tls.ca.as_deref().map(|path| read_file(Part::Ca, path));
    Ok(Content {
        chain: read_file(Part::Chain, &tls.chain)?,
        key: read_file(Part::Key, &tls.key)?,
        ca: ca.transpose()?,
    })
}

fn read_file(part: Part, path: &Path) -> Result<Vec<u8>, Problem<'_>> {
    let mut content = Vec::new();
    let limit = CERTIFICATE_BYTES_MAX as u64;
    File::open(path)
        .and_then(|file| file.take(limit).read_to_end(&mut content))
        .map_err(|error| Problem { part, path, why: error.to_string() })?;
    Ok(content)
}

fn identity<'c>(tls: &Tls, content: &'c Content) -> Identity<'c> {
    Identity { chain: &content.chain, key: &content.key, key_is_der: tls.key_is_der }
}

fn acceptor<'t>(
    tls: &'t Tls,
    content: &Content,
    peer_certs: PeerCerts,
    counts: Option<&Arc<TlsCounts>>,
) -> Result<Acceptor, Problem<'t>> {
    let rules = Rules {
        peer_certs,
        only_tls13: tls.only_tls13,
        keeps_sessions: tls.keeps_sessions && counts.is_some(),
        write_bytes: tls.write_bytes,
    };
    Acceptor::new(identity(tls, content), content.ca.as_deref(), rules, counts.cloned())
        .map_err(|refusal| at(tls, refusal))
}

fn connector<'t>(tls: &'t Tls, content: &Content) -> Result<Connector, Problem<'t>> {
    let ca = content.ca.as_deref().unwrap_or_default();
    Connector::new(ca, Some(identity(tls, content))).map_err(|refusal| at(tls, refusal))
}

/// The file that a refusal is about.
fn at(tls: &Tls, Refusal { part, why }: Refusal) -> Problem<'_> {
    let path = match part {
        Part::Chain | Part::Pair => &tls.chain,
        Part::Key => &tls.key,
        Part::Ca => tls.ca.as_ref().unwrap_or(&tls.chain),
    };
    Problem { part, path, why }
}
