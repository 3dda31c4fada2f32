//! Programs that stand before the server: nginx hands out what is stored, twemproxy (Debian's nutcracker) spreads keys
//! over two servers. Both listen on unix sockets here: neither can name a free port that it found.
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

use super::PATIENCE;
use crate::client::Client;
use crate::process::Larder;
use crate::skips::{self, say};
use crate::wait;

/// Keys that are spread over two servers.
const KEYS: usize = 100;

/// A running proxy. It ends, with the processes that it started, when dropped.
struct Proxy {
    child: Child,
    socket: PathBuf,
}

impl Proxy {
    fn start(program: &Path, words: &[&str], folder: &Path) -> Proxy {
        let socket = folder.join("socket");
        let mut command = Command::new(program);
        command.args(words).process_group(0);
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        wait::until(PATIENCE, || UnixStream::connect(&socket).ok()).unwrap();
        Proxy { child, socket }
    }

    fn connect(&self) -> UnixStream {
        let stream = UnixStream::connect(&self.socket).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let _ = killpg(Pid::from_raw(self.child.id() as i32), Signal::SIGKILL);
        let _ = self.child.wait();
    }
}

/// Where a program is, if on PATH or where Debian puts daemons; else the skip is told.
pub(super) fn daemon(name: &str) -> Option<PathBuf> {
    let found = skips::find(name).or(Some(Path::new("/usr/sbin").join(name)).filter(|file| file.is_file()));
    if found.is_none() {
        skips::skip(&format!("{name} not found"));
    }
    found
}

/// What the program says for its version, from this word on.
pub(super) fn version(program: &Path, word: &str, from: &str) -> String {
    let said = Command::new(program).arg(word).output().unwrap();
    let text = [said.stdout, said.stderr].concat();
    let text = String::from_utf8_lossy(&text).into_owned();
    let (_, version) = text.split_once(from).unwrap_or_else(|| panic!("{text}"));
    version.lines().next().unwrap_or_default().to_owned()
}

fn again(larder: Larder, data_dir: &Path) -> Larder {
    let port = larder.address().port().to_string();
    larder.kill();
    Larder::launch(&["-p", &port, "-U", "0", "--data-dir", data_dir.to_str().unwrap()]).unwrap()
}

/// What nginx is told: a page is what is stored under its path.
fn nginx_words(folder: &Path, larder: &Larder) -> String {
    let place = folder.display();
    let server = larder.address();
    format!(
        "daemon off; master_process off; error_log {place}/errors; pid {place}/pid; events {{}}
        http {{
            access_log off; client_body_temp_path {place}/body; proxy_temp_path {place}/proxy;
            fastcgi_temp_path {place}/fastcgi; uwsgi_temp_path {place}/uwsgi; scgi_temp_path {place}/scgi;
            upstream larder {{ server {server} max_fails=0; keepalive 4; }}
            server {{
                listen unix:{place}/socket;
                location / {{
                    set $memcached_key $uri; memcached_pass larder; default_type text/plain;
                    memcached_gzip_flag 2; error_page 404 502 504 = @made;
                }}
                location @made {{ return 404 'not stored'; }}
            }}
        }}"
    )
}

/// A page's head and body.
fn page(proxy: &Proxy, path: &str) -> (String, Vec<u8>) {
    let mut stream = proxy.connect();
    write!(stream, "GET {path} HTTP/1.0\r\nHost: site\r\n\r\n").unwrap();
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).unwrap();
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n").unwrap();
    let body = bytes.split_off(end + 4);
    (String::from_utf8(bytes).unwrap(), body)
}

#[test]
fn nginx_hands_out_what_is_stored() {
    let Some(nginx) = daemon("nginx") else { return };
    let folder = tempfile::tempdir().unwrap();
    let data_dir = folder.path().join("data");
    let larder = Larder::start(&data_dir, &[]).unwrap();
    let words = folder.path().join("nginx.conf");
    std::fs::write(&words, nginx_words(folder.path(), &larder)).unwrap();
    let place = folder.path().to_str().unwrap();
    let proxy = Proxy::start(&nginx, &["-p", place, "-c", words.to_str().unwrap()], folder.path());

    let bytes: Vec<u8> = (0..=255).cycle().take(768_000).collect();
    let mut client = Client::connect(larder.address());
    assert_eq!(client.set("/hello", b"hello"), "STORED");
    assert_eq!(client.set("/bytes", &bytes), "STORED");
    assert_eq!(client.ask("set /packed 2 0 4\r\ngzip\r\n"), "STORED");
    let mut passed = 0;
    let mut check = |proxy: &Proxy| {
        let (head, body) = page(proxy, "/hello");
        assert!(head.starts_with("HTTP/1.1 200") && head.contains("Content-Length: 5\r\n"), "{head}");
        assert_eq!(body, b"hello");
        let (head, body) = page(proxy, "/packed");
        assert!(head.contains("Content-Encoding: gzip\r\n"), "{head}");
        assert_eq!(body, b"gzip");
        assert!(page(proxy, "/bytes").1 == bytes, "every byte");
        let (head, body) = page(proxy, "/nothing");
        assert!(head.starts_with("HTTP/1.1 404"), "{head}");
        assert_eq!(body, b"not stored");
        passed += 4;
    };
    check(&proxy);
    check(&proxy);
    let _larder = again(larder, &data_dir);
    check(&proxy);
    say(&format!(
        "proxy  nginx, memcached_pass {}: {passed}/{passed} pages",
        version(&nginx, "-v", "nginx/")
    ));
}

