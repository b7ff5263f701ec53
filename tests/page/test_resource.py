"""The page as a resource: one file, its policy, its tag. Without a browser."""
import base64
import hashlib
import html.parser
import re
import tempfile
import unittest

import harness
import model

MOST = 200 << 10


class Parts(html.parser.HTMLParser):
    """Inline styles and scripts, and every address that is named."""

    def __init__(self, text):
        super().__init__()
        self.inside, self.texts, self.addresses, self.handlers = None, [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.inside = tag if tag in ("style", "script") else None
        self.addresses += [value for name, value in attrs if name in ("href", "src", "action")]
        self.handlers += [name for name, _ in attrs if name.startswith("on") or name == "style"]

    def handle_data(self, data):
        if self.inside:
            self.texts.append((self.inside, data))
            self.inside = None


class Resource(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.file = tempfile.NamedTemporaryFile(suffix=".gguf")
        cls.addClassCleanup(cls.file.close)
        model.write(cls.file.name, 1)
        cls.server = harness.Server(cls.file.name)
        cls.addClassCleanup(cls.server.stop)
        cls.answer = cls.server.get("/")
        cls.parts = Parts(cls.answer.body.decode())

    def test_is_one_small_file(self):
        self.assertEqual(self.answer.status, 200)
        self.assertEqual(self.answer.headers["Content-Type"], "text/html; charset=utf-8")
        self.assertLess(len(self.answer.body), MOST)
        for address in self.parts.addresses:
            self.assertTrue(address.startswith("data:") or not re.match(r"[a-z]+:|/", address), address)

    def test_policy_names_its_own_style_and_script_only(self):
        policy = dict(part.split(" ", 1) for part in self.answer.headers["Content-Security-Policy"].split("; "))
        self.assertEqual(policy["default-src"], "'none'")
        self.assertEqual(policy["connect-src"], "'self'")
        self.assertEqual(policy["frame-ancestors"], "'none'")
        self.assertEqual([kind for kind, _ in self.parts.texts], ["style", "script"])
        for kind, text in self.parts.texts:
            digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
            self.assertEqual(policy[f"{kind}-src"], f"'sha256-{digest}'")
        self.assertEqual(self.parts.handlers, [])
        self.assertEqual(self.answer.headers["X-Content-Type-Options"], "nosniff")

    def test_text_is_never_read_as_markup(self):
        script = dict(self.parts.texts)["script"]
        self.assertNotRegex(script, r"innerHTML|outerHTML|insertAdjacent|document\.write|\beval\b|new Function")
        self.assertNotRegex(script, r"localStorage|sessionStorage|indexedDB|document\.cookie")

    def test_not_modified(self):
        tag = self.answer.headers["ETag"]
        self.assertRegex(tag, r'^"[0-9a-f]{32}"$')
        for known in (tag, f'"other", W/{tag}', "*"):
            answer = self.server.get("/", {"If-None-Match": known})
            self.assertEqual((answer.status, answer.body, answer.headers["ETag"]), (304, b"", tag), known)
        self.assertEqual(self.server.get("/", {"If-None-Match": '"other"'}).status, 200)
        for code in ("200", "304"):
            self.assertGreater(self.server.metric("moed_http_requests_total", route="/", code=code), 0, code)

    def test_head_and_other_methods(self):
        head = self.server.request("HEAD", "/")
        self.assertEqual((head.status, head.body), (200, b""))
        self.assertEqual(head.headers["Content-Length"], str(len(self.answer.body)))
        self.assertEqual(self.server.request("POST", "/", b"").status, 405)

    def test_needs_no_key_though_its_numbers_do(self):
        with tempfile.NamedTemporaryFile("w", suffix=".keys") as keys:
            keys.write("a-key-for-the-page-01\n")
            keys.flush()
            with harness.Server(self.file.name, "--api-key-file", keys.name) as server:
                self.assertEqual(server.get("/").body, self.answer.body)
                self.assertEqual(server.get("/v1/moe/info").status, 401)
