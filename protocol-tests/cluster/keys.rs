//! The keys of one object, of which memory holds a part only.
use crate::client::{Client, set};
use crate::process::Larder;

/// Keys of the object, and bytes of each value: several times what memory may hold.
const KEYS: usize = 3000;
const VALUE_BYTES: usize = 10_000;
/// Keys of one page.
const PAGE: usize = 700;

#[test]
fn the_keys_of_an_object_are_listed_over_memory_and_disk() {
    let folder = tempfile::tempdir().unwrap();
    let options = ["-m", "8", "--groups", "4", "--log-size", "64m"];
    let larder = Larder::start(&folder.path().join("data"), &options).unwrap();
    let mut client = Client::connect(larder.address());
    let key = |number: usize| format!("{{shop:u1}}{number:05}");
    let value = vec![b'v'; VALUE_BYTES];
    for some in (0..KEYS).collect::<Vec<_>>().chunks(50) {
        client.send(some.iter().flat_map(|number| set(&key(*number), 0, &value)).collect::<Vec<u8>>());
        some.iter().for_each(|_| assert_eq!(client.line(), "STORED\r\n"));
    }
    for number in (0..KEYS).step_by(10) {
        assert_eq!(client.ask(format!("delete {}\r\n", key(number))), "DELETED");
        assert_eq!(client.ask(format!("touch {} -1\r\n", key(number + 1))), "TOUCHED");
    }
    assert!(client.figure_of("larder", "items_in_memory") < KEYS as u64, "memory does not hold them all");
    let expected: Vec<String> = (0..KEYS).filter(|number| number % 10 > 1).map(key).collect();
    assert_eq!(listed(&mut client), expected);
    larder.kill();
    let larder = Larder::start(&folder.path().join("data"), &options).unwrap();
    assert_eq!(listed(&mut Client::connect(larder.address())), expected, "after a kill -9 too");
}

/// All keys of the object, page after page.
fn listed(client: &mut Client) -> Vec<String> {
    let mut keys: Vec<String> = Vec::new();
    loop {
        let after = keys.last().map_or_else(String::new, |last| format!(" {last}"));
        let lines = client.lines(format!("keys {{shop:u1}} {PAGE}{after}\r\n"), "END\r\n");
        let page: Vec<String> =
            lines.iter().filter_map(|line| Some(line.strip_prefix("KEY ")?.trim_end().to_owned())).collect();
        assert_eq!(lines.len(), page.len() + 1, "{:?}", lines.last());
        assert!(page.len() <= PAGE, "{} keys of at most {PAGE}", page.len());
        let is_last = page.len() < PAGE;
        keys.extend(page);
        if is_last {
            return keys;
        }
    }
}
