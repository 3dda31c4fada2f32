# libmemcached's tools: memccp puts files in, memccat and memcdump take them out. The word `binary` takes the binary
# protocol. Debian names them memccp, memccat; upstream memcp, memcat. `capable` runs memccapable.
phase=$1 server="--servers=$2:$3" how=${4:+--binary}
passed=0 failed=0

check() {
    if [ "$2" = "$3" ]; then
        passed=$((passed + 1))
        echo "ok $1"
    else
        failed=$((failed + 1))
        echo "not ok $1: ${2:0:200} instead of ${3:0:200}"
    fi
}

# What a value's bytes are, in one word.
sum() { sha256sum | cut -d ' ' -f 1; }

files() {
    printf hello >small
    : >empty
    for number in {0..255}; do printf -v hex %02x "$number" && printf "\\x$hex"; done >bytes
    # Every byte, half a megabyte of them.
    cp bytes large
    for _ in {1..11}; do cat large large >more && mv more large; done
}

files
if [ "$phase" = before ]; then
    check "memcping" "$(memcping "$server" && echo lives)" lives
    check "memccp" "$(memccp $how "$server" small bytes large && echo stored)" stored
    check "memccat" "$(memccat $how "$server" small)" hello
    check "memccat of bytes" "$(memccat $how "$server" --file=out bytes && sum <out)" "$(sum <bytes)"
    check "memccat of a large value" "$(memccat $how "$server" --file=out large && sum <out)" "$(sum <large)"
    check "memccp with flags" "$(memccp $how "$server" --flag=7 small && memccat $how "$server" --flag small | head -n 1)" 7
    check "memcexist" "$(memcexist $how "$server" small && echo there)" there
    check "memcexist of nothing" "$(memcexist $how "$server" nothing || echo gone)" gone
    check "memccp --add to something" "$(memccp $how "$server" --add small 2>/dev/null || echo refused)" refused
    check "memccp --replace" "$(memccp $how "$server" --replace small && echo stored)" stored
    check "memctouch" "$(memctouch $how "$server" --expire=3600 small && echo touched)" touched
    check "memcrm" "$(memcrm $how "$server" small && memcexist $how "$server" small || echo gone)" gone
    check "memcstat" "$(memcstat $how "$server" | sed -n 's/^.*version: //p')" 1.6.45
    check "memcdump" "$(memcdump "$server" | sort | tr '\n' ' ')" "bytes large "
    check "memcflush" "$(memcflush $how "$server" && memcexist $how "$server" bytes || echo gone)" gone
    check "to be kept" "$(memccp $how "$server" --expire=3600 small bytes large && echo stored)" stored
else
    check "kept" "$(memccat $how "$server" small)" hello
    check "bytes" "$(memccat $how "$server" --file=out bytes && sum <out)" "$(sum <bytes)"
    check "large" "$(memccat $how "$server" --file=out large && sum <out)" "$(sum <large)"
    check "memcdump" "$(memcdump "$server" | sort | tr '\n' ' ')" "bytes large small "
fi
echo "version $(memcstat --version | sed "s/.*libmemcached v\([0-9.]*\).*/\1/")"
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
