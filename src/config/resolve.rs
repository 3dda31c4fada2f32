//! Flags into a valid [`Config`].

use std::num::NonZeroU16;
use std::path::{Path, PathBuf};

use super::workings::Others;
use super::{
    Allow, ClusterChoice, Config, Data, Flags, Fsync, Keep, Listen, ListenAddr, Machine, Memory, Network,
    PlacementChoice, Prefixes, Process, Protocol, Tls, UnixSocket, admin_port, extended, listen, number, tls,
};
use crate::base::limits;
use crate::base::space::{DiskLimit, OnFull};
use crate::route::topology::ServerId;
use crate::route::{Hash, HashTag};

const PORT_DEFAULT: u16 = 11211;
const UNIX_MODE_DEFAULT: u32 = 0o700;
const DATA_DIR_DEFAULT: &str = "larder-data";
/// What memcached gives the smallest items for key, value and flags; only to judge what is said of slabs.
const SLAB_ITEM_BYTES_DEFAULT: u64 = 48;
const DELIMITER_DEFAULT: u8 = b':';
const VERBOSITY_MAX: u8 = 3;
const BYTES_PER_MB: u64 = 1024 * 1024;

/// Checks and types everything.
pub(super) fn resolve(flags: Flags, machine: &Machine) -> Result<Config, String> {
    let extended = extended::read(&flags.extended)?;
    let mut notes = extended.notes;
    let tls = tls::resolve(extended.tls, &flags, machine, &mut notes)?;
    let network = network(&flags, extended.idle_timeout_s, tls, machine)?;
    let memory = memory(&flags)?;
    extended.workings.agree(Others {
        item_bytes_min: slabs(&flags)?,
        item_bytes_max: memory.item_bytes_max as u64,
        threads: threads_there(&flags, network.threads),
        has_maintainer: extended.shown.maintainer,
    })?;
    let keep = keep(&flags, machine)?;
    notes.extend(without_effect(&flags, &network, &keep));
    Ok(Config {
        network,
        memory,
        keep,
        placement: placement(&flags)?,
        cluster: cluster(&flags, machine)?,
        prefixes: prefixes(&flags)?,
        shown: extended.shown,
        allow: allow(&flags, machine)?,
        admin: admin_port::admin(&flags, machine)?,
        process: process(&flags, machine)?,
        notes,
    })
}

/// What is said of slabs, which there are none of: refused where memcached refuses it. The smallest item, bytes.
fn slabs(flags: &Flags) -> Result<u64, String> {
    if let Some(text) = flags.slab_growth_factor.as_deref() {
        number::decimal("-f", text, 1.0, f64::INFINITY)?;
    }
    let sizes = 1..=i32::MAX as u64;
    number::within_or("-n", flags.slab_min_size.as_deref(), sizes, SLAB_ITEM_BYTES_DEFAULT)
}

/// Workers that memcached would have: without `-t` it does not count cores.
fn threads_there(flags: &Flags, threads: usize) -> usize {
    if flags.threads.is_some() { threads } else { limits::THREADS_DEFAULT_MAX }
}

fn network(
    flags: &Flags,
    idle_timeout_s: Option<u32>,
    tls: Option<Tls>,
    machine: &Machine,
) -> Result<Network, String> {
    let listen = tcp(flags, tls.as_ref())?;
    let by_default = limits::THREADS_DEFAULT_MAX.min(machine.cores).max(1);
    let threads = count("-t", flags.threads.as_deref(), limits::THREADS_MAX, by_default)?;
    count("-N", flags.napi_ids.as_deref(), threads_there(flags, threads), 1)?;
    Ok(Network {
        listen,
        datagrams: udp(flags, tls.as_ref())?,
        unix_socket: unix_socket(flags, machine)?,
        backlog: count(
            "-b",
            flags.listen_backlog.as_deref(),
            i32::MAX as usize,
            limits::BACKLOG_DEFAULT as usize,
        )? as u32,
        threads,
        connections_max: count(
            "-c",
            flags.conn_limit.as_deref(),
            limits::CONNECTIONS_MAX,
            limits::CONNECTIONS_DEFAULT,
        )?,
        turn_requests: count(
            "-R",
            flags.max_reqs_per_event.as_deref(),
            i32::MAX as usize,
            limits::TURN_REQUESTS_DEFAULT,
        )?,
        idle_timeout_s,
        port_file: machine.port_file.as_deref().map(|path| absolute(path, machine)),
        tls,
    })
}

