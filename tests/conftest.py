"""Fixtures: `url` of a daemon in this process, `process` for one that can be killed."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support import Process, config_for, running


@pytest.fixture
async def url(tmp_path: Path) -> AsyncIterator[str]:
    async with running(config_for(tmp_path)) as address:
        yield address


@pytest.fixture
async def process(tmp_path: Path) -> AsyncIterator[Process]:
    process = Process(tmp_path)
    await process.start()
    yield process
    await process.end()
