"""Shared memory: the same numbers as HTTP, the same limits, and clients that break its rules."""
import json
import os
import random
import signal
import struct
import subprocess
import sys
import tempfile
import time
import unittest

import harness
import lane
from harness import floats, ints
from lane import Lane, Refused


class LaneCase(unittest.TestCase):
    def serve(self, model, *flags, **more):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.path = os.path.join(folder.name, "moed.lane")
        server = harness.Server(model, *flags, listen=("--listen", "127.0.0.1:0", "--listen", f"lane:{self.path}"),
                                **more)
        self.addCleanup(server.__exit__, None, None, None)
        return server

    def lane(self, *arguments, **more):
        found = Lane(self.path, *arguments, **more)
        self.addCleanup(found.close)
        return found

    def assert_refused(self, text, call, *arguments, **more):
        with self.assertRaises(Refused) as refused:
            call(*arguments, **more)
        self.assertIn(text, refused.exception.message)
        return refused.exception.status


class SameNumbers(LaneCase):
    """Against HTTP's raw bytes, bit for bit; the golden cases hold those to the oracle."""

    def test_golden_cases(self):
        for case in harness.cases():
            with self.subTest(case=case.name):
                server = self.serve(case.model)
                with Lane(self.path, slot_bytes=1 << 22) as client:
                    for layer in case.layers:
                        self.check(server, client, case, layer)
                server.stop()

    def check(self, server, client, case, layer):
        hidden = case.bytes(layer, "hidden.f32")
        rows = len(hidden) // 4 // case.hidden
        raw = server.post_raw(f"/v1/moe/layers/{layer}/forward?return=output,routing,logits", hidden)
        flags = lane.WANT_ROUTING | lane.WANT_LOGITS
        experts = (len(raw.body) - len(hidden) - 8 * rows * case.k) // 4 // rows
        found = client.read(client.ask(layer, hidden, case.hidden, flags=flags), experts)
        self.assertEqual(b"".join(found), raw.body)
        output, ids, weights, _ = found
        self.assertEqual(ints(ids), ints(case.bytes(layer, "expert_ids.i32")))
        supplied = client.read(client.ask(layer, hidden, case.hidden, ids=ids, weights=weights))
        self.assertEqual(floats(supplied[0]), floats(output))
        self.assertEqual(client.read(client.ask(layer, hidden, case.hidden, kind=lane.ROUTE))[1:3], [ids, weights])

    def test_halves_and_blocks(self):
        case = harness.case("q4_0")
        server, client = self.serve(case.model), self.lane()
        layer = case.layers[0]
        hidden = case.bytes(layer, "hidden.f32")
        half = struct.pack(f"<{len(hidden) // 4}e", *floats(hidden))
        path = f"/v1/moe/layers/{layer}/forward"
        raw = server.post_raw(f"{path}?dtype=f16", half)
        self.assertEqual(client.read(client.ask(layer, half, case.hidden, dtype="f16"))[0], raw.body)
        for flags, block in ((lane.NORM, "norm_ffn"), (lane.NORM | lane.RESIDUAL, "norm_ffn_residual")):
            raw = server.post_raw(f"{path}?block={block}", hidden)
            if raw.status == 200:
                self.assertEqual(client.read(client.ask(layer, hidden, case.hidden, flags=flags))[0], raw.body)

    def test_description(self):
        case = harness.case("q4_0")
        server = self.serve(case.model)
        self.assertEqual(self.lane().info(), server.get("/v1/moe/info").json())

    def test_many_in_flight_are_answered_each_with_its_own(self):
        case = harness.case("q4_0")
        self.serve(case.model, "--lane-slots", "32")
        client = self.lane(slots=32)
        self.assertEqual(client.slots, 32)
        layer = case.layers[0]
        hidden, width = case.bytes(layer, "hidden.f32"), case.hidden
        rows = [hidden[i:i + 4 * width] for i in range(0, len(hidden), 4 * width)]
        alone = {row: client.read(client.ask(layer, row, width))[0] for row in rows}
        asked = [(row, client.ask(layer, row, width)) for row in random.Random(1).choices(rows, k=32)]
        random.Random(2).shuffle(asked)
        for row, asking in asked:
            self.assertEqual(client.read(asking)[0], alone[row])

    def test_the_library_and_load(self):
        case = harness.case("q4_0")
        self.serve(case.model)
        for flags in ([], ["--in-flight", "16", "--clients", "3", "--rows", "1,3", "--dtype", "bf16"]):
            done = subprocess.run([harness.BIN, "load", f"lane:{self.path}", "--seconds", "0.5", "--json", *flags],
                                  capture_output=True, text=True, timeout=harness.PATIENCE)
            self.assertEqual(done.returncode, 0, done.stderr)
            result = json.loads(done.stdout)
            self.assertEqual((result["differ"], result["broken"]), (0, 0))
            self.assertGreater(result["status"]["200"], 0)


