"""Calls that are under way while others are made, against a running moed."""
import concurrent.futures
import unittest

import harness
import moed
import numpy as np
from both import Blocking, both
from served import Served


@both
class Submit(Served):
    def test_many_are_under_way_and_each_gets_its_own(self):
        alone = [self.client.forward(row, 0).output.tobytes() for row in self.hidden]
        asked = [i % len(self.hidden) for i in range(40)]
        pending = [self.client.submit(self.hidden[i], 0) for i in asked]
        for i, one in reversed(list(zip(asked, pending, strict=True))):
            self.assertEqual(one.result(timeout=harness.PATIENCE).output.tobytes(), alone[i])
            self.assertTrue(one.done())
            self.assertEqual(one.result().output.tobytes(), alone[i])  # as often as one likes

    def test_rows_may_be_written_over(self):
        rows = self.hidden.copy()
        pending = self.client.submit(rows, 0, parts=("output", "routing"))
        rows[:] = 0
        result = pending.result(timeout=harness.PATIENCE)
        self.assert_close(result.output, self.expected, 1e-6)
        self.assertEqual(result.routing.expert_ids.tobytes(), self.case.bytes(0, "expert_ids.i32"))

    def test_errors_come_with_the_result(self):
        pending = self.client.submit(self.hidden, 7)
        for _ in range(2):
            with self.assertRaises(moed.ServerError) as caught:
                pending.result(timeout=harness.PATIENCE)
            self.assertEqual(caught.exception.status, 404)
        with self.assertRaisesRegex(TypeError, "float64"):  # what needs no server is said at once
            self.client.submit(self.hidden.astype(np.float64), 0)

    def test_a_deadline_counts_from_submit(self):
        pending = self.client.submit(self.hidden, 0, deadline=1e-9)
        with self.assertRaises(moed.DeadlineExceeded):
            pending.result(timeout=harness.PATIENCE)


class Closing(Served):
    make = Blocking

    def test_close_waits_for_what_is_under_way(self):
        with moed.Client(self.server.url, moed.Settings(in_flight=1)) as client:
            pending = [client.submit(self.hidden, 0) for _ in range(8)]
        answered = 0
        for one in pending:
            self.assertTrue(one.done())
            try:
                self.assert_close(one.result().output, self.expected, 1e-6)
                answered += 1
            except concurrent.futures.CancelledError:
                pass  # it had not begun
        self.assertGreater(answered, 0)

    def test_settings(self):
        with self.assertRaisesRegex(ValueError, "in_flight is 0"):
            moed.Settings(in_flight=0)


del Served  # a base, no test

if __name__ == "__main__":
    unittest.main()
