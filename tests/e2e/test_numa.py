"""Where workers run: on this machine, and on one that looks as if it had two NUMA nodes."""
import os
import pathlib
import subprocess
import tempfile
import unittest

import harness

NODES = "/sys/devices/system/node"


def unshare():
    """How to get a mount namespace of our own, as root or as anybody; None where it is forbidden."""
    for flags in ("-m", "-Urm"):
        command = ["unshare", flags, "mount", "--bind", "/tmp", NODES]
        if subprocess.run(command, capture_output=True, check=False).returncode == 0:
            return "unshare", flags
    return None


def listing(cpus):
    return ",".join(map(str, sorted(cpus)))


class TwoNodes(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cpus = sorted(os.sched_getaffinity(0))
        prefix = unshare()
        if len(cpus) < 2 or prefix is None:
            raise unittest.SkipTest("needs two processors, and a mount namespace of its own")
        folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(folder.cleanup)
        cls.nodes = [cpus[::2], cpus[1::2]]
        for number, node in enumerate(cls.nodes):
            path = pathlib.Path(folder.name, f"node{number}")
            path.mkdir()
            (path / "cpulist").write_text(listing(node) + "\n")
        cls.prefix = (*prefix, "sh", "-c", f'mount --bind "$0" {NODES} && exec "$@"', folder.name)
        cls.case = harness.case("f32-two-layers")
        cls.data = cls.case.bytes(0, "hidden.f32")

    def serve(self, *flags):
        return harness.Server(self.case.model, *flags, prefix=self.prefix)

    def workers(self, server):
        """The processors that each worker may run on."""
        found = {}
        for task in pathlib.Path(f"/proc/{server.process.pid}/task").iterdir():
            name = (task / "comm").read_text().strip()
            if name.startswith("worker-"):
                found.setdefault(name, os.sched_getaffinity(int(task.name)))
        return [found[name] for name in sorted(found)]

    def test_a_worker_a_node(self):
        with harness.Server(self.case.model) as plain:
            expected = plain.post_raw("/v1/moe/layers/0/forward", self.data).body
        with self.serve() as server:
            self.assertEqual(self.workers(server), [set(node) for node in self.nodes])
            for number in range(2):
                self.assertIn(f"worker {number} keeps to NUMA node {number} of 2", server.text())
            answer = server.post_raw("/v1/moe/layers/0/forward", self.data)
            self.assertEqual((answer.status, answer.body), (200, expected))
            self.assertEqual(server.metric("moed_rows_total"), len(self.case.rows(0)))

    def test_more_workers_than_nodes(self):
        with self.serve("--workers", "3", "--threads", "1") as server:
            self.assertEqual(self.workers(server), [set(self.nodes[i % 2]) for i in range(3)])

    def test_switched_off(self):
        with self.serve("--numa", "off") as server:
            self.assertEqual(self.workers(server), [set(self.nodes[0] + self.nodes[1])])
            self.assertNotIn("NUMA", server.text())


class Share(unittest.TestCase):
    def threads(self, *flags):
        with harness.Server(harness.case("f32-two-layers").model, "--numa", "off", *flags) as server:
            return server.get("/v1/moe/info").json()["backend"]["threads"]

    def test_workers_share_the_cores(self):
        cores = self.threads()
        for workers in (2, 3):
            self.assertEqual(self.threads("--workers", str(workers)), max(1, cores // workers))


if __name__ == "__main__":
    unittest.main()
