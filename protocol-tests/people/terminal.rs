//! `larder top` on a terminal: it draws, follows the size, ends by q, and gives the terminal back.
use std::fs::File;
use std::io::{Read, Write};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use nix::pty::{Winsize, openpty};
use nix::sys::termios::tcgetattr;

use crate::process::{Larder, binary};
use crate::wait;

const PATIENCE: Duration = Duration::from_secs(60);

#[test]
fn top_draws_until_it_is_told_to_end_and_gives_the_terminal_back() {
    let folder = tempfile::tempdir().unwrap();
    let larder = Larder::start(&folder.path().join("data"), &["--groups", "2"]).unwrap();
    for end in [&b"q"[..], b"\x03"] {
        let size = Winsize { ws_row: 12, ws_col: 60, ws_xpixel: 0, ws_ypixel: 0 };
        let pty = openpty(Some(&size), None).unwrap();
        let before = tcgetattr(&pty.slave).unwrap();
        let stdio = || Stdio::from(pty.slave.try_clone().unwrap());
        let mut top = Command::new(binary())
            .args(["top", "-s", &larder.address().to_string()])
            .stdin(stdio())
            .stdout(stdio())
            .stderr(stdio())
            .spawn()
            .unwrap();
        let drawn: Arc<Mutex<Vec<u8>>> = Arc::default();
        let mut screen = File::from(pty.master);
        let (mut reader, sink) = (screen.try_clone().unwrap(), Arc::clone(&drawn));
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(count @ 1..) = reader.read(&mut buffer) {
                sink.lock().unwrap().extend_from_slice(&buffer[..count]);
            }
        });
        let text = || String::from_utf8_lossy(&drawn.lock().unwrap()).into_owned();
        // Twice: it is drawn anew.
        let twice = || (text().matches("requests  all").count() >= 2).then_some(());
        let is_drawn = wait::until(PATIENCE, twice);
        screen.write_all(end).unwrap();
        let status = wait::until(PATIENCE, || top.try_wait().unwrap());
        if status.is_none() {
            top.kill().unwrap();
        }
        assert!(is_drawn.is_some(), "{}", text());
        assert_eq!(status.and_then(|status| status.code()), Some(0), "{}", text());
        let gives_back = || text().contains("\x1b[?25h\x1b[?1049l").then_some(());
        wait::until(PATIENCE, gives_back).expect("the screen of before");
        assert!(text().starts_with("\x1b[?1049h\x1b[?25l"));
        assert_eq!(tcgetattr(&pty.slave).unwrap().local_flags, before.local_flags);
        for line in text().split("\x1b[K") {
            let plain = line.replace("\x1b[H", "").replace("\x1b[1m", "").replace("\x1b[0m", "");
            let seen = plain.trim_start_matches("\r\n").chars().filter(|c| !c.is_control()).count();
            assert!(seen <= 60 + "[?1049h[?25l[J".len(), "wider than the terminal: {line:?}");
        }
    }
}
