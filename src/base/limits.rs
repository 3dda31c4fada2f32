//! Every bound of the server in one place, with its unit, and how the bounds relate.

/// The longest key, in bytes of the request: memcached's.
pub const KEY_BYTES_MAX: usize = 250;
/// The smallest, default and largest item size (`-I`), bytes of key, value and header.
pub const ITEM_BYTES_MIN: usize = 1024;
/// See [`ITEM_BYTES_MIN`].
pub const ITEM_BYTES_DEFAULT: usize = 1024 * 1024;
/// See [`ITEM_BYTES_MIN`].
pub const ITEM_BYTES_MAX: usize = 1024 * 1024 * 1024;
/// What memcached counts beside key and value against the item size: key and value together may be `-I` less this.
pub const ITEM_OVERHEAD_BYTES: usize = 59;
/// The largest item that counts as a number, bytes as with `-I`: memcached keeps larger ones in several pieces, and
/// counts in none of them.
pub const COUNTED_BYTES_MAX: usize = 512 * 1024;
/// What memcached adds to the size of an item whose client flags are not 0.
pub const CLIENT_FLAGS_BYTES: usize = 4;

/// The shortest line that can be a request, bytes with its end.
pub const REQUEST_BYTES_MIN: usize = 4;
/// A line that has not ended after this many bytes closes the connection, unless it is a get.
pub const LINE_BYTES_MAX: usize = 2048;
/// A get line that has not ended after this many bytes closes the connection: 100,000 keys of 250 bytes fit.
pub const GET_LINE_BYTES_MAX: usize = 32 * 1024 * 1024;
/// The longest meta opaque, bytes without the `O`.
pub const OPAQUE_BYTES_MAX: usize = 31;
/// The most words of a meta command, command and key included.
pub const META_WORDS_MAX: usize = 20;
/// The shortest line that is answered before authentication, bytes with its end.
pub const AUTH_LINE_BYTES_MIN: usize = 6;
/// The longest name and password of a client, bytes.
pub const AUTH_BYTES_MAX: usize = 16 * 1024;
/// The longest name of a way to authenticate by SASL, bytes: memcached's.
pub const SASL_MECHANISM_BYTES_MAX: usize = 32;

/// The highest `verbosity`; more is taken for it.
pub const VERBOSITY_MAX: u32 = 2;
/// The least and the most that `cache_memlimit` takes, megabytes.
pub const MEMLIMIT_MB_MIN: u64 = 8;
/// See [`MEMLIMIT_MB_MIN`].
pub const MEMLIMIT_MB_MAX: u64 = 1_000_000_000;
/// The number of slab classes that memcached can have: what class numbers are checked against.
pub const SLAB_CLASSES: u32 = 64;

