"""Opens the admin page in a headless Chromium, asserts what it shows under load, and takes pictures of it.

usage: page.py CHROMIUM HOST:PORT FOLDER

The browser is driven over its own pipe (--remote-debugging-pipe), so that nothing but Python is needed. Prints one line
per check and ends with 1 if any failed.
"""
import base64
import json
import os
import select
import subprocess
import sys
import tempfile
import time

PATIENCE_S = 60


class Browser:
    """One page of a browser, as its debugging protocol shows it."""

    def __init__(self, program, folder):
        here, there = os.pipe(), os.pipe()
        os.set_inheritable(here[0], True)
        os.set_inheritable(there[1], True)
        # The protocol reads file descriptor 3 and writes 4.
        wiring = f'exec 3<&{here[0]} 4>&{there[1]}; exec "$@"'
        options = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
                   "--remote-debugging-pipe", f"--user-data-dir={folder}", "about:blank"]
        self.process = subprocess.Popen(["bash", "-c", wiring, "sh", program, *options], close_fds=False,
                                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        os.close(here[0])
        os.close(there[1])
        self.to, self.of = here[1], there[0]
        self.rest, self.number, self.events = b"", 0, []
        target = self.ask("Target.createTarget", {"url": "about:blank"}, None)["targetId"]
        self.session = self.ask("Target.attachToTarget", {"targetId": target, "flatten": True}, None)["sessionId"]
        for domain in ["Page", "Runtime", "Log", "Network"]:
            self.ask(f"{domain}.enable")

    def ask(self, method, params=None, session=""):
        self.number += 1
        message = {"id": self.number, "method": method, "params": params or {}}
        if session is not None:
            message["sessionId"] = self.session
        os.write(self.to, json.dumps(message).encode() + b"\0")
        while True:
            answer = self.next()
            if answer.get("id") == self.number:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']}")
                return answer["result"]
            self.events.append(answer)

    def next(self):
        while b"\0" not in self.rest:
            ready, _, _ = select.select([self.of], [], [], PATIENCE_S)
            more = os.read(self.of, 1 << 20) if ready else b""
            if not more:
                raise RuntimeError("the browser does not answer")
            self.rest += more
        line, self.rest = self.rest.split(b"\0", 1)
        return json.loads(line)

    def value(self, expression):
        """What a script in the page evaluates to."""
        params = {"expression": expression, "returnByValue": True, "awaitPromise": True}
        answer = self.ask("Runtime.evaluate", params)
        if "exceptionDetails" in answer:
            raise RuntimeError(f"{expression}: {answer['exceptionDetails']}")
        return answer["result"].get("value")

    def until(self, expression):
        """Waits until the expression is true; what it was last."""
        deadline = time.monotonic() + PATIENCE_S
        while True:
            found = self.value(expression)
            if found or time.monotonic() > deadline:
                return found
            select.select([self.of], [], [], 0.1)

    def size(self, width, height):
        self.ask("Emulation.setDeviceMetricsOverride",
                 {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600})

    def colours(self, scheme):
        self.ask("Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": scheme}]})

    def press(self, key):
        for kind in ["keyDown", "keyUp"]:
            self.ask("Input.dispatchKeyEvent", {"type": kind, "key": key, "code": key,
                                                "windowsVirtualKeyCode": {"ArrowRight": 39, "Tab": 9}.get(key, 0)})

    def picture(self, path):
        height = self.value("document.documentElement.scrollHeight")
        clip = {"x": 0, "y": 0, "width": self.value("innerWidth"), "height": height, "scale": 1}
        data = self.ask("Page.captureScreenshot", {"captureBeyondViewport": True, "clip": clip})["data"]
        with open(path, "wb") as file:
            file.write(base64.b64decode(data))

    def complaints(self):
        """Errors in the console, exceptions, refused loads."""
        found = []
        for event in self.events:
            method, params = event.get("method"), event.get("params", {})
            if method == "Runtime.exceptionThrown":
                found.append(params["exceptionDetails"].get("text", "exception"))
            elif method == "Runtime.consoleAPICalled" and params["type"] in ("error", "warning", "assert"):
                found.append(str(params["args"]))
            elif method == "Log.entryAdded" and params["entry"]["level"] in ("error", "warning"):
                found.append(params["entry"]["text"])
        return found

    def asked(self):
        """All addresses that the page has asked for."""
        requests = [event["params"] for event in self.events if event.get("method") == "Network.requestWillBeSent"]
        return [request["request"]["url"] for request in requests]

    def close(self):
        self.process.kill()
        self.process.wait()


