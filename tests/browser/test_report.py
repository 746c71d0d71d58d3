"""The HTML report in Chromium: it opens, filters work, and a wrong cell leads to its page."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest
from selenium.webdriver import ActionChains
from selenium.webdriver.chrome.webdriver import WebDriver
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.ui import Select, WebDriverWait

from harness.report import Results
from harness.report.html import page
from tests.browser.conftest import console, findings, set_scheme, set_width
from tests.samples import FAILED, HOSTILE, cell


def _all(report: WebDriver, selector: str) -> list[WebElement]:
    return report.find_elements(By.CSS_SELECTOR, selector)


def _one(report: WebDriver, selector: str) -> WebElement:
    return report.find_element(By.CSS_SELECTOR, selector)


def _shown(report: WebDriver, selector: str) -> list[str]:
    return [found.text for found in _all(report, selector) if found.is_displayed()]


def _wait(report: WebDriver, selector: str) -> WebElement:
    return WebDriverWait(report, 10).until(lambda _: _one(report, selector))


def _open_all(report: WebDriver) -> None:
    report.execute_script(
        "for (const each of document.querySelectorAll('details')) each.open = true"
    )
    steps = "return document.querySelectorAll('details.scenario:not(:has(.step))').length === 0"
    WebDriverWait(report, 10).until(lambda _: report.execute_script(steps))


def _close_all(report: WebDriver) -> None:
    report.execute_script(
        "for (const each of document.querySelectorAll('details')) each.open = false"
    )


def _focused(report: WebDriver) -> str:
    return report.switch_to.active_element.text


def _press(report: WebDriver, *keys: str) -> None:
    ActionChains(report).send_keys(*keys).perform()


def test_it_opens_without_an_error(report: WebDriver) -> None:
    assert report.execute_script("return document.documentElement.dataset.ready") == "yes"
    _open_all(report)
    assert console(report) == []


def test_a_scenario_says_that_its_tables_are_a_snapshot(report: WebDriver) -> None:
    _open_all(report)
    terms = [_shown(report, f"details[data-number='{at}'] dl.measures") for at in (0, 1)]
    said = "a snapshot: what the policies gave on 2026-01-31"
    assert [said in " ".join(found) for found in terms] == [True, False]


def test_a_wrong_cell_leads_to_its_page_and_has_an_address(report: WebDriver) -> None:
    _one(report, ".failed .pair").click()
    panel = _wait(report, ".cell.bad")
    assert _focused(report) == "✗ shop/web -> shop/db:5432: observed allowed, expected TIMEOUT"
    for fact in (
        "scenarios/shop.yaml:15:19",
        "connected to <10.0.0.2>",
        "first after 0.25 s, last after 5.25 s",
        "the same pair without policies: allowed",
        "ingress of shop/db: isolated by shop/db",
        "no rule of the chain dropped it",
        "worker-1",
        "10.0.0.2, fd00::2",
        "kind: NetworkPolicy",
        "kubectl -n shop exec web -- /agnhost connect 10.0.0.2:5432",
    ):
        assert fact in panel.text
    address = report.current_url
    report.get("about:blank")
    report.get(address)
    assert _focused(report) == "✗ shop/web -> shop/db:5432: observed allowed, expected TIMEOUT"


def test_the_keyboard_alone_leads_to_any_cell(report: WebDriver) -> None:
    summary = _one(report, "details.scenario summary")
    report.execute_script("arguments[0].focus()", summary)
    _press(report, Keys.ENTER)
    _wait(report, "table.grid")
    while report.switch_to.active_element.tag_name != "button":
        _press(report, Keys.TAB)
    assert _focused(report) == "allowed"
    _press(report, Keys.ARROW_DOWN, Keys.ENTER)
    assert _focused(report) == "shop/web -> shop/db:5432: allowed (proven)"
    while _focused(report) != "back to the table":
        _press(report, Keys.TAB)
    _press(report, Keys.ENTER)
    assert report.switch_to.active_element.get_attribute("data-place") == "2"


def test_filters(report: WebDriver) -> None:
    for name, value, names in (
        ("status", "cell:wrong", ["The database of the shop", HOSTILE]),
        ("status", "cell:undefined", ["Cells that prove nothing"]),
        ("status", "step:skipped", ["A scenario that is skipped"]),
        ("requirement", "R07", ["The database of the shop", "Cells that prove nothing"]),
        ("scenario", "2", ["A scenario that is skipped"]),
    ):
        choice = Select(_one(report, f"#f-{name}"))
        choice.select_by_value(value)
        shown = [" ".join(each.split()) for each in names]
        assert _shown(report, "details.scenario .name") == shown, value
        choice.select_by_value("")


def test_the_search_finds_pods_and_clears(report: WebDriver) -> None:
    _one(report, "#f-text").send_keys("SHOP/job")
    assert _shown(report, "details.scenario .name") == ["The database of the shop"]
    _one(report, "#f-text").send_keys(" and nothing")
    assert _shown(report, "#none") == ["No scenario matches these filters."]
    _one(report, "#filters button[type=reset]").click()
    WebDriverWait(report, 10).until(lambda _: len(_shown(report, "details.scenario .name")) == 4)


def test_an_open_scenario_hides_the_steps_of_another_status(report: WebDriver) -> None:
    silent = _one(report, ".totals button[data-status='no verdict']")
    _open_all(report)
    silent.click()
    assert _shown(report, ".step h3") == ["2. the database admits only the API"]
    assert _shown(report, "table.grid button:not(.faded)") == ["? no verdict ≠ TIMEOUT"]
    silent.click()
    _close_all(report)
    silent.click()
    _open_all(report)
    assert _shown(report, ".step h3") == ["2. the database admits only the API"]


def test_tables_show_three_views(report: WebDriver) -> None:
    _one(report, ".failed .pair").click()
    wrong = _wait(report, "table.grid button.picked")
    assert wrong.text == "✗ allowed ≠ TIMEOUT"
    for view, word in (("observed", "allowed"), ("expected", "TIMEOUT")):
        Select(_one(report, "#f-view")).select_by_value(view)
        assert wrong.text == word


def test_the_topology_is_drawn_with_an_arrow_for_each_pair_that_connected(
    report: WebDriver,
) -> None:
    _one(report, ".failed .pair").click()
    drawing = f"{_STEP} .scroll > svg"
    _wait(report, drawing)
    assert _one(report, drawing).get_attribute("aria-label") == (
        "3 arrows: shop/api to shop/db:5432 allowed; shop/api to shop/web:80 allowed; "
        "shop/web to shop/db:5432 allowed, expected TIMEOUT"
    )
    assert len(_all(report, f"{drawing} .pod")) == 4
    assert [found.text for found in _all(report, f"{drawing} .arrow.wrong text")] == ["✗"]
    Select(_one(report, f"{_STEP} .arrows select")).select_by_value("wrong")
    assert len(_all(report, f"{drawing} .arrow path")) == 1


_STEP = "details[data-number='0'] .step[data-step='1']"


def test_hostile_names_are_shown_and_not_run(report: WebDriver) -> None:
    _open_all(report)
    assert [each.get_attribute("id") for each in _all(report, "script")] == ["data", ""]
    assert _all(report, "body b b") == []
    titles = report.execute_script(
        "return [...document.querySelectorAll('.step h3')].map((each) => each.textContent)"
    )
    assert f"2. another step of {HOSTILE}" in titles


def _contrast(report: WebDriver, selector: str) -> float:
    """The contrast of the text of an element with the page, as WCAG defines it."""
    colours = report.execute_script(
        "return [getComputedStyle(document.querySelector(arguments[0])).color,"
        " getComputedStyle(document.body).backgroundColor]",
        selector,
    )
    lights = sorted(map(_luminance, colours))
    return (lights[1] + 0.05) / (lights[0] + 0.05)


def _luminance(colour: str) -> float:
    parts = [int(part) / 255 for part in re.findall(r"\d+", colour)[:3]]
    red, green, blue = (p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def test_dark_mode_follows_the_system_and_the_switch(report: WebDriver) -> None:
    background = "return getComputedStyle(document.body).backgroundColor"
    light = report.execute_script(background)
    set_scheme(report, "dark")
    dark = report.execute_script(background)
    assert _luminance(light) > 0.9 > 0.05 > _luminance(dark)
    assert _contrast(report, ".verdict") > 4.5
    WebDriverWait(report, 10).until(lambda _: _one(report, "#theme").text == "Light")
    _one(report, "#theme").click()
    assert report.execute_script(background) == light


@pytest.mark.parametrize(("scheme", "width"), [("light", 390), ("dark", 1280)])
def test_no_accessibility_finding_and_nothing_wider_than_the_window(
    report: WebDriver, scheme: str, width: int
) -> None:
    set_scheme(report, scheme)
    set_width(report, width)
    _open_all(report)
    assert findings(report) == []
    assert report.execute_script("return document.documentElement.scrollWidth") == width
    squeezed = """
        return [...document.querySelectorAll(".cell h4")]
          .filter((title) => title.offsetWidth < title.closest(".cell").offsetWidth / 2)
          .map((title) => title.textContent);
    """
    assert report.execute_script(squeezed) == []


def test_a_printed_page_has_the_cells_that_failed(browser: WebDriver, tmp_path: Path) -> None:
    many = replace(
        FAILED.steps[1],
        cells=tuple(cell(f"x/{n}", "y/a:1", "TIMEOUT", "allowed") for n in range(12)),
    )
    file = tmp_path / "report.html"
    file.write_text(page(Results(FAILED.run, (many, *FAILED.steps[2:]))), encoding="utf-8")
    browser.get(file.as_uri())
    printed = """
        dispatchEvent(new Event("beforeprint"));
        return document.querySelectorAll(".cell.bad").length;
    """
    assert browser.execute_script(printed) == 12 + 1
