//! A simulated disk with a volatile and a durable image, and tests of failing calls on it.

use std::collections::HashSet;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};

use redb::StorageBackend;

use super::*;

const SECTOR: usize = 512;
const BLOCK: u64 = 4096;

/// One simulated file.
#[derive(Clone, Debug, Default)]
struct Image {
    volatile: Vec<u8>,
    durable: Vec<u8>,
    /// What was not synced, in order: an offset and bytes, or a new length.
    pending: Vec<(Option<u64>, Vec<u8>, usize)>,
    /// Blocks that have space on the disk.
    blocks: HashSet<u64>,
}

impl Image {
    fn write(bytes: &mut Vec<u8>, offset: u64, data: &[u8]) {
        let at = offset as usize;
        if bytes.len() < at + data.len() {
            bytes.resize(at + data.len(), 0);
        }
        bytes[at..at + data.len()].copy_from_slice(data);
    }

    fn sync(&mut self) {
        for (offset, data, len) in std::mem::take(&mut self.pending) {
            match offset {
                Some(offset) => Image::write(&mut self.durable, offset, &data),
                None => self.durable.resize(len, 0),
            }
        }
    }

    /// What a power cut leaves: each unsynced write is there, not there, or torn at a sector.
    fn lose_power(&mut self, random: &mut Random) {
        for (offset, data, len) in std::mem::take(&mut self.pending) {
            let kept = match random.below(3) {
                0 => 0,
                1 => random.below((data.len() / SECTOR) as u64 + 1) as usize * SECTOR,
                _ => data.len(),
            };
            match offset {
                Some(offset) if kept > 0 => Image::write(&mut self.durable, offset, &data[..kept]),
                None if random.below(2) == 0 => self.durable.resize(len, 0),
                _ => {}
            }
        }
        self.volatile = self.durable.clone();
    }
}

/// What the disk does from a numbered call (write, set_len, sync, publish) on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Plan {
    Work,
    /// This and every later call fails: the process is dead.
    Die(u64),
    /// This call fails, later ones work.
    FailOnce(u64),
    /// From this call on, writes to blocks without space fail.
    Full(u64),
}

#[derive(Debug)]
struct Shared {
    published: Mutex<Option<Arc<Mutex<Image>>>>,
    unpublished: Mutex<Option<Arc<Mutex<Image>>>>,
    /// What the name stood for before a renaming that is not synced yet.
    renamed_over: Mutex<Option<Option<Arc<Mutex<Image>>>>>,
    calls: AtomicU64,
    plan: Mutex<Plan>,
}

/// A simulated disk; clones share it.
#[derive(Clone, Debug)]
pub(super) struct SimDisk(Arc<Shared>);

impl SimDisk {
    pub(super) fn new(plan: Plan) -> SimDisk {
        SimDisk(Arc::new(Shared {
            published: Mutex::new(None),
            unpublished: Mutex::new(None),
            renamed_over: Mutex::new(None),
            calls: AtomicU64::new(0),
            plan: Mutex::new(plan),
        }))
    }

    pub(super) fn set_plan(&self, plan: Plan) {
        *self.0.plan.lock() = plan;
    }

    pub(super) fn calls(&self) -> u64 {
        self.0.calls.load(Ordering::SeqCst)
    }

    /// Whether a file is there that was made and not published.
    pub(super) fn has_unpublished(&self) -> bool {
        self.0.unpublished.lock().is_some()
    }

    pub(super) fn open_store(&self) -> Result<Store, Fault> {
        Store::open_on(Box::new(self.clone()), IDENTITY, OPTIONS)
    }

    /// The disk after the process died: with everything that it wrote, or after a power cut too.
    pub(super) fn after_death(&self, power_cut: Option<&mut Random>) -> SimDisk {
        let disk = SimDisk::new(Plan::Work);
        let mut image = self.0.published.lock().as_ref().map(|image| image.lock().clone());
        let mut power_cut = power_cut;
        if let (Some(before), Some(random)) = (&*self.0.renamed_over.lock(), &mut power_cut)
            && random.below(2) == 0
        {
            image = before.as_ref().map(|image| image.lock().clone());
        }
        if let (Some(image), Some(random)) = (&mut image, power_cut) {
            image.lose_power(random);
        }
        *disk.0.published.lock() = image.map(|image| Arc::new(Mutex::new(image)));
        disk
    }

    /// The bytes of the published file.
    pub(super) fn bytes(&self) -> Vec<u8> {
        self.0.published.lock().as_ref().map(|image| image.lock().volatile.clone()).unwrap_or_default()
    }

    pub(super) fn with_bytes(bytes: Vec<u8>) -> SimDisk {
        let disk = SimDisk::new(Plan::Work);
        let image = Image { volatile: bytes.clone(), durable: bytes, ..Image::default() };
        *disk.0.published.lock() = Some(Arc::new(Mutex::new(image)));
        disk
    }

