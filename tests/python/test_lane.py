"""Calls through shared memory: the tests of calls and of submit() once more, and what only a lane has."""
import os
import tempfile
import unittest

import harness
import moed
import numpy as np
import test_calls
import test_submit
from both import both
from served import Served


class OnLane(Served):
    """A server of the golden case that listens on a lane, too."""

    @classmethod
    def setUpClass(cls):
        cls.case = harness.case("f32-two-layers")
        cls.folder = tempfile.TemporaryDirectory()
        path = os.path.join(cls.folder.name, "lane")
        cls.server = harness.Server(cls.case.model,
                                    listen=("--listen", "127.0.0.1:0", "--listen", f"lane:{path}"))
        cls.server.__enter__()
        cls.http, cls.url = cls.server.url, f"lane:{path}"
        cls.hidden = cls.golden("hidden.f32").reshape(-1, cls.case.hidden)
        cls.expected = cls.golden("output.f32").reshape(-1, cls.case.hidden)

    @classmethod
    def tearDownClass(cls):
        super().tearDownClass()
        cls.folder.cleanup()

    def setUp(self):
        self.client = self.make(self.url)
        self.client.__enter__()
        self.addCleanup(self.client.__exit__, None, None, None)


def on_lane(base, *left_out):
    """A class of tests over the lane, but for those of HTTP itself."""
    more = {name: None for name in left_out}
    return type(base.__name__ + "OnLane", (OnLane, base), {"__module__": __name__, **more})


NOT_HTTP = ("test_golden_rows", "test_one_connection_is_kept")
ForwardBlocking = on_lane(test_calls.ForwardBlocking, *NOT_HTTP)
ForwardAsyncio = on_lane(test_calls.ForwardAsyncio, *NOT_HTTP)
InfoBlocking = on_lane(test_calls.InfoOfBlocking)
InfoAsyncio = on_lane(test_calls.InfoOfAsyncio)
SubmitBlocking = on_lane(test_submit.SubmitBlocking, "test_errors_come_with_the_result")
SubmitAsyncio = on_lane(test_submit.SubmitAsyncio, "test_errors_come_with_the_result")


@both
class Lane(OnLane):
    def test_the_bits_of_http(self):
        with moed.Client(self.http) as http:
            for options in ({"parts": ("output", "routing", "logits")}, {"parts": ("routing",)},
                            {"out_dtype": "bf16"}, {"block": "norm_ffn_residual"}):
                expected = http.forward(self.hidden, 0, **options)
                found = self.client.forward(self.hidden, 0, **options)
                self.assertEqual(set(found.timing), {"queue", "compute"})
                self.assertEqual(found.layer, 0)
                for part in options.get("parts", ("output",)):
                    both = [getattr(result, part) for result in (found, expected)]
                    if part == "routing":
                        np.testing.assert_array_equal(both[0].weights, both[1].weights)
                        both = [routing.expert_ids for routing in both]
                    np.testing.assert_array_equal(*both)

    def test_the_server_s_words(self):
        rows = self.hidden.copy()
        rows[2, 5] = np.nan
        for layer, hidden, options, status, code, words in (
                (7, self.hidden, {}, 421, "layer_not_served", "layer 7"),
                (0, self.hidden[:, :-1], {}, 400, "wrong_shape", f"expected {self.case.hidden}"),
                (0, rows, {}, 422, "not_finite", "row 2"),
                (0, self.hidden, {"block": "moe"}, 400, "malformed", "norm_ffn")):
            with self.subTest(code), self.assertRaises(moed.ServerError) as caught:
                self.client.forward(hidden, layer, **options)
            self.assertEqual((caught.exception.status, caught.exception.code), (status, code))
            self.assertIn(words, caught.exception.detail)

    def test_more_rows_than_slots_were_made_for(self):
        few = self.client.forward(self.hidden, 0).output
        many = self.client.forward(np.tile(self.hidden, (200, 1)), 0).output
        np.testing.assert_array_equal(many, np.tile(few, (200, 1)))

    def test_the_output_is_no_copy_and_may_be_written_to(self):
        output = self.client.forward(self.hidden, 0).output
        output[0] = 0
        self.assertFalse(output.flags.owndata)


class Endings(OnLane):
    make = moed.Client

    def test_nobody_there(self):
        settings = moed.Settings(retry=moed.Retry(attempts=2, base=0.001))
        with moed.Client("lane:/nobody/there", settings) as client:
            with self.assertRaises(moed.ConnectionFailed):
                client.forward(self.hidden, 0)
            pending = client.submit(self.hidden, 0)
            with self.assertRaises(moed.ConnectionFailed):
                pending.result(timeout=harness.PATIENCE)

    def test_results_that_nobody_asks_for_give_their_slots_back(self):
        with moed.Client(self.url, moed.Settings(in_flight=2)) as client:
            for _ in range(20):
                client.submit(self.hidden, 0)
            self.assert_close(client.forward(self.hidden, 0).output, self.expected, 1e-6)

    def test_a_server_that_comes_again(self):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "lane")
            listen = ("--listen", "127.0.0.1:0", "--listen", f"lane:{path}")
            with moed.Client(f"lane:{path}") as client:
                for _ in range(2):
                    with harness.Server(self.case.model, listen=listen):
                        self.assert_close(client.forward(self.hidden, 0).output, self.expected, 1e-6)


del OnLane, Served  # bases, no tests

if __name__ == "__main__":
    unittest.main()
