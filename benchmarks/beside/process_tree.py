"""What a process and all that it has started take: CPU seconds and memory."""

import os
import subprocess
import sys
import time
from pathlib import Path

_SCHEDULED = 2  # Linux: the clock of a process's CPU time, with that of its ended threads, in nanoseconds


def cpu(pid: int) -> float:
    """CPU seconds of those that live, since each began."""
    if sys.platform == "linux":
        return sum(time.clock_gettime(~each << 3 | _SCHEDULED) for each in members(pid))
    return sum(_seconds(row[2]) for row in _listed(pid))


def rss(pid: int) -> float:
    """Resident memory in MB; what several of them share counts for each."""
    if sys.platform == "linux":
        pages = sum(int(Path(f"/proc/{each}/statm").read_text().split()[1]) for each in members(pid))
        return pages * os.sysconf("SC_PAGE_SIZE") / 1e6
    return sum(int(row[3]) for row in _listed(pid)) / 1000


def members(pid: int) -> list[int]:
    """Return the process and all that it has started, parents first."""
    children = [path.read_text().split() for path in Path(f"/proc/{pid}/task").glob("*/children")]
    return [pid, *(one for ids in children for child in ids for one in members(int(child)))]


def _listed(pid: int) -> list[list[str]]:
    # pid, parent, CPU time and KiB of each process of the tree.
    command = ["ps", "-A", "-o", "pid=,ppid=,time=,rss="]
    rows = [line.split() for line in subprocess.run(command, capture_output=True, text=True).stdout.splitlines()]
    found = {str(pid)}
    for row in sorted(rows, key=lambda row: int(row[0])):
        if row[1] in found:
            found.add(row[0])
    return [row for row in rows if row[0] in found]


def _seconds(clock: str) -> float:
    minutes, _, seconds = clock.rpartition(":")
    return 60 * float(minutes or 0) + float(seconds)