    fn call(&self) -> io::Result<u64> {
        let call = self.0.calls.fetch_add(1, Ordering::SeqCst);
        let fails = match *self.0.plan.lock() {
            Plan::Die(at) => call >= at,
            Plan::FailOnce(at) => call == at,
            Plan::Work | Plan::Full(_) => false,
        };
        if fails { Err(io::Error::other("simulated failure")) } else { Ok(call) }
    }
}

impl Disk for SimDisk {
    fn path(&self) -> &Path {
        Path::new("simulated.redb")
    }

    fn exists(&self) -> io::Result<bool> {
        Ok(self.0.published.lock().is_some())
    }

    fn open(&self) -> io::Result<Box<dyn StorageBackend>> {
        let image = self.0.published.lock().clone().ok_or(io::ErrorKind::NotFound)?;
        Ok(Box::new(SimFile { disk: self.clone(), image }))
    }

    fn create(&self) -> io::Result<Box<dyn StorageBackend>> {
        let image = Arc::new(Mutex::new(Image::default()));
        *self.0.unpublished.lock() = Some(Arc::clone(&image));
        Ok(Box::new(SimFile { disk: self.clone(), image }))
    }

    fn publish(&self) -> io::Result<()> {
        self.call()?;
        let made = self.0.unpublished.lock().take().ok_or(io::ErrorKind::NotFound)?;
        let before = self.0.published.lock().replace(made);
        *self.0.renamed_over.lock() = Some(before);
        self.call()?;
        *self.0.renamed_over.lock() = None;
        Ok(())
    }

    fn discard(&self) -> io::Result<()> {
        *self.0.unpublished.lock() = None;
        Ok(())
    }

    fn space(&self) -> io::Result<(u64, u64)> {
        Ok((self.bytes().len() as u64, self.bytes().len() as u64))
    }
}

#[derive(Debug)]
struct SimFile {
    disk: SimDisk,
    image: Arc<Mutex<Image>>,
}

impl StorageBackend for SimFile {
    fn len(&self) -> io::Result<u64> {
        Ok(self.image.lock().volatile.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let image = self.image.lock();
        let end = usize::try_from(offset).ok().and_then(|start| start.checked_add(out.len()));
        let found = end.and_then(|end| image.volatile.get(offset as usize..end));
        out.copy_from_slice(found.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.disk.call()?;
        let mut image = self.image.lock();
        image.volatile.resize(len as usize, 0);
        image.pending.push((None, Vec::new(), len as usize));
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        self.disk.call()?;
        self.image.lock().sync();
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let call = self.disk.call()?;
        let mut image = self.image.lock();
        let blocks = offset / BLOCK..(offset + data.len() as u64).div_ceil(BLOCK);
        let full = matches!(*self.disk.0.plan.lock(), Plan::Full(at) if call >= at);
        if full && !blocks.clone().all(|block| image.blocks.contains(&block)) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        image.blocks.extend(blocks);
        Image::write(&mut image.volatile, offset, data);
        image.pending.push((Some(offset), data.to_vec(), 0));
        Ok(())
    }
}

/// Chunks for a disk to fail in: small and large values, overwriting and removing, and the contents after each.
pub(super) struct Script {
    pub(super) chunks: Vec<Vec<(String, Option<Kept>)>>,
    pub(super) contents: Vec<std::collections::BTreeMap<Vec<u8>, Kept>>,
}

impl Script {
    pub(super) fn new(chunks: usize) -> Script {
        Script::of(chunks, 25, &[10, 100, 2100, 5000, 70_000])
    }

    /// Few rows of every kind, for a disk that fails at every call of something long.
    pub(super) fn brief(chunks: usize) -> Script {
        Script::of(chunks, 12, &[10, 100, 2100, 9000])
    }

    /// Many small rows, so that most of the file is the tree itself.
    pub(super) fn small(chunks: usize) -> Script {
        Script::of(chunks, 400, &[1, 3])
    }

    fn of(chunks: usize, changes: usize, sizes: &[usize]) -> Script {
        let mut random = Random(77);
        let mut script = Script { chunks: Vec::new(), contents: vec![Default::default()] };
        for number in 1..=chunks {
            let mut chunk = std::collections::BTreeMap::new();
            for _ in 0..changes {
                let size = sizes[random.below(sizes.len() as u64) as usize];
                let kept =
                    Kept::new(vec![number as u8; size], number as u64).until(random.below(2000) as u32);
                chunk.insert(
                    format!("k{}", random.below(changes as u64 * 2 - 10)),
                    (random.below(4) != 0).then_some(kept),
                );
            }
            let mut after = script.contents.last().unwrap().clone();
            for (key, kept) in &chunk {
                match kept {
                    Some(kept) => after.insert(key.clone().into_bytes(), kept.clone()),
                    None => after.remove(key.as_bytes()),
                };
            }
            script.chunks.push(chunk.into_iter().collect());
            script.contents.push(after);
        }
        script
    }

    /// Commits chunk `number`, counted from 1, whose LSN is its number.
    pub(super) fn commit(&self, store: &Store, number: usize) -> Result<Committed, Fault> {
        let changes: Vec<RowChange<'_>> = self.chunks[number - 1]
            .iter()
            .map(|(key, kept)| match kept {
                Some(kept) => put(key, kept),
                None => RowChange::Remove { key: key.as_bytes() },
            })
            .collect();
        store.commit(&changes, end(number as u64))
    }
}

/// Readers on other threads while chunks are committed: always one whole chunk or another, also across the moment when
/// the kept snapshot is given up.
#[test]
fn readers_see_whole_chunks_while_others_are_committed() {
    let disk = SimDisk::new(Plan::Work);
    let store = disk.open_store().unwrap();
    let keys: Vec<String> = (0..20).map(|n| format!("k{n:02}")).collect();
    let commit = |version: u64| {
        let kept = Kept::new(vec![version as u8; 3000], version);
        let changes: Vec<RowChange<'_>> = keys.iter().map(|key| put(key, &kept)).collect();
        store.commit(&changes, end(version)).unwrap();
    };
    commit(1);
    let done = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let mut last = 0;
                while !done.load(Ordering::SeqCst) {
                    let versions: Vec<u64> = one_scan(&store);
                    assert_eq!(versions, vec![versions[0]; 20], "half a chunk");
                    assert!(versions[0] >= last, "back in time");
                    last = versions[0];
                    // The state is renewed when the commit returns, at most one behind.
                    assert!(store.state().applied_lsn.0 + 1 >= last);
                    let mut buffer = RowBuffer::default();
                    assert!(store.read(b"k07", &mut buffer).unwrap().unwrap().version.0 >= last);
                }
            });
        }
        (2..200).for_each(commit);
        done.store(true, Ordering::SeqCst);
    });
}

