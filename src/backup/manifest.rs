//! The manifest: a text that says what the backup is, which files belong to it and what their checksums are. It is
//! written last, so that a backup without one was never finished.

use super::body::{Begin, End};
use crate::base::lsn::Lsn;
use crate::base::time::UnixMs;
use crate::base::version::Version;
use crate::route::{Hash, HashTag};

const FIRST_LINE: &str = "larder backup 1";

/// What a backup is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    /// Whose, and from where on.
    pub begin: Begin,
    /// Up to where, and how much.
    pub end: End,
    /// Its files.
    pub files: Vec<FileFacts>,
}

/// One file of a backup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileFacts {
    /// Below the backup's directory: `items/00000` or `binlog/log-0000000000000001`.
    pub name: String,
    /// Its length.
    pub bytes: u64,
    /// The CRC-32C of all of it.
    pub crc: u32,
}

impl Manifest {
    /// Its text.
    pub fn encode(&self) -> String {
        let Manifest { begin, end, files } = self;
        let hash = if begin.hash == Hash::Larder { "larder" } else { "fastdht" };
        let tag = if begin.hash_tag == HashTag::Braces { "braces" } else { "none" };
        let mut text = format!("{FIRST_LINE}\nhash {hash}\nhash-tag {tag}\n");
        for (name, number) in [
            ("groups", u64::from(begin.group_count)),
            ("server", begin.server.into()),
            ("incarnation", begin.incarnation.into()),
            ("after-lsn", begin.after.0),
            ("lsn", end.until.0),
            ("began-ms", begin.now.0),
            ("ended-ms", end.now.0),
            ("version-ceiling", end.ceiling.0),
            ("items", end.items),
            ("left-out", end.left_out),
        ] {
            text.push_str(&format!("{name} {number}\n"));
        }
        for file in files {
            text.push_str(&format!("file {} {} {:08x}\n", file.name, file.bytes, file.crc));
        }
        let crc = crc32c::crc32c(text.as_bytes());
        text.push_str(&format!("end {crc:08x}\n"));
        text
    }

    /// Reads it; else why it is none.
    ///
    /// # Errors
    /// In words that follow the file's name.
    pub fn decode(text: &str) -> Result<Manifest, &'static str> {
        if !text.starts_with("larder backup ") {
            return Err("this is no manifest of a backup");
        }
        if text.lines().next() != Some(FIRST_LINE) {
            return Err("this backup has another format: use the larder that made it");
        }
        let damaged = "the manifest is damaged: the backup cannot be trusted";
        let (covered, end) = text.rfind("end ").and_then(|at| text.split_at_checked(at)).ok_or(damaged)?;
        let crc = end.strip_prefix("end ").and_then(|word| word.strip_suffix('\n'));
        if crc.and_then(|word| u32::from_str_radix(word, 16).ok()) != Some(crc32c::crc32c(covered.as_bytes()))
        {
            return Err(damaged);
        }
        read(covered).ok_or(damaged)
    }

    /// All bytes of its files.
    pub fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.bytes).sum()
    }
}

/// What stands between the first line and the last.
fn read(text: &str) -> Option<Manifest> {
    let word = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    let number = |name: &str| word(name)?.parse::<u64>().ok();
    let begin = Begin {
        group_count: number("groups")?.try_into().ok()?,
        hash: match word("hash")? {
            "larder" => Hash::Larder,
            "fastdht" => Hash::Fastdht,
            _ => return None,
        },
        hash_tag: match word("hash-tag")? {
            "braces" => HashTag::Braces,
            "none" => HashTag::None,
            _ => return None,
        },
        server: number("server")?.try_into().ok()?,
        incarnation: number("incarnation")?.try_into().ok()?,
        after: Lsn(number("after-lsn")?),
        now: UnixMs(number("began-ms")?),
    };
    let end = End {
        until: Lsn(number("lsn")?),
        now: UnixMs(number("ended-ms")?),
        ceiling: Version(number("version-ceiling")?),
        items: number("items")?,
        left_out: number("left-out")?,
    };
    let files =
        text.lines().filter_map(|line| line.strip_prefix("file ")).map(file).collect::<Option<_>>()?;
    Some(Manifest { begin, end, files })
}

fn file(line: &str) -> Option<FileFacts> {
    let mut words = line.split(' ');
    let (name, bytes, crc) = (words.next()?, words.next()?, words.next()?);
    Some(FileFacts {
        name: name.to_owned(),
        bytes: bytes.parse().ok()?,
        crc: u32::from_str_radix(crc, 16).ok()?,
    })
}
