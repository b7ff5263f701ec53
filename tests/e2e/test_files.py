"""What files hold: names that are no text, weights that are no numbers, experts that are zeros."""
import os
import tempfile
import unittest

import gguf
import harness
import kserve
from harness import floats

Q8_0, BLOCK_ELEMENTS, BLOCK_BYTES = 8, 32, 34
NAN = b"\x00\x7e"  # as f16


class Files(unittest.TestCase):
    """Copies of a golden model of one layer with some bytes changed."""

    @classmethod
    def setUpClass(cls):
        cls.case = harness.case("q8_0")
        cls.folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(cls.folder.cleanup)
        with open(cls.case.model, "rb") as file:
            cls.data = file.read()
        cls.places = gguf.Gguf(cls.case.model).places
        cls.ids = harness.rows_of(harness.ints(cls.case.bytes(0, "expert_ids.i32")), cls.case.k)
        cls.raw = cls.case.bytes(0, "hidden.f32")

    def write(self, data):
        path = os.path.join(self.folder.name, f"{self.id()}.gguf")
        with open(path, "wb") as file:
            file.write(data)
        return path

    def expert(self, tensor, expert):
        """(first byte, bytes) of an expert of a Q8_0 matrix."""
        (cols, rows, _), kind, offset = self.places[tensor]
        self.assertEqual(kind, Q8_0)
        size = cols * rows // BLOCK_ELEMENTS * BLOCK_BYTES
        return offset + expert * size, size

    def patched(self, at, new):
        return self.write(self.data[:at] + new + self.data[at + len(new):])


class Weights(Files):
    TENSOR = "blk.0.ffn_up_exps.weight"

    def ask_in_every_form(self, server, raw):
        """The answers to the same rows, however they are framed."""
        width = self.case.hidden
        values = list(floats(raw))
        rows = harness.rows_of(values, width)
        path = "/v1/moe/layers/0/forward"
        infer = "/v2/models/q8_0.layer0/infer"
        yield server.post_raw(path, raw)
        yield server.post_raw(path + "?return=output,routing", raw)
        yield server.post_raw(path + "?out_dtype=f16", raw)
        yield server.post(path, {"hidden_states": rows})
        yield server.post(path, {"hidden_states": harness.encode(raw, width), "encoding": "base64"})
        for binary in (False, True):
            body, headers = kserve.request([kserve.tensor("hidden_states", "FP32", width, values, binary)])
            yield server.request("POST", infer, body, headers)

    def test_nan_is_the_servers_fault_in_every_form(self):
        expert = self.ids[0][1]
        first = next(row for row, ids in enumerate(self.ids) if expert in ids)
        good = next(row for row, ids in enumerate(self.ids) if expert not in ids)
        size = 4 * self.case.hidden
        with harness.Server(self.patched(self.expert(self.TENSOR, expert)[0], NAN)) as server:
            for answer in self.ask_in_every_form(server, self.raw):
                self.assertEqual((answer.status, answer.json()["code"]), (500, "weights_not_finite"), answer)
                self.assertIn(f"layer 0, row {first}: the output of expert {expert} is not finite",
                              answer.json()["error"])
            # Others, and those who only want to know where a row goes, are served.
            for answer in self.ask_in_every_form(server, self.raw[good * size:(good + 1) * size]):
                self.assertEqual(answer.status, 200, answer)
            self.assertEqual(server.post_raw("/v1/moe/layers/0/forward?return=routing", self.raw).status, 200)
            using = sum(expert in ids for ids in self.ids)
            self.assertEqual(server.metric("moed_rows_not_finite_total", cause="weights"), 7 * using)
            self.assertEqual(server.metric("moed_rows_not_finite_total", cause="row"), 0)
            server.stop()
            self.assertIn(f"tensor {self.TENSOR}, expert {expert} holds NaN or infinite weights", server.text())
            self.assertIn("warn", next(line for line in server.text().splitlines() if "holds NaN" in line))

    def test_a_row_that_is_too_large_is_the_clients_fault_in_every_form(self):
        raw = harness.f32([3e38] * self.case.hidden).tobytes()
        with harness.Server(self.case.model) as server:
            for answer in self.ask_in_every_form(server, raw):
                self.assertEqual((answer.status, answer.json()["code"]), (422, "not_finite"), answer)
                self.assertIn("layer 0, row 0: ", answer.json()["error"])
                self.assertIn("3e+38", answer.json()["error"])
            self.assertEqual(server.metric("moed_rows_not_finite_total", cause="row"), 7)
            self.assertNotIn("holds", server.text())

    def test_an_expert_of_zeros_is_told_at_load(self):
        at, size = self.expert(self.TENSOR, 3)
        with harness.Server(self.patched(at, bytes(size))) as server:
            self.assertEqual(server.post_raw("/v1/moe/layers/0/forward", self.raw).status, 200)
            server.stop()
            self.assertEqual(server.text().count("holds nothing but zeros"), 1)
            self.assertIn(f"tensor {self.TENSOR}, expert 3 holds nothing but zeros", server.text())

    def test_half_a_download_does_not_flood_the_log(self):
        places = sorted(offset for _, _, offset in self.places.values())
        at = places[len(places) // 2]
        data = self.data[:at] + bytes(len(self.data) - at)
        with harness.Server(self.write(data)) as server:
            server.stop()
        lines = [line for line in server.text().splitlines() if "holds " in line]
        self.assertGreater(len(lines), 0)
        self.assertLessEqual(len(lines), 16)


class Names(Files):
    def test_whatever_bytes_a_name_has(self):
        for name in (b"\xff8_0", b"q\x1b_0", b"q8\0 ", b"\xed\xa0\x80x"):
            with harness.Server(self.write(self.data.replace(b"q8_0", name, 1))) as server:
                shown = server.get("/v1/moe/info").body.decode("utf-8")
                self.assertIn("\ufffd", shown)
                self.assertTrue(all(c.isprintable() for c in shown.strip()), repr(shown))
                harness.parse_metrics(server.get("/metrics").body.decode("utf-8"))
                server.get("/v2").body.decode("utf-8")


if __name__ == "__main__":
    unittest.main()
