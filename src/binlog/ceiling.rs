//! What must never be given out twice, kept ahead of what is given: the number of this start, and a ceiling of all
//! versions. One small file, replaced as a whole.

use std::io;
use std::sync::Arc;

use crate::base::fault::{Fault, FaultKind};
use crate::base::version::Version;

use super::disk::Disk;
use super::record::get;

/// The file's name, and the name under which it is written.
const NAME: &str = "starts";
const NEW_NAME: &str = "starts.new";

const MAGIC: [u8; 8] = *b"LARDRSTA";
const FORMAT: u32 = 1;
const BYTES: usize = 32;

/// The starts of this server.
pub struct Starts {
    disk: Arc<dyn Disk>,
    incarnation: u32,
    ceiling: Version,
}

impl Starts {
    /// Counts a start, durably. Gives its number, from 1, and the version that everything issued before is below.
    ///
    /// Fails, changing nothing, when the file is damaged or newer than this version.
    pub fn open(disk: Arc<dyn Disk>) -> Result<(Starts, u32, Version), Fault> {
        let (incarnation, ceiling) = read(&*disk)?;
        let incarnation = incarnation.checked_add(1).ok_or_else(|| {
            Fault::new(FaultKind::Unusable, "this server was started too often").at(&disk.path(NAME))
        })?;
        let starts = Starts { disk, incarnation, ceiling };
        starts.write()?;
        Ok((starts, incarnation, ceiling))
    }

    /// Makes the file in a new data directory that goes on for another server: its last start was `incarnation`, and
    /// what it issued is below `ceiling`. Durable when this returns.
    pub fn make(disk: Arc<dyn Disk>, incarnation: u32, ceiling: Version) -> Result<(), Fault> {
        Starts { disk, incarnation, ceiling }.write()
    }

    /// The last start and the ceiling, without counting a start.
    pub fn look(disk: &dyn Disk) -> Result<(u32, Version), Fault> {
        read(disk)
    }

    /// Everything issued from now on is below `ceiling`; durable when this returns. A lower one changes nothing.
    pub fn raise(&mut self, ceiling: Version) -> Result<(), Fault> {
        if ceiling <= self.ceiling {
            return Ok(());
        }
        let before = std::mem::replace(&mut self.ceiling, ceiling);
        self.write().inspect_err(|_| self.ceiling = before)
    }

    /// What everything issued must be below.
    pub fn ceiling(&self) -> Version {
        self.ceiling
    }

    fn write(&self) -> Result<(), Fault> {
        let bytes = encode(self.incarnation, self.ceiling);
        replace(&*self.disk, &bytes)
            .map_err(|error| Fault::io("cannot write the count of starts", &self.disk.path(NAME), &error))
    }
}

/// Writes the file beside the old one and puts it in its place: a crash leaves one of them.
fn replace(disk: &dyn Disk, bytes: &[u8]) -> io::Result<()> {
    match disk.remove(NEW_NAME) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let file = disk.create(NEW_NAME)?;
    file.write_all_at(bytes, 0)?;
    file.sync_data()?;
    disk.rename(NEW_NAME, NAME)?;
    disk.sync_directory()
}

fn encode(incarnation: u32, ceiling: Version) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(BYTES);
    bytes.extend_from_slice(&MAGIC);
    bytes.extend_from_slice(&FORMAT.to_le_bytes());
    bytes.extend_from_slice(&incarnation.to_le_bytes());
    bytes.extend_from_slice(&ceiling.0.to_le_bytes());
    bytes.extend_from_slice(&[0; 4]);
    let crc = crc32c::crc32c(&bytes);
    bytes.extend_from_slice(&crc.to_le_bytes());
    bytes
}

/// The last start and its ceiling; zeros when there was none.
fn read(disk: &dyn Disk) -> Result<(u32, Version), Fault> {
    let path = disk.path(NAME);
    let mut bytes = [0; BYTES + 1];
    let len = match disk.open(NAME).and_then(|file| file.read_at(&mut bytes, 0)) {
        Ok(len) => len,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok((0, Version::ZERO)),
        Err(error) => return Err(Fault::io("cannot read the count of starts", &path, &error)),
    };
    let (checked, crc) = (bytes.get(..BYTES - 4).unwrap_or(&[]), get::<4>(&bytes, BYTES - 4));
    if len != BYTES || !checked.starts_with(&MAGIC) || crc32c::crc32c(checked).to_le_bytes() != crc {
        let message = "the count of starts is damaged; restore the file from a backup";
        return Err(Fault::new(FaultKind::Corrupt, message).at(&path).offset(0));
    }
    let format = u32::from_le_bytes(get(&bytes, 8));
    if format != FORMAT {
        let message = format!("it has format {format}: written by a later version, use that one");
        return Err(Fault::new(FaultKind::Mismatch, message).at(&path));
    }
    Ok((u32::from_le_bytes(get(&bytes, 12)), Version(u64::from_le_bytes(get(&bytes, 16)))))
}
