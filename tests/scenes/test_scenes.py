"""Every scene beside this file, on a daemon of its own."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.scenes.play import Play
from tests.support import Process

SCENES = {file.stem: file.read_text(encoding="utf-8") for file in sorted(Path(__file__).parent.glob("*.scene"))}


@pytest.mark.parametrize("name", SCENES)
async def test_scene(name: str, process: Process) -> None:
    await Play(process).perform(SCENES[name])
    assert await process.kill(15) == 0
    status, output = await process.command("check")
    assert status == 0, output
    assert "Traceback" not in process.log
