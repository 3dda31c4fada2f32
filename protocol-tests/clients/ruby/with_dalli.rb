# dalli: Debian's 3 speaks the binary protocol.
require "dalli"

PHASE, HOST, PORT = ARGV
LARGE = ((0..255).to_a * 3000).pack("C*")
PATIENCE_S = 30
$passed = $failed = 0

def check(name, got, expected)
  if got == expected
    $passed += 1
    puts "ok #{name}"
  else
    $failed += 1
    puts "not ok #{name}: #{got.inspect[0, 200]} instead of #{expected.inspect[0, 200]}"
  end
end

# What comes with time, such as an expiry.
def eventually(name, expected)
  deadline = Process.clock_gettime(Process::CLOCK_MONOTONIC) + PATIENCE_S
  sleep 0.05 while (got = yield) != expected && Process.clock_gettime(Process::CLOCK_MONOTONIC) < deadline
  check(name, got, expected)
end

def before(client, raw)
  check("set", !!client.set("k", "one"), true)
  check("get", client.get("k"), "one")
  check("get of nothing", client.get("nothing"), nil)
  check("fetch", [client.fetch("made") { 40 }, client.fetch("made") { 0 }], [40, 40])
  check("add to something", client.add("k", "two"), false)
  check("add", !!client.add("added", "two", 0, raw: true), true)
  # What dalli 3.0 makes of "not found" is 0 here and nil for delete.
  check("replace of nothing", [client.replace("nothing", "x"), client.get("nothing")], [0, nil])
  check("replace", !!client.replace("added", "three", 0, raw: true), true)
  check("append", client.append("added", "+"), true)
  check("prepend", client.prepend("added", "-"), true)
  check("what they made", raw.get("added"), "-three+")
  check("cas", !!client.cas("k") { |value| value + "!" }, true)
  check("cas when another was first", client.cas("k") { client.set("k", 1); 2 }, false)
  check("cas of nothing", client.cas("nothing") { 1 }, nil)
  check("what is there", client.get("k"), 1)
  check("incr begins", client.incr("n", 1, nil, 41), 41)
  check("incr", client.incr("n", 1), 42)
  check("decr below 0", client.decr("n", 50), 0)
  check("incr of nothing", client.incr("nothing"), nil)
  check("delete", [client.delete("k"), client.delete("k")], [true, nil])
  many = (0...100).to_h { |i| ["m#{i}", i] }
  client.multi { many.each { |key, value| client.set(key, value) } }
  check("sets without replies, get_multi", client.get_multi(*many.keys, "nothing"), many)
  check("a large value", [!!client.set("large", LARGE), client.get("large") == LARGE], [true, true])
  check("compressed", [!!client.set("packed", "x" * 2_000_000, 0, compress: true), client.get("packed")],
        [true, "x" * 2_000_000])
  check("too large", (client.set("huge", Random.bytes(2 << 20)) rescue false), false)
  check("after a refusal", client.get("m2"), 2)
  typed.each { |name, value| check("type #{name}", [!!client.set(name, value), client.get(name)], [true, value]) }
  check("expiry, present", !!client.set("short", "v", 1), true)
  eventually("expiry, gone", nil) { client.get("short") }
  client.set("touched", "v")
  check("touch", client.touch("touched", 1), true)
  eventually("touched, gone", nil) { client.get("touched") }
  client.set("gat", "v", 1)
  check("gat", client.gat("gat", 1000), "v")
  check("version", client.version.values, ["1.6.45"])
  check("stats", client.stats.values.map { |found| found["version"] }, ["1.6.45"])
  client.flush
  check("flush", client.get("m2"), nil)
  check("to be kept", !!client.set("kept", "v", 3600), true)
  check("to be counted", client.incr("count", 1, nil, 41), 41)
  check("to be large", !!client.set("large", LARGE), true)
  typed.each { |name, value| check("to be kept, type #{name}", !!client.set(name, value), true) }
end

def after(client, _raw)
  check("kept", client.get("kept"), "v")
  check("touch", client.touch("kept", 7200), true)
  check("counted", client.incr("count", 1), 42)
  check("large", client.get("large") == LARGE, true)
  check("typed", client.get_multi(*typed.keys), typed)
  check("flushed", client.get("m2"), nil)
  check("cas", !!client.cas("kept") { "w" }, true)
end

def typed
  { "i" => 7, "f" => 1.5, "s" => "grüße, 世界 🗝", "l" => [1, { "a" => nil }], "b" => "\0\r\n\xff".b, "t" => true }
end

server = "#{HOST}:#{PORT}"
client = Dalli::Client.new(server, socket_timeout: 60)
send(PHASE, client, Dalli::Client.new(server, socket_timeout: 60, raw: true))
client.close
puts "version #{Dalli::VERSION}", "#{$passed} passed, #{$failed} failed"
exit($failed.zero?)
