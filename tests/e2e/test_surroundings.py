"""The process and what surrounds it: names that lead to no file, a log that nobody reads, standard
descriptors that are closed, signals at any time."""
import contextlib
import os
import re
import resource
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import unittest

import certificates
import harness


def run(*words, environment=None, **popen):
    """A moed command that ends by itself: (exit status, stderr)."""
    done = subprocess.run([harness.BIN, *words], stdin=subprocess.DEVNULL, capture_output=True,
                          text=True, errors="replace", timeout=harness.PATIENCE, check=False,
                          env={**os.environ, **(environment or {})}, **popen)
    return done.returncode, done.stderr


class Folder(unittest.TestCase):
    """A test with a folder of its own and a small model."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name
        self.case = harness.case("f32-two-layers")

    def path(self, name):
        return os.path.join(self.folder, name)

    def refused(self, message, *flags, status=2):
        """Serving with these flags ends at once, and says why."""
        found, said = run("serve", self.case.model, "--listen", "127.0.0.1:0", *flags)
        self.assertEqual(found, status, said)
        self.assertIn(message, said)


class Files(Folder):
    """One careful way to open files: only regular ones, of a bounded size."""

    def setUp(self):
        super().setUp()
        self.pipe = self.path("pipe")
        os.mkfifo(self.pipe)

    def certificate(self):
        cert, key = certificates.Authority(self.folder, "ours").sign("server")
        return cert, key

    def test_pipes_and_devices_at_the_start(self):
        cert, key = self.certificate()
        for odd, kind in ((self.pipe, "a pipe"), ("/dev/zero", "a device"), (self.folder, "a directory")):
            for flag, flags in (("--tls-cert", ("--tls-cert", odd, "--tls-key", key)),
                                ("--tls-key", ("--tls-cert", cert, "--tls-key", odd)),
                                ("--tls-client-ca", ("--tls-cert", cert, "--tls-key", key,
                                                     "--tls-client-ca", odd)),
                                ("--api-key-file", ("--api-key-file", odd))):
                with self.subTest(flag=flag, kind=kind):
                    self.refused(f"{flag} {odd}: found {kind}, expected a regular file", *flags)
            with self.subTest(flag="--arch-file", kind=kind):
                self.refused(f"architecture file {odd}: found {kind}", "--arch-file", odd)
        self.refused(f"log file {self.pipe}: found a pipe", "--log-file", self.pipe)
        self.refused("log file /dev/full: found a device", "--log-file", "/dev/full")

    def test_pipes_and_devices_given_to_clients(self):
        for flags in (("--ca", self.pipe), ("--ca", "/dev/zero"), ("--cert", self.pipe, "--key", self.pipe)):
            status, said = run("health", "https://127.0.0.1:1", *flags)
            self.assertNotEqual(status, 0)
            self.assertIn("expected a regular file", said)

    def test_pipes_at_a_reload(self):
        """What was a file is a pipe at SIGHUP: all stays as it was, and the server goes on."""
        cert, key = self.certificate()
        keys, log = self.path("keys"), self.path("log")
        with open(keys, "w", encoding="ascii") as file:
            file.write("0123456789abcdef\n")
        os.chmod(keys, 0o600)
        listen = "unix:" + self.path("socket")
        server = harness.Server(self.case.model, "--api-key-file", keys, "--tls-cert", cert, "--tls-key", key,
                                "--log-file", log, "--listen", listen, wait=False, log_file=log)
        self.addCleanup(server.kill)
        for path in (keys, cert, log):
            os.rename(path, path + ".old")
            os.mkfifo(path)
        server.signal(signal.SIGHUP)

        def said(text):
            with open(log + ".old", encoding="utf-8") as file:
                return text in file.read()

        for text in ("the log stays where it was", "the API keys stay as they were",
                     "the TLS certificates stay as they were"):
            self.assertTrue(harness.eventually(lambda text=text: said(text)), text)
        self.assertTrue(harness.eventually(lambda: run("health", listen)[0] == 0))
        self.assertEqual(server.stop(), 0)


class Log(Folder):
    def flood(self, path, requests):
        """Refused requests, on a connection of their own, read to the end."""
        with socket.socket(socket.AF_UNIX) as plain:
            plain.settimeout(harness.PATIENCE)
            plain.connect(path)
            ask = b"GET /nope HTTP/1.1\r\nHost: x\r\n\r\n"
            plain.sendall(ask * (requests - 1) + ask.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
            while plain.recv(65536):
                pass

    def test_a_log_that_nobody_reads(self):
        """The reader of stderr stands still: requests are answered, SIGTERM is heard, and what was
        lost is counted, in the metrics and in the log."""
        path = self.path("socket")
        moed = subprocess.Popen([harness.BIN, "serve", self.case.model, "--listen", f"unix:{path}",
                                 "--log-requests", "info"], stdin=subprocess.DEVNULL, stderr=subprocess.PIPE)
        self.addCleanup(moed.stderr.close)
        self.addCleanup(moed.wait)
        self.addCleanup(moed.kill)
        self.assertTrue(harness.eventually(lambda: run("health", f"unix:{path}")[0] == 0))
        for _ in range(20):
            self.flood(path, 1000)
        self.assertEqual(run("health", f"unix:{path}")[0], 0)
        lost = self.lost(path)
        self.assertGreater(lost, 0)
        whole = []
        reader = threading.Thread(target=lambda: whole.extend(moed.stderr))
        reader.start()  # and now it flows again
        self.assertTrue(harness.eventually(lambda: b"lines of the log were lost" in b"".join(whole)))
        moed.terminate()
        self.assertEqual(moed.wait(harness.PATIENCE), 0)
        reader.join()
        said = sum(int(n) for n in re.findall(rb"log were lost.* lines=(\d+)\n", b"".join(whole)))
        self.assertGreaterEqual(said, lost)
        self.assertRegex(whole[-1], rb"stopped\n$")

    def lost(self, path):
        with socket.socket(socket.AF_UNIX) as plain:
            plain.settimeout(harness.PATIENCE)
            plain.connect(path)
            plain.sendall(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
            samples = harness.parse_metrics(harness.read_answer(plain).body.decode())
        return sum(value for name, _, value in samples if name == "moed_log_lost_lines_total")

    def test_sigterm_with_a_log_that_nobody_reads(self):
        path = self.path("socket")
        moed = subprocess.Popen([harness.BIN, "serve", self.case.model, "--listen", f"unix:{path}",
                                 "--log-requests", "info"], stdin=subprocess.DEVNULL, stderr=subprocess.PIPE)
        self.addCleanup(moed.stderr.close)
        self.addCleanup(moed.wait)
        self.addCleanup(moed.kill)
        self.assertTrue(harness.eventually(lambda: run("health", f"unix:{path}")[0] == 0))
        self.flood(path, 3000)
        moed.terminate()
        self.assertEqual(moed.wait(harness.PATIENCE), 0)

    def test_last_words_that_nobody_reads(self):
        """A start that fails ends, with its status, though nobody takes the reason."""
        outlet, inlet = os.pipe()
        self.addCleanup(os.close, outlet)
        self.addCleanup(os.close, inlet)
        os.set_blocking(inlet, False)
        with contextlib.suppress(BlockingIOError):
            while True:
                os.write(inlet, b"x" * 4096)
        os.set_blocking(inlet, True)
        for words, status in ((("serve", "/nowhere", "--listen", "127.0.0.1:0"), 1), (("serve", "--nothing"), 2)):
            done = subprocess.run([harness.BIN, *words], stdin=subprocess.DEVNULL, stderr=inlet, check=False,
                                  timeout=harness.PATIENCE)
            self.assertEqual(done.returncode, status)

    def test_a_full_disk(self):
        """A line that was cut by the end of the space is ended before the next."""
        log = self.path("log")
        server = harness.Server(self.case.model, "--log-file", log, "--log-requests", "info", log_file=log,
                                prefix=("prlimit", "--fsize=4000:unlimited"))
        self.addCleanup(server.kill)
        for _ in range(60):
            server.get("/nope")
        self.assertTrue(harness.eventually(lambda: server.metric("moed_log_lost_lines_total") > 0))
        subprocess.run(["prlimit", "--fsize=unlimited", f"--pid={server.process.pid}"], check=True)
        server.get("/nope")
        self.assertEqual(server.stop(), 0)
        with open(log, encoding="utf-8") as file:
            text = file.read()
        self.assertEqual(text[4000], "\n")
        for line in text[4001:].splitlines():
            self.assertRegex(line, r"^\d{4}-\d\d-\d\dT\S+Z (debug|info|warn|error) \S.*")
        self.assertRegex(text[4001:], r"log were lost.* lines=\d+\n")


class Descriptors(Folder):
    def test_closed_standard_descriptors(self):
        """Whichever of 0, 1 and 2 are closed at the start: the server serves and ends well, and what
        it logs goes nowhere else."""
        for closed in ("0<&-", "1>&-", "2>&-", "0<&- 1>&- 2>&-"):
            with self.subTest(closed=closed):
                path = self.path("socket")
                moed = subprocess.Popen(["sh", "-c", f'exec "$0" "$@" {closed}', harness.BIN, "serve",
                                         self.case.model, "--listen", f"unix:{path}"],
                                        stderr=subprocess.PIPE, stdout=subprocess.DEVNULL)
                self.addCleanup(moed.stderr.close)
                self.addCleanup(moed.kill)
                self.assertTrue(harness.eventually(lambda: run("health", f"unix:{path}")[0] == 0))
                for fd in range(3):
                    there = os.readlink(f"/proc/{moed.pid}/fd/{fd}")
                    self.assertRegex(there, r"^(/dev/null|pipe:.*)$", fd)
                moed.terminate()
                self.assertEqual(moed.wait(harness.PATIENCE), 0)

    def test_what_is_printed_to_nobody_is_an_error(self):
        done = subprocess.run(["sh", "-c", 'exec "$0" "$@" >&-', harness.BIN, "inspect", self.case.model],
                              stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
                              timeout=harness.PATIENCE)
        self.assertEqual(done.returncode, 1)
        self.assertIn("standard output", done.stderr)

    def test_connections_leave_descriptors_for_reloads(self):
        """The limit of open files holds fewer connections than asked for: those that fit are taken,
        and with all of them open a key is revoked."""
        keys = self.path("keys")
        first, second = "first-key-0123456789", "second-key-0123456789"

        def write(*lines):
            with open(keys, "w", encoding="ascii") as file:
                file.write("".join(f"{line}\n" for line in lines))
            os.chmod(keys, 0o600)

        write(first, second)
        with harness.Server(self.case.model, "--api-key-file", keys, "--max-connections", "1000",
                            prefix=("prlimit", "--nofile=160:160")) as server:
            found = re.search(r"warn (\d+) connections may be open at a time, not --max-connections 1000: "
                              r"the limit of open files is 160", server.text())
            self.assertTrue(found, server.text())
            fit = int(found.group(1))
            self.assertTrue(0 < fit < 160)
            self.assertEqual(server.get("/v1/moe/info", {"X-API-Key": first}).status, 200)
            limits = server.get("/v1/moe/info", {"X-API-Key": first}).json()["limits"]
            self.assertEqual(limits["max_connections"], fit)
            crowd = [server.connect() for _ in range(fit)]
            for connection in crowd:
                self.assertEqual(harness.ask(connection, "GET", "/livez").status, 200)
            waiting = [server.socket() for _ in range(20)]  # in the backlog: nobody accepts them now
            write(second)
            server.signal(signal.SIGHUP)
            self.assertTrue(harness.eventually(lambda: "SIGHUP: 1 API keys" in server.text()), server.text())
            for key, status in ((first, 401), (second, 200)):
                answer = harness.ask(crowd[-1], "GET", "/v1/moe/info", None, {"X-API-Key": key})
                self.assertEqual(answer.status, status)
            for one in (*crowd, *waiting):
                one.close()

    def test_clients_of_lanes_are_counted_too(self):
        """Each listener's clients may be as many as the bound says, and all have descriptors."""
        with harness.Server(self.case.model, "--max-connections", "1000", "--listen", "lane:" + self.path("lane"),
                            prefix=("prlimit", "--nofile=200:200")) as server:
            limits = server.get("/v1/moe/info").json()["limits"]
            self.assertLess(2 * limits["max_connections"], 200 - 64)

    def test_too_few_descriptors_for_any_connection(self):
        found, said = run("serve", self.case.model, "--listen", "127.0.0.1:0",
                          preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (40, 40)))
        self.assertEqual(found, 1, said)
        self.assertRegex(said, r"found a limit of 40 open files, expected at least \d+")


