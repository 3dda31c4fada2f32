//! Web applications that keep their sessions in the server: log in, kill -9, still logged in; expiry that slides; two
//! requests of one session at once. docs/sessions.md shows the lines of configuration that run here.
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

use super::{Needs, PATIENCE, script};
use crate::client::Client;
use crate::process::Larder;
use crate::skips::{self, say};
use crate::wait;

/// What the applications give a session, seconds.
const LIFETIME_S: u64 = 1000;
/// Requests of one session, by each of two that ask at once.
const AT_ONCE: usize = 20;

/// An application; all answer `/login?name=`, `/count`, `/logout` and anything else with the name and the count.
struct Stack {
    name: &'static str,
    needs: Needs,
    script: &'static str,
    /// Whether a request of a session waits for the one before.
    locks: bool,
}

const FLASK: Stack = Stack {
    name: "Flask-Session",
    needs: Needs::Python("flask_session"),
    script: "python/flask_sessions.py",
    locks: false,
};
const DJANGO: Stack = Stack {
    name: "Django cache sessions",
    needs: Needs::Python("django"),
    script: "python/django_sessions.py",
    locks: false,
};
const EXPRESS: Stack = Stack {
    name: "Express, connect-memcached",
    needs: Needs::Node("connect-memcached"),
    script: "node/express_sessions.js",
    locks: false,
};
const EXPRESS_MEMJS: Stack = Stack {
    name: "Express, connect-memjs",
    needs: Needs::Node("connect-memjs"),
    script: "node/express_memjs_sessions.js",
    locks: false,
};
const PHP: Stack =
    Stack { name: "PHP sessions", needs: Needs::Php("memcached"), script: "php/sessions.php", locks: true };

/// The running application. It ends, with the processes that it started, when dropped.
struct Application {
    child: Child,
    address: SocketAddr,
}

impl Application {
    fn start(stack: &Stack, larder: SocketAddr) -> Application {
        let mut command = stack.needs.command();
        if matches!(stack.needs, Needs::Php(_)) {
            php_server(&mut command, larder);
        } else {
            command.arg(script(stack.script)).arg(larder.to_string());
        }
        // Both pipes are one: PHP names its port in its log.
        let (said, tells) = std::io::pipe().unwrap();
        command.stdin(Stdio::null()).stdout(tells.try_clone().unwrap()).stderr(tells).process_group(0);
        let child = command.spawn().unwrap();
        // The command holds the writing end: without this the pipe of an application that failed would never end.
        drop(command);
        let mut lines = BufReader::new(said).lines().map_while(Result::ok);
        let port = lines.find_map(|line| named_port(&line));
        // Who writes a log must find a reader.
        std::thread::spawn(move || lines.for_each(drop));
        let port = port.unwrap_or_else(|| panic!("{} does not serve", stack.name));
        Application { child, address: SocketAddr::from(([127, 0, 0, 1], port)) }
    }
}

impl Drop for Application {
    fn drop(&mut self) {
        let _ = killpg(Pid::from_raw(self.child.id() as i32), Signal::SIGKILL);
        let _ = self.child.wait();
    }
}

fn php_server(command: &mut Command, larder: SocketAddr) {
    command.arg("-c").arg(script("php/sessions.ini")).args(["-d", &format!("session.save_path={larder}")]);
    command.args(["-S", "127.0.0.1:0"]).arg(script("php/sessions.php")).env("PHP_CLI_SERVER_WORKERS", "4");
}

/// The port in `serving PORT`, or in what PHP says when it starts.
fn named_port(line: &str) -> Option<u16> {
    let port = line.strip_prefix("serving ").or_else(|| {
        let (_, rest) = line.split_once("(http://127.0.0.1:")?;
        rest.strip_suffix(") started")
    });
    port?.parse().ok()
}

/// Someone with a browser: one cookie.
#[derive(Clone)]
struct Visitor {
    address: SocketAddr,
    cookie: String,
}

impl Visitor {
    /// Asks for a page: its status, what it says, and the version that it names.
    fn ask(&mut self, page: &str) -> (u16, String, String) {
        let mut stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let host = self.address;
        let request = format!("GET /{page} HTTP/1.0\r\nHost: {host}\r\nCookie: {}\r\n\r\n", self.cookie);
        stream.write_all(request.as_bytes()).unwrap();
        let mut bytes = Vec::new();
        let _ = stream.read_to_end(&mut bytes);
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
        let header = |name: &str| {
            let line = head.lines().filter_map(|line| line.split_once(": "));
            line.filter(|(named, _)| named.eq_ignore_ascii_case(name)).map(|(_, value)| value).next_back()
        };
        if let Some(cookie) = header("Set-Cookie") {
            self.cookie = cookie.split(';').next().unwrap_or_default().to_owned();
        }
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
        (status, body.trim().to_owned(), header("X-Version").unwrap_or_default().to_owned())
    }

    /// What a page says; an error of the application fails the test.
    fn says(&mut self, page: &str) -> String {
        let (status, said, _) = self.ask(page);
        assert_eq!(status, 200, "{page}: {said}");
        said
    }
}

