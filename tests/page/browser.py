"""A headless Chromium for the tests, and pages that remember what they complained about."""
import shutil
import time

import harness

PATIENCE_MS = harness.PATIENCE * 1000


def executable():
    return shutil.which("chromium-headless-shell") or shutil.which("chromium")


def missing():
    return None if executable() else "neither chromium-headless-shell nor chromium is installed"


def launch(playwright):
    # No sandbox: it needs namespaces that containers seldom have, and the pages are our own.
    return playwright.chromium.launch(executable_path=executable(), args=["--no-sandbox"])


class Tab:
    """A page of a context of its own, with its complaints and the requests it made."""

    def __init__(self, browser, **options):
        self.context = browser.new_context(**options)
        self.page = self.context.new_page()
        self.page.set_default_timeout(PATIENCE_MS)
        self.complaints, self.requests = [], []
        self.page.on("console", lambda message: self.complaints.append(message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("request", lambda request: self.requests.append(request.url))

    def open(self, url):
        self.url = url
        self.page.goto(url)
        return self

    def wait(self, expression, value=None):
        """Until a JavaScript expression, of `value` if it is a function, is true. Playwright's own
        wait compiles the expression inside of the page, which its policy forbids."""
        end = time.monotonic() + harness.PATIENCE
        while not self.page.evaluate(expression, value):
            if time.monotonic() > end:
                raise AssertionError(f"never came true: {expression}; {self.text('body')}; {self.complaints}")
            self.page.wait_for_timeout(50)

    def wait_ready(self):
        """Until it shows a ready server and has drawn the map."""
        self.wait("document.querySelector('#state').textContent === 'ready' && "
                  "document.querySelectorAll('#balance tbody tr').length > 0")
        return self

    def text(self, selector):
        return self.page.text_content(selector)

    def rows(self, selector):
        """The cells of a table's body, as text."""
        return self.page.eval_on_selector_all(
            f"{selector} tbody tr", "rows => rows.map(row => [...row.cells].map(cell => cell.textContent))")

    def close(self):
        self.context.close()