/// What a worker reads from a socket at once, bytes; one buffer a worker.
pub const READ_BYTES: usize = 64 * 1024;
/// A TLS handshake that takes longer ends with its connection, seconds.
pub const TLS_HANDSHAKE_S: u32 = 10;
/// What a connection encrypts at once and holds until its socket has taken it, bytes (`ssl_wbuf_size`).
pub const TLS_WRITE_BYTES_DEFAULT: usize = 16 * 1024;
/// The most that can be asked for, kilobytes.
pub const TLS_WRITE_KB_MAX: u64 = 1024;
/// TLS sessions that are kept for clients that come back (`ssl_session_cache`).
pub const TLS_SESSIONS_MAX: usize = 4096;
/// The largest file of certificates or of a key, bytes.
pub const CERTIFICATE_BYTES_MAX: usize = 1024 * 1024;
/// A connection with this much unsent is not read further, bytes.
pub const OUTBOX_BYTES_MAX: usize = 1024 * 1024;
/// What a reply that another server is asked for counts as while it is awaited, bytes, at least: a connection awaits at
/// most [`OUTBOX_BYTES_MAX`] divided by this. A read counts as what its answer may be long.
pub const SLOT_BYTES: usize = 4 * 1024;
/// The answer to a read may be as long as this part of what the outbox has left.
pub const ROOM_SHARES: usize = 16;
/// Values from this size on are kept and sent by reference, bytes; smaller ones are copied.
pub const SHARED_BYTES_MIN: usize = 4 * 1024;
/// What of a reply one datagram carries, bytes: memcached's. Its frame of 8 bytes comes on top.
pub const DATAGRAM_PAYLOAD_BYTES_MAX: usize = 1392;
/// The longest reply to a datagram, bytes: 64 datagrams. A socket's receive buffer of 208 KB, the kernel's default, was
/// measured to hold 92 of the 719 that memcached sends of a value of 1 MB.
pub const DATAGRAM_REPLY_BYTES_MAX: usize = 64 * DATAGRAM_PAYLOAD_BYTES_MAX;
/// Datagrams of one worker whose replies wait; then it takes no further ones, and the kernel drops what it cannot keep.
pub const DATAGRAMS_HELD_MAX: usize = 256;
/// Datagrams taken from one socket before others are served.
pub const TURN_DATAGRAMS_MAX: usize = 64;
/// A sender who is not on this machine gets replies of so many times what he sent, whatever others get.
pub const DATAGRAM_FREE_FACTOR: usize = 3;
/// What all of them get beyond that from one worker in a second, bytes.
pub const DATAGRAM_EXCESS_BYTES_PER_S: usize = 1024 * 1024;
/// A connection's inbox above this size is given back when it is empty, bytes.
pub const KEPT_BUFFER_BYTES: usize = 512;
/// Empty outbox buffers that a worker keeps for whoever has something to send next.
pub const SPARE_BUFFERS_MAX: usize = 64;
/// The largest of them, bytes.
pub const SPARE_BUFFER_BYTES_MAX: usize = 64 * 1024;
/// Requests that one connection may make in one turn (`-R`) before the others are served.
pub const TURN_REQUESTS_DEFAULT: usize = 20;
/// Requests of one connection, or keys of one request, whose entries are fetched from memory at once: more, and the
/// first would leave the nearest cache again before they are looked at.
pub const BATCH_REQUESTS: usize = 16;
/// Keys of one request that are looked up in one turn before the others are served: each may cost a read of the disk.
pub const TURN_KEYS_MAX: usize = 1024;
/// Connections (`-c`): default and bound.
pub const CONNECTIONS_DEFAULT: usize = 1024;
/// See [`CONNECTIONS_DEFAULT`].
pub const CONNECTIONS_MAX: usize = 1024 * 1024;
/// Connections that the kernel holds until they are accepted (`-b`).
pub const BACKLOG_DEFAULT: u32 = 1024;
/// Addresses to listen on (`-l`).
pub const LISTEN_MAX: usize = 64;
/// Workers (`-t`): one a core, but no more than this unless more are asked for.
pub const THREADS_DEFAULT_MAX: usize = 4;
/// The most workers.
pub const THREADS_MAX: usize = 256;
/// Connections to the admin port at a time; one more takes the place of the one that has been there longest.
pub const ADMIN_CONNECTIONS_MAX: usize = 32;
/// A request to the admin port with its headers, bytes.
pub const ADMIN_REQUEST_BYTES_MAX: usize = 8 * 1024;
/// Header lines of a request to the admin port.
pub const ADMIN_HEADERS_MAX: usize = 64;
/// How long a request to the admin port may take to arrive, and how long the answer to be taken, milliseconds each.
pub const ADMIN_PATIENCE_MS: u64 = 10_000;
/// The longest token of the admin port, bytes.
pub const ADMIN_TOKEN_BYTES_MAX: usize = 1024;
/// How often whoever looks on counts time, milliseconds: slower than this is noted as slow.
pub const ADMIN_PULSE_MS: u64 = 10;
/// Points of the page's plots, and the seconds between two of them: ten minutes.
pub const ADMIN_POINTS_MAX: usize = 300;
/// See [`ADMIN_POINTS_MAX`].
pub const ADMIN_POINT_S: u64 = 2;
/// Memory for items (`-m`), in units of 1024 * 1024 bytes: default and bound.
pub const MEMORY_MB_DEFAULT: u64 = 64;
/// See [`MEMORY_MB_DEFAULT`].
pub const MEMORY_MB_MAX: u64 = 16 * 1024 * 1024;

/// Logical groups: default and bound. The group count is fixed when the data directory is made.
pub const GROUPS_DEFAULT: u16 = 64;
/// See [`GROUPS_DEFAULT`].
pub const GROUPS_MAX: u16 = 4096;

