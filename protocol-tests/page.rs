//! The admin page in a headless Chromium, under load: `clients/page.py` asserts, and takes pictures to be looked at
//! (kept where `LARDER_PICTURES` says).
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};

use crate::admin::admin_address;
use crate::client::{self, Client};
use crate::process::Larder;
use crate::random::Random;
use crate::skips;

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/protocol-tests/clients/page.py");
/// Names that Chromium goes by.
const BROWSERS: &[&str] = &["chromium", "chromium-browser", "google-chrome"];
/// Items that are stored beforehand.
const ITEMS: u64 = 20_000;
/// Requests that are sent at once.
const BATCH: usize = 100;

#[test]
fn the_page_shows_what_goes_on_and_says_when_it_cannot() {
    let Some(browser) = BROWSERS.iter().find_map(|name| skips::find(name)) else {
        return skips::skip("chromium not found");
    };
    let Some(python) = skips::require("python3") else { return };
    let folder = tempfile::tempdir().unwrap();
    let pictures = std::env::var_os("LARDER_PICTURES").map_or(folder.path().to_owned(), PathBuf::from);
    let data_dir = folder.path().join("data");
    let larder = Larder::start(&data_dir, &["--admin-port", "-1"]).unwrap();
    let admin = admin_address(&larder);
    prepare(larder.address());
    let mut script = Command::new(python)
        .args([SCRIPT.as_ref(), browser.as_os_str(), admin.to_string().as_ref(), pictures.as_os_str()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut asked = script.stdin.take().unwrap();
    let mut said = Vec::new();
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let (address, stop) = (larder.address(), &stop);
        for seed in [1, 2] {
            scope.spawn(move || load(address, seed, stop));
        }
        let mut larder = Some(larder);
        for line in BufReader::new(script.stdout.take().unwrap()).lines().map_while(Result::ok) {
            match line.as_str() {
                "end the server" => {
                    stop.store(true, Ordering::Relaxed);
                    larder.take().into_iter().for_each(Larder::kill);
                    asked.write_all(b"ended\n").unwrap();
                }
                "start the server" => {
                    let port = admin.port().to_string();
                    larder = Some(Larder::start(&data_dir, &["--admin-port", &port]).unwrap());
                    asked.write_all(b"started\n").unwrap();
                }
                _ => said.push(line),
            }
        }
        stop.store(true, Ordering::Relaxed);
    });
    let said = said.join("\n");
    assert!(script.wait().unwrap().success(), "{said}");
    skips::say(said.lines().last().unwrap_or_default());
}

/// Items of several sizes; one of them is the biggest.
fn prepare(address: SocketAddr) {
    let mut client = Client::connect(address);
    let mut random = Random::new(7);
    for number in 0..ITEMS {
        let value = vec![b'x'; 20 + random.below(400) as usize];
        client.send(client::set(&format!("item:{number}"), 3600, &value));
    }
    (0..ITEMS).for_each(|_| assert_eq!(client.line(), "STORED\r\n"));
    for (key, bytes) in
        [("page:hot", 5), ("page:big", 300_000), ("report:2025", 90_000), ("feed:front", 45_000)]
    {
        assert_eq!(client.set(key, &vec![b'v'; bytes]), "STORED");
    }
}

/// Asks for this and that until it is told to stop or the server is gone.
fn load(address: SocketAddr, seed: u64, stop: &AtomicBool) {
    let Ok(mut stream) = TcpStream::connect(address) else { return };
    let mut random = Random::new(seed);
    let mut replies = vec![0; 1 << 20];
    while !stop.load(Ordering::Relaxed) {
        let mut requests = Vec::new();
        for _ in 0..BATCH {
            let number = random.below(ITEMS * 5 / 4);
            match random.below(20) {
                0..4 => requests.extend_from_slice(b"get page:hot\r\n"),
                4..6 => requests.extend_from_slice(format!("get user:{}\r\n", number % 7).as_bytes()),
                6..15 => requests.extend_from_slice(format!("get item:{number}\r\n").as_bytes()),
                15..18 => requests.extend(client::set(&format!("item:{number}"), 3600, &[b'y'; 120])),
                18 => requests.extend_from_slice(format!("touch item:{number} 600\r\n").as_bytes()),
                _ => requests.extend_from_slice(format!("mg item:{number} v t\r\n").as_bytes()),
            }
        }
        requests.extend_from_slice(b"mn\r\n");
        if stream.write_all(&requests).is_err() || !read_to_end_mark(&mut stream, &mut replies) {
            return;
        }
    }
}

/// Reads until the batch is answered; false when the server is gone.
fn read_to_end_mark(stream: &mut TcpStream, buffer: &mut [u8]) -> bool {
    let mut end = Vec::new();
    while !end.ends_with(b"MN\r\n") {
        match stream.read(buffer) {
            Ok(0) | Err(_) => return false,
            Ok(count) => {
                end.extend_from_slice(&buffer[..count]);
                end.drain(..end.len().saturating_sub(4));
            }
        }
    }
    true
}
