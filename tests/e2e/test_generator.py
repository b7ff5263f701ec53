"""`moed load` against moed, and against servers that do wrong what it has to notice."""
import contextlib
import json
import socket
import subprocess
import tempfile
import threading
import time
import unittest

import harness


def load(url, *words):
    """Runs the command; its exit status, its JSON (None where it printed none) and its stderr."""
    done = subprocess.run([harness.BIN, "load", url, "--json", *map(str, words)],
                          capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL,
                          timeout=harness.PATIENCE * 2)
    return done.returncode, json.loads(done.stdout) if done.stdout else None, done.stderr


def response(body, status="200 OK", extra=""):
    return f"HTTP/1.1 {status}\r\n{extra}Content-Length: {len(body)}\r\n\r\n".encode() + body


def read_request(plain):
    """Headers and body of one request; b"" when the client has closed."""
    data = b""
    while b"\r\n\r\n" not in data:
        more = plain.recv(65536)
        if not more:
            return b""
        data += more
    head, body = data.split(b"\r\n\r\n", 1)
    size = next((int(line.split(b":")[1]) for line in head.split(b"\r\n")
                 if line.lower().startswith(b"content-length")), 0)
    while len(body) < size:
        more = plain.recv(65536)
        if not more:
            return b""
        body += more
    return head + b"\r\n\r\n" + body


@contextlib.contextmanager
def answering(answer):
    """A server that gives answer(i, request) to the request i that it gets; None hangs up."""
    lock, count, seen = threading.Lock(), [0], []

    def serve(plain):
        with plain, contextlib.suppress(OSError):
            while request := read_request(plain):
                with lock:
                    i, count[0] = count[0], count[0] + 1
                    seen.append(request)
                given = answer(i, request)
                if given is None:
                    return
                plain.sendall(given)

    def accept():
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=accept)
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}", seen
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()


ALONE = ["--hidden", 8, "--layers", 0]  # servers that know nothing of layers


class AgainstMoed(unittest.TestCase):
    def test_every_combination_is_asked_and_equal(self):
        case = harness.case("f32-two-layers")
        with harness.Server(case.model) as server:
            status, found, words = load(
                f"http://127.0.0.1:{server.port}/", "--clients", 8, "--seconds", 1, "--rows", "1,3,40",
                "--dtype", "f32", "--dtype", "f16", "--dtype", "bf16", "--format", "raw",
                "--format", "json", "--format", "kserve")
            routes = [server.metric("moed_rows_total", layer=str(layer)) for layer in case.layers]
        self.assertEqual(status, 0, words)
        self.assertEqual(found["distinct"], 3 * 3 * 3 * len(case.layers))
        self.assertGreater(found["compared"], 0)
        self.assertEqual((found["compared"], found["differ"]), (found["status"]["200"], 0))
        self.assertEqual(set(found["status"]), {"200"})
        self.assertTrue(all(rows > 0 for rows in routes), routes)

    def test_a_rate_is_kept(self):
        case = harness.case("f32-two-layers")
        with harness.Server(case.model) as server:
            status, found, words = load(server.url, "--clients", 16,
                                        "--seconds", 1, "--rate", 50, "--layers", 1)
        self.assertEqual(status, 0, words)
        self.assertEqual(sum(found["status"].values()) + found["late"], 50)

    def test_clients_that_hang_up_and_crowds(self):
        case = harness.case("f32-two-layers")
        with harness.Server(case.model) as server:
            status, found, words = load(
                server.url, "--clients", 8, "--seconds", 1, "--abandon", 50,
                "--idle", 20, "--slow", 10)
            self.assertTrue(harness.eventually(lambda: server.metric("moed_connections") == 1))
            self.assertEqual(server.metric("moed_queue_requests"), 0)
        self.assertEqual(status, 0, words)
        self.assertGreater(found["abandoned"], 0)
        self.assertGreaterEqual(found["connects"], found["abandoned"] - 8)
        self.assertEqual((found["differ"], found["broken"]), (0, 0))

    def test_a_server_that_looks_out_and_waits_for_company(self):
        case = harness.case("f32-two-layers")
        flags = ["--spin-us", "200", "--max-batch-delay-us", "300", "--workers", "2"]
        with harness.Server(case.model, *flags) as server:
            status, found, words = load(server.url, "--clients", 8,
                                        "--seconds", 1, "--rows", "1,9")
        self.assertEqual(status, 0, words)
        self.assertGreater(found["compared"], 0)

    def test_get(self):
        case = harness.case("f32-two-layers")
        with harness.Server(case.model) as server:
            status, found, words = load(server.url, "--get", "/metrics",
                                        "--seconds", 0.5)
        self.assertEqual((status, found["compared"]), (0, 0), words)
        self.assertGreater(found["status"]["200"], 0)

    def test_a_unix_socket(self):
        case = harness.case("f32-two-layers")
        with tempfile.TemporaryDirectory() as folder, \
                harness.Server(case.model, "--listen", f"unix:{folder}/s",
                               listen=("--listen", "127.0.0.1:0")) as server:
            status, found, words = load(f"unix:{folder}/s", "--seconds", 0.5, "--clients", 4,
                                        "--rows", "1,40", "--abandon", 10, "--idle", 2)
            asked = server.metric("moed_rows_total")
        self.assertEqual((status, found["differ"], found["unreached"]), (0, 0, 0), words)
        self.assertGreater(asked, found["rows_per_s"] * 0.5 / 2)
        self.assertEqual(load(f"unix:{folder}/s")[0], 1)

    def test_a_server_that_goes_away(self):
        """Orderly, so that no answer is broken; but then nobody can connect."""
        case = harness.case("f32-two-layers")
        with harness.Server(case.model) as server:
            stopper = threading.Timer(0.7, server.signal)
            stopper.start()
            status, found, words = load(f"http://127.0.0.1:{server.port}", "--rate", 20,
                                        "--seconds", 2)
            stopper.join()
        self.assertEqual(status, 1)
        self.assertGreater(found["status"]["200"], 0)
        self.assertGreater(found["unreached"], 0)
        self.assertIn("attempts to connect failed; the first: connecting: Connection refused", words)

    def test_layers_that_are_not_served(self):
        case = harness.case("f32-two-layers")
        with harness.Server(case.model, "--layers", "0") as server:
            status, _, words = load(server.url, "--layers", "0,7")
        self.assertEqual(status, 1)
        self.assertIn("1 of the 2 layers", words)


