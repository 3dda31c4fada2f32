<?php
// php-memcache, a client of its own: the text protocol.
require __DIR__ . '/checks.php';

$client = new Memcache();
$client->addServer($host, $port);
$types = ['i' => 7, 'f' => 1.5, 's' => UNICODE, 'l' => [1, ['a' => null]], 'b' => "\0\r\n\xff", 't' => true];

if ($phase === 'before') {
    check('getVersion', $client->getVersion(), '1.6.45');
    check('set', $client->set('k', 'one'), true);
    check('get', $client->get('k'), 'one');
    check('get of nothing', $client->get('nothing'), false);
    check('add to something', $client->add('k', 'two'), false);
    check('add', $client->add('added', 'two'), true);
    check('replace of nothing', $client->replace('nothing', 'x'), false);
    check('replace', $client->replace('added', 'three'), true);
    check('append', $client->append('added', '+'), true);
    check('prepend', $client->prepend('added', '-'), true);
    check('what they made', $client->get('added'), '-three+');
    $flags = $cas = null;
    check('get with cas', [$client->get('k', $flags, $cas), is_int($cas)], ['one', true]);
    check('cas', $client->cas('k', 1, 0, 0, $cas), true);
    check('cas too late', $client->cas('k', 2, 0, 0, $cas), false);
    check('increment', $client->increment('k', 41), 42);
    check('decrement below 0', $client->decrement('k', 50), 0);
    check('increment of nothing', $client->increment('nothing'), false);
    check('delete', [$client->delete('k'), $client->delete('k')], [true, false]);
    $many = [];
    for ($i = 0; $i < 100; $i++) {
        $many["m$i"] = "$i";
        $client->set("m$i", "$i");
    }
    $got = $client->get([...array_keys($many), 'nothing']);
    ksort($got);
    ksort($many);
    check('get of many', $got, $many);
    check('a large value', [$client->set('large', $large), $client->get('large') === $large], [true, true]);
    check('compressed', [$client->set('packed', str_repeat('x', 500000), MEMCACHE_COMPRESSED), $client->get('packed')],
        [true, str_repeat('x', 500000)]);
    check('too large', @$client->set('huge', random_bytes(2 << 20)), false);
    check('after a refusal', $client->get('m2'), '2');
    foreach ($types as $name => $value) {
        check("type $name", [$client->set($name, $value), $client->get($name)], [true, $value]);
    }
    check('user flags', [$client->set('flagged', 'v', 1 << 16), $client->get('flagged', $flags), $flags],
        [true, 'v', 1 << 16]);
    check('expiry, present', $client->set('short', 'v', 0, 1), true);
    eventually('expiry, gone', fn () => $client->get('short'), false);
    check('getStats', $client->getStats()['version'], '1.6.45');
    check('flush', [$client->flush(), $client->get('m2')], [true, false]);
    check('to be kept', $client->set('kept', 'v', 0, 3600), true);
    check('to be counted', $client->set('count', 41), true);
    foreach ($types as $name => $value) {
        check("to be kept, type $name", $client->set($name, $value), true);
    }
    check('to be large', $client->set('large', $large), true);
} else {
    check('kept', $client->get('kept'), 'v');
    check('counted', $client->increment('count'), 42);
    foreach ($types as $name => $value) {
        check("type $name", $client->get($name), $value);
    }
    check('large', $client->get('large') === $large, true);
    check('flushed', $client->get('m2'), false);
}
finish(phpversion('memcache'));