/// The key of the one session that is there, as the server lists it.
fn session_key(server: SocketAddr) -> String {
    let mut client = Client::connect(server);
    client.send("lru_crawler metadump all\r\n");
    let mut keys = Vec::new();
    loop {
        let line = client.line();
        match line.strip_prefix("key=").and_then(|rest| rest.split(' ').next()) {
            Some(key) => keys.push(key.to_owned()),
            None if line == "END\r\n" => break,
            None => assert_eq!(line, "OK\r\n"),
        }
    }
    keys.retain(|key| !key.contains("lock."));
    assert_eq!(keys.len(), 1, "{keys:?}");
    // Of what metadump writes with %, session keys hold only these.
    keys.remove(0).replace("%3A", ":").replace("%2F", "/")
}

/// Seconds that the session has left.
fn left_s(server: SocketAddr, key: &str) -> u64 {
    let said = Client::connect(server).ask(format!("mg {key} t\r\n"));
    said.strip_prefix("HD t").and_then(|ttl| ttl.parse().ok()).unwrap_or_else(|| panic!("{key}: {said}"))
}

/// A request renews what the session has left, when most of it is gone.
fn slides(visitor: &mut Visitor, server: SocketAddr) {
    let key = session_key(server);
    assert!(left_s(server, &key) > LIFETIME_S / 2);
    assert_eq!(Client::connect(server).ask(format!("touch {key} 100\r\n")), "TOUCHED");
    assert!(left_s(server, &key) <= 100);
    assert!(visitor.says("whoami").starts_with("ann "));
    assert!(left_s(server, &key) > LIFETIME_S / 2, "it slides");
}

/// Two ask at once, many times; how many of their counts were kept.
fn at_once(visitor: &Visitor) -> usize {
    let ask = |mut visitor: Visitor| {
        move || {
            for _ in 0..AT_ONCE {
                assert!(visitor.says("count").starts_with("ann "));
            }
        }
    };
    std::thread::scope(|scope| {
        let both = [scope.spawn(ask(visitor.clone())), scope.spawn(ask(visitor.clone()))];
        for one in both {
            one.join().unwrap();
        }
    });
    let said = visitor.clone().says("whoami");
    said.rsplit(' ').next().unwrap().parse().unwrap()
}

/// Asks until the application answers; it may have found its old connections closed. The session is never gone.
fn still_logged_in(visitor: &mut Visitor, before: &str) -> usize {
    let mut errors = 0;
    let answered = wait::until(PATIENCE, || {
        let (status, said, _) = visitor.ask("whoami");
        assert!(status != 200 || said == before, "{said:?} instead of {before:?}");
        errors += usize::from(status != 200);
        (status == 200).then_some(())
    });
    assert!(answered.is_some(), "it answers again");
    errors
}

fn start(data_dir: &Path, port: &str) -> Larder {
    Larder::launch(&["-p", port, "-U", "0", "--data-dir", data_dir.to_str().unwrap()]).unwrap()
}

fn holds(stack: &Stack) {
    if !stack.needs.present() {
        return skips::skip(&format!("{}: no {}", stack.name, stack.needs.package()));
    }
    let folder = tempfile::tempdir().unwrap();
    let data_dir = folder.path().join("data");
    let larder = start(&data_dir, "-1");
    let server = larder.address();
    let application = Application::start(stack, server);
    let mut visitor = Visitor { address: application.address, cookie: String::new() };
    assert!(visitor.says("login?name=ann").starts_with("ann "));
    let (_, said, version) = visitor.ask("count");
    assert_eq!(said, "ann 1");
    slides(&mut visitor, server);
    let kept = at_once(&visitor) - 1;
    assert!(kept == 2 * AT_ONCE || (!stack.locks && (1..2 * AT_ONCE).contains(&kept)), "{kept} counted");

    let before = visitor.says("whoami");
    larder.kill();
    let larder = start(&data_dir, &server.port().to_string());
    let errors = still_logged_in(&mut visitor, &before);
    slides(&mut visitor, larder.address());
    // A connection of the application that is still a dead one may cost a request.
    wait::until(PATIENCE, || (visitor.ask("logout").0 == 200).then_some(())).unwrap();
    assert_eq!(visitor.says("whoami"), "nobody 0");
    let asked = 2 * AT_ONCE;
    say(&format!(
        "sessions {:<28} {version}: logged in after kill -9 ({errors} errors first), {kept} of {asked} counts kept",
        stack.name
    ));
}

#[test]
fn flask_sessions() {
    holds(&FLASK);
}

#[test]
fn django_sessions() {
    holds(&DJANGO);
}

#[test]
fn express_sessions() {
    holds(&EXPRESS);
}

#[test]
fn express_memjs_sessions() {
    holds(&EXPRESS_MEMJS);
}

#[test]
fn php_sessions() {
    holds(&PHP);
}

#[test]
fn the_page_shows_the_lines_that_run() {
    let page = include_str!("../../docs/sessions.md");
    let files = [
        include_str!("php/sessions.ini"),
        include_str!("python/flask_sessions.py"),
        include_str!("python/django_sessions.py"),
        include_str!("node/express_sessions.js"),
        include_str!("node/express_memjs_sessions.js"),
    ];
    let blocks: Vec<&str> = page.split("```").skip(1).step_by(2).collect();
    assert_eq!(blocks.len(), files.len());
    for (block, file) in blocks.into_iter().zip(files) {
        let run: Vec<&str> = file.lines().collect();
        let mut shown = block.lines().skip(1).peekable();
        assert!(shown.peek().is_some());
        for line in shown {
            let named = line.replace("\"127.0.0.1:11211\"", "LARDER");
            assert!(run.contains(&line) || run.contains(&named.as_str()), "{line:?} is not what runs");
        }
    }
}