/// The highest number of a server in its cluster: versions keep ten bits for it.
pub const SERVER_ID_MAX: u16 = 1023;
/// The highest weight of a server in its cluster.
pub const SERVER_WEIGHT_MAX: u32 = 1000;
/// Servers of one group: one, until groups are replicated.
pub const GROUP_SERVERS_MAX: usize = 1;
/// A topology file, bytes: every group with a range of its own fits.
pub const TOPOLOGY_BYTES_MAX: usize = 1024 * 1024;
/// The name of a cluster or of a zone, bytes.
pub const TOPOLOGY_NAME_BYTES_MAX: usize = 64;
/// The address of a server with its port, bytes.
pub const ADDRESS_BYTES_MAX: usize = 259;

/// The secret that the servers of a cluster share, bytes.
pub const PEER_SECRET_BYTES_MIN: usize = 16;
/// See [`PEER_SECRET_BYTES_MIN`].
pub const PEER_SECRET_BYTES_MAX: usize = 4096;
/// A frame between servers before both have proved the secret, bytes without its head.
pub const PEER_GREETING_BYTES_MAX: usize = 256;
/// A frame between servers, bytes without its head: a request or an answer with the largest item, behind others that
/// it has not ended for.
pub const PEER_FRAME_BYTES_MAX: usize = PEER_PARTS_BYTES_MAX + ITEM_BYTES_MAX + 8192;
/// The most keys of one read that one question carries, and that one answer does.
pub const PEER_READ_KEYS_MAX: usize = 256;
/// The most bytes that they have in a question, the spaces between them too.
pub const PEER_READ_BYTES_MAX: usize = 16 * 1024;
/// An answer to many keys that has grown to this ends, and another one goes on, bytes.
pub const PEER_PARTS_BYTES_MAX: usize = 256 * 1024;
/// What may wait for one server in one worker, sent or not, bytes; a single request may be longer.
pub const PEER_WAITING_BYTES_MAX: usize = 16 * 1024 * 1024;
/// See [`PEER_WAITING_BYTES_MAX`]: requests.
pub const PEER_WAITING_MAX: usize = 16 * 1024;
/// Connections of other servers that one worker serves.
pub const PEER_SESSIONS_MAX: usize = 4096;
/// Connections of clients whose questions one session between servers puts off at a time.
pub const PEER_PUT_OFF_MAX: usize = PEER_WAITING_MAX;
/// Questions that were put off and are asked again at a time, of one client: they share the room for their answers.
pub const PEER_ASKED_AGAIN_MAX: usize = 8;
/// How long requests wait for a server that is not connected before it counts as down, milliseconds.
pub const PEER_HOLD_MS: u64 = 1500;
/// How long connecting and proving the secret may take, milliseconds.
pub const PEER_GREETING_MS: u64 = 2000;
/// How long a server that is asked may answer nothing before its connection counts as lost, milliseconds.
pub const PEER_ANSWER_MS: u64 = 10_000;
/// The first and the longest pause between two attempts to reach a server, milliseconds.
pub const PEER_PAUSE_MS_MIN: u64 = 100;
/// See [`PEER_PAUSE_MS_MIN`].
pub const PEER_PAUSE_MS_MAX: u64 = 500;

/// Keys that a listing of a group collects at once: at most some 8 MB with the longest keys.
pub const LISTING_KEYS_MAX: usize = 32 * 1024;
/// Keys that one `keys` command answers: unless it says otherwise, and at most.
pub const KEYS_DEFAULT: u32 = 1000;
/// See [`KEYS_DEFAULT`].
pub const KEYS_MAX: u32 = 4000;
/// Listings of keys at a time.
pub const LISTINGS_MAX: usize = 4;
/// The most that `stats cachedump` answers, bytes: memcached's.
pub const CACHEDUMP_BYTES_MAX: usize = 2 * 1024 * 1024;
/// Key prefixes that `stats detail` counts apart; keys of further ones are not counted.
pub const PREFIXES_MAX: usize = 4096;
/// Evicted items that a group remembers for watchers until it is asked for them.
pub const LOST_ITEMS_MAX: usize = 64;
/// Connections that watch events at a time: memcached's.
pub const WATCHERS_MAX: usize = 20;
/// Lines that wait for one watcher, bytes; what does not fit is counted instead.
pub const WATCHER_BYTES_MAX: usize = 256 * 1024;

/// A worker reads the stores itself as long as that takes less than this on average, us.
pub const SLOW_READ_US: u64 = 100;
/// Threads that read the stores while it takes longer.
pub const READERS: usize = 4;
/// Keys that wait for these threads; with more of them workers read themselves.
pub const READS_AHEAD_MAX: usize = 1024;
/// Keys of one group that are read ahead or have been and were not asked for again.
pub const READS_AHEAD_OF_GROUP_MAX: usize = 256;

