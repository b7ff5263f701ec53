"""What a hostile client or a careless proxy may send: every request is answered once or refused, none
is hidden in another, and the server answers the next one as ever."""
import os
import re
import socket
import time
import unittest

import harness

SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n"
POST = b"POST /v1/moe/layers/0/forward HTTP/1.1\r\nHost: x\r\nContent-Type: application/octet-stream\r\n"


class Hostile(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.case = harness.case("f32-two-layers")
        cls.server = harness.Server(cls.case.model, "--log-level", "debug", "--header-timeout-ms", "2000",
                                    "--body-timeout-ms", "2000")
        cls.row = cls.case.bytes(0, "hidden.f32")[:4 * cls.case.hidden]
        cls.good = cls.server.post_raw("/v1/moe/layers/0/forward", cls.row)
        assert cls.good.status == 200, cls.good

    @classmethod
    def tearDownClass(cls):
        with cls.server:
            pass

    def exchange(self, data, shut=False):
        """(statuses, everything) of what comes back until the server closes the connection."""
        received = b""
        with self.server.socket() as plain:
            try:
                plain.sendall(data)
                if shut:
                    plain.shutdown(socket.SHUT_WR)
                while more := plain.recv(65536):
                    received += more
            except ConnectionError:
                pass  # it closed over what we still sent
        return [int(status) for status in re.findall(rb"HTTP/1\.1 (\d+) ", received)], received

    def check(self, data, *statuses, words=()):
        found, received = self.exchange(data)
        self.assertEqual(found, list(statuses), (data[:200], received[:2000]))
        for word in words:
            self.assertIn(word.encode(), received)
        self.assertNotIn(b"/smuggled", received)
        again = self.server.post_raw("/v1/moe/layers/0/forward", self.row)
        self.assertEqual((again.status, again.body), (200, self.good.body))
        return received

    def refuse(self, data, *words):
        """One answer, 400 and problem+json, and the connection ends."""
        received = self.check(data, 400, words=words)
        self.assertIn(b"application/problem+json", received)
        self.assertIn(b"Connection: close", received)


class Framing(Hostile):
    def test_two_lengths(self):
        for lengths in ((5, 0), (0, 5), (5, 5), (0, len(SMUGGLED))):
            head = b"".join(b"Content-Length: %d\r\n" % length for length in lengths)
            self.refuse(POST + head + b"\r\n" + SMUGGLED, "2 Content-Length")

    def test_lengths_that_are_none(self):
        for length in (b"-1", b"+5", b"5, 5", b"0x5", b"5 5", b"1e1", b"", b"5\x0b"):
            self.refused_below(POST + b"Content-Length: " + length + b"\r\n\r\n" + SMUGGLED, 400)
        self.refused_below(POST + b"Content-Length: 18446744073709551616\r\n\r\n" + SMUGGLED, 413)

    def refused_below(self, data, status):
        """By libmicrohttpd, whose version 0.9.75 prints the headers of this answer twice."""
        found, received = self.exchange(data)
        self.assertIn(found, ([status], [status] * 2))
        self.assertNotIn(b"/smuggled", received)

    def test_a_length_and_chunks(self):
        for head in (b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n",
                     b"Transfer-Encoding: chunked\r\nContent-Length: 4\r\n"):
            self.refuse(POST + head + b"\r\n0\r\n\r\n" + SMUGGLED, "1 Content-Length and 1 Transfer-Encoding")
            self.refuse(POST + b"Expect: 100-continue\r\n" + head + b"\r\n0\r\n\r\n" + SMUGGLED)

    def test_other_codings(self):
        for coding in (b"gzip", b"identity", b"chunked, gzip", b"gzip, chunked", b"xchunked", b"chunked\x0b", b"",
                       b"chunked chunked", b"\"chunked\""):
            self.refuse(POST + b"Transfer-Encoding: " + coding + b"\r\n\r\n0\r\n\r\n" + SMUGGLED, "Transfer-Encoding")
        self.refuse(POST + b"Transfer-Encoding: chunked\r\n" * 2 + b"\r\n0\r\n\r\n" + SMUGGLED, "2 Transfer-Encoding")

    def test_chunks_in_an_old_version(self):
        old = POST.replace(b"HTTP/1.1", b"HTTP/1.0")
        self.refuse(old + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + SMUGGLED, "HTTP/1.0")

    def test_names_that_are_none(self):
        for line in (b"Content-Length : 5", b"Content-Length\t: 5", b" Content-Length: 5", b"Transfer-Encoding : chunked",
                     b"Content Length: 5", b"X(y): 5", b"X\xc3\xa4: 5"):
            received = self.check(POST + line + b"\r\n\r\n" + SMUGGLED, 400)
            self.assertIn(b"close", received)
        self.refuse(b"GET /livez HTTP/1.1\r\n Host: x\r\nHost: x\r\n\r\n" + SMUGGLED)

    def test_folded_lines(self):
        for head in (b"Content-Length: 1\r\n 0\r\n", b"Content-Length:\r\n 10\r\n", b"Transfer-Encoding:\r\n chunked\r\n",
                     b"Transfer-Encoding: chunked\r\n\tidentity\r\n", b"Transfer-Encoding: chunked\r\n , identity\r\n",
                     b"X: a\r\n b\r\n", b"X: a\r\n\tb\r\nContent-Length: 0\r\n", b"X:\r\n y\r\n", b"X: a\r\n \r\n"):
            self.refuse(POST + head + b"\r\n0\r\n\r\n" + SMUGGLED, "folded")
            self.refuse(b"GET /livez HTTP/1.1\r\nHost: x\r\n" + head + b"Y: z\r\n\r\n" + SMUGGLED, "folded")

    def test_empty_names(self):
        for line in (b": x", b":", b":Content-Length: 5"):
            self.refuse(b"GET /livez HTTP/1.1\r\nHost: x\r\n" + line + b"\r\n\r\n" + SMUGGLED, "name")
            self.refuse(b"GET /livez HTTP/1.1\r\n" + line + b"\r\nHost: x\r\n\r\n" + SMUGGLED, "name")

    def test_nuls_in_headers(self):
        """None is overlooked, and none ends a value before everybody else has read the rest."""
        for line in (b"Content-Length: 256\x00999", b"Content-Length: 0\x00", b"Transfer-Encoding: chunked\x00, identity",
                     b"X-API-Key: a\x00b", b"X: \x00", b"X: \x00Host: y"):
            for data in (POST + line + b"\r\n\r\n", POST + line + b"\r\nY: z\r\n\r\n"):
                self.refuse(data + b"0\r\n\r\n" + SMUGGLED)
        for line in (b"X\x00: y", b"\x00X: y", b"X\x00Y", b"\x00"):  # without a colon it is no header
            for place in (b"Host: x\r\n" + line + b"\r\n", line + b"\r\nHost: x\r\n"):
                found, received = self.exchange(b"GET /livez HTTP/1.1\r\n" + place + b"\r\n" + SMUGGLED)
                self.assertEqual(found, [400], line)
                self.assertNotIn(b"/smuggled", received)

    def test_line_feeds_alone(self):
        good = b"GET /livez HTTP/1.1\r\nHost: x\r\nX: y\r\n\r\n"
        for at in [at for at in range(len(good)) if good[at:at + 1] == b"\r"]:
            self.refuse(good[:at] + good[at + 1:] + SMUGGLED)
        self.refuse(good.replace(b"\r", b"") + SMUGGLED)
        self.refuse(POST.replace(b"\r\n", b"\n") + b"Content-Length: 0\r\n\r\n" + SMUGGLED)

    def test_half_line_ends(self):
        for value in (b"a\rTransfer-Encoding: chunked", b"\ra", b"a\r"):
            self.refuse(POST + b"X: " + value + b"\r\nContent-Length: 0\r\n\r\n" + SMUGGLED, "carriage return")

    def test_control_characters(self):
        for value in (b"a\x0bb", b"\x01", b"\x7f", b"a\x1b[2J"):
            self.refuse(POST + b"X: " + value + b"\r\nContent-Length: 0\r\n\r\n" + SMUGGLED, "control character")

    def test_white_space_behind_a_value(self):
        """It is no part of the value (RFC 9112, 5.1); of a length libmicrohttpd 0.9.75 thinks otherwise."""
        head = POST.replace(b"octet-stream", b"octet-stream \t") + b"Content-Encoding: identity \r\nX-MoE-Layer: 0 \r\n"
        head += b"X-Request-Id: mine\t \r\n"
        received = self.check(head.replace(b"Host: x", b"Host: x  ") + b"Connection: close\r\n"
                              + b"Content-Length: %d\r\n\r\n" % len(self.row) + self.row, 200)
        self.assertIn(b"X-Request-Id: mine\r\n", received)

    def test_hosts(self):
        self.refuse(b"GET /livez HTTP/1.1\r\n\r\n" + SMUGGLED, "0 Host")
        self.refuse(b"GET /livez HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n" + SMUGGLED, "2 Host")
        self.check(b"GET /livez HTTP/1.0\r\n\r\n", 200)
        for host in (b"x y", b"x/y", b"user@x", b"x:80:80", b"x:eighty", b"[::1", b"[x]", b"[::1]x", b"x, y#", b"x\\y",
                     b"\"x\"", b"x\xff"):
            for version in (b"HTTP/1.1", b"HTTP/1.0"):
                self.refuse(b"GET /livez " + version + b"\r\nHost: " + host + b"\r\n\r\n" + SMUGGLED, "Host: found")
        self.refuse(b"GET /livez HTTP/1.0\r\nHost: x\r\nhost: x\r\n\r\n" + SMUGGLED, "2 Host")
        for host in (b"", b"x", b"x:8080", b"x:", b"127.0.0.1:1", b"[::1]", b"[fe80::1]:80", b"a-b_c.d~e", b"%41"):
            self.check(b"GET /livez HTTP/1.1\r\nHost: " + host + b"\r\nConnection: close\r\n\r\n", 200)


class Chunks(Hostile):
    HEAD = POST + b"Transfer-Encoding: chunked\r\n\r\n"

    def test_good(self):
        size = len(self.row)
        for data in (b"%x\r\n" % size + self.row + b"\r\n0\r\n\r\n",
                     b"%x;name=value;other=\"x\"\r\n" % size + self.row + b"\r\n0;last\r\nTrailer: x\r\n\r\n",
                     b"00000000%X\r\n" % size + self.row + b"\r\n000\r\n\r\n",
                     b"".join(b"1\r\n" + self.row[at:at + 1] + b"\r\n" for at in range(size)) + b"0\r\n\r\n"):
            last = b"GET /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
            self.check(self.HEAD + data + last, 200, 200)

    def test_sizes_that_are_none(self):
        for data in (b"-1\r\n", b"+1\r\n", b"0x1\r\n", b"g\r\n", b"\r\n", b" 1\r\n", b"1 \r\n", b";x\r\n", b"1\r\nxx\r\n"):
            found, received = self.exchange(self.HEAD + data + SMUGGLED)
            self.assertEqual(found, [400], (data, received))
            self.assertNotIn(b"/smuggled", received)

    def test_half_line_ends(self):
        """Of what libmicrohttpd still holds when bytes of the chunk come."""
        size, half = b"%x" % len(self.row), len(self.row) // 2
        for data in (size + b"\n" + self.row + b"\r\n0\r\n\r\n", size + b";a\rb\r\n" + self.row + b"\r\n0\r\n\r\n",
                     size + b";a\x00\r\n" + self.row + b"\r\n0\r\n\r\n",
                     b"%x\r\n" % half + self.row[:half] + b"\n" + b"%x\r\n" % half + self.row[half:] + b"\r\n0\r\n\r\n",
                     b"%x\r\n" % half + self.row[:half] + b"\r\n" + b"%x\n" % half + self.row[half:] + b"\r\n0\r\n\r\n"):
            self.refuse(self.HEAD + data + SMUGGLED, "chunk")
        for trailer in (b"X: y\nZ: z\r\n", b"X: y\x00z\r\n", b"X: y\r\n z\r\n", b"X y: z\r\n"):
            self.refuse(self.HEAD + size + b"\r\n" + self.row + b"\r\n0\r\n" + trailer + b"\r\n" + SMUGGLED)

    def test_chunks_in_pieces(self):
        """However they arrive, good ones are good."""
        size, half = len(self.row), len(self.row) // 2
        data = b"%x;a=b\r\n" % half + self.row[:half] + b"\r\n%x\r\n" % half + self.row[half:] + b"\r\n0\r\nX: y\r\n\r\n"
        for step in (1, 2, 3, 7, half, half + 3, size):
            with self.server.socket() as plain:
                plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                whole = self.HEAD + data
                for at in range(0, len(whole), step):
                    plain.sendall(whole[at:at + step])
                answer = harness.read_answer(plain)
                self.assertEqual((answer.status, answer.body), (200, self.good.body), step)

    def test_sizes_beyond_all_measure(self):
        found, _ = self.exchange(self.HEAD + b"10000000000000000\r\n" + SMUGGLED)
        self.assertEqual(found, [413])
        found, received = self.exchange(self.HEAD + b"ffffffffffffffff\r\n" + SMUGGLED)
        self.assertEqual(found, [408])  # the rest of it never came, and the smuggled one was a part
        self.assertNotIn(b"/smuggled", received)

    def test_endless_extensions_and_trailers(self):
        for data in (b"1;" + b"x" * 200000, b"0\r\n" + b"X: " + b"y" * 200000, b"0\r\n" + b"X: y\r\n" * 30000):
            found, _ = self.exchange(self.HEAD + data)
            self.assertTrue(set(found) <= {400, 408, 413, 431}, found)
        self.assertEqual(self.server.get("/livez").status, 200)

    def test_an_endless_extension_keeps_nobody_busy(self):
        with harness.Server(self.case.model, "--body-timeout-ms", "3000") as server:
            with server.socket() as plain:
                plain.sendall(self.HEAD + b"1;" + b"x" * 100000)
                self.assertEqual(server.get("/livez").status, 200)
                before = server.ticks()
                time.sleep(1)
                self.assertLess(server.ticks() - before, os.sysconf("SC_CLK_TCK") / 5)  # of its own time
                self.assertEqual(server.get("/livez").status, 200)

    def test_trailers_change_nothing(self):
        trailer = b"Content-Length: 5\r\nTransfer-Encoding: x\r\nX-API-Key: y\r\n"
        data = b"%x\r\n" % len(self.row) + self.row + b"\r\n0\r\n" + trailer + b"\r\n"
        self.check(self.HEAD + data + b"GET /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", 200, 200)


class Targets(Hostile):
    def get(self, target, status, version=b"HTTP/1.1"):
        data = b"GET " + target + b" " + version + b"\r\nHost: x\r\nConnection: close\r\n\r\n"
        self.check(data, status)

    def test_absolute_form(self):
        for target in (b"http://x/livez", b"HTTPS://user@x:99/livez"):
            self.get(target, 200)
        for target in (b"http://x", b"http://", b"http:///", b"http:/livez", b"ftp://x/livez", b"//x/livez", b"x/livez"):
            found, _ = self.exchange(b"GET " + target + b" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            self.assertIn(found, ([404], [200]) if target in (b"http://x", b"http://", b"http:///") else ([404],))

    def test_escapes(self):
        self.get(b"/%6Civez", 200)
        for target in (b"/livez%00", b"/livez%00/../metrics", b"/%00", b"/livez%", b"/livez%zz", b"/..%2flivez",
                       b"/livez/", b"/livez;x", b"/LIVEZ", b"*", b"/livez\x80"):
            self.get(target, 404)
        head = b"POST /v1/moe/forward?layer=0%00&dtype=f32 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
        body = b"Content-Type: application/octet-stream\r\nContent-Length: %d\r\n\r\n" % len(self.row)
        self.check(head + body + self.row, 400, words=("layer",))

    def test_nuls_and_spaces(self):
        """A target is what stands between two single spaces (RFC 9112, 3)."""
        for line in (b"GET /livez\x00/x HTTP/1.1", b"GET /livez\x00HTTP/1.1 HTTP/1.1", b"GET /livez HTTP/1.1\x00",
                     b"GET  /livez HTTP/1.1", b"GET /livez  HTTP/1.1", b"GET /livez x HTTP/1.1", b"GET /livez HTTP/1.1 ",
                     b"GET /livez\x01 HTTP/1.1", b"GET /livez?a=\x00&b HTTP/1.1", b"GET /livez?a\tb HTTP/1.1",
                     b"GET\x00 /livez HTTP/1.1", b"GET /\x00 /livez HTTP/1.1"):
            found, received = self.exchange(line + b"\r\nHost: x\r\n\r\n" + SMUGGLED)
            self.assertEqual((line, found), (line, [400]))
            self.assertNotIn(b"/smuggled", received)

    def test_other_methods(self):
        for method in (b"CONNECT", b"TRACE", b"OPTIONS", b"PRI", b"get", b"G\x00ET", b"X" * 5000):
            found, _ = self.exchange(method + b" /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            self.assertIn(found, ([405], [400]), method[:20])

    def test_versions(self):
        for version, statuses in ((b"HTTP/2.0", (505,)), (b"HTTP/0.9", (400, 505)), (b"http/1.1", (400,)),
                                  (b"HTTP/1.1.1", (400,)), (b"", (400,))):
            found, _ = self.exchange(b"GET /livez " + version + b"\r\nHost: x\r\n\r\n")
            self.assertEqual(len(found), 1)
            self.assertIn(found[0], statuses, version)
        self.check(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505)

    def test_upgrades_are_passed_over(self):
        head = b"Connection: Upgrade, HTTP2-Settings, close\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n"
        self.check(b"GET /livez HTTP/1.1\r\nHost: x\r\n" + head + b"\r\n", 200)


class Connections(Hostile):
    def test_many_in_one_write(self):
        request = b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n"
        body = POST + b"Content-Length: %d\r\n\r\n" % len(self.row) + self.row
        last = b"GET /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
        self.check((request + body) * 100 + last + SMUGGLED, *[200] * 201)

    def test_half_closed(self):
        """The rest of a request that will not come is not waited for."""
        found, _ = self.exchange(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n", shut=True)
        self.assertIn(found, ([200], []))
        for data in (b"GET /livez HTTP/1.1\r\nHo", POST + b"Content-Length: 100\r\n\r\nabc", b"GET", b"",
                     POST + b"Transfer-Encoding: chunked\r\n\r\n5\r\nab"):
            found, _ = self.exchange(data, shut=True)
            self.assertTrue(set(found) <= {400, 408}, found)
        self.assertEqual(self.server.get("/livez").status, 200)

    def test_nothing_but_garbage(self):
        for data in (b"\x00" * 5000, b"\r\n" * 5000, b"\n" * 5000, b"\xff" * 5000, b"\x16\x03\x01\x02\x00\x01\x00",
                     b"{\"layer\": 0}", b"GET\r\n\r\n", b"GET /livez\r\n\r\n", bytes(range(256)) * 10):
            found, _ = self.exchange(data, shut=True)
            self.assertTrue(set(found) <= {400, 405, 414, 431, 505}, (data[:20], found))
        self.assertEqual(self.server.get("/livez").status, 200)

    def test_many_headers_and_parameters(self):
        head = b"GET /v1/moe/info?%s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n%s\r\n"
        self.check(head % (b"", b"X: y\r\n" * 400), 200)
        self.check(head % (b"a&" * 300, b""), 200)
        self.check(head % (b"a=" + b"%41" * 2000, b""), 200)
        self.check(head % (b"", b"Cookie: " + b"a=b;" * 300 + b"\r\n"), 200)
        found, _ = self.exchange(head % (b"", b"X: y\r\n" * 20000))
        self.assertEqual(found, [431])


if __name__ == "__main__":
    unittest.main()