class Threads(Folder):
    def test_a_pool_that_cannot_be(self):
        """libuv makes its threads when the first body comes, and aborts where it cannot."""
        if harness.is_sanitized():
            self.skipTest("sanitizers reserve more addresses than any limit leaves")
        space = 4 << 30
        found, said = run("serve", self.case.model, "--listen", "127.0.0.1:0",
                          environment={"UV_THREADPOOL_SIZE": "1024"},
                          preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (space, space)))
        self.assertEqual(found, 1, said)
        self.assertRegex(said, r"moed: only \d+ of 1024 threads could be made that read requests")

    def test_the_pool_is_there_before_ready(self):
        with harness.Server(self.case.model) as server:
            before = len(os.listdir(f"/proc/{server.process.pid}/task"))
            rows = b"\0\0\0\x3f" * (self.case.hidden * 1024)  # a body that is read in the pool
            self.assertEqual(server.post_raw("/v1/moe/layers/0/forward", rows).status, 200)
            self.assertEqual(len(os.listdir(f"/proc/{server.process.pid}/task")), before)


class Settings(Folder):
    def test_misspelt_variables(self):
        for name, meant in (("MOED_ARG_MAX_BATCH_ROW", "; did you mean MOED_ARG_MAX_BATCH_ROWS?"),
                            ("MOED_ARG_LISTENS", "; did you mean MOED_ARG_LISTEN?"),
                            ("MOED_ARG_API_KEYS_FILE", "; did you mean MOED_ARG_API_KEY_FILE?"),
                            ("MOED_ARG_", "\n"), ("MOED_ARG_QUITE_ANOTHER_THING_ALTOGETHER", "\n"),
                            ("MOED_ARG_listen", "")):
            found, said = run("inspect", self.case.model, environment={name: "1"})
            self.assertEqual(found, 2, said)
            self.assertIn(f"moed: {name}: no option has this variable{meant}", said)
        # An option of another command is none of this one's, and no mistake.
        self.assertEqual(run("inspect", self.case.model, environment={"MOED_ARG_LISTEN": "x",
                                                                      "MOED_ARGS": "y"})[0], 0)

    def test_absurd_settings(self):
        for flag, value, expected in (
                ("--max-header-bytes", "18446744073709551615", "bytes from 4KiB to 16MiB"),
                ("--max-batch-rows", "4294967295", "a whole number from 1 to 1048576"),
                ("--max-batch-delay-us", "4294967295", "a whole number from 0 to 10000000"),
                ("--spin-us", "4294967295", "a whole number from 0 to 1000000"),
                ("--workers", "100000", "a whole number from 0 to 1024"),
                ("--max-connections", "4294967295", "a whole number from 1 to 1048576"),
                ("--max-queue-requests", "4294967295", "a whole number from 1 to 1048576"),
                ("--max-body-bytes", "0", "bytes from 1 to 1024GiB"),
                ("--max-inflight-bytes", "18446744073709551615", "bytes from 1 to 32768GiB"),
                ("--drain-timeout-ms", "4294967295", "a whole number from 0 to 86400000"),
                ("--watchdog-ms", "86400001", "a whole number from 0 to 86400000")):
            self.refused(f'{flag}: expected {expected}, found "{value}"', flag, value)

    def test_addresses(self):
        for listen, why in (("127.0.0.1:99999", "expected a port from 0 (any that is free) to 65535"),
                            ("http://127.0.0.1:8080", "which is a URL"), ("unix:@", "a unix name")):
            found, said = run("serve", self.case.model, "--listen", listen)
            self.assertEqual(found, 2, said)
            self.assertIn(why, said)
            self.assertEqual("[v6]" in said, False)

    def test_the_model_is_no_socket(self):
        """`--listen unix:` with the path of a file."""
        model = self.path("model.gguf")
        shutil.copy(self.case.model, model)
        found, said = run("serve", model, "--listen", f"unix:{model}")
        self.assertEqual(found, 1, said)
        self.assertIn("found a file there", said)
        self.assertEqual(run("inspect", model)[0], 0)

    def test_an_abstract_socket(self):
        name = f"unix:@moed-test-{os.getpid()}"
        moed = subprocess.Popen([harness.BIN, "serve", self.case.model, "--listen", name],
                                stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.addCleanup(moed.wait)
        self.addCleanup(moed.kill)
        self.assertTrue(harness.eventually(lambda: run("health", name)[0] == 0))
        moed.terminate()
        self.assertEqual(moed.wait(harness.PATIENCE), 0)


class Signals(Folder):
    def serve(self, *flags):
        """A server of which nobody waits for anything; its log goes to a file."""
        log = open(self.path("stderr"), "ab")
        self.addCleanup(log.close)
        moed = subprocess.Popen([harness.BIN, "serve", self.case.model, "--listen", "127.0.0.1:0", *flags],
                                stdin=subprocess.DEVNULL, stderr=log)
        self.addCleanup(moed.wait)
        self.addCleanup(moed.kill)
        return moed

    def said(self):
        with open(self.path("stderr"), encoding="utf-8") as file:
            return file.read()

    def test_hangups_near_the_end(self):
        """SIGHUP at any time until the process is gone: the exit status is that of a clean drain."""
        log = self.path("log")
        for _ in range(20):
            moed = self.serve("--log-file", log)
            self.assertTrue(harness.eventually(lambda: os.path.exists(log) and self.is_ready(log)))
            moed.terminate()
            while moed.poll() is None:
                moed.send_signal(signal.SIGHUP)
            self.assertEqual(moed.returncode, 0)
            os.remove(log)

    @staticmethod
    def is_ready(log):
        with open(log, encoding="utf-8") as file:
            return " ready: " in file.read()

    def test_sigterm_at_any_time_of_the_start(self):
        """While it reads, while workers start, just when it is ready: exit status 0."""
        for number in range(30):
            moed = self.serve("--log-file", self.path("log"), "--workers", "4")
            self.assertTrue(harness.eventually(lambda moed=moed: self.holds_sigterm(moed)))
            for _ in range(number * 20):
                os.sched_yield()
            moed.terminate()
            self.assertEqual(moed.wait(harness.PATIENCE), 0, self.said())
        self.assertNotIn("Sanitizer", self.said())

    @staticmethod
    def holds_sigterm(moed):
        """Whether the signal would wait or be caught: the program has come so far."""
        with open(f"/proc/{moed.pid}/status", encoding="ascii") as file:
            masks = re.findall(r"^Sig(?:Blk|Cgt):\s*([0-9a-f]+)", file.read(), re.MULTILINE)
        return any(int(mask, 16) >> (signal.SIGTERM - 1) & 1 for mask in masks)


class Mapped(Folder):
    """--load mmap: the file is the memory."""

    def setUp(self):
        super().setUp()
        self.model = self.path("model.gguf")
        self.data = self.case.bytes(0, "hidden.f32")
        done = run("synth", self.model, "--preset", "tiny", "--type", "q8_0")
        self.assertEqual(done[0], 0, done[1])

    def rows(self, server):
        hidden = server.get("/v1/moe/info").json()["layers"][0]["hidden"]
        layer = server.get("/v1/moe/info").json()["layers"][0]["layer"]
        return f"/v1/moe/layers/{layer}/forward", harness.f32([0.5] * hidden).tobytes()

    def check(self, spoil, message):
        """Spoiling the file fails its layers and /livez, with a line that names file and tensor; the
        process lives on, and ends well."""
        with harness.Server(self.model, "--load", "mmap") as server:
            path, data = self.rows(server)
            self.assertEqual(server.post_raw(path, data).status, 200)
            self.assertEqual(server.get("/livez").status, 200)
            spoil()
            for _ in range(2):
                answer = server.post_raw(path, data)
                self.assertEqual(answer.status, 503, answer)
                self.assertEqual(answer.json()["code"], "device_failed")
                self.assertIn(self.model, answer.json()["detail"])
            for probe in ("/livez", "/readyz"):
                answer = server.get(probe)
                self.assertEqual(answer.status, 503)
                self.assertIn("changed or cut short while it was mapped", answer.json()["detail"])
            self.assertRegex(server.text(), f"error .*{re.escape(self.model)}: {message}")
            self.assertIn("tensor 'blk.", server.text())

    def test_a_file_that_is_cut_short(self):
        self.check(lambda: os.truncate(self.model, 4096), r"found 4096 bytes, expected")

    def test_bytes_that_are_written_in_place(self):
        def write():
            with open(self.model, "r+b") as file:
                file.seek(-64, os.SEEK_END)
                file.write(b"x")

        self.check(write, "somebody has written to it")

    def test_a_file_that_is_replaced(self):
        """Another file under the name, the way that SETTINGS.md has it: nothing happens to this one."""
        with harness.Server(self.model, "--load", "mmap") as server:
            path, data = self.rows(server)
            before = server.post_raw(path, data)
            with open(self.model + ".new", "wb") as file:
                file.write(b"another")
            os.rename(self.model + ".new", self.model)
            after = server.post_raw(path, data)
            self.assertEqual((after.status, after.body), (200, before.body))

    def test_a_file_that_is_cut_short_before(self):
        os.truncate(self.model, os.path.getsize(self.model) - 4096)
        found, said = run("serve", self.model, "--load", "mmap", "--listen", "127.0.0.1:0")
        self.assertEqual(found, 1, said)
        self.assertNotIn("ready", said)


if __name__ == "__main__":
    unittest.main()