/// One segment of a group's memory, bytes, a power of two: the smallest, when groups share little memory.
pub const HOT_SEGMENT_BYTES_MIN: usize = 8 * 1024;
/// See [`HOT_SEGMENT_BYTES_MIN`]: the largest.
pub const HOT_SEGMENT_BYTES_MAX: usize = 32 * 1024;
/// Segments that a group may hold whatever the others have taken of the memory.
pub const HOT_SEGMENTS_FLOOR: usize = 2;
/// Entries that one call may look at to make room before it drops also what was visited.
pub const HOT_EFFORT_ENTRIES: usize = 4096;

/// A piece of a large value in one log record, bytes.
pub const RECORD_BYTES_MAX: usize = 256 * 1024;
/// What may wait in the log's append buffer before writers are put off, bytes. A record of the largest item always
/// fits an empty buffer.
pub const APPEND_BUFFER_BYTES_MAX: usize = 16 * 1024 * 1024;
/// The longest that a sync of `--fsync always` waits for more writes, milliseconds.
pub const GATHER_WAIT_MS_MAX: u64 = 20;
/// Waits of that kind that nobody came to are made rarer, but not rarer than once in so many syncs.
pub const GATHER_PAUSE_ROUNDS_MAX: u32 = 256;
/// One segment of the log, bytes.
pub const SEGMENT_BYTES_DEFAULT: u64 = 16 * 1024 * 1024;
/// All segments of the log (`--log-size`), bytes. It bounds the start: replay was measured at 0.86 us a record of 155
/// bytes, so that a full log of this size takes about 0.7 s on two cores of 2026.
pub const LOG_BYTES_DEFAULT: u64 = 128 * 1024 * 1024;
/// See [`LOG_BYTES_DEFAULT`]. A log this small has smaller segments.
pub const LOG_BYTES_MIN: u64 = 16 * 1024 * 1024;
/// See [`LOG_BYTES_DEFAULT`].
pub const LOG_BYTES_MAX: u64 = 64 * 1024 * 1024 * 1024;
/// What backups that run may keep of the log beyond what is trimmed, bytes; then they lapse.
pub const LOG_HELD_BYTES_MAX: u64 = 4 * 1024 * 1024 * 1024;

/// Small items that a backup puts into one frame, bytes; a larger one has a frame of its own.
pub const BACKUP_FRAME_BYTES: usize = 256 * 1024;
/// The longest frame of a backup, bytes: an item of the largest size with its key.
pub const BACKUP_FRAME_BYTES_MAX: usize = ITEM_BYTES_MAX + BACKUP_FRAME_BYTES;

/// Items in one commit of a checkpoint.
pub const CHECKPOINT_CHUNK_ITEMS: usize = 10_000;
/// Bytes in one commit of a checkpoint.
pub const CHECKPOINT_CHUNK_BYTES: usize = 8 * 1024 * 1024;
/// A checkpoint that touches all of a file does so in about so many commits.
pub const CHECKPOINT_PORTIONS: usize = 4;
/// But no commit is made for less than this, bytes of the file's keys and values.
pub const CHECKPOINT_PORTION_BYTES_MIN: usize = 256 * 1024;

/// What a compaction copies per second, bytes of keys and values: serving comes first.
pub const COMPACTION_BYTES_PER_S: usize = 32 * 1024 * 1024;
/// A file that takes more of the disk than this is compacted when that gives enough back, hundredths of its payload.
pub const COMPACTION_COST_MAX: u64 = 170;
/// The least that it has to give back, bytes.
pub const COMPACTION_GAIN_BYTES_MIN: u64 = 128 * 1024;
/// What it copies at once, bytes: a checkpoint of another group waits this long at most.
pub const COMPACTION_STEP_BYTES: usize = 1024 * 1024;
/// The new file is synced each time that this much was copied, bytes, so that no sync takes long.
pub const COMPACTION_SYNC_BYTES: usize = 32 * 1024 * 1024;
/// The page cache of the file that it writes, bytes.
pub const COMPACTION_CACHE_BYTES: usize = 4 * 1024 * 1024;
/// Keys that changed behind its back, bytes; beyond it the compaction is given up for now.
pub const COMPACTION_CHANGED_BYTES_MAX: usize = 8 * 1024 * 1024;
/// So many changed keys are left for the moment when the group's writer is locked.
pub const COMPACTION_FINISH_KEYS: usize = 64;
/// Keys with deadlines that it gathers before it lists them, bytes: the more, the fuller the listings.
pub const COMPACTION_LISTED_BYTES_MAX: usize = 16 * 1024 * 1024;