/// A number from 1 to `most`.
fn count(flag: &str, text: Option<&str>, most: usize, default: usize) -> Result<usize, String> {
    number::within_or(flag, text, 1..=most as u64, default as u64).map(|number| number as usize)
}

/// TCP addresses: none with a unix socket or port 0, but what is written is checked all the same. Whoever names only a UDP
/// port means both, as in memcached.
fn tcp(flags: &Flags, tls: Option<&Tls>) -> Result<Vec<Listen>, String> {
    let both = flags.udp_port.as_deref().map_or(Ok(None), |text| port("-U", text))?;
    let named = flags.port.as_deref().map(|text| port("-p", text)).transpose()?;
    let port = named.unwrap_or(both.or(Some(PORT_DEFAULT)));
    let by_default = tls.and_then(Tls::for_clients);
    let listen = listen::addresses(&flags.listen, port.unwrap_or(0), by_default)?;
    if let Some(tls) = tls {
        tls.refuse_certs_without_ca(&listen)?;
    }
    Ok(if port.is_some() && flags.unix_socket.is_none() { listen } else { Vec::new() })
}

/// UDP addresses: those of `-l` where a UDP port is asked for. Who must say his name over TCP, or hide what he says, must
/// not get around it.
fn udp(flags: &Flags, tls: Option<&Tls>) -> Result<Vec<ListenAddr>, String> {
    let Some(port) = flags.udp_port.as_deref().map_or(Ok(None), |text| port("-U", text))? else {
        return Ok(Vec::new());
    };
    if flags.enable_sasl || flags.auth_file.is_some() {
        return Err("-U: datagrams cannot authenticate; leave out -U, or -Y and -S".into());
    }
    if tls.and_then(Tls::for_clients).is_some() {
        return Err("-U: datagrams are not encrypted; leave out -U or -Z".into());
    }
    let listen = listen::addresses(&flags.listen, port, None)?;
    let addresses = listen.into_iter().map(|listen| listen.address).collect();
    Ok(if flags.unix_socket.is_none() { addresses } else { Vec::new() })
}

/// What `-p` or `-U` says: `None` for none, 0 for a free port.
fn port(flag: &str, text: &str) -> Result<Option<u16>, String> {
    if text == "-1" {
        return Ok(Some(0));
    }
    let port = number::digits(text).and_then(|number| u16::try_from(number).ok());
    let port = port.ok_or_else(|| {
        let name = if flag == "-p" { "TCP" } else { "UDP" };
        format!("{flag} {text}: not a port; write 1 to 65535, 0 for no {name} or -1 for any free port")
    })?;
    Ok(Some(port).filter(|port| *port != 0))
}

fn unix_socket(flags: &Flags, machine: &Machine) -> Result<Option<UnixSocket>, String> {
    let mode = match flags.unix_mask.as_deref() {
        None => UNIX_MODE_DEFAULT,
        Some(text) => u32::from_str_radix(text, 8)
            .ok()
            .filter(|mode| *mode <= 0o777 && !text.starts_with('+'))
            .ok_or_else(|| format!("-a {text}: write permissions in octal, 0 to 777"))?,
    };
    let Some(path) = flags.unix_socket.as_deref() else { return Ok(None) };
    let path = if flags.daemon { absolute(path, machine) } else { path.to_path_buf() };
    Ok(Some(UnixSocket { path, mode }))
}

