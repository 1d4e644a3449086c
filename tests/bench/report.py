"""Figures as a table for people, and as JSON lines for programs."""

from __future__ import annotations

import os
import platform
import sqlite3
import sys
from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import orjson

from tests.bench.figures import Figure
from tests.bench.process import Cores
from tests.bench.sizes import Sizes

PACKAGES = ("websockets", "aiosqlite", "orjson", "msgspec", "bcrypt", "uvloop", "picows")


def machine(cores: Cores, sizes: Sizes, folder: Path) -> dict[str, Any]:
    """Where and with what this was measured."""
    load = os.getloadavg()[0]
    return {
        "processor": _processor(),
        "cores": len(cores.all),
        "pinned": "server and load generator to a core each" if cores.apart else "no: there is one core",
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9, 1),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
        "packages": {name: metadata.version(name) for name in PACKAGES},
        "data": str(folder),
        "load_before": round(load, 2),
        "sizes": sizes.name,
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def told(about: Mapping[str, Any]) -> str:
    """The same, for people."""
    packages = ", ".join(f"{name} {version}" for name, version in about["packages"].items())
    return (
        f"{about['processor']}, {about['cores']} cores (pinned: {about['pinned']}), {about['memory_gb']} GB, "
        f"{about['system']}\nPython {about['python']}, SQLite {about['sqlite']}, {packages}\n"
        f"load average before: {about['load_before']}; data in {about['data']}; sizes: {about['sizes']}"
    )


def number(value: float) -> str:
    """A value with about three digits."""
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 100 else f"{value:.3g}" if abs(value) >= 10 else f"{value:.2f}"


def target_of(figure: Figure) -> str:
    """What a figure must reach, and whether it does."""
    if figure.target is None:
        return ""
    limit = f"{figure.target.limit:.3g}" if figure.target.limit < 1000 else f"{figure.target.limit:,.0f}"
    return f"{'✓' if figure.met else '✗'} {figure.target.sense} {limit}"


def table(figures: Sequence[Figure]) -> str:
    """A row for each figure: median, least and greatest, target."""
    heads = ("scenario", "figure", "median", "min", "max", "unit", "target")
    rows = [
        (
            figure.scenario,
            figure.name,
            *(number(value) for value in (figure.median, min(figure.values), max(figure.values))),
            figure.unit,
            target_of(figure),
        )
        for figure in figures
    ]
    widths = [max(len(row[column]) for row in (heads, *rows)) for column in range(len(heads))]
    lines = [_line(heads, widths), _line(tuple("-" * width for width in widths), widths)]
    before = ""
    for row in rows:
        if before and row[0] != before:
            lines.append("")
        lines.append(_line(("" if row[0] == before else row[0], *row[1:]), widths))
        before = row[0]
    return "\n".join(lines)


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    numbers = range(2, 5)
    return "  ".join(
        cell.rjust(width) if column in numbers else cell.ljust(width)
        for column, (cell, width) in enumerate(zip(cells, widths, strict=True))
    ).rstrip()


def summary(figures: Sequence[Figure], failures: Mapping[str, str]) -> str:
    """How many targets are met, and which are not."""
    aimed = [figure for figure in figures if figure.met is not None]
    missed = [figure for figure in aimed if not figure.met]
    lines = [f"{len(aimed) - len(missed)} of {len(aimed)} targets met"]
    lines += [f"  ✗ {one.scenario}: {one.name}: {number(one.median)} {one.unit}" for one in missed]
    lines += [f"  FAILED: {scenario}: {why}" for scenario, why in failures.items()]
    return "\n".join(lines)


def json_lines(about: Mapping[str, Any], figures: Sequence[Figure], failures: Mapping[str, str]) -> bytes:
    """The machine, then each figure, then each failure: one JSON object a line."""
    objects: list[dict[str, Any]] = [{"machine": about, "argv": sys.argv[1:]}]
    objects += [
        {
            "scenario": figure.scenario,
            "figure": figure.name,
            "unit": figure.unit,
            "median": figure.median,
            "min": min(figure.values),
            "max": max(figure.values),
            "runs": figure.values,
            "target": None if figure.target is None else f"{figure.target.sense} {figure.target.limit:g}",
            "met": figure.met,
        }
        for figure in figures
    ]
    objects += [{"scenario": scenario, "failed": why} for scenario, why in failures.items()]
    return b"".join(orjson.dumps(one, option=orjson.OPT_APPEND_NEWLINE) for one in objects)
