"""Limits of size, number and time, each with what a client sees of it."""
import contextlib
import json
import os
import socket
import subprocess
import tempfile
import unittest

import harness

FORWARD = "/v1/moe/layers/0/forward"


class Limits(unittest.TestCase):
    def setUp(self):
        self.case = harness.case("f32-two-layers")
        self.row = self.case.bytes(0, "hidden.f32")[:4 * self.case.hidden]

    def serve(self, *flags):
        return harness.Server(self.case.model, *flags)

    def connected(self, server):
        """A connection that has been let in; earlier ones that ended may still be counted at first."""
        while True:
            plain = server.socket()
            with contextlib.suppress(ConnectionError):
                plain.sendall(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n")
                if harness.read_answer(plain).status == 200:
                    return plain
            plain.close()

    def closed(self, plain):
        """Whether the server ends the connection without a word, while we have patience."""
        try:
            return plain.recv(1) == b""
        except ConnectionError:
            return True


class Headers(Limits):
    def test_url_and_headers(self):
        with self.serve("--max-header-bytes", "4KiB") as server:
            for status, target, line in ((200, b"/livez", b"X: " + b"y" * 2000), (414, b"/" + b"x" * 5000, b"X: y"),
                                         (431, b"/livez", b"X: " + b"y" * 5000), (431, b"/livez", b"X: y\r\n" * 900 + b"X: y")):
                data = b"GET " + target + b" HTTP/1.1\r\nHost: x\r\n" + line + b"\r\n\r\n"
                self.assertEqual(server.exchange(data).status, status)
            self.assertEqual(server.post_raw(FORWARD, self.row * 200).status, 200)  # bodies are another matter

    def test_a_limit_that_is_none(self):
        result = subprocess.run([harness.BIN, "serve", self.case.model, "--max-header-bytes", "4095"],
                                capture_output=True, text=True)
        self.assertEqual(result.returncode, 2)
        self.assertIn("--max-header-bytes: expected bytes from 4KiB to 16MiB, found \"4095\"", result.stderr)

    def test_time(self):
        with self.serve("--header-timeout-ms", "500") as server, server.socket() as silent, server.socket() as slow:
            slow.sendall(b"GET /livez HTTP/1.1\r\nHost: x\r\nX: ")
            self.assertTrue(self.closed(silent))
            self.assertTrue(self.closed(slow))


class Idle(Limits):
    def test_connections_are_closed(self):
        with self.serve("--idle-timeout-ms", "500") as server, server.socket() as plain, server.socket() as slow:
            for each in (plain, slow):
                each.sendall(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n")
                self.assertEqual(harness.read_answer(each).status, 200)
            slow.sendall(b"GET /livez HTTP/1.1\r\nHost: ")
            self.assertTrue(self.closed(plain))
            self.assertTrue(self.closed(slow))


class Unwanted(Limits):
    def test_a_body_that_nobody_wants_takes_no_room(self):
        """Who may not even ask for rows must not be able to fill what all bodies may hold."""
        with self.serve("--max-inflight-bytes", "4096") as server, server.socket() as plain:
            for method, path in (("GET", "/livez"), ("GET", "/v1/moe/info"), ("POST", "/v2/repository/index"),
                                 ("DELETE", "/v1/moe/experts")):
                self.assertIn(server.request(method, path, bytes(1 << 20)).status, (200, 204), path)
            answer = server.request("GET", "/livez", bytes((1 << 20) + 1))
            self.assertEqual((answer.status, answer.json()["code"]), (413, "too_large"))
            plain.sendall(b"GET /livez HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
                          b"100001\r\n" + bytes((1 << 20) + 1))
            self.assertEqual(harness.read_answer(plain).status, 413)


class Readers(Limits):
    """Who does not read its answer. The answers are larger than what the sockets between us take in."""
    ROOM = 64 << 20

    def ask(self, server, rows):
        """A connection that has asked for the output of so many rows as JSON and reads nothing."""
        row = json.dumps([1] * self.case.hidden)
        body = f'{{"layer":0,"hidden_states":[{",".join([row] * rows)}]}}'.encode()
        plain = socket.socket()
        self.addCleanup(plain.close)
        plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        plain.settimeout(harness.PATIENCE)
        plain.connect(("127.0.0.1", server.port))
        plain.sendall(b"POST /v1/moe/forward HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
                      + f"Content-Length: {len(body)}\r\n\r\n".encode() + body)
        return plain

    def has_room(self, server, size):
        """Whether a body of that size would be taken now."""
        with server.socket() as plain:
            plain.sendall(b"POST /v1/moe/forward HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\n"
                          b"Content-Type: application/json\r\n"
                          + f"Content-Length: {size}\r\n\r\n".encode())
            status = plain.recv(12)
        self.assertIn(status, (b"HTTP/1.1 100", b"HTTP/1.1 429"))
        return status == b"HTTP/1.1 100"

    def test_who_does_not_read_the_answer_is_cut_off(self):
        """It would hold the room of its request until the end of days."""
        with self.serve("--body-timeout-ms", "3000", "--max-inflight-bytes", str(self.ROOM)) as server:
            plain = self.ask(server, 8000)
            self.assertEqual(plain.recv(12), b"HTTP/1.1 200")
            self.assertFalse(self.has_room(server, self.ROOM - 4096))
            self.assertTrue(harness.eventually(lambda: self.has_room(server, self.ROOM - 4096)))

    def test_answers_are_counted(self):
        """What is asked for in three bytes a number is answered in eleven: requests whose answers would
        take more than the bound are refused, however little they sent."""
        rows = 8000
        with self.serve("--max-inflight-bytes", str(self.ROOM)) as server:
            text = rows * self.case.hidden * 8  # at least
            readers = [self.ask(server, rows) for _ in range(40)]
            statuses = [plain.recv(12) for plain in readers]
            taken = statuses.count(b"HTTP/1.1 200")
            self.assertEqual(taken + statuses.count(b"HTTP/1.1 429"), len(readers), statuses)
            self.assertGreaterEqual(taken, 1)
            self.assertLessEqual(taken * text, self.ROOM)


class Connections(Limits):
    def test_of_one_client(self):
        with self.serve("--max-connections-per-client", "3") as server, contextlib.ExitStack() as stack:
            held = [stack.enter_context(self.connected(server)) for _ in range(3)]
            with server.socket() as plain:
                answer = harness.read_answer(plain)  # nothing has been asked yet
                self.assertEqual((answer.status, answer.headers["Connection"]), (429, "close"))
                self.assertEqual(answer.headers["Content-Type"], "application/problem+json")
                self.assertEqual(answer.json()["code"], "too_many_connections")
                self.assertIn("3 connections", answer.json()["detail"])
                self.assertTrue(answer.headers["Retry-After"])
                self.assertTrue(self.closed(plain))
            held.pop().close()
            held.append(stack.enter_context(self.connected(server)))
            for plain in held:  # who was there first has stayed
                plain.sendall(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
                self.assertRegex(harness.read_answer(plain).body,
                                 rb'moed_rejected_total\{reason="too_many_connections"\} [1-9]')

    def status(self, server):
        with contextlib.suppress(OSError):
            return server.get("/livez").status
        return 0

    def test_others_are_other_clients(self):
        """Another address, and a unix socket, which has none."""
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "moed.sock")
            with self.serve("--max-connections-per-client", "2", "--listen", f"unix:{path}") as server, \
                    contextlib.ExitStack() as stack:
                for _ in range(2):
                    stack.enter_context(self.connected(server))
                self.assertTrue(harness.eventually(lambda: self.status(server) == 429))
                for _ in range(2):
                    plain = stack.enter_context(socket.create_connection(
                        ("127.0.0.1", server.port), harness.PATIENCE, ("127.0.0.2", 0)))
                    plain.sendall(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n")
                    self.assertEqual(harness.read_answer(plain).status, 200)
                for _ in range(5):
                    near = stack.enter_context(socket.socket(socket.AF_UNIX))
                    near.settimeout(harness.PATIENCE)
                    near.connect(path)
                    near.sendall(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n")
                    self.assertEqual(harness.read_answer(near).status, 200)


if __name__ == "__main__":
    unittest.main()