CHECKS = 0
FAILED = []


def check(what, holds, seen=""):
    global CHECKS
    CHECKS += 1
    print(f"{'ok' if holds else 'FAILED'}: {what}{'' if holds else f' ({seen})'}", flush=True)
    if not holds:
        FAILED.append(what)


NO_SCROLL = "document.documentElement.scrollWidth <= innerWidth"
# The narrowest column of keys.
KEY_WIDTH = """Math.min(...[...document.querySelectorAll('.rows th')].filter(e => e.textContent === 'Key')
    .map(e => e.getBoundingClientRect().width))"""
NAMELESS = """[...document.querySelectorAll('button, input, select, [tabindex]')].filter(e => e.checkVisibility()
    && !(e.getAttribute('aria-label') || e.textContent.trim() || e.labels?.length)).map(e => e.outerHTML)"""
PLACES = "[...document.querySelectorAll('section, figure, .tile')].map(e => Math.round(e.getBoundingClientRect().top + scrollY))"
# Every text against what lies behind it, as WCAG counts contrast.
FAINT = """(() => {
  const canvas = new OffscreenCanvas(1, 1).getContext('2d', { willReadFrequently: true });
  const rgb = colour => { canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = colour; canvas.fillRect(0, 0, 1, 1); return [...canvas.getImageData(0, 0, 1, 1).data]; };
  const light = ([r, g, b]) => [r, g, b].map(v => v / 255).map(v => v <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4).reduce((a, v, i) => a + v * [.2126, .7152, .0722][i], 0);
  const behind = e => { for (; e; e = e.parentElement) { const c = rgb(getComputedStyle(e).backgroundColor); if (c[3] > 0) return c; } return [255, 255, 255]; };
  const found = [];
  const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walk.nextNode()) {
    const e = walk.currentNode.parentElement;
    if (!walk.currentNode.textContent.trim() || !e.checkVisibility() || e.closest('svg, script, style')) continue;
    const [a, b] = [light(rgb(getComputedStyle(e).color)), light(behind(e))].sort((x, y) => y - x);
    if ((a + .05) / (b + .05) < 4.5) found.push(`${walk.currentNode.textContent.trim()}: ${((a + .05) / (b + .05)).toFixed(2)}`);
  }
  return found.slice(0, 5);
})()"""


