"""What a proxy sends again and what it must not: against replicas that answer as told."""
import contextlib
import types
import unittest

import harness
from fleet import PROXIES
from stub import Stub

REQUESTS = 12


class Retries(unittest.TestCase):
    def ask(self, name, first, second):
        """Statuses of requests to a shard of two such replicas, and how many came to each."""
        with contextlib.ExitStack() as stack:
            shard = [stack.enter_context(Stub(status)) for status in (first, second)]
            other = [stack.enter_context(Stub(200)) for _ in range(2)]
            fleet = types.SimpleNamespace(replicas=[shard, other])
            proxy = stack.enter_context(PROXIES[name](fleet))
            statuses = [proxy.request("POST", "/v1/moe/layers/0/forward", b"12345678",
                                      harness.RAW).status for _ in range(REQUESTS)]
            return statuses, [stub.requests for stub in shard]

    def test_a_full_queue_is_the_clients_to_wait_for(self):
        for name in PROXIES:
            with self.subTest(name):
                statuses, requests = self.ask(name, 429, 429)
                self.assertEqual(statuses, [429] * REQUESTS)
                self.assertEqual(sum(requests), REQUESTS)

    def test_other_errors_are_final(self):
        for status in (400, 421, 422, 500, 504):
            for name in PROXIES:
                with self.subTest(name):
                    statuses, requests = self.ask(name, status, status)
                    self.assertEqual(statuses, [status] * REQUESTS)
                    self.assertEqual(sum(requests), REQUESTS)

    def test_a_replica_that_drains_is_passed_by(self):
        for name in PROXIES:
            with self.subTest(name):
                statuses, requests = self.ask(name, 503, 200)
                self.assertEqual(statuses, [200] * REQUESTS)
                self.assertGreater(requests[0], 0)

    def test_a_replica_that_hangs_up_is_passed_by(self):
        for name in PROXIES:
            with self.subTest(name):
                statuses, requests = self.ask(name, 0, 200)
                self.assertEqual(statuses, [200] * REQUESTS)
                self.assertGreater(requests[0], 0)

    def test_retries_end(self):
        """All replicas say 503: the client is told, after few tries."""
        for name in PROXIES:
            with self.subTest(name):
                statuses, requests = self.ask(name, 503, 503)
                self.assertLessEqual(set(statuses), {502, 503})
                self.assertLessEqual(sum(requests), 4 * REQUESTS)


if __name__ == "__main__":
    unittest.main()
