"""Which suite runs when. One lane compiles, at a low priority, while another tests, so that the
processors are busy while a test waits; what waits for the network all the time runs beside both."""
import concurrent.futures
import threading

COMPILING, TESTING, ASIDE = "compiling", "testing", "aside"


class Schedule:
    def __init__(self, suites, run):
        """`suites` in the order in which a lane should take them. `run(suite, built)` gives a result;
        `built` is that of the suite which this one needs, None if that is not one of `suites`."""
        self.waiting, self.run = list(suites), run
        self.names = {suite.name for suite in suites}
        self.results = {}
        self.changed = threading.Condition()

    def ready(self, lane):
        """Those whose need is met: first what the lane is for, then what else there is to help with."""
        found = [suite for suite in self.waiting if (suite.lane == ASIDE) == (lane == ASIDE)
                 and (suite.needs in self.results or suite.needs not in self.names)]
        return sorted(found, key=lambda suite: suite.lane != lane)

    def take(self, lane):
        """A suite, once there is one; None when none is left for this lane."""
        with self.changed:
            while any((suite.lane == ASIDE) == (lane == ASIDE) for suite in self.waiting):
                ready = self.ready(lane)
                if ready:
                    self.waiting.remove(ready[0])
                    return ready[0]
                self.changed.wait()
        return None

    def work(self, lane):
        while suite := self.take(lane):
            result = None
            try:
                result = self.run(suite, self.results.get(suite.needs))
            finally:  # nobody may wait for ever for a suite that could not even be run
                with self.changed:
                    self.results[suite.name] = result
                    self.changed.notify_all()

    def finish(self):
        """{name: result} when all have run."""
        aside = sum(suite.lane == ASIDE for suite in self.waiting)
        lanes = [COMPILING, TESTING, *[ASIDE] * aside]
        with concurrent.futures.ThreadPoolExecutor(len(lanes)) as pool:
            list(pool.map(self.work, lanes))
        return self.results
