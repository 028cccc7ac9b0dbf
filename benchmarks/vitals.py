"""What a process holds, read by itself."""

import asyncio
import gc
import os
import threading
from pathlib import Path
from typing import Any


def vitals(loop: Any) -> dict[str, float]:
    """RSS in MB, and how many descriptors, threads, asyncio tasks, and objects that the collector knows."""
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return {
        "RSS": pages * os.sysconf("SC_PAGE_SIZE") / 1e6,
        "descriptors": len(os.listdir("/proc/self/fd")),
        "threads": threading.active_count(),
        "tasks": len(asyncio.all_tasks(loop)),
        "objects": len(gc.get_objects()),
    }
