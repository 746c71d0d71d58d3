"""The HTML page of a comparison in Chromium: it opens, the search works, all can read it."""

from __future__ import annotations

from pathlib import Path

from selenium.webdriver.chrome.webdriver import WebDriver
from selenium.webdriver.common.by import By

from harness.report.html import comparison_page
from tests.browser.conftest import console, findings, open_page, set_scheme, set_width
from tests.samples import COMPARED


def _rows(browser: WebDriver) -> list[str]:
    rows = browser.find_elements(By.CSS_SELECTOR, "tbody tr")
    return [row.find_element(By.CSS_SELECTOR, "th").text for row in rows if row.is_displayed()]


def test_a_comparison(browser: WebDriver, tmp_path: Path) -> None:
    file = tmp_path / "comparison.html"
    file.write_text(comparison_page(COMPARED), encoding="utf-8")
    open_page(browser, file)
    count = browser.find_element(By.ID, "f-count")
    assert count.text == "10 of 10 lines"
    text = browser.find_element(By.ID, "f-text")
    text.send_keys("SHOP/db wrong  admits")
    assert _rows(browser) == [
        "the database admits only the API scenarios/shop.yaml",
        "shop/web -> shop/db:5432 line 15",
    ]
    assert count.text == "1 of 10 lines"
    text.clear()
    text.send_keys("R12")
    assert _rows(browser) == ["R12"]
    text.clear()
    browser.execute_script("arguments[0].dispatchEvent(new Event('input'))", text)
    for scheme, width in (("dark", 1280), ("light", 390)):
        set_scheme(browser, scheme)
        set_width(browser, width)
        assert findings(browser) == []
        assert browser.execute_script("return document.documentElement.scrollWidth") == width
    assert console(browser) == []
