"""What the page costs: the time to its first paint from a cold browser, and the share of one core that
the server spends on it while it is open, with 48 layers of 128 experts."""
import os
import tempfile

import browser
import harness
import load
import model
from playwright.sync_api import sync_playwright

OPEN_S = 30
PAINT = "performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? 0"


def cpu_seconds(process):
    with open(f"/proc/{process.pid}/stat", encoding="ascii") as file:
        fields = file.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def first_paint(playwright, url):
    """Milliseconds, in a browser that has just been started."""
    chromium = browser.launch(playwright)
    tab = browser.Tab(chromium).open(url)
    tab.wait(f"{PAINT} > 0")
    painted = tab.page.evaluate(PAINT)
    chromium.close()
    return painted


def measure():
    with tempfile.NamedTemporaryFile(suffix=".gguf") as file, sync_playwright() as playwright:
        model.write(file.name)
        with harness.Server(file.name) as server:
            with load.clients(server, model.LAYERS):
                harness.eventually(lambda: server.metric("moed_rows_total", layer="47") > 1000)
            url = f"http://127.0.0.1:{server.port}/"
            paints = [first_paint(playwright, url) for _ in range(3)]
            print("first paint, ms:", ", ".join(f"{paint:.0f}" for paint in paints))
            tab = browser.Tab(browser.launch(playwright)).open(url).wait_ready()
            before = cpu_seconds(server.process)
            tab.page.wait_for_timeout(OPEN_S * 1000)
            spent = cpu_seconds(server.process) - before
            print(f"the server, of one core: {spent / OPEN_S * 100:.2f} % while the page is open")
            print(f"the page: {len(server.get('/').body)} bytes")
    return 0