fn one_scan(store: &Store) -> Vec<u64> {
    let mut versions = Vec::new();
    let limits = ScanLimits { items: 1000, bytes: usize::MAX };
    let mut buffer = RowBuffer::default();
    let scanned = store.scan(Bound::Unbounded, limits, &mut buffer, |_, item| {
        versions.extend(item.map(|item| item.version.0));
        true
    });
    scanned.unwrap();
    versions
}

/// Three commits, and how many calls of the disk they take where none fails.
fn three_commits() -> (Script, u64) {
    let script = Script::new(3);
    let disk = SimDisk::new(Plan::Work);
    let store = disk.open_store().unwrap();
    for number in 1..=3 {
        script.commit(&store, number).unwrap();
    }
    (script, disk.calls())
}

/// A failed call stops writes with its fault; what was committed is read on, and is there after a restart.
#[test]
fn a_failed_call_freezes_writes_and_reads_go_on() {
    let (script, calls) = three_commits();
    let mut frozen = 0;
    for at in 0..calls {
        let disk = SimDisk::new(Plan::FailOnce(at));
        let store = disk.open_store().unwrap();
        let mut done = 0;
        for number in 1..=3 {
            match script.commit(&store, number) {
                Ok(committed) => {
                    assert_eq!(committed.state.applied_lsn.0, number as u64);
                    done = number;
                }
                Err(fault) => {
                    assert_eq!(fault.kind, FaultKind::Io, "{fault}");
                    frozen += 1;
                    let again = script.commit(&store, number).unwrap_err();
                    assert_eq!(again.kind, FaultKind::Io, "{again}");
                    break;
                }
            }
        }
        let found = contents(&store);
        let lsn = store.state().applied_lsn.0 as usize;
        assert!(lsn == done || lsn == done + 1, "call {at}: {lsn} after {done}");
        assert_eq!(found, script.contents[lsn], "call {at}");
        drop(store);
        let store = disk.open_store().unwrap();
        assert_eq!(store.state().applied_lsn.0 as usize, lsn, "call {at}");
        assert_eq!(contents(&store), script.contents[lsn], "call {at}");
    }
    println!("{calls} calls, {frozen} of them stopped writes");
    assert!(frozen > 20);
}

/// A full disk fails the commit and nothing else; with room again the same commit succeeds.
#[test]
fn a_full_disk_passes() {
    let (script, calls) = three_commits();
    let mut refused = 0;
    for at in 0..calls {
        let disk = SimDisk::new(Plan::Full(at));
        let store = disk.open_store().unwrap();
        for number in 1..=3 {
            if let Err(fault) = script.commit(&store, number) {
                refused += 1;
                assert_eq!(fault.kind, FaultKind::DiskFull, "call {at}: {fault}");
                assert!(store.frozen().is_none());
                assert_eq!(contents(&store), script.contents[number - 1], "call {at}: reads go on");
                assert_eq!(script.commit(&store, number).unwrap_err().kind, FaultKind::DiskFull);
                disk.set_plan(Plan::Work);
                script.commit(&store, number).unwrap();
            }
            assert_eq!(contents(&store), script.contents[number], "call {at}");
        }
    }
    println!("{calls} calls, {refused} of them found the disk full");
    assert!(refused > 20);
}
