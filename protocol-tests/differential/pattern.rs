//! Patterns of requests.

/// Whether the first line of `request` is of `pattern` (see [`super::known::Known`]).
pub(crate) fn matches(pattern: &str, request: &[u8]) -> bool {
    let end = request.iter().position(|byte| *byte == b'\n').unwrap_or(request.len());
    let line = String::from_utf8_lossy(&request[..end]).trim_end_matches('\r').to_owned();
    let mut words: Vec<&str> = line.split(' ').filter(|word| !word.is_empty()).collect();
    if line.starts_with(' ') {
        words.insert(0, " ");
    }
    let pattern: Vec<&str> = pattern.split(' ').filter(|word| !word.is_empty()).collect();
    words_match(&pattern, &words)
}

fn words_match(pattern: &[&str], words: &[&str]) -> bool {
    match (pattern, words) {
        ([], []) => true,
        (["..", rest @ ..], _) => (0..=words.len()).any(|skipped| words_match(rest, &words[skipped..])),
        ([first, rest @ ..], [word, others @ ..]) => word_matches(first, word) && words_match(rest, others),
        _ => false,
    }
}

fn word_matches(pattern: &str, word: &str) -> bool {
    pattern.split('|').any(|one| match one {
        "_" => word != " ",
        "{space}" => word == " ",
        "{long}" => word.len() > 250,
        // `{c0}` stands for a number.
        "{bad}" => !word.starts_with('{') && word.parse::<i64>().is_err() && word.parse::<u64>().is_err(),
        _ => one.strip_suffix('*').map_or(word == one, |beginning| word.starts_with(beginning)),
    })
}

#[test]
fn patterns_are_of_words() {
    for (pattern, request, is_of) in [
        ("get _", "get a\r\n", true),
        ("get _", "get a b\r\n", false),
        ("get _", " get a\r\n", false),
        ("get ..", "get\r\n", true),
        ("{space} ..", " get a\r\n", true),
        ("mg _ .. E* ..", "mg a v E5 k\n", true),
        ("mg _ .. E* ..", "mg Ea v\n", false),
        ("ms|mg _ .. S", "ms k 1 S\r\nx\r\n", true),
        ("set _ {bad} ..", "set a x 0 1", true),
        ("set _ {bad} ..", "set a +1 0 1", false),
        ("get {long}", "get a", false),
    ] {
        assert_eq!(matches(pattern, request.as_bytes()), is_of, "{pattern:?} {request:?}");
    }
}