fn memory(flags: &Flags) -> Result<Memory, String> {
    let megabytes = number::within_or(
        "-m",
        flags.memory_limit.as_deref(),
        1..=limits::MEMORY_MB_MAX,
        limits::MEMORY_MB_DEFAULT,
    )
    .map_err(|refusal| refusal + ", in megabytes")?;
    let bytes = megabytes * BYTES_PER_MB;
    let item_bytes_max = item_bytes_max(flags.max_item_size.as_deref(), bytes)?;
    Ok(Memory { bytes, item_bytes_max, evict: !flags.disable_evictions })
}

fn item_bytes_max(text: Option<&str>, memory_bytes: u64) -> Result<usize, String> {
    let shown = text.unwrap_or("1m (the default)");
    let bytes = match text {
        None => limits::ITEM_BYTES_DEFAULT as u64,
        Some(text) => number::size(text).ok_or_else(|| {
            format!("-I {text}: not a size; write bytes, or a number with k or m, such as 2m")
        })?,
    };
    if bytes < limits::ITEM_BYTES_MIN as u64 {
        return Err(format!(
            "-I {shown}: the item size limit cannot be less than 1024 bytes; write 1k or more"
        ));
    }
    if bytes > limits::ITEM_BYTES_MAX as u64 {
        return Err(format!(
            "-I {shown}: the item size limit cannot be more than a gigabyte; write 1024m or less"
        ));
    }
    if bytes > memory_bytes / 2 {
        let needed = (bytes * 2).div_ceil(BYTES_PER_MB);
        return Err(format!(
            "-I {shown}: the item size limit cannot be more than half of the memory limit; \
             write -m {needed} or more, or a smaller -I"
        ));
    }
    Ok(bytes as usize)
}

fn keep(flags: &Flags, machine: &Machine) -> Result<Keep, String> {
    if flags.memory_only {
        let contradiction = [
            ("--data-dir", flags.data_dir.is_some()),
            ("--fsync", flags.fsync.is_some()),
            ("--log-size", flags.log_size.is_some()),
            ("--archive", flags.archive.is_some()),
            ("--disk-limit", flags.disk_limit.is_some()),
            ("--on-full", flags.on_full.is_some()),
        ];
        return match contradiction.iter().find(|(_, given)| *given) {
            Some((flag, _)) => {
                Err(format!("--memory-only keeps nothing, {flag} says how to: leave out one of them"))
            }
            None => Ok(Keep::Nothing),
        };
    }
    let dir = flags.data_dir.as_deref().unwrap_or(Path::new(DATA_DIR_DEFAULT));
    let log_bytes = flags.log_size.as_deref().map(log_bytes).transpose()?;
    let archive = flags.archive.as_deref().map(|path| absolute(path, machine));
    let fsync = fsync(flags.fsync.as_deref())?;
    let disk_limit = disk_limit(flags.disk_limit.as_deref())?;
    let on_full = on_full(flags.on_full.as_deref())?;
    Ok(Keep::Data(Data { dir: absolute(dir, machine), fsync, log_bytes, disk_limit, on_full, archive }))
}

fn fsync(text: Option<&str>) -> Result<Fsync, String> {
    match text {
        None => Ok(Fsync::default()),
        Some("always") => Ok(Fsync::Always),
        Some("everysec") => Ok(Fsync::EverySecond),
        Some("never") => Ok(Fsync::Never),
        Some(text) => Err(format!("--fsync {text}: no such level; write always, everysec or never")),
    }
}

fn disk_limit(text: Option<&str>) -> Result<DiskLimit, String> {
    let Some(text) = text else { return Ok(DiskLimit::Percent(limits::DISK_PERCENT_DEFAULT)) };
    let limit = match text.strip_suffix('%') {
        Some(percent) => number::digits(percent)
            .filter(|percent| (1..=100).contains(percent))
            .map(|percent| DiskLimit::Percent(percent as u8)),
        None => number::size(text).map(DiskLimit::Bytes),
    };
    limit.ok_or_else(|| {
        format!("--disk-limit {text}: write a size such as 20g, or a part of the file system, 1% to 100%")
    })
}

