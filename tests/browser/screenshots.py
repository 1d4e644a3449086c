"""Pictures of the page's views, as a village of people sees them: `bin/screenshots`."""

from __future__ import annotations

import argparse
import asyncio
import itertools
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tests.browser.chromium import chromium
from tests.browser.tab import DESKTOP, PHONE, Tab, Tabs
from tests.browser.village import BOOKS, CLIMBERS, ME, Village
from tests.support import SETTINGS, Process


@dataclass(frozen=True, slots=True)
class View:
    """Where it is: `route`, with names of talks in braces for their conversations' ids. `sought` is typed there."""

    route: str
    who: str | None = ME
    sought: str | None = None


VIEWS = {
    "signin": View("", who=None),
    "conversations": View("#/"),
    "conversation": View("#/c/{mei}"),
    "group-conversation": View("#/c/{climbers}"),
    "chinese": View("#/c/{books}"),
    "friends": View("#/friends"),
    "moments": View("#/moments"),
    "search": View("#/search", sought="lake"),
    "settings": View("#/settings"),
    "group": View("#/g/{climbers}"),
}
DRAWN = """Promise.all([...document.images].filter(({loading}) => loading !== "lazy")
    .map((one) => one.decode().catch(() => null))).then(() => null)"""
"""Waits for the pictures that are wanted at once."""

SIZES = {"desktop": DESKTOP, "phone": PHONE}
SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")


async def take(out: Path, names: list[str]) -> list[str]:
    """Take the pictures. Returns what the browser had to complain about."""
    with tempfile.TemporaryDirectory() as folder:
        daemon = Process(Path(folder), SETTINGS.replace("enabled = false", "enabled = true"))
        await daemon.start()
        try:
            village = Village(daemon)
            await village.settle()
            async with chromium() as browser:
                tabs = Tabs(browser, daemon)
                for size, scheme, who in itertools.product(SIZES, SCHEMES, {VIEWS[name].who for name in names}):
                    tab = await tabs.blank(who, viewport=SIZES[size], scheme=scheme, device_scale_factor=2)
                    for name in (one for one in names if VIEWS[one].who == who):
                        await show(tab, VIEWS[name], village)
                        await tab.screenshot(out / f"{name}-{size}-{scheme}.png")
                    await tab.context.close()
            return tabs.wrongs()
        finally:
            await daemon.end()


async def show(tab: Tab, view: View, village: Village) -> None:
    """Bring a tab to a view, and wait until it is drawn with its pictures."""
    ids = {"climbers": village.ids[CLIMBERS], "books": village.ids[BOOKS], **village.ids}
    await tab.page.goto("about:blank")  # else another route would not load the page anew
    await tab.go(view.route.format_map(ids))
    box = tab.page.locator("input[type=search]:visible")
    if view.sought is not None and await box.count():
        await box.first.fill(view.sought)
        await box.first.press("Enter")
    await tab.page.wait_for_load_state("networkidle")
    await tab.page.evaluate(DRAWN)


def main() -> int:
    parser = argparse.ArgumentParser(prog="bin/screenshots", description=__doc__)
    parser.add_argument("--out", metavar="DIR", type=Path, default=Path("screenshots"), help="where to (./screenshots)")
    parser.add_argument("--only", metavar="NAME", action="append", choices=[*VIEWS], help=f"one of {', '.join(VIEWS)}")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    wrongs = asyncio.run(take(arguments.out, arguments.only or [*VIEWS]))
    print(*wrongs, sep="\n", file=sys.stderr)
    print(f"{len(list(arguments.out.glob('*.png')))} pictures are in {arguments.out}")
    return 1 if wrongs else 0


if __name__ == "__main__":
    sys.exit(main())
