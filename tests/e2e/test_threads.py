"""Threads: where the environment binds OpenMP's, and numbers of them that cannot be."""
import os
import pathlib
import subprocess
import unittest

import harness

CASE = "f32-two-layers"


class Bound(unittest.TestCase):
    """OpenMP binds the main thread before main() begins; what it may run on is all that was named."""

    def may_run_on(self, **variables):
        model = harness.case(CASE).model
        with harness.Server(model, env={**os.environ, **variables}) as server:
            maps = pathlib.Path(f"/proc/{server.process.pid}/maps").read_text()
            if not any(library in maps for library in ("libgomp", "libomp")):
                self.skipTest("this build is without OpenMP, so nothing reads its variables")
            tasks = pathlib.Path(f"/proc/{server.process.pid}/task").iterdir()
            return {frozenset(os.sched_getaffinity(int(task.name))) for task in tasks}

    def test_every_thread_has_all_processors(self):
        every = os.sched_getaffinity(0)
        listed = " ".join(map(str, sorted(every)))
        for variables in ({"OMP_PROC_BIND": "true"}, {"OMP_PROC_BIND": "close", "OMP_PLACES": "threads"},
                          {"OMP_PLACES": "threads"}, {"GOMP_CPU_AFFINITY": listed}):
            with self.subTest(variables):
                self.assertEqual(self.may_run_on(**variables), {frozenset(every)})

    def test_places_that_were_named_are_kept_to(self):
        last = max(os.sched_getaffinity(0))
        self.assertEqual(self.may_run_on(OMP_PROC_BIND="true", OMP_PLACES=f"{{{last}}}"), {frozenset({last})})


class Numbers(unittest.TestCase):
    def test_too_many_are_refused(self):
        for threads in ("1025", "99999", "4294967295"):
            result = subprocess.run([harness.BIN, "serve", harness.case(CASE).model, "--listen", "127.0.0.1:0",
                                     "--threads", threads], capture_output=True, text=True, check=False)
            self.assertIn(result.returncode, (1, 2), result.stderr)
            self.assertIn(f"{threads} threads; a worker has 1 to 1024", result.stderr)

    def test_many_are_ready(self):
        with harness.Server(harness.case(CASE).model, "--threads", "200") as server:
            self.assertEqual(server.get("/readyz").status, 200)
