"""Each request reaches a server that holds its layer, by path, header or query, and what moed says
comes through as it is."""
import json
import unittest

import harness
from fleet import LAYERS, PROXIES, SHARDS, Fleet

ROW = bytes(4 * 256)


class Routing(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.fleet = cls.enterClassContext(Fleet())
        cls.proxies = {name: cls.enterClassContext(start(cls.fleet))
                       for name, start in PROXIES.items()}

    def post(self, proxy, path, headers=None, body=ROW):
        return proxy.request("POST", path, body, {**harness.RAW, **(headers or {})})

    def test_every_layer_by_path(self):
        for proxy in self.proxies.values():
            with self.subTest(proxy.name):
                for layer in range(LAYERS):
                    answer = self.post(proxy, f"/v1/moe/layers/{layer}/forward")
                    self.assertEqual((answer.status, answer.headers["X-MoE-Layer"]), (200, str(layer)))

    def test_header_and_query(self):
        for proxy in self.proxies.values():
            with self.subTest(proxy.name):
                for layer in (0, 9, 23, 24, 47):
                    answer = self.post(proxy, "/v1/moe/forward", {"X-MoE-Layer": str(layer)})
                    self.assertEqual((answer.status, answer.headers["X-MoE-Layer"]), (200, str(layer)))
                    answer = self.post(proxy, f"/v1/moe/forward?layer={layer}")
                    self.assertEqual((answer.status, answer.headers["X-MoE-Layer"]), (200, str(layer)))
                for layer, held in ((3, SHARDS[0]), (40, SHARDS[1])):
                    info = proxy.request("GET", "/v1/moe/info", headers={"X-MoE-Layer": str(layer)})
                    served = [entry["layer"] for entry in info.json()["layers"]]
                    self.assertEqual(f"{served[0]}-{served[-1]}", held)

    def test_nobody_serves_it(self):
        for proxy in self.proxies.values():
            with self.subTest(proxy.name):
                for path in ("/v1/moe/layers/48/forward", "/v1/moe/layers/480/forward",
                             "/v1/moe/layers/x/forward", "/v1/moe/layers/-1/forward", "/v1/moe/forward",
                             "/v1/moe/forward?layer=", "/"):
                    answer = self.post(proxy, path)
                    self.assertEqual((answer.status, answer.json()["code"]), (404, "not_found"), path)
                    self.assertIn("no shard serves", answer.json()["detail"])

    def test_large_requests(self):
        """Larger than any proxy's buffer, there and back."""
        for proxy in self.proxies.values():
            with self.subTest(proxy.name):
                for rows in (100, 1000, 6000):
                    answer = self.post(proxy, "/v1/moe/layers/0/forward", body=ROW * rows)
                    self.assertEqual((answer.status, len(answer.body)), (200, len(ROW) * rows), answer)

    def test_errors_come_through(self):
        for proxy in self.proxies.values():
            with self.subTest(proxy.name):
                answer = self.post(proxy, "/v1/moe/layers/0/forward", body=b"12345")
                self.assertEqual((answer.status, answer.json()["code"]), (400, "wrong_shape"))
                answer = self.post(proxy, "/v1/moe/layers/0/forward", {"X-Request-Id": "mine"}, b"1")
                self.assertEqual(json.loads(answer.body)["request_id"], "mine")

    def test_readiness_of_the_whole(self):
        """Of those proxies that ask their replicas, which nginx does not."""
        checking = [proxy for name, proxy in self.proxies.items() if name != "nginx"]

        def all_say(status):
            return all(proxy.request("GET", "/readyz").status == status for proxy in checking)

        self.assertTrue(harness.eventually(lambda: all_say(200)))
        for replica in self.fleet.replicas[1]:
            replica.kill()
        self.assertTrue(harness.eventually(lambda: all_say(503)))
        for replica in self.fleet.replicas[1]:
            replica.start()
        self.assertTrue(harness.eventually(lambda: all_say(200)))


if __name__ == "__main__":
    unittest.main()