class Limits(LaneCase):
    def setUp(self):
        self.case = harness.case("q4_0")
        self.layer = self.case.layers[0]
        self.row = self.case.bytes(self.layer, "hidden.f32")[:4 * self.case.hidden]

    def ask(self, client, **more):
        return client.read(client.ask(more.pop("layer", self.layer), more.pop("hidden", self.row),
                                      self.case.hidden, **more))

    def test_errors_say_what_was_found(self):
        self.serve(self.case.model, "--max-request-rows", "4")
        client = self.lane()
        one = struct.pack("<i", 1), struct.pack("<f", 1)
        self.assert_refused("layer", self.ask, client, layer=999)
        self.assert_refused("the limit is 4", self.ask, client, hidden=self.row * 5)
        self.assert_refused("kind: found 9", self.ask, client, kind=9)
        self.assert_refused("flags: found 128", self.ask, client, flags=128)
        self.assert_refused("is the one that chooses", self.ask, client, kind=lane.ROUTE, ids=one[0],
                            weights=one[1])
        self.assert_refused("expert", self.ask, client, ids=struct.pack("<i", 12345), weights=one[1])
        self.assert_refused("slot has", self.ask, self.lane(slot_bytes=64))
        self.assertTrue(self.ask(client)[0])  # the lane goes on

    def test_a_deadline_that_passes(self):
        self.serve(self.case.model)
        client = self.lane()
        status = self.assert_refused("deadline", self.ask, client, deadline_us=1)
        self.assertLess(status, 0)

    def test_keys(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        keys = os.path.join(folder.name, "keys")
        with open(os.open(keys, os.O_CREAT | os.O_WRONLY, 0o600), "w", encoding="ascii") as file:
            file.write("0123456789abcdef0123\n")
        self.serve(self.case.model, "--api-key-file", keys, wait=False)
        self.assertTrue(harness.eventually(lambda: self.is_ready(b"0123456789abcdef0123")))
        self.assert_refused("API key", self.lane)
        self.assert_refused("API key", self.lane, key=b"0123456789abcdef0124")

    def is_ready(self, key):
        try:
            with Lane(self.path, key=key) as client:
                return bool(self.ask(client)[0])
        except Refused as refused:
            self.assertIn("loading", refused.message)
            return False

    def test_metrics_and_log(self):
        server = self.serve(self.case.model, "--log-requests", "info")
        client = self.lane()
        self.ask(client)
        self.assert_refused("layer", self.ask, client, layer=999)
        self.assertEqual(server.metric("moed_lane_clients"), 1)
        self.assertEqual(server.metric("moed_lane_requests_total", protocol="lane", status="ok"), 1)
        self.assertEqual(server.metric("moed_lane_request_duration_seconds_count"), 2)
        self.assertTrue(harness.eventually(lambda: any("protocol=lane" in line and f"pid={os.getpid()}" in line
                                       for line in server.log)))

    def test_drain_answers_what_was_taken_and_exits(self):
        server = self.serve(self.case.model)
        client = self.lane()
        asked = [client.ask(self.layer, self.row, self.case.hidden) for _ in range(4)]
        server.signal(signal.SIGTERM)
        for asking in asked:
            try:
                self.assertTrue(client.read(asking)[0])
            except Refused as refused:
                self.assertIn("shutting down", refused.message)
        self.assertEqual(server.wait(), 0)


class Strangers(LaneCase):
    """Each harms itself alone."""

    def setUp(self):
        self.case = harness.case("q4_0")
        self.layer = self.case.layers[0]
        self.row = self.case.bytes(self.layer, "hidden.f32")[:4 * self.case.hidden]
        self.server = self.serve(self.case.model, "--header-timeout-ms", "1000")

    def ask(self, client):
        return client.read(client.ask(self.layer, self.row, self.case.hidden))[0]

    def assert_disconnected(self, client):
        with self.assertRaises((EOFError, OSError)):
            while True:
                if not client.socket.recv(4096):
                    raise EOFError
        self.assertTrue(self.ask(self.lane()))  # others are served

    def test_a_hello_that_is_none(self):
        self.assert_refused("version", Lane, self.path, hello=os.urandom(lane.HELLO.size))
        self.assert_refused("version", Lane, self.path,
                            hello=lane.HELLO.pack(lane.MAGIC, 99, 1, 1 << 16, b""))
        self.assert_refused("slots of", Lane, self.path, slot_bytes=1 << 62)
        self.assert_refused("slots of", Lane, self.path, slot_bytes=0)

    def test_half_a_hello(self):
        with self.assertRaises((EOFError, OSError)):
            Lane(self.path, hello=b"MOED")

    def test_a_slot_that_it_does_not_have(self):
        client = self.lane()
        client.ring(1000)
        self.assert_disconnected(client)

    def test_a_slot_twice(self):
        client = self.lane()
        lane.REQUEST.pack_into(client.memory, client.slot(0), lane.FORWARD, self.layer, 1, 0, 0, 0, 0, 0, 1)
        client.u32(client.slot(0) + lane.STATE_AT, lane.SUBMITTED)
        client.u32(lane.QUEUE_AT, 0)
        client.u32(lane.QUEUE_AT + 4, 0)
        client.u32(lane.SUBMITTED_AT, 2)  # the server sees both at once
        client.socket.send(b"x")
        self.assert_disconnected(client)

    def test_more_submissions_than_slots(self):
        client = self.lane()
        client.u32(lane.SUBMITTED_AT, 1000)
        client.socket.send(b"x")
        self.assert_disconnected(client)

    def test_the_memory_cannot_be_cut_short(self):
        client = self.lane()
        for size in (0, client.size * 2):
            with self.assertRaises(OSError):
                os.ftruncate(client.memory_fd, size)
        self.assertTrue(self.ask(client))

    def test_rubbish_all_over_the_memory(self):
        good = self.lane()
        expected = self.ask(good)
        source = random.Random(3)
        for _ in range(20):
            with Lane(self.path, slots=2, slot_bytes=1 << 14) as client:
                for _ in range(20):
                    at = source.randrange(0, client.size - 64)
                    client.memory[at:at + 64] = source.randbytes(64)
                    at = client.slot(source.randrange(2)) + source.randrange(0, 40)
                    client.u32(at // 4 * 4, source.choice((0, 1, 2, 3, 7, 1 << 31, 0xffffffff)))
                    try:
                        client.socket.send(b"x", 0x40)  # MSG_DONTWAIT
                        client.ring(source.randrange(2))
                    except OSError:
                        break
            self.assertEqual(self.ask(good), expected)
        self.assertTrue(harness.eventually(lambda: self.server.metric("moed_lane_clients") == 1))

    def test_rows_that_change_underfoot(self):
        """A lone request's rows are computed where they are."""
        good, bad = self.lane(), self.lane(slots=1)
        expected = self.ask(good)
        source = random.Random(4)
        rows = self.row * 64
        for _ in range(30):
            asking = bad.ask(self.layer, rows, self.case.hidden)
            slot, end = bad.slot(asking[0]), time.monotonic() + harness.PATIENCE
            while bad.u32(slot + lane.STATE_AT) != lane.ANSWERED and time.monotonic() < end:
                place = slot + lane.SLOT_BYTES + source.randrange(2 * len(rows) - 4096)
                bad.memory[place:place + 4096] = source.choice((bytes(4096), source.randbytes(4096), b"\xff" * 4096))
            try:
                bad.read(asking)
            except Refused as refused:
                self.assertIn("row", refused.message)
        self.assertEqual(self.ask(good), expected)

    def test_clients_that_die_leave_nothing_behind(self):
        good = self.lane()
        expected = self.ask(good)
        descriptors = len(os.listdir(f"/proc/{self.server.process.pid}/fd"))
        code = ("import os, sys, lane; c = lane.Lane(sys.argv[1], slots=8);"
                "[c.ask(int(sys.argv[2]), bytes.fromhex(sys.argv[3]), int(sys.argv[4])) for _ in range(8)];"
                "os.kill(os.getpid(), 9)")
        for _ in range(5):
            subprocess.run([sys.executable, "-c", code, self.path, str(self.layer), self.row.hex(),
                            str(self.case.hidden)], cwd=os.path.dirname(os.path.abspath(__file__)),
                           timeout=harness.PATIENCE, check=False)
            self.assertEqual(self.ask(good), expected)
        self.assertTrue(harness.eventually(lambda: self.server.metric("moed_lane_clients") == 1))
        self.assertTrue(harness.eventually(
            lambda: len(os.listdir(f"/proc/{self.server.process.pid}/fd")) <= descriptors + 1))

    def test_one_that_rings_and_never_reads(self):
        client = self.lane()
        end = time.monotonic() + 0.5
        while time.monotonic() < end:
            try:
                client.socket.send(b"x" * 4096, 0x40)
            except BlockingIOError:
                pass
        self.assertTrue(self.ask(self.lane()))


if __name__ == "__main__":
    unittest.main()
