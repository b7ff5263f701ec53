"""API keys: who is let in, what stays open, and keys that change while the server runs."""
import os
import signal
import subprocess
import tempfile
import threading
import unittest

import harness

FIRST, SECOND = "first-key-of-two-0001", "second-key-of-two-02"
FORWARD = "/v1/moe/layers/0/forward"


class WithKeys(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.file = os.path.join(folder.name, "keys")
        self.case = harness.case("f32-two-layers")
        self.row = self.case.bytes(0, "hidden.f32")[:4 * self.case.hidden]
        self.write(f"# both\n{FIRST}\n\n{SECOND}\n")

    def write(self, text):
        """As an operator should: a new file, moved over the old one."""
        new = self.file + ".new"
        with open(os.open(new, os.O_WRONLY | os.O_CREAT, 0o600), "w", encoding="utf-8") as file:
            file.write(text)
        os.rename(new, self.file)

    def serve(self, *flags):
        return harness.Server(self.case.model, "--api-key-file", self.file, *flags)

    def check_refused(self, answer):
        self.assertEqual(answer.status, 401, answer)
        self.assertEqual(answer.headers["Content-Type"], "application/problem+json")
        self.assertEqual(answer.json()["code"], "unauthorized")
        self.assertIn("X-API-Key", answer.json()["detail"])
        self.assertRegex(answer.headers["WWW-Authenticate"], '^Bearer realm="moed"')
        return answer


class Doors(WithKeys):
    def test_with_a_key(self):
        with self.serve() as server:
            for headers in ({"Authorization": f"Bearer {FIRST}"}, {"Authorization": f"bearer {SECOND}"},
                            {"X-API-Key": FIRST}, {"X-API-Key": SECOND, "Authorization": "Basic eDp5"}):
                self.assertEqual(server.post_raw(FORWARD, self.row, headers).status, 200)
                self.assertEqual(server.get("/v1/moe/info", headers).status, 200)

    def test_load_brings_the_key(self):
        with self.serve() as server:
            words = [harness.BIN, "load", server.url, "--seconds", "0.2"]
            for more, status in (([], 1), (["--header", f"X-API-Key: {FIRST}"], 0)):
                done = subprocess.run([*words, *more], capture_output=True, text=True, check=False)
                self.assertEqual(done.returncode, status, done.stderr)

    def test_without(self):
        with self.serve() as server:
            for headers in ({}, {"X-API-Key": ""}, {"X-API-Key": FIRST + "x"}, {"X-API-Key": FIRST[:-1]},
                            {"Authorization": FIRST}, {"Authorization": f"Basic {FIRST}"},
                            {"Authorization": "Bearer"}, {"Authorization": "Bearer " + "x" * 5000},
                            {"Cookie": f"X-API-Key={FIRST}"}):
                for method, path in (("POST", FORWARD), ("GET", "/v1/moe/info"), ("HEAD", "/metrics"),
                                     ("GET", f"/v1/moe/info?X-API-Key={FIRST}"), ("DELETE", "/v1/moe/experts"),
                                     ("GET", "/openapi.json"), ("GET", "/nowhere"), ("PUT", FORWARD)):
                    with self.subTest(headers=headers, path=path):
                        answer = server.request(method, path, self.row if method == "POST" else None, headers)
                        self.assertEqual(answer.status, 401, answer)
                        if method != "HEAD":
                            self.check_refused(answer)

    def test_a_wrong_token_is_told_from_none(self):
        with self.serve() as server:
            none = self.check_refused(server.get("/v1/moe/info"))
            wrong = self.check_refused(server.get("/v1/moe/info", {"Authorization": "Bearer wrong"}))
        self.assertNotIn("error", none.headers["WWW-Authenticate"])
        self.assertIn('error="invalid_token"', wrong.headers["WWW-Authenticate"])

    def test_probes_are_open(self):
        with self.serve() as server:
            for path in ("/livez", "/readyz", "/health"):
                self.assertEqual(server.get(path).status, 200)
            url = server.url
            health = subprocess.run([harness.BIN, "health", url], capture_output=True, text=True)
            self.assertEqual(health.returncode, 0, health.stderr)

    def test_metrics_by_flag(self):
        with self.serve("--metrics-open") as server:
            self.assertIn(b"moed_ready 1", server.get("/metrics").body)
            self.check_refused(server.get("/v1/moe/info"))
        with self.serve() as server:
            self.check_refused(server.get("/metrics"))
            self.assertEqual(server.get("/metrics", {"X-API-Key": FIRST}).status, 200)

    def test_openapi_says_so(self):
        """An operation without security is open, every other one is not."""
        with self.serve() as server:
            document = server.get("/openapi.json", {"X-API-Key": FIRST}).json()
            self.assertEqual(document["security"][1:], [{"bearer": []}, {"api_key": []}])
            for path, item in document["paths"].items():
                for method, operation in item.items():
                    answer = server.request(method.upper(), path.replace("{L}", "0"))
                    with self.subTest(path=path, method=method):
                        self.assertEqual(answer.status == 401, operation.get("security") != [])
                        self.assertEqual("401" in operation["responses"], operation.get("security") != [])

    def test_a_refused_body_is_heard_out(self):
        """So that the client reads the answer, and may use its connection again."""
        with self.serve() as server:
            connection = server.connect()
            for _ in range(3):
                self.check_refused(harness.ask(connection, "POST", FORWARD, bytes(30000), harness.RAW))
            answer = harness.ask(connection, "POST", FORWARD, self.row, {**harness.RAW, "X-API-Key": FIRST})
            self.assertEqual(answer.status, 200)
            connection.close()

    def test_secrets_are_not_told(self):
        """Neither the server's keys nor what somebody tried, however much is logged."""
        tried = "tried-and-refused-key"
        with self.serve("--log-level", "debug") as server:
            server.get("/v1/moe/info", {"X-API-Key": FIRST})
            refused = server.get("/v1/moe/info", {"Authorization": f"Bearer {tried}"})
            server.signal(signal.SIGHUP)
            self.assertTrue(harness.eventually(lambda: "2 API keys" in server.text()))
            metrics = server.get("/metrics", {"X-API-Key": FIRST})
        for text in (server.text(), refused.body.decode(), metrics.body.decode()):
            for secret in (FIRST, SECOND, tried):
                self.assertNotIn(secret, text)
        printed = subprocess.run([harness.BIN, "serve", "m.gguf", "--api-key-file", self.file, "--print-config"],
                                 capture_output=True, text=True, check=True).stdout
        self.assertRegex(printed, r"(?m)^api-key-file +\(hidden\) +flag$")


class Reload(WithKeys):
    def test_keys_come_and_go(self):
        third = "third-key-in-time-03"
        with self.serve() as server:
            self.write(third + "\n")
            self.check_refused(server.get("/v1/moe/info", {"X-API-Key": third}))
            server.signal(signal.SIGHUP)
            self.assertTrue(harness.eventually(
                lambda: server.get("/v1/moe/info", {"X-API-Key": third}).status == 200))
            self.check_refused(server.get("/v1/moe/info", {"X-API-Key": FIRST}))

    def test_a_mistake_changes_nothing(self):
        with self.serve() as server:
            for text, words in (("", "found no key"), ("# ok\nshort\n", "line 2: a key of 5 characters")):
                self.write(text)
                server.signal(signal.SIGHUP)
                self.assertTrue(harness.eventually(lambda w=words: w in server.text()), server.text())
                self.assertEqual(server.get("/v1/moe/info", {"X-API-Key": FIRST}).status, 200)
                self.check_refused(server.get("/v1/moe/info"))
            os.unlink(self.file)
            server.signal(signal.SIGHUP)
            self.assertTrue(harness.eventually(lambda: "No such file" in server.text()))
            self.assertEqual(server.get("/v1/moe/info", {"X-API-Key": SECOND}).status, 200)

    def test_under_load(self):
        """One key stays and one comes and goes: who has the first is never refused."""
        stop = threading.Event()
        seen = [set() for _ in range(4)]

        def client(at, key):
            connection = server.connect()
            while not stop.is_set():
                answer = harness.ask(connection, "POST", FORWARD, self.row, {**harness.RAW, "X-API-Key": key})
                seen[at].add(answer.status)
            connection.close()

        with self.serve() as server:
            threads = [threading.Thread(target=client, args=(at, SECOND if at == 3 else FIRST)) for at in range(4)]
            for thread in threads:
                thread.start()
            for turn in range(20):
                self.write(f"{FIRST}\n" if turn % 2 else f"{SECOND}\n{FIRST}\n")
                server.signal(signal.SIGHUP)
                self.assertTrue(harness.eventually(
                    lambda n=turn + 1: server.text().count("SIGHUP: ") >= n))
            stop.set()
            for thread in threads:
                thread.join()
        self.assertEqual(seen[:3], [{200}] * 3)
        self.assertEqual(seen[3], {200, 401})


class Start(WithKeys):
    def refuse(self, *words):
        with self.assertRaises(harness.LoadError) as caught:
            self.serve().kill()
        for word in words:
            self.assertIn(word, str(caught.exception))

    def test_a_file_that_everybody_reads(self):
        os.chmod(self.file, 0o644)
        self.refuse("mode 0644", "chmod 640", self.file)

    def test_a_file_without_keys(self):
        self.write("# nothing\n")
        self.refuse("found no key")

    def test_no_file(self):
        os.unlink(self.file)
        self.refuse("No such file", self.file)


class Terminal(unittest.TestCase):
    def test_hangup_ends_a_server_that_has_nothing_to_reload(self):
        server = harness.Server(harness.case("f32-two-layers").model)
        server.signal(signal.SIGHUP)
        self.assertEqual(server.wait(), -signal.SIGHUP)
        server.kill()

    def test_however_the_tests_were_started(self):
        """Under nohup, SIGHUP is ignored by us and by all that we start, unless we see to it."""
        before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
        self.addCleanup(signal.signal, signal.SIGHUP, before)
        self.test_hangup_ends_a_server_that_has_nothing_to_reload()


if __name__ == "__main__":
    unittest.main()