def inspect(page, address, folder):
    page.size(1280, 900)
    page.colours("light")
    page.ask("Page.navigate", {"url": f"http://{address}/"})
    check("it says that the server is ready", page.until("document.querySelector('#state')?.dataset.state === 'ready'"))
    drawn = "[...document.querySelectorAll('.plot')].every(p => p.querySelector('path.line') || p.querySelector('.none').textContent)"
    moves = "known.points.length >= 5 && known.points.slice(-3).every(p => field(p, 'gets') > 0 && field(p, 'p50_s') > 0)"
    check("the plots have data", page.until(f"{moves} && {drawn}"), page.value("JSON.stringify(known.points.slice(-2))"))
    check("nine plots", page.value("document.querySelectorAll('.plot path.line').length >= 9"))
    check("the groups are on the map", page.until("document.querySelectorAll('#map button').length === known.groups?.length"))
    check("the hottest key is named", page.until("document.querySelector('#hottest button')?.textContent === 'page:hot'"),
          page.value("document.querySelector('#hottest').textContent"))
    check("the biggest item is named", page.until("document.querySelector('#biggest button')?.textContent === 'page:big'"),
          page.value("document.querySelector('#biggest').textContent"))
    check("the server is listed", "serving" in page.value("document.querySelector('#servers').textContent"))

    page.value("document.querySelector('#key').value = 'page:hot'; document.querySelector('#look').requestSubmit()")
    check("a look-up answers", page.until("document.querySelector('#found dl')?.textContent.includes('5 bytes')"),
          page.value("document.querySelector('#found').textContent"))
    page.value("document.querySelector('#key').value = 'page:none \u20ac'; document.querySelector('#look').requestSubmit()")
    check("a look-up of nothing says so", page.until("document.querySelector('#found').textContent.includes('a get would miss')"))
    page.value("document.querySelector('#biggest button').click()")
    check("a key in a list is looked up", page.until("document.querySelector('#found').textContent.includes('page:big')"))

    page.value("document.querySelector('#map button[tabindex=\"0\"]').focus()")
    before = page.value("document.activeElement.textContent")
    page.press("ArrowRight")
    after = page.value("document.activeElement.textContent")
    check("arrow keys move over the map", int(after) == int(before) + 1, f"{before} to {after}")
    page.value("document.querySelector('.plot').focus()")
    page.press("ArrowLeft")
    check("everything that takes keys has a name", page.value(NAMELESS) == [], page.value(NAMELESS))
    page.value("document.activeElement.blur()")
    place, newest = page.value(PLACES), page.value("known.newest")
    page.until(f"known.newest > {newest} + 1")
    check("nothing jumps when figures change", page.value(PLACES) == place, f"{place} {page.value(PLACES)}")

    check("wide, it fits", page.value(NO_SCROLL))
    for scheme in ["light", "dark"]:
        page.colours(scheme)
        page.until("document.querySelector('#found dl')")
        check(f"{scheme}: text can be read", page.value(FAINT) == [], page.value(FAINT))
        page.picture(f"{folder}/page-{scheme}.png")
    page.value("document.querySelector('#theme').click()")
    check("the switch beats the system", page.value("getComputedStyle(document.body).backgroundColor") == "rgb(246, 245, 241)",
          page.value("getComputedStyle(document.body).backgroundColor"))
    for width in [390, 320]:
        page.size(width, 800)
        check(f"{width} pixels wide, nothing scrolls sideways", page.until(NO_SCROLL),
              page.value("document.documentElement.scrollWidth"))
        check(f"{width} pixels wide, keys have room", page.value(KEY_WIDTH) >= 60, page.value(KEY_WIDTH))
        page.picture(f"{folder}/page-{width}.png")
    foreign = [url for url in page.asked() if not url.startswith((f"http://{address}/", "data:", "about:"))]
    check("nothing is loaded from elsewhere", not foreign, foreign)
    check("the console has no errors", not page.complaints(), page.complaints())


def lose(page, folder):
    """The server is gone: the page says so, keeps what it had, and tries again."""
    page.size(1280, 900)
    place = page.value(PLACES)
    print("end the server", flush=True)
    sys.stdin.readline()
    check("a server that is gone is told", page.until("document.querySelector('#state').dataset.state === 'gone' && !document.querySelector('#notice').hidden"))
    check("what was shown stays", page.value("document.querySelectorAll('.plot path.line').length >= 9"))
    check("and where it was", page.value(PLACES) == place, f"{place} {page.value(PLACES)}")
    page.picture(f"{folder}/page-gone.png")
    print("start the server", flush=True)
    sys.stdin.readline()
    check("when it is back, so is the page", page.until("document.querySelector('#state').dataset.state === 'ready' && document.querySelector('#notice').hidden"))


def main():
    program, address, folder = sys.argv[1:]
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        page = Browser(program, profile)
        try:
            inspect(page, address, folder)
            lose(page, folder)
        finally:
            page.close()
    print(f"page: {CHECKS - len(FAILED)} of {CHECKS} checks passed")
    sys.exit(1 if FAILED else 0)


main()
