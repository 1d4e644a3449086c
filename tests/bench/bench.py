"""What every scenario is given: how much to do, where, on which cores, and whom to tell about it."""

from __future__ import annotations

import shutil
import sys
import time
from pathlib import Path

from tests.bench.process import Cores
from tests.bench.sizes import Sizes


class Bench:
    """One run of the bench."""

    def __init__(self, *, sizes: Sizes, folder: Path, cores: Cores) -> None:
        self.sizes = sizes
        self.cores = cores
        self._folder = folder
        self._begun = time.monotonic()

    def path(self, name: str) -> Path:
        """The folder of this name."""
        return self._folder / name

    def folder(self, name: str) -> Path:
        """An empty folder for a server's data."""
        folder = self.path(name)
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        return folder

    def say(self, what: str) -> None:
        """Tell the person who waits what is being done now."""
        line = f"{time.monotonic() - self._begun:5.0f} s  {what}"
        if sys.stderr.isatty():
            print(f"\r\033[K{line}", end="", file=sys.stderr, flush=True)
        else:
            print(line, file=sys.stderr, flush=True)
