"""TLS: the same answers as without, and nobody else's clients where certificates are asked for."""
import contextlib
import http.client
import json
import os
import shutil
import signal
import socket
import ssl
import subprocess
import tempfile
import time
import unittest

import harness
from certificates import Authority

FORWARD = "/v1/moe/layers/0/forward"
REFUSED = (ssl.SSLError, ConnectionError, http.client.BadStatusLine)


class TlsServer(harness.Server):
    """A server whose clients speak TLS: with a context of their own, or with the default one."""

    def __init__(self, model, context, *flags):
        self.context = context
        super().__init__(model, *flags)

    def connect(self, context=None):
        return http.client.HTTPSConnection("127.0.0.1", self.port, timeout=harness.PATIENCE,
                                           context=context or self.context)

    def plain_socket(self):
        return super().socket()

    def socket(self):
        return self.context.wrap_socket(super().socket(), server_hostname="127.0.0.1")

    def curl(self, path, *words):
        return subprocess.run(["curl", "-sS", "--max-time", "30", *words, f"https://127.0.0.1:{self.port}{path}"],
                              capture_output=True, text=True)

    def s_client(self, text, *words, pause=0.0):
        """What openssl s_client prints of a session in which it is told this."""
        process = subprocess.Popen(
            ["openssl", "s_client", "-connect", f"127.0.0.1:{self.port}", "-servername", "localhost", *words],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        with contextlib.suppress(BrokenPipeError):  # it ends with the session
            for line in text:
                process.stdin.write(line)
                process.stdin.flush()
                time.sleep(pause)
        return process.communicate(timeout=harness.PATIENCE)[0]


class Tls(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(folder.cleanup)
        cls.folder = folder.name
        cls.ours, cls.foreign = Authority(cls.folder, "ours"), Authority(cls.folder, "foreign")
        cls.cert, cls.key = cls.ours.sign("server")
        cls.case = harness.case("f32-two-layers")
        cls.row = cls.case.bytes(0, "hidden.f32")[:4 * cls.case.hidden]
        cls.flags = ("--tls-cert", cls.cert, "--tls-key", cls.key)

    def client(self, authority=None, cert=None, version=None):
        context = ssl.create_default_context(cafile=(authority or self.ours).cert)
        if cert:
            context.load_cert_chain(*cert)
        if version:
            context.minimum_version = context.maximum_version = version
        return context

    def serve(self, *flags, context=None):
        return TlsServer(self.case.model, context or self.client(), *self.flags, *flags)


class OwnClients(Tls):
    """What moed itself asks with: load, health, shards."""

    def moed(self, command, url, *words):
        done = subprocess.run([harness.BIN, command, url, *words], capture_output=True, text=True,
                              timeout=harness.PATIENCE)
        return done.returncode, done.stdout + done.stderr

    def test_whom_they_believe(self):
        ca, foreign = ("--ca", self.ours.cert), ("--ca", self.foreign.cert)
        with self.serve() as server:
            at = f"127.0.0.1:{server.port}"
            for command, extra in (("load", ("--seconds", "0.3")), ("health", ()), ("shards", ())):
                with self.subTest(command=command):
                    for trust in (ca, ("--insecure",)):
                        status, words = self.moed(command, f"https://{at}", *extra, *trust)
                        self.assertEqual(status, 0, words)
                    for trust in (foreign, ()):
                        status, words = self.moed(command, f"https://{at}", *extra, *trust)
                        self.assertEqual(status, 1, words)
                        self.assertIn("NOT trusted", words)
                    self.assertEqual(self.moed(command, f"http://{at}", *extra)[0], 1)
            # The certificate is for localhost and 127.0.0.1.
            self.assertEqual(self.moed("health", f"https://localhost:{server.port}", *ca)[0], 0)
            status, words = self.moed("health", f"https://127.0.0.2:{server.port}", *ca)
            self.assertEqual(status, 1, words)

    def test_health_speaks_as_the_port_does(self):
        with self.serve() as server:
            self.assertEqual(self.moed("health", f"127.0.0.1:{server.port}")[0], 0)
            self.assertEqual(self.moed("health", f"127.0.0.1:{server.port}", "--ca", self.ours.cert)[0], 0)
            self.assertEqual(self.moed("health", f"127.0.0.1:{server.port}", "--ca", self.foreign.cert)[0], 1)

    def test_load_compares_and_keeps_up_a_crowd(self):
        with self.serve() as server:
            status, words = self.moed(
                "load", f"https://127.0.0.1:{server.port}", "--ca", self.ours.cert, "--seconds", "1",
                "--clients", "8", "--rows", "1,300", "--abandon", "20", "--idle", "4", "--slow", "4", "--json")
            found = json.loads(words)
            self.assertEqual(status, 0, words)
            self.assertGreater(found["compared"], 0)
            self.assertGreater(found["abandoned"], 0)
            self.assertEqual((found["differ"], found["broken"], found["unreached"]), (0, 0, 0))
            self.assertTrue(harness.eventually(lambda: server.metric("moed_connections") == 1))

    def test_certificates_of_clients(self):
        own = self.ours.sign("own-client", purpose="clientAuth")
        with self.serve("--tls-client-ca", self.ours.cert, context=self.client(cert=own)) as server:
            url = f"https://127.0.0.1:{server.port}"
            shown = ("--ca", self.ours.cert, "--cert", own[0], "--key", own[1])
            for command, extra in (("load", ("--seconds", "0.3")), ("health", ())):
                self.assertEqual(self.moed(command, url, *extra, *shown)[0], 0)
                self.assertEqual(self.moed(command, url, *extra, *shown[:2])[0], 1)

    def test_files_that_are_wrong(self):
        for words, message in ((("--ca", self.key), "--ca"), (("--ca", "/nowhere"), "--ca /nowhere"),
                               (("--insecure", "--cert", self.cert), "expected --cert and --key"),
                               (("--insecure", "--cert", self.cert, "--key", "/nowhere"), "/nowhere")):
            status, text = self.moed("health", "https://127.0.0.1:1", *words)
            self.assertIn(status, (1, 2))
            self.assertIn(message, text)


class Answers(Tls):
    def test_are_those_without(self):
        with harness.Server(self.case.model) as plain:
            expected = plain.post_raw(FORWARD, self.row * 500).body
        with self.serve() as server:
            self.assertIn("listening on https://127.0.0.1:", server.text())
            connection = server.connect()
            for _ in range(3):
                answer = harness.ask(connection, "POST", FORWARD, self.row * 500, harness.RAW)
                self.assertEqual((answer.status, answer.body), (200, expected))
            chunked = harness.ask(connection, "POST", FORWARD, (self.row for _ in range(500)), harness.RAW)
            self.assertEqual((chunked.status, chunked.body), (200, expected))
            connection.close()

    def test_several_requests_at_once(self):
        """In one record, and a byte a record."""
        request = b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n"
        with self.serve() as server:
            with server.socket() as session:
                session.sendall(request * 3)
                data = b""
                while data.count(b'"alive"') < 3:
                    data += session.recv(65536)
                for byte in request:
                    session.sendall(bytes([byte]))
                self.assertEqual(harness.read_answer(session).status, 200)

    def test_refusals_in_the_middle_of_a_body(self):
        """Which pass by libmicrohttpd, but not by TLS."""
        head = b"POST /v1/moe/layers/0/forward HTTP/1.1\r\nHost: x\r\nContent-Type: application/octet-stream\r\n"
        with self.serve("--body-timeout-ms", "500", "--max-body-bytes", "64KiB") as server:
            for status, rest in ((413, b"Content-Length: 9999999\r\n\r\n"), (408, b"Content-Length: 999\r\n\r\nx"),
                                 (413, b"Transfer-Encoding: chunked\r\n\r\n11000\r\n" + bytes(0x11000))):
                with server.socket() as session:
                    session.sendall(head + rest)
                    answer = harness.read_answer(session)
                    self.assertEqual((answer.status, answer.headers["Connection"]), (status, "close"))
                    self.assertEqual(answer.json()["status"], status)
                    self.assertEqual(session.recv(1), b"")  # its end is TLS's too, or this would raise
            self.assertEqual(server.post_raw(FORWARD, self.row).status, 200)

    def test_a_client_that_leaves_costs_its_own_work(self):
        with self.serve("--max-batch-delay-us", "3000000") as server:
            with server.socket() as other, server.socket() as session:
                request = (f"POST {FORWARD} HTTP/1.1\r\nHost: x\r\nContent-Type: application/octet-stream\r\n"
                           f"Content-Length: {len(self.row)}\r\n\r\n").encode() + self.row
                session.sendall(request)  # the first waits for nobody; the layer has a client now
                self.assertEqual(harness.read_answer(session).status, 200)
                for each in (other, session):
                    each.sendall(request)
                session.setblocking(False)
                with self.assertRaises(ssl.SSLWantReadError):
                    session.unwrap()  # says farewell, and does not wait for an answer
                session.close()
                self.assertEqual(harness.read_answer(other).status, 200)
            self.assertTrue(harness.eventually(
                lambda: server.metric("moed_rejected_total", reason="cancelled") == 1))

    def test_unix_sockets_stay_plain(self):
        path = os.path.join(self.folder, "moed.sock")
        with self.serve("--listen", f"unix:{path}") as server:
            self.assertIn(f"listening on unix:{path}", server.text())
            health = subprocess.run([harness.BIN, "health", f"unix:{path}"], capture_output=True, text=True)
            self.assertEqual(health.returncode, 0, health.stderr)


class Versions(Tls):
    def test_no_old_ones(self):
        with self.serve() as server:
            for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
                server.context = self.client(version=version)
                self.assertEqual(server.get("/livez").status, 200)
            server.context = self.client()
            for flag in ("-tls1", "-tls1_1"):
                self.assertIn("Cipher is (NONE)", server.s_client("", flag, "-cipher", "ALL:@SECLEVEL=0"))

    def test_plain_bytes_to_a_tls_port(self):
        with self.serve() as server:
            for data in (b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n", b"\x00" * 100, b"\x16\x03\x01\xff\xff" + b"x" * 70000):
                with self.subTest(data=data[:10]):
                    with server.plain_socket() as plain:
                        try:
                            plain.sendall(data)
                            self.assertNotIn(b"HTTP", plain.recv(100))
                        except ConnectionError:
                            pass
                    self.assertEqual(server.get("/livez").status, 200)

    def test_tls_to_a_plain_port(self):
        with harness.Server(self.case.model) as server:
            with server.socket() as plain:
                with self.assertRaises(REFUSED):
                    self.client().wrap_socket(plain, server_hostname="127.0.0.1")
            self.assertEqual(server.get("/livez").status, 200)

    def test_who_does_not_shake_hands_is_hung_up_on(self):
        with self.serve("--header-timeout-ms", "500") as server:
            with server.plain_socket() as silent, server.plain_socket() as slow:
                slow.sendall(b"\x16\x03\x01\x02\x00\x01")
                self.assertEqual(silent.recv(1), b"")
                self.assertEqual(slow.recv(1), b"")

    def test_half_a_greeting_keeps_nobody_busy(self):
        with self.serve() as server, contextlib.ExitStack() as stack:
            for _ in range(20):
                stack.enter_context(server.plain_socket()).sendall(b"\x16\x03\x01\x02\x00\x01")
            self.assertEqual(server.get("/livez").status, 200)
            before = server.ticks()
            time.sleep(1)
            self.assertLess(server.ticks() - before, os.sysconf("SC_CLK_TCK") / 5)  # of its own time

    def test_renegotiation_ends_the_session(self):
        with self.serve() as server:
            text = server.s_client(["R\n", "GET /livez HTTP/1.1\r\n", "\r\n"], "-tls1_2", pause=0.3)
            self.assertIn("RENEGOTIATING", text)
            self.assertNotIn("HTTP/1.1 200", text)
            self.assertEqual(server.get("/livez").status, 200)

    def test_new_keys_in_the_session(self):
        request = ["K\n", "GET /livez HTTP/1.1\r\n", "Host: x\r\nConnection: close\r\n", "\r\n"]
        with self.serve() as server:
            text = server.s_client(request, "-tls1_3", pause=0.5)
            self.assertIn("KEYUPDATE", text)
            self.assertIn("HTTP/1.1 200", text)


class Clients(Tls):
    """With --tls-client-ca."""

    def test_ours_alone(self):
        own = self.ours.sign("client", purpose="clientAuth")
        bad = {"none": None, "expired": self.ours.sign("expired", days=-1, purpose="clientAuth"),
               "foreign": self.foreign.sign("client", purpose="clientAuth"),
               "not a client's": (self.cert, self.key)}
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            with self.serve("--tls-client-ca", self.ours.cert, context=self.client(cert=own)) as server:
                for name, cert in bad.items():
                    with self.subTest(certificate=name, version=version):
                        connection = server.connect(self.client(cert=cert, version=version))
                        with self.assertRaises(REFUSED):
                            harness.ask(connection, "GET", "/livez")
                        connection.close()
                self.assertEqual(server.post_raw(FORWARD, self.row).status, 200)

    def test_curl(self):
        cert, key = self.ours.sign("client", purpose="clientAuth")
        trusting = ("--cacert", self.ours.cert)
        with self.serve("--tls-client-ca", self.ours.cert, context=self.client(cert=(cert, key))) as server:
            good = server.curl("/livez", *trusting, "--cert", cert, "--key", key)
            self.assertEqual(good.returncode, 0, good.stderr)
            self.assertIn('"alive"', good.stdout)
            self.assertNotEqual(server.curl("/livez", *trusting).returncode, 0)
            self.assertEqual(server.curl("/livez", "--cacert", self.foreign.cert).returncode, 60)
            shown = server.s_client("Q\n", "-CAfile", self.ours.cert, "-cert", cert, "-key", key)
            self.assertIn("Verify return code: 0 (ok)", shown)
            self.assertIn("CN = ours", shown)  # the authority that clients are asked for

    def test_keys_beside_certificates(self):
        keys = os.path.join(self.folder, "keys")
        with open(os.open(keys, os.O_WRONLY | os.O_CREAT, 0o600), "w", encoding="ascii") as file:
            file.write("a-key-behind-the-tls\n")
        with self.serve("--api-key-file", keys) as server:
            self.assertEqual(server.get("/v1/moe/info").status, 401)
            self.assertEqual(server.get("/v1/moe/info", {"X-API-Key": "a-key-behind-the-tls"}).status, 200)


class Reload(Tls):
    def setUp(self):
        self.live = os.path.join(self.folder, "live.pem"), os.path.join(self.folder, "live.key")
        self.install((self.cert, self.key))
        self.flags = ("--tls-cert", self.live[0], "--tls-key", self.live[1])

    def install(self, pair):
        for source, target in zip(pair, self.live):
            shutil.copy(source, target + ".new")
            os.chmod(target + ".new", 0o600)
            os.rename(target + ".new", target)

    def reload(self, server, words):
        seen = server.text().count(words)
        server.signal(signal.SIGHUP)
        self.assertTrue(harness.eventually(lambda: server.text().count(words) > seen), server.text())

    def shown(self, server):
        """The certificate that a new connection sees."""
        with server.socket() as session:
            return session.getpeercert()["subject"][0][0][1]

    def test_a_new_certificate(self):
        with self.serve() as server:
            old = server.connect()
            self.assertEqual(harness.ask(old, "GET", "/livez").status, 200)
            own = old.sock
            self.assertEqual(self.shown(server), "server")
            for name in ("renewed", "renewed-again"):
                self.install(self.ours.sign(name))
                self.reload(server, "new connections get the TLS certificates")
                self.assertEqual(self.shown(server), name)
            self.assertEqual(harness.ask(old, "GET", "/livez").status, 200)
            self.assertIs(old.sock, own)  # what has begun goes on
            old.close()

    def test_a_mistake_changes_nothing(self):
        with self.serve() as server:
            self.install((self.ours.sign("half")[0], self.key))
            self.reload(server, "certificates stay as they were: --tls-cert")
            self.assertEqual(self.shown(server), "server")
            os.unlink(self.live[1])
            self.reload(server, "No such file")
            self.assertEqual(self.shown(server), "server")

    def test_another_authority_of_clients(self):
        authority = os.path.join(self.folder, "clients.pem")
        shutil.copy(self.ours.cert, authority)
        ours, foreign = (a.sign("client", purpose="clientAuth") for a in (self.ours, self.foreign))
        with self.serve("--tls-client-ca", authority, context=self.client(cert=ours)) as server:
            shutil.copy(self.foreign.cert, authority)
            self.reload(server, "new connections get the TLS certificates")
            with self.assertRaises(REFUSED):
                server.get("/livez")
            server.context = self.client(cert=foreign)
            self.assertEqual(server.get("/livez").status, 200)


class Start(Tls):
    def refuse(self, words, *flags):
        result = subprocess.run([harness.BIN, "serve", self.case.model, "--listen", "127.0.0.1:0", *flags],
                                capture_output=True, text=True, timeout=harness.PATIENCE)
        self.assertNotEqual(result.returncode, 0)
        self.assertIn(words, result.stderr)

    def test_half_of_it(self):
        self.refuse("--tls-cert alone", "--tls-cert", self.cert)
        self.refuse("--tls-key alone", "--tls-key", self.key)
        self.refuse("--tls-client-ca: expected --tls-cert", "--tls-client-ca", self.ours.cert)

    def test_files_that_do_not_fit(self):
        other = self.ours.sign("other")
        self.refuse("--tls-key", "--tls-cert", self.cert, "--tls-key", other[1])
        self.refuse(self.case.model, "--tls-cert", self.case.model, "--tls-key", self.key)
        self.refuse("--tls-cert /nowhere: No such file", "--tls-cert", "/nowhere", "--tls-key", self.key)
        self.refuse("--tls-client-ca", *self.flags, "--tls-client-ca", self.key)

    def test_a_key_that_everybody_reads(self):
        key = os.path.join(self.folder, "open.key")
        shutil.copy(self.key, key)
        os.chmod(key, 0o644)
        self.refuse("mode 0644", "--tls-cert", self.cert, "--tls-key", key)


if __name__ == "__main__":
    unittest.main()
