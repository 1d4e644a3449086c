"""Every scene beside this file, on a daemon of its own."""

from __future__ import annotations

from pathlib import Path

import pytest

from chatd.events import EVENTS
from chatd.op import REGISTRY
from tests.scenes.play import Play
from tests.support import Process
from tests.witness import ATTESTED

SCENES = {file.stem: file.read_text(encoding="utf-8") for file in sorted(Path(__file__).parent.glob("*.scene"))}


PLAYED: set[str] = set()
ELSEWHERE: set[str] = set()
"""Replies and events that no scene can bring about: other tests hold them."""


@pytest.mark.parametrize("name", SCENES)
async def test_scene(name: str, process: Process) -> None:
    PLAYED.add(name)
    await Play(process).perform(SCENES[name])
    assert await process.kill(15) == 0
    status, output = await process.command("check")
    assert status == 0, output
    assert "Traceback" not in process.log


def test_every_reply_and_every_event_is_in_a_scene() -> None:
    if set(SCENES) != PLAYED:
        pytest.skip("not every scene was played")
    every = {*(f"{name}.reply" for name in REGISTRY), *(f"{name}.event" for name in EVENTS)}
    assert every - ATTESTED == ELSEWHERE
