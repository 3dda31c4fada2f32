<?php
// php-memcached, over libmemcached. The word `binary` takes the binary protocol.
require __DIR__ . '/checks.php';

$binary = in_array('binary', $words, true);
$client = new Memcached();
$client->setOptions([Memcached::OPT_BINARY_PROTOCOL => $binary, Memcached::OPT_TCP_NODELAY => true]);
$client->addServer($host, $port);
$types = ['i' => 7, 'f' => 1.5, 's' => UNICODE, 'l' => [1, ['a' => null]], 'b' => "\0\r\n\xff", 't' => true, 'x' => false];
$many = [];
for ($i = 0; $i < 100; $i++) {
    $many["m$i"] = $i;
}

function said(Memcached $client): int
{
    return $client->getResultCode();
}

if ($phase === 'before') {
    check('set', $client->set('k', 'one'), true);
    check('get', $client->get('k'), 'one');
    check('get of nothing', [$client->get('nothing'), said($client)], [false, Memcached::RES_NOTFOUND]);
    check('get by callback', $client->get('made', function ($client, $key, &$value) {
        $value = 'made';
        return true;
    }), 'made');
    check('and kept', $client->get('made'), 'made');
    check('add to something', [$client->add('k', 'two'), said($client)],
        [false, $binary ? Memcached::RES_DATA_EXISTS : Memcached::RES_NOTSTORED]);
    check('add', $client->add('added', 'two'), true);
    check('replace of nothing', $client->replace('nothing', 'x'), false);
    check('replace', $client->replace('added', 'three'), true);
    $client->setOption(Memcached::OPT_COMPRESSION, false);
    check('append', $client->append('added', '+'), true);
    check('prepend', $client->prepend('added', '-'), true);
    check('what they made', $client->get('added'), '-three+');
    check('append to nothing', $client->append('nothing', 'x'), false);
    $client->setOption(Memcached::OPT_COMPRESSION, true);
    $found = $client->get('k', null, Memcached::GET_EXTENDED);
    check('get extended', $found['value'], 'one');
    check('cas', $client->cas($found['cas'], 'k', 1), true);
    check('cas too late', [$client->cas($found['cas'], 'k', 2), said($client)], [false, Memcached::RES_DATA_EXISTS]);
    check('increment', $client->increment('k', 41), 42);
    check('decrement below 0', $client->decrement('k', 50), 0);
    if ($binary) {
        check('increment begins', [$client->increment('begun', 1, 41), $client->increment('begun', 1, 41)], [41, 42]);
    } else {
        check('increment of nothing', $client->increment('nothing'), false);
    }
    check('delete', [$client->delete('k'), $client->delete('k'), said($client)], [true, false, Memcached::RES_NOTFOUND]);
    check('setMulti', $client->setMulti($many), true);
    $got = $client->getMulti([...array_keys($many), 'nothing']);
    ksort($got);
    $sorted = $many;
    ksort($sorted);
    check('getMulti', $got, $sorted);
    check('getMulti in order', $client->getMulti(['m2', 'nothing', 'm1'], Memcached::GET_PRESERVE_ORDER),
        ['m2' => 2, 'nothing' => null, 'm1' => 1]);
    check('getDelayed', [$client->getDelayed(['m5', 'm6']), count($client->fetchAll())], [true, 2]);
    check('deleteMulti', $client->deleteMulti(['m0', 'm1']), ['m0' => true, 'm1' => true]);
    check('what is left', $client->getMulti(['m0', 'm1', 'm2']), ['m2' => 2]);
    check('a large value', [$client->set('large', $large), $client->get('large') === $large], [true, true]);
    check('compressed', [$client->set('packed', str_repeat('x', 500000)), $client->get('packed')],
        [true, str_repeat('x', 500000)]);
    $client->setOption(Memcached::OPT_COMPRESSION, false);
    check('too large', [$client->set('huge', str_repeat('x', 2 << 20)), said($client)], [false, Memcached::RES_E2BIG]);
    $client->setOption(Memcached::OPT_COMPRESSION, true);
    check('after a refusal', $client->get('m2'), 2);
    foreach ($types as $name => $value) {
        check("type $name", [$client->set($name, $value), $client->get($name)], [true, $value]);
    }
    check('user flags', [$client->setOption(Memcached::OPT_USER_FLAGS, 5), $client->set('flagged', 'v'),
        $client->get('flagged', null, Memcached::GET_EXTENDED)['flags']], [true, true, 5]);
    $client->setOption(Memcached::OPT_USER_FLAGS, -1);
    check('expiry, present', $client->set('short', 'v', 1), true);
    eventually('expiry, gone', fn () => $client->get('short'), false);
    $client->set('touched', 'v');
    check('touch', $client->touch('touched', 1), true);
    eventually('touched, gone', fn () => $client->get('touched'), false);
    $fast = new Memcached();
    $fast->setOptions([Memcached::OPT_BINARY_PROTOCOL => $binary, Memcached::OPT_NO_BLOCK => true,
        Memcached::OPT_BUFFER_WRITES => true]);
    $fast->addServer($host, $port);
    $stored = array_map(fn ($i) => $fast->set("q$i", $i), range(0, 99));
    check('buffered', [array_unique($stored), $fast->flushBuffers(), $fast->get('q99')], [[true], true, 99]);
    $spread = new Memcached();
    $spread->setOptions([Memcached::OPT_BINARY_PROTOCOL => $binary, Memcached::OPT_LIBKETAMA_COMPATIBLE => true,
        Memcached::OPT_PREFIX_KEY => 'site:']);
    $spread->addServer($host, $port);
    check('ketama and a prefix', [$spread->set('k', 1), $spread->get('k'), $client->get('site:k')], [true, 1, 1]);
    check('getVersion', $client->getVersion(), ["$host:$port" => '1.6.45']);
    check('getStats', $client->getStats()["$host:$port"]['version'], '1.6.45');
    check('flush', [$client->flush(), $client->get('m2')], [true, false]);
    check('to be kept', $client->set('kept', 'v', 3600), true);
    check('to be counted', $client->set('count', 41), true);
    check('to be typed', $client->setMulti($types), true);
    check('to be large', $client->set('large', $large), true);
} else {
    check('kept', $client->get('kept'), 'v');
    check('touch', $client->touch('kept', 7200), true);
    check('counted', $client->increment('count'), 42);
    foreach ($types as $name => $value) {
        check("type $name", [$client->get($name), said($client)], [$value, Memcached::RES_SUCCESS]);
    }
    check('large', $client->get('large') === $large, true);
    check('flushed', $client->get('m2'), false);
    $found = $client->get('kept', null, Memcached::GET_EXTENDED);
    check('cas', $client->cas($found['cas'], 'kept', 'w'), true);
}
finish(phpversion('memcached'));
