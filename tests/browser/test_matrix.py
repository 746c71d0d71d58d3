"""The HTML page of a matrix in Chromium: filters, the reasons of a pair, all can read it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from selenium.webdriver.chrome.webdriver import WebDriver
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.select import Select

from harness.application import Note
from harness.matrix import Cell, Matrix, Packets, Seen, Word
from harness.matrix.page import page
from tests.browser.conftest import console, findings, open_page, set_scheme, set_width

SOURCES = ("shop/web", "shop/db", "ops/agent", "outside")
DESTINATIONS = tuple(f"shop/{name}:{port}" for name in ("web", "db") for port in range(80, 86))


def _matrix() -> Matrix:
    words = (Word.ALLOWED, Word.DENIED, Word.DENIED, Word.UNDEFINED)
    cells = tuple(
        Cell(source, end, word, (f"because of {word}",), packets=Packets(Seen.AGREES))
        for source, word in zip(SOURCES, words, strict=True)
        for end in DESTINATIONS
        if (source, end) != ("shop/db", "shop/db:80")
    )
    return Matrix(SOURCES, DESTINATIONS, cells, (Note("a note"),))


@pytest.fixture
def opened(browser: WebDriver, tmp_path: Path) -> Iterator[WebDriver]:
    file = tmp_path / "matrix.html"
    file.write_text(page(_matrix()), encoding="utf-8")
    open_page(browser, file)
    yield browser
    browser.execute_script("localStorage.clear()")


def _shown(browser: WebDriver) -> list[str]:
    heads = browser.find_elements(By.CSS_SELECTOR, "#grid tbody th, #grid thead th")
    return [head.get_attribute("textContent") or "" for head in heads if head.is_displayed()]


def _pair(browser: WebDriver) -> str:
    return browser.find_element(By.ID, "pair").text


def test_filters(opened: WebDriver) -> None:
    count = opened.find_element(By.ID, "f-count")
    assert count.text == "47 of 47 pairs"
    opened.find_element(By.ID, "f-from").send_keys("SHOP")
    opened.find_element(By.ID, "f-to").send_keys("db :80")
    assert _shown(opened) == ["shop/web", "shop/db:80"]
    assert count.text == "1 of 47 pairs"
    opened.find_element(By.ID, "f-to").send_keys(Keys.BACKSPACE * 10)
    Select(opened.find_element(By.ID, "f-word")).select_by_visible_text("denied")
    assert "shop/web" not in _shown(opened)
    assert count.text == "11 of 47 pairs"
    assert console(opened) == []


def test_the_reasons_of_a_pair_with_the_keyboard(opened: WebDriver) -> None:
    first = opened.find_element(By.CSS_SELECTOR, "#grid button[tabindex='0']")
    first.send_keys(Keys.ARROW_RIGHT)
    opened.switch_to.active_element.send_keys(Keys.ENTER)
    assert _pair(opened).splitlines() == [
        "shop/db -> shop/web:80",
        "denied",
        "Close",
        "because of denied",
        "packets: agrees",
    ]
    address = opened.current_url
    opened.switch_to.active_element.send_keys(Keys.ESCAPE)
    assert _pair(opened) == ""
    opened.get("about:blank")
    opened.get(address)
    assert _pair(opened).startswith("shop/db -> shop/web:80\n")
    assert (
        opened.switch_to.active_element.get_attribute("title") == "shop/db -> shop/web:80: denied"
    )
    assert console(opened) == []


def test_all_can_read_it(opened: WebDriver) -> None:
    opened.find_element(By.CSS_SELECTOR, "#grid button").click()
    for scheme, width in (("light", 1280), ("dark", 1280), ("light", 390)):
        set_scheme(opened, scheme)
        set_width(opened, width)
        assert findings(opened) == []
        assert opened.execute_script("return document.documentElement.scrollWidth") == width
    assert console(opened) == []
