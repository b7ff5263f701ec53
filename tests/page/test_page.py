"""What the page shows and does, in a browser, against a server whose numbers are asked for directly."""
import math
import random
import re
import tempfile
import unittest

import browser
import harness
import load
import model
from playwright.sync_api import sync_playwright

LAYERS = 6
WIDE = {"width": 1240, "height": 900}
PHONE = {"width": 360, "height": 740}
# As another tab in front does, which a headless browser has none of.
HIDE = """hidden => {
    Object.defineProperty(document, "hidden", {value: hidden, configurable: true});
    document.dispatchEvent(new Event("visibilitychange"));
}"""


class InBrowser(unittest.TestCase):
    """One server and one browser a class, one tab a test; a test fails where its tab complained."""

    @classmethod
    def setUpClass(cls):
        cls.file = tempfile.NamedTemporaryFile(suffix=".gguf")
        cls.addClassCleanup(cls.file.close)
        model.write(cls.file.name, LAYERS)
        cls.server = harness.Server(cls.file.name)
        cls.addClassCleanup(cls.server.stop)
        playwright = sync_playwright().start()
        cls.addClassCleanup(playwright.stop)
        cls.browser = browser.launch(playwright)
        cls.addClassCleanup(cls.browser.close)
        cls.url = f"http://127.0.0.1:{cls.server.port}/"

    def tab(self, **options):
        tab = browser.Tab(self.browser, **{"viewport": WIDE, **options})
        self.addCleanup(self.check_quiet, tab)
        return tab

    def check_quiet(self, tab):
        tab.close()
        self.assertEqual(tab.complaints, [])
        self.assertEqual([url for url in tab.requests if not url.startswith((tab.url, "data:"))], [])

    def experts(self):
        return self.server.get("/v1/moe/experts").json()["layers"]

    def point_at(self, tab, layer, expert):
        """With keys: to the first cell, then down and right."""
        tab.page.focus("#heat")
        for key in ("PageUp", "Home", *["ArrowDown"] * layer, *["ArrowRight"] * expert):
            tab.page.keyboard.press(key)


