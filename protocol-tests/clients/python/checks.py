"""What the Python suites share: a line for each check, and the sum.

usage of a suite: with_CLIENT.py before|after HOST PORT [WORD...]
"""
import sys
import time

PHASE, HOST, PORT, *WORDS = sys.argv[1:]
PORT = int(PORT)
LARGE = bytes(range(256)) * 3000
"""Every byte, three quarters of a megabyte."""
UNICODE = "grüße, 世界 🗝"
PATIENCE_S = 30

_passed = _failed = 0


def check(name, got, expected):
    global _passed, _failed
    if got == expected:
        _passed += 1
        print("ok", name)
    else:
        _failed += 1
        print("not ok", name, f"{got!r:.200} instead of {expected!r:.200}")


def eventually(name, look, expected):
    """What comes with time, such as an expiry."""
    deadline = time.monotonic() + PATIENCE_S
    while (got := look()) != expected and time.monotonic() < deadline:
        time.sleep(0.05)
    check(name, got, expected)


def raises(name, kind, call):
    try:
        got = call()
    except kind:
        got = kind
    check(name, got, kind)


def finish(version):
    print("version", version)
    print(_passed, "passed,", _failed, "failed")
    sys.exit(_failed > 0)
