#!/usr/bin/env python3
"""Checks that a long training leaks no memory and no files, and does not slow down.

Resident memory may grow by at most 4 MiB after step 1,000, the number of open files must stay constant, and the last
tenth of the steps may take at most 1.1 times the processor time of the first tenth after step 1,000. Wall-clock times
are reported but not checked: other programs disturb them, and so does a tenth that lasts less than a second.

    tests/long/soak.py [--steps 200000] [--device cpu] [--binary target/release/gridlight]
    tests/long/soak.py --device gpu --steps 100000
"""

import json
import os
import pathlib
import sys
import time

from place import Place, arguments


def seen(process):
    """Monotonic time, seconds of processor time, resident bytes and number of open files of a process."""
    about = pathlib.Path(f"/proc/{process.pid}")
    # Fields 14, 15 and 24 of proc_pid_stat(5). Field 2, a name in parentheses, may contain spaces.
    fields = (about / "stat").read_text().rpartition(") ")[2].split()
    busy = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return time.monotonic(), busy, int(fields[21]) * os.sysconf("SC_PAGE_SIZE"), len(list((about / "fd").iterdir()))


def main():
    asked = arguments(__doc__, steps=200_000)
    place = Place(asked.binary, asked.device, f"epochs = {asked.steps}\ncheckpoint_every_steps = 5000", rows=4300)
    each = max(asked.steps // 200, 1)
    process = place.start("run", "--json", "--log-every", str(each), "--max-steps", str(asked.steps))
    points = {}
    for event in map(json.loads, process.stdout):
        # A process about to exit may have closed its files already.
        if event["event"] == "step" and event["step"] < asked.steps:
            points[event["step"]] = seen(process)
    code, errors = process.wait(), process.stderr.read()
    assert code == 0, errors
    steps = sorted(step for step in points if step >= 1000)
    tenth = len(steps) // 10
    spans = [(steps[0], steps[tenth]), (steps[-1 - tenth], steps[-1])]
    clock, busy = ([points[to][what] - points[at][what] for at, to in spans] for what in [0, 1])
    base, files = points[steps[0]][2], [points[step][3] for step in steps]
    growth = max(points[step][2] for step in steps) - base
    print(
        f"{asked.steps} steps on {asked.device}: {base / 2**20:.1f} MiB after step {steps[0]}, at most "
        f"{growth / 2**20:+.1f} MiB; {min(files)} to {max(files)} open files; first tenth {busy[0]:.2f} s of "
        f"processor time, last {busy[1]:.2f} s ({busy[1] / busy[0]:.3f}); by the clock {clock[0]:.1f} s, {clock[1]:.1f} s"
    )
    # A file being written, and its directory, may be open in addition.
    return int(growth > 4 << 20 or max(files) - min(files) > 2 or busy[1] > 1.1 * busy[0])


if __name__ == "__main__":
    sys.exit(main())
