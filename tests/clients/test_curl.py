"""curl as Debian packages it, over TCP and a unix socket."""
import json
import os
import unittest

import harness
from processes import needs, run
from served import FORWARD, Served

BINARY = ("-H", "Content-Type: application/octet-stream")
JSON = ("-H", "Content-Type: application/json")


@needs("curl")
class Curl(Served):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.rows = cls.file("rows", cls.data)

    def curl(self, *words, data=None):
        return run("curl", "-sS", "--max-time", str(int(harness.PATIENCE)), *words, data=data)

    def test_raw(self):
        self.assertEqual(self.curl(*BINARY, "--data-binary", f"@{self.rows}", self.url + FORWARD),
                         self.output)

    def test_json(self):
        body = json.dumps({"layer": 0, "hidden_states": self.case.rows(0)})
        answer = json.loads(self.curl(*JSON, "-d", "@-", f"{self.url}/v1/moe/forward", data=body.encode()))
        self.assertEqual(harness.f32(harness.flat(answer["output"])), harness.floats(self.output))

    def test_json_flag(self):
        """--json sets both headers."""
        answer = json.loads(self.curl("--json", '{"layer": 0, "hidden_states": []}',
                                      f"{self.url}/v1/moe/forward"))
        self.assertEqual(answer["shape"], [0, self.case.hidden])

    def test_chunked_from_a_pipe(self):
        self.assertEqual(self.curl(*BINARY, "-X", "POST", "-T", "-", self.url + FORWARD,
                                   data=self.data), self.output)

    def test_a_large_body_asks_first(self):
        """Over a mebibyte curl sends Expect: 100-continue and waits a second if nobody answers."""
        rows = self.file("large", self.data * (2 * 1024 * 1024 // len(self.data) + 1))
        count = os.path.getsize(rows) // (4 * self.case.hidden)
        said = self.curl(*BINARY, "-v", "--stderr", "-", "-o", os.devnull, "--data-binary", f"@{rows}",
                         self.url + FORWARD).decode(errors="replace")
        if count > 8192:  # --max-request-rows
            self.assertIn("HTTP/1.1 413", said)
        else:
            self.assertIn("HTTP/1.1 100 Continue", said)
            self.assertIn("HTTP/1.1 200", said)

    def test_what_is_refused_is_refused_before_the_body(self):
        said = self.curl("-H", "Content-Type: text/csv", "-H", "Expect: 100-continue", "-v", "--stderr", "-",
                         "--data-binary", f"@{self.rows}", self.url + FORWARD).decode(errors="replace")
        self.assertIn("HTTP/1.1 415", said)
        self.assertNotIn("100 Continue", said)

    def test_one_connection_for_many(self):
        urls = [f"{self.url}/livez"] * 5
        said = self.curl("-w", "%{num_connects}\n", *[word for url in urls for word in ("-o", os.devnull, url)])
        self.assertEqual(said.split(), [b"1", b"0", b"0", b"0", b"0"])

    def test_many_at_once(self):
        names = [os.path.join(self.folder.name, f"out{i}") for i in range(40)]
        self.curl("--parallel", "--parallel-max", "20", *BINARY, "--data-binary", f"@{self.rows}",
                  *[word for name in names for word in ("-o", name, self.url + FORWARD)])
        for name in names:
            with open(name, "rb") as file:
                self.assertEqual(file.read(), self.output)

    def test_older_and_newer_versions(self):
        for flag in ("--http1.0", "--http2"):  # an upgrade that the server does not know is ignored
            self.assertEqual(self.curl(flag, *BINARY, "--data-binary", f"@{self.rows}",
                                       self.url + FORWARD), self.output)

    def test_head(self):
        said = self.curl("-I", f"{self.url}/v1/moe/info").decode()
        self.assertIn("HTTP/1.1 200", said)
        self.assertIn("Content-Length:", said)

    def test_errors_fail(self):
        said = self.curl("-w", "\n%{http_code} %{content_type}", *BINARY, "--data-binary", "abc",
                         self.url + FORWARD).decode()
        body, last = said.rsplit("\n", 1)
        self.assertEqual(last, "400 application/problem+json")
        self.assertEqual(json.loads(body)["code"], "wrong_shape")
        with self.assertRaisesRegex(AssertionError, "exit status 22"):
            self.curl("--fail", f"{self.url}/nowhere")

    def test_unix_socket(self):
        socket = os.path.join(self.folder.name, "moed.sock")
        with harness.Server(self.case.model, "--listen", f"unix:{socket}"):
            self.assertEqual(self.curl("--unix-socket", socket, *BINARY, "--data-binary", f"@{self.rows}",
                                       f"http://localhost{FORWARD}"), self.output)


if __name__ == "__main__":
    unittest.main()
