"""The browser: Debian's Chromium, moved by Playwright. Nothing is downloaded, and nothing asks anybody else."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import AsyncIterator

from playwright.async_api import Browser, async_playwright

PATH = os.environ.get("CHATD_CHROMIUM") or shutil.which("chromium")
"""Where it is; None where there is none."""

ARGUMENTS = (
    "--no-sandbox",  # it may be root who tests, and only pages of ours are opened
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--use-fake-device-for-media-stream",
    "--use-fake-ui-for-media-stream",
    "--host-resolver-rules=MAP chat.test 127.0.0.1",  # a host for which plain HTTP is not a secure context
)


@contextlib.asynccontextmanager
async def chromium() -> AsyncIterator[Browser]:
    """A browser without a window."""
    assert PATH is not None, "there is no Chromium: apt-get install chromium, or say in CHATD_CHROMIUM where it is"
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=PATH, args=ARGUMENTS, headless=True)
        try:
            yield browser
        finally:
            await browser.close()
