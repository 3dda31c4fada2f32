# Cache::Memcached and Cache::Memcached::Fast: the text protocol. The word names the module.
use strict;
use warnings;
use utf8;
use Encode qw(encode_utf8);
use JSON::PP;
use Time::HiRes qw(time sleep);

my ($phase, $host, $port, $module) = @ARGV;
my $fast = $module eq 'Cache::Memcached::Fast';
my $large = join('', map { chr } 0 .. 255) x 3000;
my ($passed, $failed) = (0, 0);

sub check {
    my ($name, $got, $expected) = @_;
    my ($left, $right) = map { JSON::PP->new->canonical->allow_nonref->encode($_) } $got, $expected;
    if ($left eq $right) {
        $passed++;
        print "ok $name\n";
    } else {
        $failed++;
        printf "not ok %s: %.200s instead of %.200s\n", $name, encode_utf8($left), encode_utf8($right);
    }
}

# What comes with time, such as an expiry.
sub eventually_gone {
    my ($name, $client, $key) = @_;
    my $deadline = time + 30;
    sleep 0.05 while defined $client->get($key) && time < $deadline;
    check($name, $client->get($key), undef);
}

eval "require $module" or die $@;
my $client = $module->new({ servers => ["$host:$port"], ($fast ? (utf8 => 1) : ()) });
my %typed = (i => '7', l => [1, { a => undef }], b => "\0\r\n\x7f");
$typed{s} = 'grüße, 世界' if $fast;

# What a call says, as 1 or 0: undef, 0 and '' are all no.
sub yes { return $_[0] ? 1 : 0 }

if ($phase eq 'before') {
    check('set', yes($client->set('k', 'one')), 1);
    check('get', $client->get('k'), 'one');
    check('get of nothing', $client->get('nothing'), undef);
    check('add to something', yes($client->add('k', 'two')), 0);
    check('add', yes($client->add('added', 'two')), 1);
    check('replace of nothing', yes($client->replace('nothing', 'x')), 0);
    check('replace', yes($client->replace('added', 'three')), 1);
    check('append', yes($client->append('added', '+')), 1);
    check('prepend', yes($client->prepend('added', '-')), 1);
    check('what they made', $client->get('added'), '-three+');
    if ($fast) {
        my $found = $client->gets('k');
        check('gets', $found->[1], 'one');
        check('cas', yes($client->cas('k', $found->[0], 1)), 1);
        check('cas too late', yes($client->cas('k', $found->[0], 2)), 0);
        my $said = $client->set_multi(map { ["q$_", $_] } 0 .. 99);
        check('set_multi', scalar(grep { $_ } values %$said), 100);
        check('version', $client->server_versions, { "$host:$port" => '1.6.45' });
    } else {
        check('stats', $client->stats('misc')->{hosts}{"$host:$port"}{misc}{version}, '1.6.45');
        check('set to a number', yes($client->set('k', 1)), 1);
    }
    check('incr', 0 + $client->incr('k', 41), 42);
    check('decr below 0', 0 + $client->decr('k', 50), 0);
    check('incr of nothing', yes($client->incr('nothing')), 0);
    check('delete', [yes($client->delete('k')), yes($client->delete('k'))], [1, 0]);
    my %many = map { ("m$_" => "$_") } 0 .. 99;
    $client->set($_, $many{$_}) for keys %many;
    check('get_multi', $client->get_multi(keys %many, 'nothing'), \%many);
    check('a large value', [yes($client->set('large', $large)), yes($client->get('large') eq $large)], [1, 1]);
    my $huge = join '', map { chr 33 + int rand 90 } 1 .. 2 << 20;
    check('too large', yes($client->set('huge', $huge)), 0);
    check('after a refusal', $client->get('m2'), '2');
    for my $name (sort keys %typed) {
        check("type $name", [yes($client->set($name, $typed{$name})), $client->get($name)], [1, $typed{$name}]);
    }
    check('expiry, present', yes($client->set('short', 'v', 1)), 1);
    eventually_gone('expiry, gone', $client, 'short');
    if ($fast) {
        $client->set('touched', 'v');
        check('touch', yes($client->touch('touched', 1)), 1);
        eventually_gone('touched, gone', $client, 'touched');
        # In void context it asks for no reply.
        $client->set('quiet', 'v');
        check('without a reply', $client->get('quiet'), 'v');
    }
    $client->flush_all;
    check('flush_all', $client->get('m2'), undef);
    check('to be kept', yes($client->set('kept', 'v', 3600)), 1);
    check('to be counted', yes($client->set('count', 41)), 1);
    check('to be large', yes($client->set('large', $large)), 1);
    check("to be kept, type $_", yes($client->set($_, $typed{$_})), 1) for sort keys %typed;
} else {
    check('kept', $client->get('kept'), 'v');
    check('counted', 0 + $client->incr('count'), 42);
    check('large', yes($client->get('large') eq $large), 1);
    check('typed', $client->get_multi(keys %typed), \%typed);
    check('flushed', $client->get('m2'), undef);
    check('touch', yes($client->touch('kept', 7200)), 1) if $fast;
}
print "version ", $module->VERSION, "\n$passed passed, $failed failed\n";
exit($failed > 0);
