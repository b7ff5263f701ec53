"""What fails on the way: servers that refuse for a while, hang up, stall, or are not moed."""
import socket
import time
import unittest

import moed
import numpy as np
from both import both
from scripted import Scripted, answer, problem, rows

HIDDEN = np.arange(8, dtype=np.float32).reshape(2, 4)
GOOD = rows(HIDDEN.tobytes(), 4)
QUICK = moed.Retry(attempts=4, base=0.001, most=0.002)


class Failing(unittest.TestCase):
    def client(self, url, **settings):
        client = self.make(url, moed.Settings(**{"retry": QUICK, "timeout": 10, **settings}))
        self.addCleanup(client.__exit__, None, None, None)
        return client

    def assert_answered(self, *script, tries, **settings):
        with Scripted(*script, GOOD) as server:
            output = self.client(server.url, **settings).forward(HIDDEN, 0).output
            self.assertEqual(output.tobytes(), HIDDEN.tobytes())
            self.assertEqual(len(server.requests), tries)
        return server

    def assert_refused(self, kind, *script, tries, deadline=None, **settings):
        with Scripted(*script) as server, self.assertRaises(kind) as caught:
            self.client(server.url, **settings).forward(HIDDEN, 0, deadline=deadline)
        self.assertEqual(len(server.requests), tries)
        return caught.exception


@both
class Retried(Failing):
    def test_what_passes(self):
        self.assert_answered(problem(429, "queue_full"), problem(503, "loading"),
                             answer(502, b"<p>bad gateway</p>", "text/html"), tries=4)

    def test_hung_up_before_and_within_the_answer(self):
        self.assert_answered(None, (GOOD[:-7], None), tries=3)

    def test_retry_after_is_waited_for(self):
        begin = time.monotonic()
        self.assert_answered(problem(503, "draining", Retry_After="0.2"), tries=2)
        self.assertGreaterEqual(time.monotonic() - begin, 0.2)

    def test_not_for_ever(self):
        error = self.assert_refused(moed.Overloaded, *[problem(429, "queue_full", "full")] * 9,
                                    tries=4)
        self.assertEqual((error.status, error.code, error.detail), (429, "queue_full", "full"))
        self.assertEqual(error.request_id, "r1")
        self.assert_refused(moed.ConnectionFailed, tries=4)

    def test_not_when_told_once(self):
        self.assert_refused(moed.Unavailable, *[problem(503, "loading")] * 2, tries=1,
                            retry=moed.Retry(attempts=1))

    def test_not_what_stays_wrong(self):
        for status, code in ((400, "malformed"), (401, "unauthorized"), (404, "not_found"),
                             (413, "too_large"), (421, "layer_not_served"), (422, "unprocessable"),
                             (500, "internal")):
            with self.subTest(status):
                error = self.assert_refused(moed.ServerError, problem(status, code), tries=1)
                self.assertEqual((error.status, error.code), (status, code))

    def test_nobody_listens(self):
        with socket.create_server(("127.0.0.1", 0)) as server:
            port = server.getsockname()[1]
        with self.assertRaisesRegex(moed.ConnectionFailed, f":{port}: ConnectionRefusedError"):
            self.client(f"http://127.0.0.1:{port}").forward(HIDDEN, 0)

    def test_a_name_that_is_none(self):
        with self.assertRaisesRegex(moed.ConnectionFailed, "no-such-host.invalid"):
            self.client("http://no-such-host.invalid").info()


@both
class Kept(Failing):
    def test_a_connection_closed_while_idle_costs_no_try(self):
        with Scripted(GOOD, None, GOOD) as server:
            client = self.client(server.url, retry=moed.Retry(attempts=1))
            client.forward(HIDDEN, 0)
            client.forward(HIDDEN, 0)
            self.assertEqual((len(server.requests), server.connections), (3, 2))

    def test_connection_close_is_heeded(self):
        with Scripted(rows(HIDDEN.tobytes(), 4).replace(b"\r\n", b"\r\nConnection: close\r\n", 1),
                      GOOD) as server:
            client = self.client(server.url)
            client.forward(HIDDEN, 0)
            client.forward(HIDDEN, 0)
            self.assertEqual((len(server.requests), server.connections), (2, 2))

    def test_chunked_answers(self):
        head, body = GOOD.split(b"\r\n\r\n")
        head = head.replace(b"Content-Length: 32", b"Transfer-Encoding: chunked")
        chunked = head + b"\r\n\r\n14;x=1\r\n" + body[:20] + b"\r\nc\r\n" + body[20:] + b"\r\n0\r\n"
        with Scripted(chunked + b"\r\n", chunked + b"X: y\r\n\r\n", GOOD) as server:
            client = self.client(server.url)
            for _ in range(3):
                self.assertEqual(client.forward(HIDDEN, 0).output.tobytes(), HIDDEN.tobytes())
            self.assertEqual(server.connections, 1)

    def test_answers_that_end_with_the_connection(self):
        head, body = GOOD.split(b"\r\n\r\n")
        head = head.replace(b"Content-Length: 32", b"X: y").replace(b"HTTP/1.1", b"HTTP/1.0")
        with Scripted((head + b"\r\n\r\n" + body, None)) as server:
            self.assertEqual(self.client(server.url).forward(HIDDEN, 0).output.tobytes(),
                             HIDDEN.tobytes())


