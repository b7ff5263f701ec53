"""64 clients at once, each with layers, types, sizes and routings of its own, held against the oracle:
the float64 backend in a server of its own, which is asked the same one by one."""
import array
import json
import random
import struct
import unittest

import harness
from harness import JSON, RAW
from test_load import in_threads

CLIENTS, ROUNDS, CHOSEN = 64, 5, 3
# Relative L2 against the oracle, by the type of the output: the rounding of that type, and float32
# arithmetic's beside it.
TOLERANCE = {"f32": 1e-6, "f16": 2.0 ** -11, "bf16": 2.0 ** -8}


def pack(values, dtype):
    """Little-endian numbers; a bfloat16 is the upper half of a float32, here cut and not rounded."""
    if dtype == "bf16":
        return b"".join(struct.pack("<f", value)[2:] for value in values)
    return struct.pack(f"<{len(values)}{'e' if dtype == 'f16' else 'f'}", *values)


def unpack(data, dtype):
    if dtype == "bf16":
        data = b"".join(b"\0\0" + data[at:at + 2] for at in range(0, len(data), 2))
    return array.array("d", (value for (value,) in struct.iter_unpack("<e" if dtype == "f16" else "<f", data)))


class Question:
    """One request, and how to read its answer: the outputs, the experts' ids and their weights."""

    def __init__(self, case, chance):
        self.case, self.layer = case, chance.choice(case.layers)
        self.dtype, self.out = chance.choice(list(TOLERANCE)), chance.choice(list(TOLERANCE))
        self.rows = [chance.choice(case.rows(self.layer)) for _ in range(chance.choice([0, 1, 1, 1, 2, 5, 40]))]
        self.data = pack(harness.flat(self.rows), self.dtype)
        self.path = f"/v1/moe/layers/{self.layer}/forward"
        self.supplied = chance.random() < 0.3
        self.ids = [chance.sample(range(case.info["experts"]), CHOSEN) for _ in self.rows]
        self.weights = [[chance.random() for _ in range(CHOSEN)] for _ in self.rows]
        chance.choice([self.ask_raw, self.ask_coded, self.ask_numbers])()

    def ask_raw(self):
        self.headers, self.body, self.read = RAW, self.data, self.read_raw
        self.path += f"?dtype={self.dtype}&out_dtype={self.out}&return=output,routing"
        if self.supplied:
            self.path += f"&routing=topk&k={CHOSEN}"
            self.body += struct.pack(f"<{CHOSEN * len(self.rows)}i", *harness.flat(self.ids))
            self.body += pack(harness.flat(self.weights), "f32")

    def ask_json(self, hidden_states, encoding):
        value = {"hidden_states": hidden_states, "encoding": encoding, "output_dtype": self.out,
                 "return": ["output", "routing"]}
        if self.supplied:
            value["routing"] = {"expert_ids": self.ids, "weights": self.weights}
        self.headers, self.body, self.read = JSON, json.dumps(value), self.read_json

    def ask_coded(self):
        self.ask_json(harness.encode(self.data, self.case.hidden, self.dtype), "base64")

    def ask_numbers(self):
        self.out = "f32"
        self.ask_json(self.rows, "array")

    def read_raw(self, body):
        k = CHOSEN if self.supplied else self.case.k
        ids = 4 * k * len(self.rows)
        end = len(body) - 2 * ids
        return (unpack(body[:end], self.out), list(harness.ints(body[end:end + ids])),
                unpack(body[end + ids:], "f32"))

    def read_json(self, body):
        value = json.loads(body)
        output = value["output"]
        numbers = unpack(harness.decode(output), self.out) if isinstance(output, dict) else harness.flat(output)
        return numbers, harness.flat(value["routing"]["expert_ids"]), harness.flat(value["routing"]["weights"])


class Oracle(unittest.TestCase):
    def ask(self, connection, question):
        answer = harness.ask(connection, "POST", question.path, question.body, question.headers)
        self.assertEqual(answer.status, 200, answer)
        return answer.body

    def ask_all(self, server, questions):
        """What one client is told, one answer after another."""
        connection = server.connect()
        answers = [self.ask(connection, question) for question in questions]
        connection.close()
        return answers

    def check(self, question, found, expected):
        """An answer against the oracle's, row by row."""
        found, expected = question.read(found), question.read(expected)
        self.assertEqual(found[1], expected[1])
        self.assertLess(harness.relative_l2(found[2], expected[2]), 1e-6)
        width = question.case.hidden
        self.assertEqual(len(found[0]), width * len(question.rows))
        for row, oracle in zip(harness.rows_of(found[0], width), harness.rows_of(expected[0], width)):
            self.assertLess(harness.relative_l2(row, oracle), TOLERANCE[question.out])

    def together(self, *flags):
        case = harness.case("f32-two-layers")
        work = [[Question(case, random.Random(1000 * client + turn)) for turn in range(ROUNDS)]
                for client in range(CLIENTS)]
        with harness.Server(case.model, "--backend", "reference") as oracle:
            expected = [self.ask_all(oracle, questions) for questions in work]
        found = [None] * CLIENTS
        with harness.Server(case.model, *flags) as server:
            def client(number):
                found[number] = self.ask_all(server, work[number])

            in_threads([lambda number=number: client(number) for number in range(CLIENTS)])
        for questions, answers, right in zip(work, found, expected):
            for question, answer, oracle in zip(questions, answers, right):
                self.check(question, answer, oracle)

    def test_all_at_once(self):
        self.together()

    def test_two_workers_and_batches_that_cut_requests(self):
        self.together("--workers", "2", "--max-batch-rows", "9")


if __name__ == "__main__":
    unittest.main()
