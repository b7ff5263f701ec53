"""The page where things are not plain: behind a prefix, without a key, with a server that goes away."""
import tempfile

import harness
import model
import test_page
from prefix import Prefix

KEY = "a-key-for-the-page-01"
NOT_ANSWERED = ("status of 401", "status of 503", "ERR_CONNECTION_REFUSED", "ERR_EMPTY_RESPONSE", "ERR_CONNECTION_RESET")


class Access(test_page.InBrowser):
    def check_quiet(self, tab):
        """A browser itself complains of every answer that is an error."""
        tab.complaints = [text for text in tab.complaints if not any(words in text for words in NOT_ANSWERED)]
        super().check_quiet(tab)

    def with_keys(self, *flags):
        keys = tempfile.NamedTemporaryFile("w", suffix=".keys")
        self.addCleanup(keys.close)
        keys.write(KEY + "\n")
        keys.flush()
        return harness.Server(self.file.name, "--api-key-file", keys.name, *flags)

    def test_behind_a_prefix(self):
        for end in ("", "/"):
            with Prefix(self.server, "/models/a") as proxy:
                tab = self.tab().open(proxy.url + end).wait_ready()
                tab.page.click("#try button")
                tab.page.wait_for_selector("#try-answer table")
                self.assertIn(f"{proxy.url}/v1/moe/layers/0/forward", tab.text("#try-answer pre"))

    def test_a_shard_says_which_layers_and_experts_it_has(self):
        with harness.Server(self.file.name, "--layers", "3-4", "--experts", "0-63") as server:
            tab = self.tab().open(f"http://127.0.0.1:{server.port}/").wait_ready()
            self.assertEqual(tab.rows("#layers")[0][:2], ["3-4", "0-63 of 128"])
            self.assertEqual([row[0] for row in tab.rows("#balance")], ["3", "4"])

    def test_asks_for_a_key_and_forgets_it(self):
        with self.with_keys() as server:
            url = f"http://127.0.0.1:{server.port}/"
            tab = self.tab().open(url)
            tab.page.wait_for_selector("#key", state="visible")
            self.assertEqual(tab.text("#state"), "needs a key")
            tab.page.fill("#key-text", "not-one-of-its-keys-01")
            tab.page.press("#key-text", "Enter")
            tab.wait("document.querySelector('#key-refused').textContent !== ''")
            tab.page.fill("#key-text", KEY)
            tab.page.click("#key button")
            tab.wait_ready()
            self.assertFalse(tab.page.is_visible("#key"))
            tab.page.click("#try button")
            tab.page.wait_for_selector("#try-answer table")
            self.assertNotIn(KEY, tab.page.content())
            self.assertEqual(tab.context.cookies(), [])
            self.assertEqual(tab.page.evaluate("localStorage.length + sessionStorage.length"), 0)
            tab.page.reload()
            tab.page.wait_for_selector("#key", state="visible")

    def test_open_metrics_do_not_hide_that_a_key_is_needed(self):
        with self.with_keys("--metrics-open") as server:
            tab = self.tab().open(f"http://127.0.0.1:{server.port}/")
            tab.page.wait_for_selector("#key", state="visible")
            tab.page.fill("#key-text", KEY)
            tab.page.press("#key-text", "Enter")
            tab.wait_ready()

    def test_says_that_the_server_drains_and_is_gone_and_is_back(self):
        server = harness.Server(self.file.name, "--drain-delay-ms", "5000")
        try:
            tab = self.tab().open(f"http://127.0.0.1:{server.port}/").wait_ready()
            server.signal()
            tab.wait("document.querySelector('#state').textContent.includes('draining')")
            server.wait()
            tab.wait("document.querySelector('#state').textContent === 'does not answer'")
        finally:
            server.kill()
        with harness.Server(self.file.name, "--listen", f"127.0.0.1:{server.port}") as again:
            again.post_raw("/v1/moe/layers/2/forward", bytes(4 * model.HIDDEN * 7))
            tab.wait_ready()
            tab.wait("document.querySelectorAll('#balance tbody tr')[2].cells[1].textContent === '7'")