@both
class Deadlines(Failing):
    def test_the_server_is_told(self):
        with Scripted(GOOD) as server:
            self.client(server.url).forward(HIDDEN, 0, deadline=7.5)
            left = int(server.requests[0].line.split("deadline_ms=")[1].split()[0])
            self.assertTrue(0 < left <= 7500, left)

    def test_a_server_that_stalls(self):
        self.assert_refused(moed.DeadlineExceeded, 60, tries=1, deadline=0.1)

    def test_the_server_s_own(self):
        error = self.assert_refused(moed.DeadlineExceeded, problem(504, "deadline"), tries=1)
        self.assertIsInstance(error, moed.ServerError)

    def test_a_pause_past_the_deadline_is_not_begun(self):
        begin = time.monotonic()
        self.assert_refused(moed.Unavailable, problem(503, "loading", Retry_After="30"), tries=1,
                            deadline=5)
        self.assertLess(time.monotonic() - begin, 5)

    def test_one_that_has_passed(self):
        self.assert_refused(moed.DeadlineExceeded, tries=0, deadline=-1)

    def test_timeout_of_a_try(self):
        self.assert_answered(60, tries=2, timeout=0.1)


@both
class Strangers(Failing):
    """Answers that are not what moed promises."""

    def strange(self, data):
        return str(self.assert_refused(moed.ProtocolError, data, tries=1))

    def test_answers_of_others(self):
        body = HIDDEN.tobytes()
        for data, words in (
                (answer(200, b"hello"), "x-moe-dtype"),
                (GOOD.replace(b"X-MoE-Layer", b"X-Other"), "x-moe-layer"),
                (GOOD.replace(b"Layer: 0", b"Layer: x"), "expected a number"),
                (rows(body[:-4], 4), "28 bytes are left of the answer, expected 32"),
                (rows(body + b"1234", 4), "4 bytes too many")):
            with self.subTest(words):
                self.assertIn(words, self.strange(data))

    def test_no_http(self):
        self.assertIn("SSH", self.strange((b"SSH-2.0-OpenSSH_9.2\r\n\r\n", None)))

    def test_info_of_others(self):
        for body in (b"[]", b"{", b'{"layers": 1}', b'{"layers": [{"layer": "x"}]}'):
            with Scripted(answer(200, body, "application/json")) as server, self.subTest(body):
                with self.assertRaisesRegex(moed.ProtocolError, "/v1/moe/info is not moed's"):
                    self.client(server.url).info()

    def test_errors_of_others(self):
        for page, kind in ((b"<h1>Forbidden</h1>", "text/html"), (b"{oops", "application/json"),
                           (b"[1]", "application/json")):
            with self.subTest(page):
                error = self.assert_refused(moed.ServerError, answer(403, page, kind), tries=1)
                self.assertEqual((error.status, error.code), (403, ""))
                self.assertIn(page.decode(), str(error))


@both
class Requests(Failing):
    def test_key_and_prefix(self):
        with Scripted(GOOD, answer(404)) as server:
            client = self.client(server.url + "/moe/", api_key="s3cret")
            client.forward(HIDDEN, 0)
            with self.assertRaises(moed.ServerError) as caught:
                client.info()
            with self.assertRaises(moed.ConnectionFailed):
                client.info(layer=12)
        first, second, third = server.requests[:3]
        self.assertTrue(first.line.startswith("POST /moe/v1/moe/layers/0/forward?dtype=f32"))
        self.assertEqual(first.headers["authorization"], "Bearer s3cret")
        self.assertEqual(first.headers["content-type"], "application/octet-stream")
        self.assertEqual(first.headers["host"], server.url.removeprefix("http://"))
        self.assertEqual(first.body, HIDDEN.tobytes())
        self.assertEqual(second.line, "GET /moe/v1/moe/info HTTP/1.1")
        self.assertEqual(third.line, "GET /moe/v1/moe/info?layer=12 HTTP/1.1")
        self.assertNotIn("s3cret", str(caught.exception))

    def test_settings_that_cannot_be(self):
        for urls in ("localhost:8080", "ftp://x", "http://", "http://x/?a=b", "http://me@x", []):
            with self.subTest(urls), self.assertRaises(ValueError):
                self.make(urls)
        with self.assertRaisesRegex(ValueError, "API key"):
            moed.Settings(api_key="a\r\nX-Evil: 1")


del Failing  # a base, no test
