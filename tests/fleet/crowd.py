"""Clients that ask without a pause, compare every answer, and follow the retry rule of
deploy/SCALING.md or, if told to, never ask twice."""
import array
import http.client
import random
import threading
import time

import harness

CLIENTS = 8
HIDDEN = 256
STEP, WINDOW = 0.02, 0.5  # seconds
REPEATED = (429, 502, 503)  # what a client sends again
FIRST_WAIT, LONGEST_WAIT, PATIENCE = 0.02, 1.0, 20.0


def bodies():
    """Requests of 1, 5 and 300 rows; the last does not fit into HAProxy's buffer."""
    chance = random.Random(3)
    for rows in (1, 5, 1, 1, 300):
        yield array.array("f", (chance.gauss(0, 1) for _ in range(rows * HIDDEN))).tobytes()


class Crowd:
    """Asks `proxy` for layers of all shards in threads; a context manager around what happens
    meanwhile. `expected` maps (path, body) to the one right answer."""

    def __init__(self, proxy, expected, retries=True):
        self.proxy, self.expected, self.retries = proxy, list(expected.items()), retries
        self.done, self.wrong, self.lost, self.repeated = [], [], [], 0
        self.stopping = threading.Event()
        self.lock = threading.Lock()
        self.threads = [threading.Thread(target=self.client, args=(seed,)) for seed in range(CLIENTS)]

    def client(self, seed):
        chance = random.Random(seed)
        connection = self.proxy.connect()
        while not self.stopping.is_set():
            (path, body), right = chance.choice(self.expected)
            answer = self.ask(connection, path, body, chance)
            with self.lock:
                if answer is None or answer.status != 200:
                    self.lost.append(repr(answer))
                elif answer.body != right:
                    self.wrong.append(path)
                else:
                    self.done.append(time.monotonic())
        connection.close()

    def ask(self, connection, path, body, chance):
        """By the rule: again after no answer or one of REPEATED, waiting ever longer, with jitter."""
        end, wait = time.monotonic() + PATIENCE, FIRST_WAIT
        while True:
            try:
                answer = harness.ask(connection, "POST", path, body, harness.RAW)
            except (OSError, http.client.HTTPException) as error:
                connection.close()
                answer = error
            status = getattr(answer, "status", None)
            if not self.retries or time.monotonic() > end or status not in (None, *REPEATED):
                return answer
            with self.lock:
                self.repeated += 1
            time.sleep(chance.uniform(0, wait))
            wait = min(2 * wait, LONGEST_WAIT)

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.stopping.set()
        for thread in self.threads:
            thread.join()

    def wait_for(self, answers):
        """Until so many more have come."""
        goal = len(self.done) + answers
        if not harness.eventually(lambda: len(self.done) >= goal):
            raise AssertionError(f"{len(self.done)} answers, expected {goal}; lost {self.lost[:3]}")

    def rate(self, begin, end):
        """Answers a second in [begin, end)."""
        return sum(begin <= t < end for t in self.done) / (end - begin)

    def recovery(self, event, seconds):
        """Seconds from `event` until half a second began that had nine tenths of the rate of the
        second before it, and that rate."""
        usual = self.rate(event - 1, event)
        for step in range(int((seconds - WINDOW) / STEP)):
            at = event + STEP * step
            if self.rate(at, at + WINDOW) >= 0.9 * usual:
                return STEP * step, usual
        return float("inf"), usual
