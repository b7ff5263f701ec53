#!/usr/bin/env python3
"""Tests of the order in which suites run."""
import threading
import types
import unittest

from schedule import ASIDE, COMPILING, TESTING, Schedule

PATIENCE = 30


def suite(name, lane=TESTING, needs=""):
    return types.SimpleNamespace(name=name, lane=lane, needs=needs)


class Order(unittest.TestCase):
    def finish(self, suites, run=lambda suite, built: suite.name):
        """The results, and the names in the order in which they were begun."""
        begun = []

        def watched(one, built):
            begun.append(one.name)
            return run(one, built)

        return Schedule(suites, watched).finish(), begun

    def test_all_run_once(self):
        results, begun = self.finish([suite("a", COMPILING), suite("b"), suite("c", ASIDE), suite("d", ASIDE)])
        self.assertEqual(results, {name: name for name in "abcd"})
        self.assertEqual(sorted(begun), list("abcd"))

    def test_a_build_comes_first_and_its_result_is_told(self):
        told = {}

        def run(one, built):
            told[one.name] = built
            return f"result of {one.name}"

        suites = [suite("test", needs="build"), suite("page", ASIDE, needs="build"), suite("build", COMPILING),
                  suite("alone", needs="not chosen")]
        self.finish(suites, run)
        self.assertEqual(told, {"build": None, "test": "result of build", "page": "result of build", "alone": None})

    def meet(self, *suites):
        """Suites that end only when all of them have begun."""
        barrier = threading.Barrier(len(suites), timeout=PATIENCE)
        results, _ = self.finish(suites, lambda one, built: barrier.wait())
        self.assertEqual(sorted(results.values()), list(range(len(suites))))

    def test_one_compiles_while_one_tests_and_others_wait_for_the_network(self):
        self.meet(suite("build", COMPILING), suite("test"), suite("page", ASIDE), suite("deploy", ASIDE))

    def test_a_lane_without_work_helps_the_other(self):
        self.meet(suite("one"), suite("two"))
        self.meet(suite("gcc", COMPILING), suite("clang", COMPILING))

    def test_a_suite_that_cannot_be_run_stops_nobody(self):
        def run(one, built):
            if one.name == "build":
                raise ValueError("no such program")

        with self.assertRaisesRegex(ValueError, "no such program"):
            self.finish([suite("build", COMPILING), suite("test", needs="build")], run)

    def test_what_a_lane_is_for_goes_first(self):
        schedule = Schedule([suite("test"), suite("build", COMPILING)], None)
        self.assertEqual(schedule.take(COMPILING).name, "build")
        self.assertEqual(schedule.take(COMPILING).name, "test")
        self.assertIsNone(schedule.take(COMPILING))


if __name__ == "__main__":
    unittest.main()
