"""The page's files agree with each other: what is loaded early, what is said in which language, what is never done."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

WEB = Path(__file__).parent.parent / "chatd" / "web"
APP = WEB / "app"
MODULES = sorted(APP.rglob("*.js"))
KEY = re.compile(r"^\s*(?:'([^']+)'|(\w+)):|, (?:'([^']+)'|(\w+)): (?=['{])", re.MULTILINE)


def imported(module: Path) -> set[Path]:
    """What a module needs before it runs, and they, and itself."""
    found: set[Path] = set()
    waiting = [module]
    while waiting:
        one = waiting.pop()
        if one in found:
            continue
        found.add(one)
        text = one.read_text(encoding="utf-8")
        waiting += [
            (one.parent / path).resolve() for path in re.findall(r"^import [^()]*?'(\.[^']+)'", text, re.MULTILINE)
        ]
    return found


def test_what_the_first_view_needs_is_asked_for_at_once() -> None:
    """Else the browser learns of it module by module, one round trip after the other."""
    page = (WEB / "index.html").read_text(encoding="utf-8")
    early = re.findall(r'rel="modulepreload" href="/web/(.*?)"', page)
    needed = imported(APP / "main.js") - {APP / "main.js"}
    assert sorted(early) == sorted(str(module.relative_to(WEB)) for module in needed)


def test_every_style_is_part_of_the_page() -> None:
    page = (WEB / "index.html").read_text(encoding="utf-8")
    assert sorted(re.findall(r"/web/(styles/.*?)\"", page)) == sorted(
        f"styles/{one.name}" for one in WEB.glob("styles/*")
    )


def words(language: str) -> set[str]:
    text = (APP / "words" / f"{language}.js").read_text(encoding="utf-8")
    text = re.sub(r"\{ (?:one|other): .*? \}", "''", text)
    return {next(filter(None, found)) for found in KEY.findall(text)}


def test_the_languages_say_the_same_things() -> None:
    english, chinese = words("en"), words("zh")
    assert len(english) > 300
    assert english == chinese


def test_everything_that_is_said_has_words() -> None:
    known = words("en")
    for module in MODULES:
        text = module.read_text(encoding="utf-8")
        said = set(re.findall(r"\bt\('([^']+)'", text))
        assert said <= known, module
        begun = re.findall(r"\bt\(`([\w.]+)\$\{", text)
        assert all(any(key.startswith(start) for key in known) for start in begun), module


@pytest.mark.parametrize("module", MODULES, ids=lambda path: path.name)
def test_text_never_becomes_markup(module: Path) -> None:
    """The page's policy would stop it, too (trusted types)."""
    text = module.read_text(encoding="utf-8")
    assert not re.search(
        r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function|DOMParser", text
    )
    assert not re.search(r"https?://(?!www\.openstreetmap\.org|www\.w3\.org/2000/svg)[\w.]+\.\w", text)


@pytest.mark.parametrize("module", MODULES, ids=lambda path: path.name)
def test_modules_are_small(module: Path) -> None:
    lines = module.read_text(encoding="utf-8").count("\n")
    assert lines <= 400, "one subject each"
