"""Every scene beside this file, on a daemon of its own."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.scenes.play import Play
from tests.support import Process

SCENES = sorted(Path(__file__).parent.glob("*.scene"))


@pytest.mark.parametrize("scene", SCENES, ids=lambda scene: scene.stem)
async def test_scene(scene: Path, process: Process) -> None:
    await Play(process).perform(scene.read_text(encoding="utf-8"))
    assert await process.kill(15) == 0
    status, output = await process.command("check")
    assert status == 0, output
    assert "Traceback" not in process.log