class AgainstOthers(unittest.TestCase):
    def test_an_answer_that_changes(self):
        def answer(i, _):
            return response(b"abcdefgh" if i < 20 else b"abcdxfgh")

        with answering(answer) as (url, _):
            status, found, words = load(url, *ALONE, "--seconds", 0.5)
        self.assertEqual(status, 1)
        self.assertGreater(found["differ"], 0)
        self.assertIn("answers differ", words)
        self.assertIn("layer 0, 1 row of f32, raw", words)

    def test_an_answer_that_is_cut_or_longer(self):
        for other in (b"abcdefg", b"abcdefghi", b""):
            with answering(lambda i, _, other=other: response(other if i > 0 else b"abcdefgh")) \
                    as (url, _):
                status, found, _ = load(url, *ALONE, "--seconds", 0.3)
            self.assertEqual(status, 1)
            self.assertEqual(found["differ"], found["compared"])

    def test_connections_that_break(self):
        with answering(lambda i, _: response(b"x") if i % 3 == 0 else None) as (url, _):
            status, found, words = load(url, *ALONE, "--seconds", 0.5)
        self.assertEqual(status, 1)
        self.assertGreater(found["broken"], 0)
        self.assertIn("ended before the answer", words)

    def test_no_http(self):
        with answering(lambda i, _: response(b"x") if i == 0 else b"SSH-2.0\r\n") as (url, _):
            status, _, words = load(url, *ALONE, "--seconds", 0.3)
        self.assertEqual(status, 1)
        self.assertIn("expected an HTTP response", words)

    def test_a_connection_that_is_not_kept(self):
        with answering(lambda i, _: response(b"x", extra="Connection: close\r\n")) as (url, _):
            status, found, words = load(url, *ALONE, "--seconds", 0.3)
        self.assertEqual(status, 0, words)
        self.assertGreaterEqual(found["connects"], found["status"]["200"] - 1)

    def test_refusals_are_counted_apart(self):
        def answer(i, _):
            return response(b"x") if i % 2 == 0 else response(b"full", "429 Too Many Requests")

        with answering(answer) as (url, _):
            status, found, words = load(url, *ALONE, "--seconds", 0.3)
        self.assertEqual(status, 0, words)
        self.assertEqual(set(found["status"]), {"200", "429"})
        self.assertEqual(found["compared"], found["status"]["200"])

    def test_a_status_that_should_not_be(self):
        def answer(i, _):
            return response(b"x") if i < 5 else response(b"oh", "500 Internal Server Error")

        with answering(answer) as (url, _):
            status, _, words = load(url, *ALONE, "--seconds", 0.3)
        self.assertEqual(status, 1)
        self.assertIn("of 500", words)

    def test_an_error_alone(self):
        with answering(lambda i, _: response(b"what?", "400 Bad Request")) as (url, _):
            status, found, words = load(url, *ALONE)
        self.assertEqual((status, found), (1, None))
        self.assertIn("expected 200, found 400: what?", words)

    def test_late_answers_count_from_when_they_were_due(self):
        """One stall of 0.4 s with one client at 50 a second: 20 requests were due meanwhile."""
        def answer(i, _):
            if i == 5:
                time.sleep(0.4)
            return response(b"x")

        with answering(answer) as (url, _):
            status, found, words = load(url, *ALONE, "--seconds", 1, "--rate", 50)
        self.assertEqual(status, 0, words)
        self.assertGreater(found["latency_ms"]["max"], 350)
        self.assertGreater(found["latency_ms"]["p90"], 250)  # without it: the stalled one alone

    def test_no_answer_at_all(self):
        stop = threading.Event()

        def answer(i, _):
            if i > 0:
                stop.wait(harness.PATIENCE)
            return response(b"x")

        with answering(answer) as (url, _):
            status, found, words = load(url, *ALONE, "--seconds", 0.2, "--timeout-ms", 300)
            stop.set()
        self.assertEqual(status, 1)
        self.assertGreater(found["timed_out"], 0)
        self.assertIn("not answered in time", words)

    def test_an_answer_that_never_ends(self):
        """A run ends soon after its time, whatever the patience for an answer."""
        stop = threading.Event()

        def answer(i, _):
            if i > 0:
                stop.wait(harness.PATIENCE)
            return response(b"x")

        with answering(answer) as (url, _):
            status, found, _ = load(url, *ALONE, "--seconds", 0.2, "--timeout-ms", 3600_000)
            stop.set()
        self.assertEqual(status, 1)
        self.assertGreater(found["timed_out"], 0)
        self.assertLess(found["seconds"], 3600)

    def test_headers_and_forms(self):
        with answering(lambda i, _: response(b"x")) as (url, seen):
            status, _, words = load(f"{url}/prefix", *ALONE, "--seconds", 0.2, "--format", "kserve",
                                    "--format", "json", "--header", "Authorization: Bearer k",
                                    "--header", "X-A: b")
        self.assertEqual(status, 0, words)
        heads = [request.split(b"\r\n\r\n", 1)[0].decode() for request in seen]
        for head in heads:
            self.assertIn("\r\nAuthorization: Bearer k\r\nX-A: b\r\n", head)
        self.assertEqual({head.split("\r\n")[0] for head in heads},
                         {"POST /prefix/v2/models/.layer0/infer HTTP/1.1",
                          "POST /prefix/v1/moe/layers/0/forward HTTP/1.1"})
        for request in seen:
            head, body = request.split(b"\r\n\r\n", 1)
            json_size = [int(line.split(b":")[1]) for line in head.split(b"\r\n")
                         if line.startswith(b"Inference-Header-Content-Length")]
            value = json.loads(body[:json_size[0]] if json_size else body)
            if json_size:
                self.assertEqual(len(body) - json_size[0], 4 * 8)
                self.assertEqual(value["inputs"][0]["shape"], [1, 8])
            else:
                self.assertEqual(len(value["hidden_states"][0]), 8)

    def test_wrong_usage(self):
        for words, message in ((["--dtype", "f64"], "expected f32, f16 or bf16"),
                               (["--format", "xml"], "expected raw, json or kserve"),
                               (["--header", "no colon"], "expected one line like"),
                               (["--header", "a: b\r\nc: d"], "expected one line like"),
                               (["--hidden", 4], "expected --layers"),
                               (["--abandon", 101], "up to 100 percent"),
                               (["--rows", 0], "whole number from 1")):
            status, _, found = load("http://127.0.0.1:1", *words)
            self.assertEqual(status, 2, found)
            self.assertIn(message, found)


if __name__ == "__main__":
    unittest.main()
