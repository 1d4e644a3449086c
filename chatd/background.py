"""Threads for what keeps a processor busy: where cores are few, conversations go first."""

from __future__ import annotations

import os
import sys
from concurrent.futures import ThreadPoolExecutor

_NICENESS = 10
"""As setpriority(2) has it. A thread of the usual priority would be waited for until its slice is over, 3 to 5 ms."""


def threads(count: int, name: str) -> ThreadPoolExecutor:
    """Threads that step back for others."""
    return ThreadPoolExecutor(count, name, initializer=_step_back)


def _step_back() -> None:
    if sys.platform == "linux":  # elsewhere a thread has no priority of its own
        os.setpriority(os.PRIO_PROCESS, 0, _NICENESS)
