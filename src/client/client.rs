//! The client: typed calls for every command.

use std::sync::Arc;

use super::error::{Error, Invalid};
use super::fanout::{Outcome, run, run_on_each};
use super::following::{Following, from_seeds};
use super::meta::{MetaAnswer, MetaArith, MetaDelete, MetaGet, MetaStore};
use super::operation::{Action, Answer, Entry, Operation, Stored, Value};
use super::options::Options;
use super::ring::{Memcached, Ring, Rule};
use crate::base::command::StatsTopic;
use crate::base::time::Exptime;
use crate::route::topology::{Address, Topology};

/// A blocking client of a Larder cluster, of one Larder, or of plain memcached servers. Threads share one: `&Client` is
/// all that a call needs.
#[derive(Debug)]
pub struct Client {
    following: Arc<Following>,
}

/// A server and whether it is up, as far as this client knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerState {
    /// Where it is.
    pub address: Address,
    /// Whether requests go to it; else it is probed in the background.
    pub is_up: bool,
}

/// What each of the servers answered.
pub type Answers<T> = Vec<(Address, Result<T, Error>)>;

/// Names and values, as `stats` gives them.
pub type Facts = Vec<(String, String)>;

impl Client {
    /// A client of a cluster with this map. Keys are asked of the server that has them; while that is down, of the
    /// next one, since any server answers for any key. Newer maps are followed. Nothing is connected yet.
    pub fn cluster(topology: Topology, options: Options) -> Client {
        Client { following: Arc::new(Following::cluster(topology, &[], options)) }
    }

    /// A client of the cluster that these servers are of: its map is fetched from the first of them that answers. They
    /// are asked again when no server of the map does. The map's addresses are those that the client then connects to.
    ///
    /// # Errors
    /// No server has given a map: what the last of them said, or what was in the way.
    ///
    /// ```
    /// # #[cfg(not(feature = "server"))]
    /// # fn main() {}
    /// # #[cfg(feature = "server")]
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use std::{env, fs, net::TcpListener, process, sync::Arc};
    /// # let folder = env::temp_dir().join(format!("larder-discover-{}", process::id()));
    /// # fs::create_dir_all(&folder)?;
    /// # let held = [TcpListener::bind("127.0.0.1:0")?, TcpListener::bind("127.0.0.1:0")?];
    /// # let [address, peer] = [held[0].local_addr()?.to_string(), held[1].local_addr()?.to_string()];
    /// # drop(held);
    /// # let map = format!(
    /// #     "version = 1\ncluster = \"shop\"\ngroups = 4\nhash = \"larder\"\nhash-tag = \"braces\"\n\
    /// #      [[server]]\nid = 1\nclient = \"{address}\"\npeer = \"{peer}\"\n[[range]]\ngroups = \"0-3\"\nservers = [1]\n"
    /// # );
    /// # fs::write(folder.join("map"), map)?;
    /// # fs::write(folder.join("secret"), "0123456789abcdef")?;
    /// # let machine = larder::config::Machine { cores: 1, working_dir: folder.clone(), port_file: None, sasl_file: None };
    /// # let words = ["--cluster", "map", "--server-id", "1", "--peer-secret-file", "secret", "--log-size", "64m"];
    /// # let config = larder::config::read(words.map(Into::into).into_iter(), &machine).map_err(|_| "no config")?;
    /// # let clock = Arc::new(larder::server::SystemClock);
    /// # let server = larder::server::Server::start(&config, clock, Arc::new(|| {}))?;
    /// use larder::client::{Address, Client, Options};
    ///
    /// let seeds = [Address::parse(&address).ok_or("not host:port")?];
    /// let client = Client::discover(&seeds, Options::default())?;
    /// client.set("greeting", "hello")?;
    /// assert_eq!(client.map_version(), Some(1));
    /// # server.stop()?;
    /// # fs::remove_dir_all(folder)?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn discover(seeds: &[Address], options: Options) -> Result<Client, Error> {
        let topology = from_seeds(seeds, &options)?;
        Ok(Client { following: Arc::new(Following::cluster(topology, seeds, options)) })
    }

    /// A client of plain memcached servers, compatible with libmemcached.
    pub fn memcached(memcached: &Memcached, options: Options) -> Client {
        let ring = |options: &Options, schedule: &_| Ring::memcached(memcached, options, schedule);
        Client { following: Arc::new(Following::fixed(ring, options)) }
    }

    /// A client of one server, a Larder or a memcached.
    pub fn single(server: Address, options: Options) -> Client {
        let distribution = super::Distribution::default();
        Client::memcached(&Memcached { servers: vec![(server, 1)], distribution, takeover: false }, options)
    }

    /// Follows a newer map of the same cluster; answers whether it did. An older one, one of another cluster or with
    /// another rule of placement, and the present one are passed over, and so is every map by a client of plain
    /// memcached servers. Calls that are under way end by the old map. Servers that stay keep their connections.
    ///
    /// A client does this by itself with what its servers say, unless [`Options::map_interval`] is `None`.
    pub fn set_topology(&self, topology: Topology) -> bool {
        self.following.take(topology) == Ok(true)
    }

    /// The version of the map in force; none of plain memcached servers.
    pub fn map_version(&self) -> Option<u64> {
        match &self.ring().rule {
            Rule::Cluster(topology) => Some(topology.version()),
            Rule::Ketama(_) | Rule::Modula(_) => None,
        }
    }

    /// The servers, in the order of the map.
    pub fn servers(&self) -> Vec<ServerState> {
        let state = |endpoint: &Arc<super::endpoint::Endpoint>| ServerState {
            address: endpoint.address.clone(),
            is_up: endpoint.is_up(),
        };
        self.ring().endpoints.iter().map(state).collect()
    }

    /// The server that a key belongs to, up or down; none without servers.
    pub fn server_of(&self, key: impl AsRef<[u8]>) -> Option<Address> {
        let ring = self.ring();
        ring.endpoints.get(ring.own(key.as_ref())?).map(|endpoint| endpoint.address.clone())
    }

    /// Does all of these operations: those of one server in one pipeline, all servers at the same time. The answers
    /// are in the order of the operations. Operations on one key are done in their order.
    ///
    /// # Errors
    /// Each operation has its own; the others are not touched by it.
    pub fn run(&self, operations: &[Operation<'_>]) -> Vec<Result<Answer, Error>> {
        self.following.keep_current();
        let outcomes = run(&self.ring(), operations);
        self.following.note(&outcomes);
        outcomes
    }

    fn ring(&self) -> Arc<Ring> {
        self.following.ring()
    }

    fn one(&self, operation: Operation<'_>) -> Outcome {
        self.run(&[operation]).pop().unwrap_or(Err(Error::Invalid(Invalid::NoServer)))
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.following.end();
    }
}