fn on_full(text: Option<&str>) -> Result<OnFull, String> {
    match text {
        None => Ok(OnFull::default()),
        Some("refuse") => Ok(OnFull::Refuse),
        Some("evict") => Ok(OnFull::Evict),
        Some(text) => Err(format!("--on-full {text}: no such answer; write refuse or evict")),
    }
}

fn log_bytes(text: &str) -> Result<u64, String> {
    let range = limits::LOG_BYTES_MIN..=limits::LOG_BYTES_MAX;
    number::size(text).filter(|bytes| range.contains(bytes)).ok_or_else(|| {
        let (least, most) = (limits::LOG_BYTES_MIN >> 20, limits::LOG_BYTES_MAX >> 30);
        format!("--log-size {text}: write a size from {least}m to {most}g, such as 512m")
    })
}

fn placement(flags: &Flags) -> Result<PlacementChoice, String> {
    let groups = flags.groups.as_deref();
    let groups = groups.map(|text| number::within("--groups", text, 1..=u64::from(limits::GROUPS_MAX)));
    let hash = flags.hash.as_deref().map(|name| {
        Hash::from_name(name).ok_or_else(|| format!("--hash {name}: no such hash; write larder or fastdht"))
    });
    let hash_tag = flags.hash_tag.as_deref().map(|name| {
        HashTag::from_name(name)
            .ok_or_else(|| format!("--hash-tag {name}: no such rule; write braces or none"))
    });
    Ok(PlacementChoice {
        group_count: groups.transpose()?.and_then(|count| NonZeroU16::new(count as u16)),
        hash: hash.transpose()?,
        hash_tag: hash_tag.transpose()?,
    })
}

fn cluster(flags: &Flags, machine: &Machine) -> Result<Option<ClusterChoice>, String> {
    let id = flags.server_id.as_deref();
    let (file, id, secret_file) = match (&flags.cluster, id, &flags.peer_secret_file) {
        (None, None, None) => return Ok(None),
        (Some(file), Some(id), Some(secret_file)) => (file, id, secret_file),
        (None, ..) => return Err("--server-id and --peer-secret-file: write --cluster FILE too".into()),
        (_, None, _) => {
            return Err("--cluster: which of its servers is this? write --server-id NUM too".into());
        }
        (.., None) => {
            return Err("--cluster: write --peer-secret-file FILE too, the same on every server".into());
        }
    };
    let server_id = number::digits(id).and_then(ServerId::new).ok_or_else(|| {
        format!("--server-id {id}: write a server of the map, 1 to {}", limits::SERVER_ID_MAX)
    })?;
    let listens_by_map = flags.port.is_none() && flags.listen.is_empty() && flags.unix_socket.is_none();
    let (file, secret_file) = (absolute(file, machine), absolute(secret_file, machine));
    Ok(Some(ClusterChoice { file, server_id, secret_file, listens_by_map }))
}

fn prefixes(flags: &Flags) -> Result<Prefixes, String> {
    match flags.delimiter.as_deref().map(str::as_bytes) {
        None => Ok(Prefixes { delimiter: DELIMITER_DEFAULT, counted: false }),
        Some([delimiter]) => Ok(Prefixes { delimiter: *delimiter, counted: true }),
        Some(text) => {
            Err(format!("-D {}: write one ASCII character, such as -D :", String::from_utf8_lossy(text)))
        }
    }
}

