"""The log: a line a request, what hostile header values do to it (nothing), files and SIGHUP."""
import json
import os
import re
import signal
import socket
import tempfile
import threading
import unittest

import harness
from harness import RAW

LINE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z (debug|info|warn|error) \S.*")
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
ALWAYS = {"time", "level", "message", "request_id", "method", "route", "status", "ms"}

# What a client may try to put into somebody else's log, as the bytes of a header's value.
HOSTILE = [
    b'"', b'\\', b'a","status":200,"x":"', b'x" status=200', b"a b=c", b"a\tb", b"\x01\x02\x1b[2J",
    b"\x7f", b"\xff\xfe", b"\xc3\xa9", b"\xc2\x9b31m", b"\xe2\x80\xae", b"%0a%0d", b"${jndi:x}",
    b"a\r\n b", b"A" * 129, b"A" * 20000, b"<script>", b"\xed\xa0\x80", b"'; --",
]


def requests_in(text):
    """The lines of requests of a JSON log; every line has to be one object."""
    lines = [json.loads(line) for line in text.splitlines()]
    return [line for line in lines if line["message"] == "request"]


class Requests(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.case = harness.case("f32-two-layers")

    def test_fields(self):
        data = self.case.bytes(0, "hidden.f32")
        rows = len(data) // (4 * self.case.hidden)
        with harness.Server(self.case.model, "--log-format", "json", "--log-requests", "info",
                            "--name", 'q"\\é') as server:
            server.post_raw("/v1/moe/layers/0/forward", data,
                            {"X-Request-Id": "mine-1", "traceparent": TRACE})
            server.post_raw("/v1/moe/layers/0/forward", data[:-1], {"X-Request-Id": "mine-2"})
            server.post_raw("/v1/moe/layers/77/forward", data, {"X-Request-Id": "mine-3"})
            server.get("/nowhere/at/all")
            server.stop()
            # The harness has asked for readiness before.
            good, short, missing, nowhere = requests_in(server.text())[-4:]
        self.assertEqual(set(good), ALWAYS | {"traceparent", "layer", "rows", "queue_us",
                                              "compute_us", "batch_rows"})
        self.assertEqual(
            {name: good[name] for name in ("level", "request_id", "traceparent", "method", "route",
                                           "status", "layer", "rows", "batch_rows")},
            {"level": "info", "request_id": "mine-1", "traceparent": TRACE, "method": "POST",
             "route": "/v1/moe/layers/{L}/forward", "status": 200, "layer": 0, "rows": rows,
             "batch_rows": rows})
        self.assertGreaterEqual(good["ms"] * 1000, good["queue_us"] + good["compute_us"] - 2)
        self.assertEqual(set(short), ALWAYS | {"layer", "code"})
        self.assertEqual((short["status"], short["request_id"]), (400, "mine-2"))
        self.assertEqual((missing["status"], missing["code"]), (404, "not_found"))
        self.assertEqual((nowhere["status"], nowhere["route"]), (404, "unmatched"))

    def test_levels(self):
        data = self.case.bytes(0, "hidden.f32")
        for flags, expected in (((), [400]), (("--log-requests", "info"), [200, 400]),
                                (("--log-requests", "off"), []),
                                (("--log-level", "debug"), [200, 400]),
                                (("--log-requests", "error"), [200, 400])):
            with self.subTest(flags=flags), harness.Server(self.case.model, *flags) as server:
                server.post_raw("/v1/moe/layers/0/forward", data)
                server.post_raw("/v1/moe/layers/0/forward", data[:-1])
                server.stop()
                found = [int(status) for status in re.findall(
                    r" request .* route=/v1/moe/layers/\{L\}/forward status=(\d+)", server.text())]
                self.assertEqual(found, expected, server.text())

    def test_a_flood_of_failures_is_counted(self):
        """1000 refusals on one connection, faster than 100 a second: none is lost to the count."""
        refused = b"POST /v1/moe/layers/77/forward HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n"
        for flags, each in (((), False), (("--log-requests", "info"), True),
                            (("--log-requests", "off"), False)):
            with harness.Server(self.case.model, *flags) as server:
                with server.socket() as plain:
                    plain.sendall(refused * 1000)
                    plain.shutdown(socket.SHUT_WR)
                    while plain.recv(65536):
                        pass
                server.stop()
                lines = len(re.findall(r" request .* method=POST", server.text()))
                rest = sum(map(int, re.findall(r"info (\d+) more requests failed", server.text())))
            if flags[-1:] == ("off",):
                self.assertEqual((lines, rest), (0, 0))
            elif each:
                self.assertEqual((lines, rest), (1000, 0))
            else:
                self.assertEqual(lines + rest, 1000)
                self.assertGreaterEqual(lines, 100)
                self.assertGreater(rest, 0)

    def test_probes_are_no_failures(self):
        with harness.Server(self.case.model, "--drain-delay-ms", "1000") as server:
            server.signal()
            self.assertTrue(harness.eventually(lambda: server.get("/readyz").status == 503))
            self.assertEqual(server.get("/v2/health/ready").status, 503)
            server.get("/nowhere")
            server.wait()
            self.assertEqual(re.findall(r" request .*route=(\S+)", server.text()), ["unmatched"])

    def send_hostile(self, server):
        """Each value in each header that a log might show, over bare sockets."""
        for value in HOSTILE:
            for name in (b"X-Request-Id", b"traceparent", b"User-Agent"):
                with server.socket() as plain:
                    plain.sendall(b"GET /livez HTTP/1.1\r\nHost: x\r\n" + name + b": " + value +
                                  b"\r\nConnection: close\r\n\r\n")
                    answer = harness.read_answer(plain)
                self.assertIn(answer.status, (200, 400), (name, value))  # 400: control characters
                self.assertRegex(answer.headers["X-Request-Id"], r"^[!-~]{1,128}$")
        with server.socket() as plain:  # a path may hold anything as well
            plain.sendall(b'GET /a"\\\x1b\xff%0a HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n')
            self.assertIn(harness.read_answer(plain).status, (400, 404))

    def test_hostile_values_in_json(self):
        with harness.Server(self.case.model, "--log-format", "json", "--log-level",
                            "debug") as server:
            self.send_hostile(server)
            server.stop()
            found = requests_in(server.text())
        for line in found:
            self.assertEqual(set(line) - {"traceparent", "code"}, ALWAYS, line)
            self.assertRegex(line["request_id"], r"^[!-~]{1,128}$")
            self.assertIn(line["status"], (200, 400, 404, 503))
        self.assertGreater(len(found), 3 * len(HOSTILE))

    def test_hostile_values_in_text(self):
        with harness.Server(self.case.model, "--log-level", "debug") as server:
            self.send_hostile(server)
            server.stop()
            text = server.text()
        for line in text.splitlines():
            self.assertRegex(line, LINE)
            self.assertTrue(line.isascii() and line.isprintable(), repr(line))
        self.assertEqual(len(re.findall(" request .*status=200", text)), text.count("status=200"))

    def test_names_of_models_cannot_forge_lines(self):
        """Whatever stands in the file as its name, or as its own."""
        with open(self.case.model, "rb") as file:
            data = file.read()
        name = data[data.index(b"general.name") + 24:][:7]
        for own in (b"model.gguf", b"x\n2026-01-01 \x1b[2J\x9b\xff.gguf"):
            with tempfile.TemporaryDirectory() as folder:
                path = os.path.join(os.fsencode(folder), own)
                with open(path, "wb") as file:
                    file.write(data.replace(name, b"\n\x1b[2Jx\xff", 1))
                with harness.Server(path) as server:
                    server.stop()
                    for line in server.text().splitlines():
                        self.assertRegex(line, LINE)
                        self.assertTrue(line.isprintable(), repr(line))


class Files(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.path = os.path.join(self.folder.name, "moed.log")
        self.case = harness.case("f32-two-layers")

    def text(self, path=None):
        with open(path or self.path, encoding="utf-8") as file:
            return file.read()

    def start(self):
        """The harness reads the port from stderr, where nothing comes now: a file tells."""
        server = harness.Server(self.case.model, "--log-file", self.path, "--log-requests", "info",
                                log_file=self.path)
        self.addCleanup(server.kill)
        return server

    def test_rotation_under_load(self):
        data = self.case.bytes(0, "hidden.f32")
        server = self.start()
        stop, sent = threading.Event(), []

        def client():
            connection = server.connect()
            while not stop.is_set():
                answer = harness.ask(connection, "POST", "/v1/moe/layers/0/forward", data, RAW)
                self.assertEqual(answer.status, 200)
                sent.append(answer.headers["X-Request-Id"])
            connection.close()

        threads = [threading.Thread(target=client) for _ in range(4)]
        for thread in threads:
            thread.start()
        for number in range(5):
            os.rename(self.path, f"{self.path}.{number}")
            server.signal(signal.SIGHUP)
            self.assertTrue(harness.eventually(
                lambda: os.path.exists(self.path) and "SIGHUP: opened the log file" in self.text()))
        stop.set()
        for thread in threads:
            thread.join()
        self.assertEqual(server.stop(), 0)
        whole = "".join(self.text(f"{self.path}.{n}") for n in range(5)) + self.text()
        for line in whole.splitlines():
            self.assertRegex(line, LINE)
        logged = re.findall(r" request request_id=(\w+) method=POST", whole)
        self.assertGreater(len(sent), 0)
        self.assertEqual(sorted(logged), sorted(sent))
        self.assertEqual(os.stat(self.path).st_mode & 0o777, 0o640 & ~current_umask())

    def test_a_file_that_cannot_be_opened_again(self):
        server = self.start()
        os.rename(self.path, self.path + ".1")
        os.mkdir(self.path)
        server.signal(signal.SIGHUP)
        self.assertTrue(harness.eventually(
            lambda: "the log stays where it was" in self.text(self.path + ".1")))
        self.assertEqual(server.get("/livez").status, 200)
        self.assertEqual(server.stop(), 0)
        self.assertIn("stopped", self.text(self.path + ".1"))

    def test_a_folder_that_is_not_there(self):
        with self.assertRaises(harness.LoadError) as caught:
            harness.Server(self.case.model, "--log-file", "/nowhere/moed.log")
        self.assertIn("moed: log file /nowhere/moed.log: No such file", str(caught.exception))


def current_umask():
    mask = os.umask(0)
    os.umask(mask)
    return mask


if __name__ == "__main__":
    unittest.main()