/// A request through twemproxy, and its answer up to this end.
fn ask(stream: &mut BufReader<UnixStream>, request: &str, end: &str) -> String {
    stream.get_mut().write_all(request.as_bytes()).unwrap();
    let mut said = String::new();
    while !said.ends_with(end) {
        assert_ne!(stream.read_line(&mut said).unwrap(), 0, "{request:?} is cut off behind {said:?}");
    }
    said
}

/// Requests in order, and their answers.
const TALK: [(&str, &str); 15] = [
    ("set k 5 0 3\r\none\r\n", "STORED\r\n"),
    ("get k\r\n", "VALUE k 5 3\r\none\r\nEND\r\n"),
    ("add k 0 0 1\r\nx\r\n", "NOT_STORED\r\n"),
    ("add new 0 0 1\r\n1\r\n", "STORED\r\n"),
    ("replace nothing 0 0 1\r\nx\r\n", "NOT_STORED\r\n"),
    ("append k 0 0 1\r\n+\r\n", "STORED\r\n"),
    ("prepend k 0 0 1\r\n-\r\n", "STORED\r\n"),
    ("get k\r\n", "VALUE k 5 5\r\n-one+\r\nEND\r\n"),
    ("cas k 0 0 1 1\r\nx\r\n", "EXISTS\r\n"),
    ("incr new 41\r\n", "42\r\n"),
    ("decr new 50\r\n", "0\r\n"),
    ("touch k 1000\r\n", "TOUCHED\r\n"),
    ("delete k\r\n", "DELETED\r\n"),
    ("delete k\r\n", "NOT_FOUND\r\n"),
    ("get k\r\n", "END\r\n"),
];

/// For its figures twemproxy takes no port that it could choose itself.
fn free_port() -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port().to_string()
}

fn twemproxy_words(folder: &Path, larders: &[Larder]) -> String {
    let place = folder.display();
    let servers: Vec<String> = larders
        .iter()
        .enumerate()
        .map(|(at, larder)| format!("   - {}:1 s{at}\n", larder.address()))
        .collect();
    format!(
        "larder:\n  listen: {place}/socket 0600\n  hash: fnv1a_64\n  distribution: ketama\n  \
         auto_eject_hosts: false\n  servers:\n{}",
        servers.concat()
    )
}

/// All keys in one request, which twemproxy splits and joins again: each with its value.
fn all_there(stream: &mut BufReader<UnixStream>) {
    let keys: Vec<String> = (0..KEYS).map(|number| format!("m{number}")).collect();
    let said = ask(stream, &format!("get {}\r\n", keys.join(" ")), "END\r\n");
    for (number, key) in keys.iter().enumerate() {
        let value = number.to_string();
        let expected = format!("VALUE {key} 0 {}\r\n{value}\r\n", value.len());
        assert!(said.contains(&expected), "{expected:?}");
    }
}

#[test]
fn twemproxy_spreads_keys_over_two_servers() {
    let Some(nutcracker) = daemon("nutcracker") else { return };
    let folder = tempfile::tempdir().unwrap();
    let data_dir = |at: usize| folder.path().join(format!("data{at}"));
    let mut larders: Vec<Larder> = (0..2).map(|at| Larder::start(&data_dir(at), &[]).unwrap()).collect();
    let words = folder.path().join("words");
    std::fs::write(&words, twemproxy_words(folder.path(), &larders)).unwrap();
    let (log, pid) = (folder.path().join("log"), folder.path().join("pid"));
    let stats = free_port();
    let words = [
        &["-c", words.to_str().unwrap(), "-o", log.to_str().unwrap(), "-p", pid.to_str().unwrap()],
        &["-s", &stats, "-a", "127.0.0.1"][..],
    ];
    let proxy = Proxy::start(&nutcracker, &words.concat(), folder.path());
    let mut stream = BufReader::new(proxy.connect());

    for (request, answer) in TALK {
        let end = if request.starts_with("get") { "END\r\n" } else { "\r\n" };
        assert_eq!(ask(&mut stream, request, end), answer, "{request:?}");
    }
    for number in 0..KEYS {
        let value = number.to_string();
        let request = format!("set m{number} 0 0 {}\r\n{value}\r\n", value.len());
        assert_eq!(ask(&mut stream, &request, "\r\n"), "STORED\r\n");
    }
    all_there(&mut stream);
    let spread = larders.iter().map(|larder| Client::connect(larder.address()).figure("curr_items"));
    assert!(spread.clone().all(|items| items > 10), "{:?}", spread.collect::<Vec<_>>());

    let second = larders.pop().unwrap();
    larders.push(again(second, &data_dir(1)));
    // Its connection to the killed server costs twemproxy one request to notice.
    let request =
        format!("get {}\r\n", (0..KEYS).map(|number| format!("m{number} ")).collect::<String>().trim());
    wait::until(PATIENCE, || {
        let mut stream = BufReader::new(proxy.connect());
        stream.get_mut().write_all(request.as_bytes()).unwrap();
        let mut line = String::new();
        stream.read_line(&mut line).unwrap();
        line.starts_with("VALUE").then_some(())
    })
    .unwrap();
    all_there(&mut BufReader::new(proxy.connect()));
    say(&format!(
        "proxy  twemproxy {}: {} requests, {KEYS} keys over two servers, all there after kill -9 of one",
        version(&nutcracker, "--version", "nutcracker-"),
        TALK.len()
    ));
}
