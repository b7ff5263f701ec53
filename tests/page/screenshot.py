"""The README's picture: the page under load."""
import tempfile

import browser
import harness
import load
import model
from playwright.sync_api import sync_playwright

SIZE = {"width": 1120, "height": 932}
LOOKS_S = 45  # until there is something in the charts


def take(path):
    with tempfile.NamedTemporaryFile(suffix=".gguf") as file:
        model.write(file.name)
        with harness.Server(file.name) as server, load.clients(server, model.LAYERS), sync_playwright() as playwright:
            chromium = browser.launch(playwright)
            tab = browser.Tab(chromium, viewport=SIZE, color_scheme="dark")
            tab.open(f"http://127.0.0.1:{server.port}/").wait_ready()
            tab.page.wait_for_timeout(LOOKS_S * 1000)
            tab.page.screenshot(path=path)
            chromium.close()
    return 0
