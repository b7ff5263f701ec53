"""Python's requests: sessions, pools, streamed bodies, errors."""
import concurrent.futures
import unittest

import requests

import harness
from served import FORWARD, Served


class Requests(Served):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.path = cls.url + FORWARD

    def setUp(self):
        self.session = requests.Session()
        self.session.request = self.patient(self.session.request)
        self.addCleanup(self.session.close)

    @staticmethod
    def patient(request):
        return lambda *words, **options: request(*words, timeout=harness.PATIENCE, **options)

    def post(self, data):
        return self.session.post(self.path, data=data, headers=harness.RAW)

    def test_raw(self):
        answer = self.post(self.data)
        self.assertEqual((answer.status_code, answer.content), (200, self.output))
        self.assertRegex(answer.headers["Server-Timing"], r"^queue;dur=[\d.]+, compute;dur=[\d.]+$")
        self.assertLess(answer.elapsed.total_seconds(), harness.PATIENCE)

    def test_json(self):
        answer = self.session.post(f"{self.url}/v1/moe/forward", json={
            "layer": 0, "hidden_states": self.case.rows(0), "return": ["output", "routing", "timing"]})
        found = answer.json()
        self.assertEqual(harness.f32(harness.flat(found["output"])), harness.floats(self.output))
        self.assertEqual(len(found["routing"]["expert_ids"]), len(found["output"]))
        self.assertIn("Server-Timing", answer.headers)

    def test_streamed_both_ways(self):
        pieces = (self.data[at:at + 1000] for at in range(0, len(self.data), 1000))  # chunked
        with self.session.post(self.path, data=pieces, headers=harness.RAW, stream=True) as answer:
            self.assertEqual(b"".join(answer.iter_content(777)), self.output)

    def test_one_connection_is_enough(self):
        self.session.get(f"{self.url}/livez")
        before = self.server.metric("moed_connections")
        for _ in range(20):
            self.assertEqual(self.post(self.data).content, self.output)
            self.assertEqual(self.post(self.data[:-1]).status_code, 400)  # an error keeps it, too
        self.assertEqual(self.server.metric("moed_connections"), before)

    def test_a_pool_of_threads(self):
        adapter = requests.adapters.HTTPAdapter(pool_connections=1, pool_maxsize=32)
        self.session.mount("http://", adapter)
        with concurrent.futures.ThreadPoolExecutor(32) as pool:
            answers = list(pool.map(self.post, [self.data] * 200))
        self.assertEqual({(answer.status_code, answer.content) for answer in answers}, {(200, self.output)})

    def test_errors(self):
        answer = self.session.get(f"{self.url}/nowhere")
        self.assertEqual(answer.headers["Content-Type"], "application/problem+json")
        self.assertEqual(answer.json()["request_id"], answer.headers["X-Request-Id"])
        with self.assertRaises(requests.HTTPError):
            answer.raise_for_status()
        self.assertEqual(self.session.delete(f"{self.url}/livez").headers["Allow"], "GET, HEAD")

    def test_probes(self):
        for path in ("/livez", "/readyz", "/health"):
            self.assertTrue(self.session.get(self.url + path).ok)
            self.assertEqual(self.session.head(self.url + path).content, b"")


if __name__ == "__main__":
    unittest.main()
