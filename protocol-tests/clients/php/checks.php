<?php
// What the PHP suites share: a line for each check, and the sum.
// usage of a suite: with_EXTENSION.php before|after HOST PORT [WORD...]

const UNICODE = "grüße, 世界 🗝";
const PATIENCE_S = 30;

[$phase, $host, $port] = array_slice($argv, 1, 3);
$port = (int) $port;
$words = array_slice($argv, 4);
$large = str_repeat(implode('', array_map('chr', range(0, 255))), 3000);
$passed = $failed = 0;

function check(string $name, mixed $got, mixed $expected): void
{
    global $passed, $failed;
    if ($got === $expected) {
        $passed++;
        echo "ok $name\n";
    } else {
        $failed++;
        echo "not ok $name: ", substr(var_export($got, true), 0, 200), ' instead of ',
            substr(var_export($expected, true), 0, 200), "\n";
    }
}

/** What comes with time, such as an expiry. */
function eventually(string $name, callable $look, mixed $expected): void
{
    $deadline = microtime(true) + PATIENCE_S;
    while (($got = $look()) !== $expected && microtime(true) < $deadline) {
        usleep(50000);
    }
    check($name, $got, $expected);
}

function finish(string $version): never
{
    global $passed, $failed;
    echo "version $version\n$passed passed, $failed failed\n";
    exit((int) ($failed > 0));
}
