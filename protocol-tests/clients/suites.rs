//! The clients, as data: each row becomes a test.
use super::{Needs, Suite};

/// No words, no options.
const NONE: &[&str] = &[];
/// Stands for a server's certificate (`Suite::run`).
const TLS: &[&str] = &["-Z", "-o", "CERTIFICATE"];
const SASL: &[&str] = &["-S", "-Y", "USERS"];

macro_rules! suites {
    ($($test:ident: $client:literal, $needs:ident $package:literal, $script:literal, $words:expr, $options:expr;)*) => {
        /// Every row.
        pub(super) const ALL: &[Suite] = &[$(row::$test),*];

        mod row {
            use super::*;
            $(
                #[allow(non_upper_case_globals, reason = "named as its test")]
                pub(super) const $test: Suite = Suite {
                    client: $client,
                    needs: Needs::$needs($package),
                    script: $script,
                    words: $words,
                    options: $options,
                };
            )*
        }

        $(
            #[test]
            fn $test() {
                row::$test.run();
            }
        )*
    };
}

suites! {
    pymemcache: "pymemcache", Python "pymemcache", "python/with_pymemcache.py", NONE, NONE;
    pymemcache_tls: "pymemcache, TLS", Python "pymemcache", "python/with_pymemcache.py", &["tls"], TLS;
    python_memcached: "python-memcached", Python "memcache", "python/with_python_memcached.py", NONE, NONE;
    pylibmc_text: "pylibmc", Python "pylibmc", "python/with_pylibmc.py", NONE, NONE;
    pylibmc_binary: "pylibmc, binary", Python "pylibmc", "python/with_pylibmc.py", &["binary"], NONE;
    aiomcache: "aiomcache", Python "aiomcache", "python/with_aiomcache.py", NONE, NONE;
    binary_memcached: "python-binary-memcached", Python "bmemcached", "python/with_binary_memcached.py", NONE, NONE;
    binary_memcached_sasl: "python-binary-memcached, SASL", Python "bmemcached",
        "python/with_binary_memcached.py", &["sasl"], SASL;
    django_pymemcache: "Django PyMemcacheCache", Python "django", "python/with_django.py", &["PyMemcacheCache"], NONE;
    django_pylibmc: "Django PyLibMCCache", Python "django", "python/with_django.py", &["PyLibMCCache"], NONE;
    libmemcached_tools: "libmemcached's tools", Shell "memccat", "libmemcached/with_tools.sh", NONE, NONE;
    libmemcached_tools_binary: "libmemcached's tools, binary", Shell "memccat",
        "libmemcached/with_tools.sh", &["binary"], NONE;
    php_memcached: "php-memcached", Php "memcached", "php/with_memcached.php", NONE, NONE;
    php_memcached_binary: "php-memcached, binary", Php "memcached", "php/with_memcached.php", &["binary"], NONE;
    php_memcache: "php-memcache", Php "memcache", "php/with_memcache.php", NONE, NONE;
    node_memcached: "memcached (Node)", Node "memcached", "node/with_memcached.js", NONE, NONE;
    memjs: "memjs, binary", Node "memjs", "node/with_memjs.js", NONE, NONE;
    memjs_sasl: "memjs, binary, SASL", Node "memjs", "node/with_memjs.js", &["sasl"], SASL;
    dalli: "dalli, binary", Ruby "dalli", "ruby/with_dalli.rb", NONE, NONE;
    cache_memcached: "Cache::Memcached", Perl "Cache::Memcached", "perl/with_cache_memcached.pl",
        &["Cache::Memcached"], NONE;
    cache_memcached_fast: "Cache::Memcached::Fast", Perl "Cache::Memcached::Fast", "perl/with_cache_memcached.pl",
        &["Cache::Memcached::Fast"], NONE;
    gomemcache: "gomemcache", Go "github.com/bradfitz/gomemcache", "go/with_gomemcache.go", NONE, NONE;
}