class Page(InBrowser):
    def test_says_what_is_served(self):
        tab = self.tab().open(self.url).wait_ready()
        self.assertEqual(tab.text("#model"), "Qwen3-30B-A3B in miniature")
        self.assertIn("0-5: 6 of 6 blocks", tab.text("#served"))
        self.assertEqual(tab.rows("#layers"), [["0-5", "128", "8", "32", "16", "F32", "803 kB"]])
        self.assertEqual(len(tab.rows("#balance")), LAYERS)

    def test_a_model_of_one_block(self):
        with harness.Server(harness.case("q8_0").model) as server:
            tab = self.tab().open(server.url + "/").wait_ready()
            self.assertIn("0: the model's only block", tab.text("#served"))
            tab.page.goto("about:blank")

    def test_the_map_shows_the_servers_counts(self):
        self.server.post_raw("/v1/moe/layers/3/forward", load.rows(random.Random(1), [1] * model.HIDDEN, 64))
        layer = self.experts()[3]
        busiest = max(range(model.EXPERTS), key=lambda e: layer["tokens"][e])
        tab = self.tab().open(self.url).wait_ready()
        self.point_at(tab, 3, busiest)
        self.assertRegex(tab.text("#heat-cell"),
                         rf"^Layer 3, expert {busiest}: {layer['tokens'][busiest]:,} rows, .* of the layer")
        row = tab.rows("#balance")[3]
        self.assertEqual(row, ["3", f"{layer['rows']:,}", str(busiest), f"{layer['max_over_mean']:.2f}",
                               f"{layer['jain']:.3f}"])
        self.assertEqual(tab.text("#legend-high"), f"{max(max(one['tokens']) for one in self.experts()):,}")
        before = tab.page.evaluate("document.querySelector('#heat').toDataURL()")
        tab.page.focus("input[value=tokens]")
        tab.page.keyboard.press("ArrowRight")
        self.assertRegex(tab.text("#heat-cell"), "weight mass")
        tab.page.focus("input[value=linear]")
        tab.page.keyboard.press("ArrowRight")
        self.assertNotEqual(before, tab.page.evaluate("document.querySelector('#heat').toDataURL()"))

    def test_moves_while_load_runs(self):
        tab = self.tab().open(self.url).wait_ready()
        picture = "document.querySelector('#heat').toDataURL()"
        before = tab.page.evaluate(picture)
        with load.clients(self.server, LAYERS):
            tab.wait("parseFloat(document.querySelector('#tile-rows').textContent) > 0")
            tab.wait("parseFloat(document.querySelector('#tile-p50').textContent) > 0")
            tab.wait("document.querySelector('#chart-rows path.line').getAttribute('d').includes('L')")
            tab.wait("[...document.querySelectorAll('#chart-batch rect')].some(bar => bar.height.baseVal.value > 1)")
            tab.wait(f"before => {picture} !== before", before)
        self.assertRegex(tab.text("#tile-bandwidth"), r"^[\d.]+[kMG]?B/s$")

    def test_the_last_minute_forgets_what_was_before(self):
        self.server.post_raw("/v1/moe/layers/0/forward", bytes(4 * model.HIDDEN * 9))
        tab = self.tab().open(self.url).wait_ready()
        tab.page.check("input[value=minute]", force=True)
        self.assertEqual(tab.rows("#balance")[0][1], "0")
        self.server.post_raw("/v1/moe/layers/0/forward", bytes(4 * model.HIDDEN * 5))
        tab.wait("document.querySelector('#balance tbody tr').cells[1].textContent === '5'")

    def test_every_control_is_reached_by_keyboard(self):
        tab = self.tab().open(self.url).wait_ready()
        reached = []
        for _ in range(40):
            tab.page.keyboard.press("Tab")
            reached.append(tab.page.evaluate("(document.activeElement.id || document.activeElement.name || "
                                             "document.activeElement.parentElement.id)"))
        for control in ("pause", "measure", "scale", "span", "heat", "chart-rows", "chart-latency", "chart-queue",
                        "chart-batch", "try-layer", "try-phase"):
            self.assertIn(control, reached)
        tab.page.focus("#chart-latency svg")
        tab.page.keyboard.press("ArrowLeft")
        self.assertRegex(tab.text("#chart-latency .key"), r"\d+ s ago$")

    def test_tries_a_row(self):
        tab = self.tab().open(self.url).wait_ready()
        tab.page.select_option("#try-layer", "4")
        tab.page.fill("#try-phase", "0.5")
        tab.page.press("#try-phase", "Enter")
        tab.page.wait_for_selector("#try-answer table")
        row = list(harness.f32(math.sin(i + 0.5) for i in range(model.HIDDEN)))
        routing = self.server.post("/v1/moe/layers/4/route", {"hidden_states": [row]}).json()["routing"]
        self.assertEqual([cells[0] for cells in tab.rows("#try-answer table")],
                         [f"expert {e}" for e in routing["expert_ids"][0]])
        self.assertIn("/v1/moe/layers/4/forward", tab.text("#try-answer pre"))

    def test_says_why_a_row_is_refused(self):
        tab = self.tab().open(self.url).wait_ready()
        tab.page.click("#try summary")
        for numbers, words in (("1, 2, three", 'found "three", expected a number'), ("1, 2, 3", "expected 32")):
            tab.page.fill("#try-numbers", numbers)
            tab.page.click("#try button")
            tab.wait("words => document.querySelector('#try-answer .problem')?.textContent.includes(words)", words)
        tab.complaints = [text for text in tab.complaints if "status of 400" not in text]

    def test_the_sine_is_there_where_it_counts(self):
        tab = self.tab().open(self.url).wait_ready()
        tab.page.click("#try summary")
        self.assertTrue(tab.page.is_visible("#try-phase"))
        tab.page.fill("#try-numbers", "1, 2")
        self.assertFalse(tab.page.is_visible("#try-phase"))
        self.assertIn("the numbers below", tab.text("#try"))
        tab.page.fill("#try-numbers", " ")
        self.assertTrue(tab.page.is_visible("#try-phase"))

    def test_nobody_is_busier_than_all_the_time(self):
        """A batch that began before a reading, and ended after it, counts as a whole in the next."""
        seconds = iter(range(0, 10**6, 100))

        def answer(route):
            text = self.server.get("/metrics").body.decode()
            busy = re.sub(r'(?m)^(moed_worker_busy_seconds_total\{.*\}) .*$', rf"\1 {next(seconds)}", text)
            route.fulfill(status=200, content_type="text/plain; version=0.0.4", body=busy)

        tab = self.tab()
        tab.page.route("**/metrics", answer)
        tab.open(self.url).wait_ready()
        tab.wait("parseFloat(document.querySelector('#tile-busy').textContent) > 0")
        self.assertEqual(tab.page.evaluate("parseFloat(document.querySelector('#tile-busy').textContent)"), 100)

    def test_tables_fit_a_phone(self):
        tab = self.tab(viewport=PHONE, has_touch=True, is_mobile=True).open(self.url).wait_ready()
        tab.page.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)")
        # Names as long as they come.
        tab.page.evaluate("document.querySelector('#layers tbody tr').cells[5].textContent = 'IQ4_XS IQ4_XS Q6_K'")
        for table in ("#layers", "#balance"):
            wide, seen = tab.page.evaluate("name => { const box = document.querySelector(name).parentElement;"
                                           " return [box.scrollWidth, box.clientWidth]; }", table)
            self.assertLessEqual(wide, seen, table)

    def test_fits_a_phone(self):
        tab = self.tab(viewport=PHONE, has_touch=True, is_mobile=True).open(self.url).wait_ready()
        tab.page.select_option("#try-layer", "1")
        tab.page.tap("#try button")
        tab.page.wait_for_selector("#try-answer table")
        self.assertEqual(tab.page.evaluate("document.documentElement.scrollWidth"), PHONE["width"])
        tab.page.tap("#heat", position={"x": 150, "y": 40})
        self.assertRegex(tab.text("#heat-cell"), "^Layer 1, expert")

    def test_light_and_dark_are_legible(self):
        """Text on its ground: contrast of 4.5 to 1 at least, and the grounds are what they are called."""
        for scheme in ("light", "dark"):
            tab = self.tab(color_scheme=scheme).open(self.url).wait_ready()
            ground = luminance(tab, "body", "backgroundColor")
            self.assertEqual(ground > 0.5, scheme == "light")
            for selector in ("h1", "dt", "#state", "#heat-cell", "footer"):
                text = luminance(tab, selector, "color")
                contrast = (max(text, ground) + 0.05) / (min(text, ground) + 0.05)
                self.assertGreaterEqual(contrast, 4.5, f"{selector} in {scheme}")

    def test_asks_nothing_while_paused_or_hidden(self):
        paused, hidden = (self.tab().open(self.url).wait_ready() for _ in range(2))
        paused.page.click("#pause")
        hidden.page.evaluate(HIDE, True)
        for tab in (paused, hidden):
            tab.page.wait_for_load_state("networkidle")
        asked = [len(tab.requests) for tab in (paused, hidden)]
        paused.page.wait_for_timeout(4500)  # two periods and more
        self.assertEqual([len(tab.requests) for tab in (paused, hidden)], asked)
        with paused.page.expect_request("**/metrics"):
            paused.page.click("#pause")
        with hidden.page.expect_request("**/metrics"):
            hidden.page.evaluate(HIDE, False)

    def test_nothing_foreign_runs(self):
        tab = self.tab().open(self.url).wait_ready()
        tab.page.evaluate("""() => {
            const script = document.createElement("script");
            script.textContent = "window.foreign = true";
            document.body.append(script);
        }""")
        self.assertIsNone(tab.page.evaluate("window.foreign ?? null"))
        self.assertRegex(tab.complaints.pop(), "Content Security Policy")


def luminance(tab, selector, property):
    """As WCAG defines it, of a computed colour."""
    colour = tab.page.eval_on_selector(selector, f"element => getComputedStyle(element).{property}")
    parts = [int(part) / 255 for part in colour.strip("rgb()").split(",")]
    red, green, blue = (p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
