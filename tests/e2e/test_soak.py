"""Full load for a while: layers, dtypes, sizes and formats in any mix, clients that die at random.
Nothing may be lost or mixed up, and nothing may grow. MOED_SOAK_SECONDS=600 is the long mode; a
minute or more also watches memory, which settles first."""
import collections
import os
import threading
import time
import unittest

import harness
from test_generator import load

SECONDS = int(os.environ.get("MOED_SOAK_SECONDS", "6"))
SETTLED = min(60, SECONDS // 3)
GROWTH = 32 << 20  # bytes: the allocator's own ups and downs

Held = collections.namedtuple("Held", "at memory files threads")


def held_by(pid):
    """What a process holds now."""
    with open(f"/proc/{pid}/statm", encoding="ascii") as file:
        memory = int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    return Held(time.monotonic(), memory, len(os.listdir(f"/proc/{pid}/fd")),
                len(os.listdir(f"/proc/{pid}/task")))


class Soak(unittest.TestCase):
    def soak(self, server, *words):
        """Loads it; the load's JSON and what the server held once a second."""
        stop, samples = threading.Event(), []

        def watch():
            while not stop.wait(1):
                samples.append(held_by(server.process.pid))

        watcher = threading.Thread(target=watch)
        watcher.start()
        status, found, message = load(server.url, "--seconds", SECONDS, *words)
        stop.set()
        watcher.join()
        self.assertEqual(status, 0, message)
        return found, samples

    def test_everything_at_once(self):
        case = harness.case("f32-two-layers")
        flags = ["--max-batch-rows", "64", "--workers", "2", "--max-queue-rows", "100000"]
        with harness.Server(case.model, *flags) as server:
            load(server.url, "--seconds", 0.2, "--clients", 4)
            self.assertTrue(harness.eventually(lambda: server.metric("moed_connections") == 1))
            before = held_by(server.process.pid)
            found, samples = self.soak(
                server, "--clients", 32, "--rows", "1,2,40,200", "--dtype", "f32", "--dtype", "f16",
                "--dtype", "bf16", "--format", "raw", "--format", "json", "--format", "kserve",
                "--abandon", 5, "--idle", 10, "--slow", 5)
            self.assertTrue(harness.eventually(lambda: server.metric("moed_connections") == 1))
            self.assertEqual(server.metric("moed_queue_rows"), 0)
            # The connection that was asked over may take a moment to close, then as before.
            self.assertTrue(harness.eventually(
                lambda: held_by(server.process.pid).files <= before.files))
        self.assertEqual(set(found["status"]), {"200"})
        self.assertEqual((found["differ"], found["broken"], found["timed_out"]), (0, 0, 0))
        self.assertGreater(found["compared"], 0)
        self.assertGreater(found["abandoned"], 0)
        late = [sample for sample in samples if sample.at > samples[0].at + SETTLED]
        self.assertLessEqual(max(sample.threads for sample in late), samples[0].threads + 4)  # a pool
        if SECONDS >= 60:
            self.assertLess(late[-1].memory, late[0].memory + GROWTH)


if __name__ == "__main__":
    unittest.main()