/// The room that is kept on the disk and given up when there is no other, bytes.
pub const RESERVE_BYTES: u64 = 8 * 1024 * 1024;
/// It is taken again when the disk has so much, bytes.
pub const RESERVE_ROOM_BYTES: u64 = 3 * RESERVE_BYTES;
/// `--disk-limit` by default, hundredths of the file system.
pub const DISK_PERCENT_DEFAULT: u8 = 90;
/// The least that `--disk-limit` leaves to the groups' files, bytes.
pub const DISK_BESIDE_LOG_MIN: u64 = 16 * 1024 * 1024;
/// Items in one commit of a checkpoint while the reserve is given up: pages that one commit leaves serve the next.
pub const SHORT_CHUNK_ITEMS: usize = 256;
/// Bytes in one commit of a checkpoint while the reserve is given up.
pub const SHORT_CHUNK_BYTES: usize = 256 * 1024;

/// What a client writes to a server before it reads, bytes, when the answers may be long: any socket's buffers hold it.
pub const CLIENT_WRITE_AHEAD_BYTES: usize = 16 * 1024;
/// Requests that a client writes before it reads, whatever their length, when every answer is one short line.
pub const CLIENT_SHORT_ANSWERS_MAX: usize = 16;
/// As many bytes of such requests; one alone may be longer.
pub const CLIENT_CHUNK_BYTES_MAX: usize = 1024 * 1024;
/// Keys that a client puts into one get line, bytes: every server takes a line of this length in pieces.
pub const CLIENT_READ_LINE_BYTES_MAX: usize = 1700;
/// The longest line of an answer, bytes with its end.
pub const CLIENT_REPLY_LINE_BYTES_MAX: usize = 4096;
/// What a client reads at once, bytes: at least, and at most.
pub const CLIENT_READ_BYTES: usize = 16 * 1024;
/// See [`CLIENT_READ_BYTES`].
pub const CLIENT_READ_BYTES_MAX: usize = 256 * 1024;
/// A client's buffers above this size are given back when they are empty, bytes.
pub const CLIENT_KEPT_BUFFER_BYTES: usize = 64 * 1024;
/// The shortest interval at which a client fetches the map of a cluster, milliseconds.
pub const CLIENT_MAP_INTERVAL_MS_MIN: u64 = 10;
/// About how long after a hint that the map has changed a client fetches it, milliseconds: hints come in numbers, and
/// this bounds what they cost.
pub const CLIENT_MAP_PAUSE_MS: u64 = 250;
/// The lines of a map that a client takes: more servers and ranges there cannot be.
pub const CLIENT_MAP_LINES_MAX: usize = 1 + SERVER_ID_MAX as usize + GROUPS_MAX as usize;
/// The figures of one `stats` that a client takes, bytes: names and values together.
pub const CLIENT_STATS_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Connections that `larder bench` opens, each with a thread.
pub const TOOL_CONNECTIONS_MAX: i64 = 2000;
/// What one of them sends or asks for before it reads, bytes: a server that answers meanwhile must not be kept waiting.
pub const TOOL_BATCH_BYTES_MAX: u64 = 1024 * 1024;
/// The largest configuration file, bytes: all flags take far less.
pub const CONFIG_BYTES_MAX: usize = 64 * 1024;
/// Lines of the log from one place of the code that warn or complain, in [`LOG_WINDOW_MS`].
pub const LOG_LINES_MAX: u32 = 10;
/// See [`LOG_LINES_MAX`], milliseconds.
pub const LOG_WINDOW_MS: u64 = 10_000;
/// A request that took so long is worth a line of the log, milliseconds.
pub const LOG_SLOW_MS: u64 = 100;
/// A parked request that has waited so long is worth a line of the log, seconds.
pub const PARKED_LONG_S: u32 = 5;
/// There is at most one such line in so many seconds.
pub const DELAY_TOLD_EVERY_S: u32 = 60;