/// Single operations. All of them fail as [`Client::run`] does.
#[allow(clippy::missing_errors_doc, reason = "one word above says it for all")]
impl Client {
    /// Reads; `None` is a miss, and only a miss.
    pub fn get(&self, key: impl AsRef<[u8]>) -> Result<Option<Value>, Error> {
        value(self.one(Operation::get(&key)))
    }

    /// Reads with the cas.
    pub fn gets(&self, key: impl AsRef<[u8]>) -> Result<Option<Value>, Error> {
        value(self.one(Operation::gets(&key)))
    }

    /// Reads and gives a new exptime.
    pub fn gat(&self, key: impl AsRef<[u8]>, exptime_s: i32) -> Result<Option<Value>, Error> {
        value(self.one(Operation::gat(&key, exptime_s)))
    }

    /// Reads with the cas and gives a new exptime.
    pub fn gats(&self, key: impl AsRef<[u8]>, exptime_s: i32) -> Result<Option<Value>, Error> {
        value(self.one(Operation::gats(&key, exptime_s)))
    }

    /// Reads many, in the order of the keys. A server that fails costs the values of its keys only, and never makes
    /// a miss of them.
    pub fn get_many<K: AsRef<[u8]>>(&self, keys: &[K]) -> Vec<Result<Option<Value>, Error>> {
        let operations: Vec<Operation> = keys.iter().map(Operation::get).collect();
        self.run(&operations).into_iter().map(value).collect()
    }

