//! Commands that are not about keys.

use super::*;

#[test]
fn administration() {
    let limits = Limits::default();
    let bad = |length: usize| format!("reject {length}+0 {BCLF}");
    check(
        &limits,
        &[
            ("version\r\n", "9+0 Version"),
            ("version x\r\n", "11+0 Version"),
            ("quit\r\n", "6+0 Quit"),
            ("quit x\r\n", "8+0 Quit"),
            ("flush_all\r\n", "11+0 FlushAll(None)"),
            ("flush_all noreply\r\n", "19+0 FlushAll(None) noreply"),
            ("flush_all 0\r\n", "13+0 FlushAll(None)"),
            ("flush_all -1\r\n", "14+0 FlushAll(None)"),
            ("flush_all 5 2 3\r\n", "17+0 FlushAll(Some(Exptime(5)))"),
            ("flush_all 5 noreply\r\n", "21+0 FlushAll(Some(Exptime(5))) noreply"),
            ("flush_all x\r\n", "13+0 refused Flush CLIENT_ERROR invalid exptime argument"),
            ("flush_all x noreply\r\n", "21+0 refused Flush CLIENT_ERROR invalid exptime argument noreply"),
            ("verbosity 1\r\n", "13+0 Verbosity(1)"),
            ("verbosity 9\r\n", "13+0 Verbosity(2)"),
            ("verbosity\r\n", &bad(11)),
            ("verbosity -1\r\n", &bad(14)),
            ("verbosity x\r\n", &bad(13)),
            ("verbosity noreply\r\n", "reject 19+0 "),
            ("cache_memlimit 8\r\n", "18+0 CacheMemlimit(8)"),
            ("cache_memlimit\r\n", "reject 16+0 ERROR"),
            ("cache_memlimit 7\r\n", "reject 18+0 MEMLIMIT_TOO_SMALL cannot set maxbytes to less than 8m"),
            (
                "cache_memlimit 1000000001\r\n",
                "reject 27+0 MEMLIMIT_ADJUST_FAILED input value is megabytes not bytes",
            ),
            ("shutdown\r\n", "reject 10+0 SERVER_ERROR: shutdown not enabled"),
            ("stats\r\n", "7+0 Stats(General)"),
            ("stats settings x\r\n", "18+0 Stats(Settings)"),
            ("stats detail on\r\n", "17+0 Stats(DetailOn)"),
            ("stats detail\r\n", "reject 14+0 CLIENT_ERROR usage: stats detail on|off|dump"),
            ("stats cachedump 1 2\r\n", "21+0 Stats(CacheDump(1, 2))"),
            ("stats cachedump 1\r\n", "reject 19+0 CLIENT_ERROR bad command line"),
            ("stats cachedump x 1\r\n", &bad(21)),
            ("stats cachedump 64 1\r\n", "reject 22+0 CLIENT_ERROR Illegal slab id"),
            ("stats nope\r\n", "reject 12+0 ERROR"),
            ("watch\r\n", "7+0 watch []"),
            ("watch evictions mutations\r\n", "27+0 watch [evictions mutations]"),
            ("watch nope\r\n", "12+0 watch [nope]"),
            ("lru_crawler metadump all\r\n", "26+0 Dump(Meta)"),
            ("lru_crawler metadump hash\r\n", "27+0 Dump(Meta)"),
            ("lru_crawler metadump 1,2\r\n", "26+0 Dump(Meta)"),
            ("lru_crawler mgdump all\r\n", "24+0 Dump(Mget)"),
            ("lru_crawler metadump all noreply\r\n", "reject 34+0 "),
            ("lru_crawler metadump 64\r\n", "reject 25+0 BADCLASS invalid class id"),
            ("lru_crawler crawl all\r\n", "23+0 Tuning(Crawl)"),
            ("lru_crawler crawl x\r\n", "reject 21+0 BADCLASS invalid class id"),
            ("lru_crawler enable\r\n", "20+0 Tuning(Crawler(true))"),
            ("lru_crawler sleep 1000001\r\n", "reject 27+0 CLIENT_ERROR sleep must be one second or less"),
            ("lru_crawler sleep x\r\n", &bad(21)),
            ("lru_crawler\r\n", "reject 13+0 ERROR"),
            ("slabs reassign 1 2\r\n", "reject 20+0 NOSPARE source class has no spare pages"),
            ("slabs reassign 1 1\r\n", "reject 20+0 SAME src and dst class are identical"),
            ("slabs reassign 0 99\r\n", "reject 21+0 BADCLASS invalid src or dst class id"),
            ("slabs reassign x 1\r\n", &bad(20)),
        ],
    );
}

#[test]
fn tuning_that_steers_nothing() {
    let limits = Limits::default();
    let bad = |length: usize| format!("reject {length}+0 {BCLF}");
    check(
        &limits,
        &[
            ("slabs automove 2\r\n", "18+0 tuning OK"),
            ("slabs automove 9\r\n", "reject 18+0 ERROR"),
            ("slabs automove x\r\n", &bad(18)),
            ("lru mode flat\r\n", "15+0 tuning OK"),
            ("lru tune 10 10 0.1 1.5\r\n", "24+0 tuning OK"),
            ("lru tune 50 50 0.1 1.5\r\n", "reject 24+0 ERROR hot and warm pcts must not exceed 80"),
            ("extstore item_size 5\r\n", "22+0 tuning OK"),
            ("extstore nope\r\n", "reject 15+0 ERROR"),
            ("refresh_certs\r\n", "15+0 Tuning(RefreshCerts)"),
            ("misbehave\r\n", "reject 11+0 ERROR"),
            ("debugtime p\r\n", "reject 13+0 ERROR"),
        ],
    );
}