/// Which protocols are spoken. Names and passwords are a matter of each: who may not come in by one is not let in by the
/// other.
fn protocol(flags: &Flags, machine: &Machine) -> Result<Protocol, String> {
    let asked = match flags.protocol.as_deref() {
        None | Some("auto") => Protocol::Auto,
        Some("ascii") => Protocol::Ascii,
        Some("binary") => Protocol::Binary,
        Some(name) => return Err(format!("-B {name}: no such protocol; write auto, ascii or binary")),
    };
    match (flags.enable_sasl, flags.auth_file.is_some(), asked) {
        (true, _, Protocol::Ascii) => {
            Err("-S: SASL belongs to the binary protocol; write -B auto or -B binary".into())
        }
        (true, false, _) if machine.sasl_file.is_none() => {
            Err("-S: there are no users; write -Y FILE too, with lines of the form user:password".into())
        }
        (true, false, _) => Ok(Protocol::Binary),
        (false, true, _) if !matches!(flags.protocol.as_deref(), None | Some("ascii")) => {
            Err("-Y: clients of the binary protocol authenticate by SASL; write -S too, or -B ascii".into())
        }
        (false, true, _) => Ok(Protocol::Ascii),
        (true, true, _) | (false, false, _) => Ok(asked),
    }
}

fn allow(flags: &Flags, machine: &Machine) -> Result<Allow, String> {
    let sasl_file = machine.sasl_file.as_deref().filter(|_| flags.enable_sasl);
    Ok(Allow {
        protocol: protocol(flags, machine)?,
        sasl: flags.enable_sasl,
        flush: !flags.disable_flush_all,
        shutdown: flags.enable_shutdown,
        cas: !flags.disable_cas,
        dump: !flags.disable_dumping,
        watch: !flags.disable_watch,
        auth_file: flags.auth_file.as_deref().or(sasl_file).map(|path| absolute(path, machine)),
    })
}

fn process(flags: &Flags, machine: &Machine) -> Result<Process, String> {
    if flags.user.as_deref() == Some("") {
        return Err("-u: the name is empty; write the name of a user".into());
    }
    Ok(Process {
        daemon: flags.daemon,
        user: flags.user.clone(),
        pid_file: flags.pidfile.as_deref().map(|path| absolute(path, machine)),
        verbosity: flags.verbose.min(VERBOSITY_MAX),
    })
}

/// What was accepted and has no effect.
fn without_effect(flags: &Flags, network: &Network, keep: &Keep) -> Vec<String> {
    let keeps_data = *keep != Keep::Nothing;
    let names_tcp = flags.port.is_some() || !flags.listen.is_empty();
    [
        (network.unix_socket.is_some() && names_tcp, "-p and -l have no effect: with -s there is no TCP"),
        (
            network.unix_socket.is_none() && network.listen.is_empty() && network.datagrams.is_empty(),
            "-p 0 without -s: no client can come in",
        ),
        (
            network.unix_socket.is_some() && flags.udp_port.is_some(),
            "-U has no effect: with -s there is no UDP",
        ),
        (
            network.datagrams.iter().any(|listen| !listen.is_loopback()),
            "-U beyond loopback: senders can be forged, let only known machines reach the port",
        ),
        (
            keeps_data && flags.disable_evictions,
            "-M has no effect: eviction loses nothing without --memory-only",
        ),
        (flags.lock_memory, "-k has no effect: memory is not locked"),
        (flags.enable_coredumps, "-r has no effect: set the limit of core files with `ulimit -c`"),
        (flags.enable_largepages, "-L has no effect here"),
        (flags.slab_growth_factor.is_some(), "-f has no effect: there are no slabs"),
        (flags.slab_min_size.is_some(), "-n has no effect: there are no slabs"),
        (flags.napi_ids.is_some(), "-N has no effect: connections go to the workers in turn"),
        (keeps_data && flags.memory_file.is_some(), "-e has no effect: data is kept in the data directory"),
        (
            !keeps_data && flags.memory_file.is_some(),
            "-e has no effect: leave out --memory-only to keep data",
        ),
    ]
    .into_iter()
    .filter(|(applies, _)| *applies)
    .map(|(_, note)| note.to_owned())
    .collect()
}

/// Fixed before a daemon changes its directory.
pub(super) fn absolute(path: &Path, machine: &Machine) -> PathBuf {
    machine.working_dir.join(path).components().collect()
}
