"""Counts of checks, read from what each kind of test prints."""
import dataclasses
import json
import pathlib
import re


@dataclasses.dataclass
class Tally:
    passed: int = 0
    failed: int = 0
    skipped: int = 0
    reasons: list = dataclasses.field(default_factory=list)  # of what was skipped

    def add(self, other):
        self.passed += other.passed
        self.failed += other.failed
        self.skipped += other.skipped
        self.reasons += other.reasons

    def __str__(self):
        text = f"{self.passed} passed, {self.failed} failed"
        return text + (f", {self.skipped} skipped" if self.skipped else "")


def skip_lines(log):
    """Reasons: `skip  name: why`, and unittest's `test_x (…) ... skipped 'why'`."""
    return re.findall(r"^skip(?:ped)?\s+(.*)$", log, re.M) + [
        f"{name}: {why}" for name, why in re.findall(r"^(\w+) .*\.\.\. skipped ['\"](.*)['\"]$", log, re.M)]


def failed_unless_zero(tally, status):
    """A program that failed without saying what: a crash counts as one failure."""
    if status != 0 and tally.failed == 0:
        tally.failed = 1
    return tally


def by_status(log, status):
    """One check: whether the command succeeded."""
    return Tally(passed=int(status == 0), failed=int(status != 0))


def by_last_line(log, status):
    """Our own scripts: the last `N passed, N failed[, N skipped]`."""
    found = re.findall(r"^(\d+) passed, (\d+) failed(?:, (\d+) skipped)?$", log, re.M)
    counts = [int(n or 0) for n in found[-1]] if found else [0, 0, 0]
    if not found and status == 0:
        status = 1  # it should have counted
    return failed_unless_zero(Tally(*counts, reasons=skip_lines(log)), status)


def by_unittest(log, status):
    """Python's unittest, run with -v."""
    ran = sum(int(n) for n in re.findall(r"^Ran (\d+) tests?", log, re.M))
    bad = sum(int(n) for n in re.findall(r"\b(?:failures|errors)=(\d+)", log))
    skipped = sum(int(n) for n in re.findall(r"\bskipped=(\d+)", log))
    tally = Tally(max(ran - bad - skipped, 0), bad, skipped, skip_lines(log))
    if ran == 0 and status == 0:
        status = 1
    return failed_unless_zero(tally, status)


def unless_skipped(count):
    """As `count`, but for a suite that says why it cannot run here and exits with 77."""
    def counted(log, status):
        return Tally(skipped=1, reasons=skip_lines(log)) if status == 77 else count(log, status)
    return counted


def of_program(test):
    """One entry of meson's testlog.json: cmocka's counts, or the program as one check."""
    text = test.get("stdout", "") + test.get("stderr", "")
    count = {word: sum(int(n) for n in re.findall(rf"^\[  {word}\s*\] (\d+) test\(s\)", text, re.M))
             for word in ("PASSED", "FAILED", "SKIPPED")}
    if test["result"] == "SKIP":
        return Tally(skipped=1, reasons=[test["name"]])
    skips = re.findall(r"^\[  SKIPPED \] (test_\w+)", text, re.M)
    tally = Tally(count["PASSED"] or int(test["result"] == "OK"), count["FAILED"],
                  count["SKIPPED"], [f"{test['name']}: {name}" for name in dict.fromkeys(skips)])
    return failed_unless_zero(tally, int(test["result"] not in ("OK", "EXPECTEDFAIL")))


def by_meson(build):
    """`meson test` in the folder `build`."""
    def count(log, status):
        total = Tally()
        path = pathlib.Path(build, "meson-logs", "testlog.json")
        for line in path.read_text().splitlines() if path.exists() else []:
            total.add(of_program(json.loads(line)))
        return failed_unless_zero(total, status or int(total.passed == 0))
    return count
