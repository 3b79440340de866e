"""How much memory there is, what this process holds, and giving back what it does not need any more."""

from __future__ import annotations

import ctypes
import gc
import os
import sys
from pathlib import Path


def resident_bytes() -> int:
    """Bytes of this process that lie in memory; 0 where the system does not say."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except (OSError, IndexError, ValueError):
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")


def physical_bytes() -> int:
    """Bytes of memory of this machine, or of the control group that bounds this process."""
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    try:
        bound = Path("/sys/fs/cgroup/memory.max").read_text().strip()
    except OSError:
        return total
    return min(total, int(bound)) if bound.isdigit() else total


def collect_seldom() -> None:
    """Let Python look for cycles of garbage less often: a load makes millions of objects, and none of them is in one."""
    gc.set_threshold(50_000, 20, 50)


def give_back() -> None:
    """Let the C library return freed memory to the system: after a load it holds what the messages took."""
    if not sys.platform.startswith("linux"):
        return
    try:
        ctypes.CDLL("libc.so.6").malloc_trim(0)
    except (OSError, AttributeError):
        return  # another C library, which has no such call
