"""Replicas that die and replicas that are restarted, under load."""
import time
import unittest

import harness
from crowd import Crowd, bodies
from fleet import PROXIES, Fleet


def right_answers(fleet):
    """What each request must be answered with: bits, since a row's do not depend on its batch."""
    expected = {}
    for shard, layers in zip(fleet.replicas, ((0, 11, 23), (24, 40))):
        for layer in layers:
            path = f"/v1/moe/layers/{layer}/forward"
            for body in bodies():
                answers = {replica.server.post_raw(path, body).body for replica in shard}
                assert len(answers) == 1, path
                expected[path, body] = answers.pop()
    return expected


class Failover(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.fleet = cls.enterClassContext(Fleet())
        cls.expected = right_answers(cls.fleet)

    def killed(self, start):
        """SIGKILL in the middle of it: clients that follow the rule get every answer, right."""
        victim = self.fleet.replicas[0][0]
        with start(self.fleet) as proxy, Crowd(proxy, self.expected) as crowd:
            crowd.wait_for(100)
            time.sleep(1.5)
            event = time.monotonic()
            victim.kill()
            time.sleep(3)
            took, usual = crowd.recovery(event, 3)
            victim.start()
            crowd.wait_for(100)
        self.assertEqual((crowd.wrong, crowd.lost), ([], []))
        print(f"{proxy.name}: a replica killed: back to {usual:.0f} answers/s in {took:.2f} s; "
              f"{len(crowd.done)} answers, {crowd.repeated} requests sent again by clients")

    def restarted(self, start):
        """SIGTERM to all four, one of each shard at a time: nobody has to send anything again."""
        with start(self.fleet) as proxy, Crowd(proxy, self.expected, retries=False) as crowd:
            crowd.wait_for(100)
            for replicas in zip(*self.fleet.replicas):
                for replica in replicas:
                    replica.terminate()
                for replica in replicas:
                    self.assertEqual(replica.ended(), 0)
                    replica.start()
                time.sleep(1)  # a proxy that checks finds them within half of that
                crowd.wait_for(20)
        self.assertEqual((crowd.wrong, crowd.lost), ([], []))
        print(f"{proxy.name}: {len(crowd.done)} answers during a rolling restart, none failed")

    def test_replicas_are_killed(self):
        for name, start in PROXIES.items():
            with self.subTest(name):
                self.killed(start)

    def test_rolling_restarts(self):
        for name, start in PROXIES.items():
            with self.subTest(name):
                self.restarted(start)

    def test_a_whole_shard_is_away_for_a_while(self):
        """Nothing could answer: the rule carries clients over it."""
        with PROXIES["haproxy"](self.fleet) as proxy, Crowd(proxy, self.expected) as crowd:
            crowd.wait_for(50)
            for replica in self.fleet.replicas[0]:
                replica.kill()
            self.assertTrue(harness.eventually(lambda: crowd.repeated > 10))
            for replica in self.fleet.replicas[0]:
                replica.start()
            crowd.wait_for(50)
        self.assertEqual((crowd.wrong, crowd.lost), ([], []))


if __name__ == "__main__":
    unittest.main()