    /// Stores.
    pub fn set<'a>(&self, key: impl AsRef<[u8]>, entry: impl Into<Entry<'a>>) -> Result<(), Error> {
        stored(self.one(Operation::set(&key, entry.into()))).map(|_| ())
    }

    /// Stores if there is nothing; whether it did.
    pub fn add<'a>(&self, key: impl AsRef<[u8]>, entry: impl Into<Entry<'a>>) -> Result<bool, Error> {
        was_stored(self.one(Operation::add(&key, entry.into())))
    }

    /// Stores if there is something; whether it did.
    pub fn replace<'a>(&self, key: impl AsRef<[u8]>, entry: impl Into<Entry<'a>>) -> Result<bool, Error> {
        was_stored(self.one(Operation::replace(&key, entry.into())))
    }

    /// Puts behind what is there, if there is something; whether it did.
    pub fn append(&self, key: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Result<bool, Error> {
        was_stored(self.one(Operation::append(&key, &value)))
    }

    /// Puts before what is there, if there is something; whether it did.
    pub fn prepend(&self, key: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Result<bool, Error> {
        was_stored(self.one(Operation::prepend(&key, &value)))
    }

    /// Stores if the item still has this cas.
    pub fn cas<'a>(
        &self,
        key: impl AsRef<[u8]>,
        entry: impl Into<Entry<'a>>,
        cas: u64,
    ) -> Result<Stored, Error> {
        stored(self.one(Operation::cas(&key, entry.into(), cas)))
    }

    /// Counts up; the number now, `None` when there is no item.
    pub fn incr(&self, key: impl AsRef<[u8]>, delta: u64) -> Result<Option<u64>, Error> {
        number(self.one(Operation::incr(&key, delta)))
    }

    /// Counts down, not below 0.
    pub fn decr(&self, key: impl AsRef<[u8]>, delta: u64) -> Result<Option<u64>, Error> {
        number(self.one(Operation::decr(&key, delta)))
    }

    /// Removes; whether there was an item.
    pub fn delete(&self, key: impl AsRef<[u8]>) -> Result<bool, Error> {
        found(self.one(Operation::delete(&key)))
    }

    /// Gives a new exptime; whether there was an item.
    pub fn touch(&self, key: impl AsRef<[u8]>, exptime_s: i32) -> Result<bool, Error> {
        found(self.one(Operation::touch(&key, exptime_s)))
    }

    /// mg.
    pub fn meta_get(&self, key: impl AsRef<[u8]>, get: MetaGet) -> Result<MetaAnswer, Error> {
        meta(self.one(Operation::meta_get(&key, get)))
    }

    /// ms.
    pub fn meta_store(&self, key: impl AsRef<[u8]>, store: MetaStore<'_>) -> Result<MetaAnswer, Error> {
        meta(self.one(Operation::meta_store(&key, store)))
    }

    /// md.
    pub fn meta_delete(&self, key: impl AsRef<[u8]>, delete: MetaDelete) -> Result<MetaAnswer, Error> {
        meta(self.one(Operation::meta_delete(&key, delete)))
    }

    /// ma.
    pub fn meta_arith(&self, key: impl AsRef<[u8]>, arith: MetaArith) -> Result<MetaAnswer, Error> {
        meta(self.one(Operation::meta_arith(&key, arith)))
    }

    /// me: what the server knows about an item; `None` when there is none.
    pub fn meta_debug(&self, key: impl AsRef<[u8]>) -> Result<Option<Facts>, Error> {
        match self.one(Operation::meta_debug(&key))? {
            Answer::Facts(facts) => Ok(facts),
            Answer::Meta(_) => Ok(None),
            _ => Err(UNFIT),
        }
    }
}

/// What is asked of every server, whatever keys it has.
impl Client {
    /// Makes everything a miss that was stored before now, or before so many seconds will have passed.
    pub fn flush_all(&self, delay_s: Option<i32>) -> Answers<()> {
        self.each(Action::FlushAll(delay_s.map(Exptime)), |_| ())
    }

    /// Figures. Text of a topic that Larder does not know: [`StatsTopic::Unknown`].
    pub fn stats(&self, topic: StatsTopic<'_>) -> Answers<Facts> {
        self.each(Action::Stats(topic), |facts| facts)
    }

    /// The versions.
    pub fn version(&self) -> Answers<String> {
        self.each(Action::Version, |facts| facts.into_iter().next().map(|(_, text)| text).unwrap_or_default())
    }

    /// How much is logged.
    pub fn verbosity(&self, level: u32) -> Answers<()> {
        self.each(Action::Verbosity(level), |_| ())
    }

    /// Whether each server answers at all (meta `mn`).
    pub fn noop(&self) -> Answers<()> {
        self.each(Action::Noop, |_| ())
    }

    fn each<T>(&self, action: Action<'_>, shape: impl Fn(Facts) -> T) -> Answers<T> {
        self.following.keep_current();
        let ring = self.ring();
        let outcomes = run_on_each(&ring.endpoints, &Operation { key: b"", action });
        let servers = ring.endpoints.iter().map(|endpoint| endpoint.address.clone());
        let shaped = |outcome: Outcome| match outcome? {
            Answer::Server(facts) => Ok(shape(facts)),
            _ => Err(UNFIT),
        };
        servers.zip(outcomes.into_iter().map(shaped)).collect()
    }
}

fn value(outcome: Outcome) -> Result<Option<Value>, Error> {
    match outcome? {
        Answer::Value(value) => Ok(value),
        _ => Err(UNFIT),
    }
}

fn stored(outcome: Outcome) -> Result<Stored, Error> {
    match outcome? {
        Answer::Stored(stored) => Ok(stored),
        _ => Err(UNFIT),
    }
}

fn was_stored(outcome: Outcome) -> Result<bool, Error> {
    stored(outcome).map(|stored| stored == Stored::Stored)
}

fn number(outcome: Outcome) -> Result<Option<u64>, Error> {
    match outcome? {
        Answer::Number(number) => Ok(number),
        _ => Err(UNFIT),
    }
}

fn found(outcome: Outcome) -> Result<bool, Error> {
    match outcome? {
        Answer::Found(found) => Ok(found),
        _ => Err(UNFIT),
    }
}

fn meta(outcome: Outcome) -> Result<MetaAnswer, Error> {
    match outcome? {
        Answer::Meta(answer) => Ok(answer),
        _ => Err(UNFIT),
    }
}

/// An answer to another question, which the reading of replies never gives.
const UNFIT: Error = Error::Invalid(Invalid::Answer);
