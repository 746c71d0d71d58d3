"""Everything here needs Chromium and its driver: without them it skips, or fails if CI=true."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from axe_core_python.selenium import Axe
from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.chrome.webdriver import WebDriver

from harness.report.html import page
from tests.prerequisites import missing
from tests.samples import FAILED

_BROWSERS = (
    os.environ.get("CHROME_BIN", ""),
    "chromium",
    "chromium-browser",
    "google-chrome",
    "google-chrome-stable",
)


@pytest.fixture(scope="session")
def browser() -> Iterator[WebDriver]:
    """One browser for all tests."""
    found = next((path for name in _BROWSERS if name and (path := shutil.which(name))), None)
    driver = shutil.which("chromedriver")
    if not found or not driver:
        reason = "the HTML report is tested in Chromium: install chromium and chromium-driver"
        missing(reason)
    options = webdriver.ChromeOptions()
    options.binary_location = found
    for argument in (
        "--headless=new",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--hide-scrollbars",
    ):
        options.add_argument(argument)
    if os.geteuid() == 0:
        options.add_argument("--no-sandbox")  # Chromium refuses to run as root with one.
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    made = webdriver.Chrome(options=options, service=Service(driver))
    try:
        yield made
    finally:
        made.quit()


@pytest.fixture(scope="session")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of a run with failures."""
    made = tmp_path_factory.mktemp("report") / "report.html"
    made.write_text(page(FAILED), encoding="utf-8")
    return made


@pytest.fixture
def report(browser: WebDriver, file: Path) -> Iterator[WebDriver]:
    """The report, just opened; nothing is kept from the test before."""
    open_page(browser, file)
    yield browser
    browser.execute_script("localStorage.clear()")


def open_page(browser: WebDriver, file: Path) -> None:
    """Open a page in a wide and light window."""
    set_width(browser, 1280)
    set_scheme(browser, "light")
    browser.get("about:blank")  # Another part of the same page would not be loaded anew.
    console(browser)
    browser.get(file.as_uri())


def console(browser: WebDriver) -> list[dict[str, object]]:
    """Return what the page wrote on the console since the last call: errors, of this page."""
    found: list[dict[str, object]] = browser.get_log("browser")  # type: ignore[no-untyped-call] # it has no types
    return found


def set_width(browser: WebDriver, width: int) -> None:
    """Make the window so many pixels wide."""
    browser.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride",
        {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500},
    )


def set_scheme(browser: WebDriver, scheme: str) -> None:
    """Make ``light`` or ``dark`` what the user prefers."""
    browser.execute_cdp_cmd(
        "Emulation.setEmulatedMedia",
        {"features": [{"name": "prefers-color-scheme", "value": scheme}]},
    )


def findings(browser: WebDriver) -> list[tuple[str, list[str]]]:
    """Return what an accessibility checker finds, with the first elements of each finding."""
    found = Axe().run(browser)["violations"]
    return [(each["id"], [node["html"] for node in each["nodes"]][:3]) for each in found]
