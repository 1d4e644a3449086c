"""Who imports whom: the layers of the design, held by walking the imports."""

from __future__ import annotations

import ast
import itertools
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

PURE = {
    "chatd.frames",
    "chatd.errors",
    "chatd.wire",
    "chatd.names",
    "chatd.events",
    "chatd.media.kinds",
    "chatd.op",
    "chatd.openapi",
    "chatd.phase",
    "chatd.presence",
    "chatd.protocol",
    "chatd.record",
    "chatd.reference",
    "chatd.session",
    "chatd.tally",
    "chatd.limits",
    "chatd.hub",
    "chatd.follower",
    "chatd.links",
    "chatd.ranges",
    "chatd.db.query",
    "chatd.words",
}

OUTSIDE_WORLD = {"asyncio", "time", "random", "secrets", "socket", "threading", "logging", "os"}

ONLY_BY = {
    "aiosqlite": {"chatd.db.sqlite"},
    "sqlite3": {"chatd.db.sqlite", "chatd.db.migrations", "chatd.cli"},
    "websockets": {"chatd.frames", "chatd.handshake", "chatd.connection", "chatd.server", "chatd.client"},
    "bcrypt": {"chatd.passwords"},
    "asyncpg": {"chatd.db.postgres"},
    "nats": {"chatd.bus.nats"},
    "h11": {"chatd.http"},
    "jwt": {"chatd.issuer"},
    "PIL": {"chatd.media.thumbnails"},
    "smtplib": {"chatd.smtp"},
    "prometheus_client": {"chatd.exposition"},
}

PORT = {"chatd.connection", "chatd.server"}
NOT_FOR_OPS = {"aiosqlite", "websockets", "chatd.hub", "chatd.dispatch", "chatd.db.sqlite"} | PORT


def _dotted(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


SOURCES = {_dotted(path): path.read_text(encoding="utf-8") for path in sorted((ROOT / "chatd").rglob("*.py"))}


def _within(name: str) -> set[str]:
    """The name itself and every package it is in."""
    return set(itertools.accumulate(name.split("."), "{}.{}".format))


def imports_of(source: str) -> set[str]:
    """The modules a source imports, anywhere in it; `from a import b` is `a.b` where that is a module of chatd."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            names = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= {name if name in SOURCES else str(node.module) for name in names}
    return found


IMPORTS = {module: imports_of(source) for module, source in SOURCES.items()}
OPS = [module for module in SOURCES if module.startswith("chatd.ops.")]


def imported(module: str, names: set[str]) -> set[str]:
    """Which of these modules, or of what is in them, a module imports."""
    return {name for name in IMPORTS[module] if _within(name) & names}


def test_imports_are_found_wherever_they_stand() -> None:
    source = """
import os.path
from chatd import hub, config as settings
from chatd.wire import Id
if TYPE_CHECKING:
    from chatd.dispatch import Dispatcher
def late():
    from websockets.frames import Frame
"""
    assert imports_of(source) == {
        "os.path",
        "chatd.hub",
        "chatd.config",
        "chatd.wire",
        "chatd.dispatch",
        "websockets.frames",
    }


@pytest.mark.parametrize("library", ONLY_BY)
def test_a_library_has_its_place(library: str) -> None:
    assert {module for module in SOURCES if imported(module, {library})} <= ONLY_BY[library]


@pytest.mark.parametrize("module", sorted(PURE))
def test_a_pure_module_imports_only_pure_ones(module: str) -> None:
    assert imported(module, {"chatd"}) <= PURE


@pytest.mark.parametrize("module", sorted(PURE))
def test_a_pure_module_does_not_know_the_outside_world(module: str) -> None:
    assert imported(module, OUTSIDE_WORLD) == set()


@pytest.mark.parametrize("module", OPS)
def test_a_feature_does_not_know_the_others(module: str) -> None:
    assert imported(module, {"chatd.ops"}) == set()


@pytest.mark.parametrize("module", OPS)
def test_a_feature_does_not_know_what_carries_it(module: str) -> None:
    assert imported(module, NOT_FOR_OPS) == set()


LISTS = {"chatd.errors"}
"""One class for each thing of a kind, however many there are: no second subject."""


@pytest.mark.parametrize("module", sorted(SOURCES.keys() - LISTS))
def test_a_module_has_one_subject(module: str) -> None:
    assert len(SOURCES[module].splitlines()) <= 400


@pytest.mark.parametrize("module", sorted(set(SOURCES) - {"chatd.db.query"}))
def test_a_query_is_named_after_its_module(module: str) -> None:
    named = set(re.findall(r"/\* ([a-z_]+)\.[a-z_]+ \*/", SOURCES[module]))
    assert named <= {module.rpartition(".")[2]}
