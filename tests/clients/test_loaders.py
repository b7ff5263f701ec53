"""h2load and wrk: load from clients that pipeline, keep alive and count for themselves."""
import os
import re
import unittest

import harness
from processes import needs, run
from served import FORWARD, Served

REQUESTS, CLIENTS = 2000, 16

# wrk's script: posts rows, and counts answers that differ from the first.
WRK = """
local threads = {}
function setup(thread) table.insert(threads, thread) end
function init(arguments)
    local file = io.open(arguments[1], "rb")
    wrk.method, wrk.body = "POST", file:read("*a")
    wrk.headers["Content-Type"] = "application/octet-stream"
    file:close()
    file = io.open(arguments[2], "rb")
    expected = file:read("*a")
    file:close()
    right, wrong = 0, 0
end
function response(status, headers, body)
    if status == 200 and body == expected then right = right + 1 else wrong = wrong + 1 end
end
function done(summary, latency, requests)
    local right, wrong = 0, 0
    for _, thread in ipairs(threads) do
        right = right + thread:get("right")
        wrong = wrong + thread:get("wrong")
    end
    print("right " .. right .. " wrong " .. wrong)
end
"""


class Loaders(Served):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.target = cls.url + FORWARD
        cls.rows = cls.file("rows", cls.data)
        cls.answer = cls.file("answer", cls.output)

    def counted(self):
        return self.server.metric("moed_http_requests_total", route="/v1/moe/layers/{L}/forward", code="200")

    @needs("h2load")
    def test_h2load(self):
        before = self.counted()
        said = run("h2load", "--h1", "-n", REQUESTS, "-c", CLIENTS, "-d", self.rows,
                   "-H", "Content-Type: application/octet-stream", self.target).decode()
        self.assertIn(f"{REQUESTS} succeeded, 0 failed, 0 errored, 0 timeout", said)
        self.assertIn(f"status codes: {REQUESTS} 2xx, 0 3xx, 0 4xx, 0 5xx", said)
        size = os.path.getsize(self.answer)
        (body,) = re.findall(r"\((\d+)\) data", said)
        self.assertEqual(int(body), REQUESTS * size)
        self.assertEqual(self.counted() - before, REQUESTS)

    @needs("wrk")
    def test_wrk(self):
        script = self.file("post.lua", WRK.encode())
        before = self.counted()
        said = run("wrk", "-t", 2, "-c", CLIENTS, "-d", "2s", "-s", script, self.target, "--", self.rows,
                   self.answer).decode()
        right, wrong = map(int, re.search(r"right (\d+) wrong (\d+)", said).groups())
        self.assertEqual(wrong, 0, said)
        self.assertGreater(right, 0, said)
        self.assertNotIn("Non-2xx", said)
        self.assertNotIn("Socket errors", said)
        self.assertGreaterEqual(self.counted() - before, right)


if __name__ == "__main__":
    unittest.main()