const _: () = assert!(LINE_BYTES_MAX > KEY_BYTES_MAX + 64, "a whole storage line fits");
const _: () = assert!(READ_BYTES > u16::MAX as usize, "no datagram is longer");
const _: () = assert!(DATAGRAM_REPLY_BYTES_MAX / DATAGRAM_PAYLOAD_BYTES_MAX <= u16::MAX as usize);
const _: () = assert!(DATAGRAM_REPLY_BYTES_MAX < DATAGRAM_EXCESS_BYTES_PER_S, "every reply may leave");
const _: () =
    assert!(DATAGRAM_REPLY_BYTES_MAX < OUTBOX_BYTES_MAX, "a reply is too long before it is stopped");
const _: () = assert!(GET_LINE_BYTES_MAX > 100_000 * (KEY_BYTES_MAX + 1));
const _: () =
    assert!(HOT_SEGMENT_BYTES_MIN > SHARED_BYTES_MIN + KEY_BYTES_MAX + 64, "every entry fits a segment");
const _: () = assert!(HOT_SEGMENT_BYTES_MIN.is_power_of_two() && HOT_SEGMENT_BYTES_MAX.is_power_of_two());
const _: () = assert!(RECORD_BYTES_MAX < APPEND_BUFFER_BYTES_MAX);
const _: () = assert!((RECORD_BYTES_MAX as u64) < SEGMENT_BYTES_DEFAULT / 4);
const _: () = assert!(LOG_BYTES_MIN <= LOG_BYTES_DEFAULT && LOG_BYTES_DEFAULT <= LOG_BYTES_MAX);
const _: () =
    assert!((RECORD_BYTES_MAX as u64) < LOG_BYTES_MIN / 16, "a quarter of the smallest log takes records");
const _: () = assert!(
    ITEM_BYTES_DEFAULT as u64 <= MEMORY_MB_DEFAULT * 1024 * 1024 / 2,
    "the default -I fits the default -m"
);
const _: () = assert!(CONNECTIONS_DEFAULT <= CONNECTIONS_MAX && THREADS_DEFAULT_MAX <= THREADS_MAX);
const _: () = assert!(RESERVE_BYTES < SEGMENT_BYTES_DEFAULT, "what is given up is no room for more log");
const _: () = assert!(
    SHORT_CHUNK_BYTES as u64 * 8 < RESERVE_BYTES && SHORT_CHUNK_ITEMS as u64 * 4096 * 4 < RESERVE_BYTES
);
const _: () = assert!(
    GROUPS_MAX as usize * 64
        + SERVER_ID_MAX as usize * (2 * ADDRESS_BYTES_MAX + TOPOLOGY_NAME_BYTES_MAX + 80)
        <= TOPOLOGY_BYTES_MAX,
    "the largest map fits its file"
);
const _: () = assert!(CLIENT_READ_LINE_BYTES_MAX + KEY_BYTES_MAX + 64 < LINE_BYTES_MAX);
const _: () = assert!(
    CLIENT_SHORT_ANSWERS_MAX * 1024 <= CLIENT_WRITE_AHEAD_BYTES,
    "short answers fit any socket's buffers too"
);
const _: () = assert!(LOG_BYTES_DEFAULT >= 4 * SEGMENT_BYTES_DEFAULT);
const _: () = assert!(ITEM_BYTES_MIN <= ITEM_BYTES_DEFAULT && ITEM_BYTES_DEFAULT <= ITEM_BYTES_MAX);
const _: () = assert!(SLOT_BYTES * 16 <= OUTBOX_BYTES_MAX, "several answers are awaited at a time");
const _: () = assert!(PEER_FRAME_BYTES_MAX < u32::MAX as usize, "a frame's length has 32 bits");
const _: () = assert!(PEER_PARTS_BYTES_MAX + ITEM_BYTES_MAX < PEER_FRAME_BYTES_MAX, "an item always fits");
const _: () = assert!(PEER_READ_KEYS_MAX <= TURN_KEYS_MAX, "a question costs no more than a client's turn");
const _: () = assert!(TOPOLOGY_NAME_BYTES_MAX + 128 <= PEER_GREETING_BYTES_MAX);
const _: () = assert!(PEER_PAUSE_MS_MIN < PEER_HOLD_MS && PEER_PAUSE_MS_MIN <= PEER_PAUSE_MS_MAX);
const _: () = assert!(
    KEYS_MAX as usize * (KEY_BYTES_MAX + 6) <= OUTBOX_BYTES_MAX,
    "an answer to keys is no long reply"
);
