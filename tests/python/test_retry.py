"""The rule of retries by itself."""
import random
import unittest

import moed
from moed.errors import server_error
from moed.retry import Attempts

URLS = ["http://a", "http://b"]


def refused(status, **headers):
    return server_error("http://a", status, {name.replace("_", "-"): value
                                             for name, value in headers.items()}, b"")


def attempts(urls=URLS, deadline=None, **retry):
    return Attempts(moed.Retry(**retry), urls, 60, deadline)


class Pauses(unittest.TestCase):
    def test_they_grow_to_a_limit_and_are_spread(self):
        retry = moed.Retry(base=0.1, most=1.0, random=random.Random(1))
        for failures, most in ((1, 0.1), (2, 0.2), (3, 0.4), (5, 1.0), (50, 1.0)):
            drawn = [retry.pause(failures, None) for _ in range(500)]
            self.assertTrue(0 <= min(drawn) < 0.1 * most, failures)
            self.assertTrue(0.9 * most < max(drawn) <= most, failures)

    def test_retry_after_comes_before_the_jitter(self):
        retry = moed.Retry(base=0.1)
        drawn = [retry.pause(1, 3.0) for _ in range(100)]
        self.assertTrue(3.0 <= min(drawn) < max(drawn) <= 3.1)

    def test_retry_after_that_is_no_number(self):
        self.assertIsNone(refused(503, retry_after="Fri, 31 Dec 1999 23:59:59 GMT").retry_after)
        self.assertIsNone(refused(503).retry_after)
        self.assertEqual(refused(503, retry_after="5").retry_after, 5.0)
        self.assertEqual(refused(503, retry_after="-5").retry_after, 0.0)


class Replicas(unittest.TestCase):
    def test_another_is_asked_at_once(self):
        for error in (moed.ConnectionFailed(), refused(503, retry_after="5"), refused(502)):
            tries = attempts()
            self.assertEqual(tries.url, "http://a")
            self.assertEqual(tries.failed(error), 0.0)
            self.assertEqual(tries.url, "http://b")

    def test_after_all_of_them_comes_a_pause(self):
        tries = attempts()
        tries.failed(moed.ConnectionFailed())
        self.assertGreaterEqual(tries.failed(refused(503, retry_after="5")), 5.0)
        self.assertEqual(tries.url, "http://a")

    def test_a_full_fleet_is_not_asked_all_round(self):
        tries = attempts()
        self.assertGreaterEqual(tries.failed(refused(429, retry_after="1")), 1.0)
        self.assertEqual(tries.url, "http://b")


class Ends(unittest.TestCase):
    def test_the_last_try_raises_what_it_met(self):
        tries = attempts(attempts=3, base=0.0)
        error = moed.ConnectionFailed("third")
        tries.failed(moed.ConnectionFailed("first"))
        tries.failed(moed.ConnectionFailed("second"))
        with self.assertRaises(moed.ConnectionFailed) as caught:
            tries.failed(error)
        self.assertIs(caught.exception, error)

    def test_a_try_gets_what_is_left(self):
        self.assertEqual(attempts().time_left(), 60)
        self.assertTrue(0 < attempts(deadline=5).time_left() <= 5)
        with self.assertRaises(moed.DeadlineExceeded):
            attempts(deadline=0).time_left()

    def test_what_broke_at_the_deadline_is_called_so(self):
        with self.assertRaises(moed.DeadlineExceeded) as caught:
            attempts(deadline=-1).failed(moed.ConnectionFailed("timed out"))
        self.assertIn("timed out", str(caught.exception))
