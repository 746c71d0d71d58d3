"""How fast the HTML report opens in Chromium: ``python -m benchmarks.report_page [CELLS]``.

Writes the report of a synthetic run (40,000 cells by default), opens it some times, and prints the
medians: until the page reacts to input, and until a table is shown after its link was clicked.
"""

from __future__ import annotations

import os
import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path

from selenium import webdriver
from selenium.webdriver.chrome.service import Service

from harness.report.html import page
from tests.samples import large

ROUNDS = 5
INTERACTIVE = "return performance.getEntriesByType('navigation')[0].domInteractive"
OPEN_TABLE = """
const began = performance.now();
document.querySelector(".failed .pair").click();
const done = arguments[0];
const wait = () => document.querySelector(".cell.bad")
  ? requestAnimationFrame(() => done(performance.now() - began)) : setTimeout(wait);
wait();
"""


def main() -> None:
    cells = int(sys.argv[1]) if len(sys.argv) > 1 else 40_000
    results = large(cells)
    began = time.perf_counter()
    text = page(results)
    took_s = time.perf_counter() - began
    print(f"{cells} cells: {len(text.encode()) / 1e6:.2f} MB, written in {took_s:.2f} s")
    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium") or shutil.which("google-chrome") or ""
    options.add_argument("--headless=new")
    if os.geteuid() == 0:
        options.add_argument("--no-sandbox")
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "report.html"
        file.write_text(text, encoding="utf-8")
        driver = webdriver.Chrome(options=options, service=Service(shutil.which("chromedriver")))
        try:
            interactive, table = [], []
            for _ in range(ROUNDS):
                driver.get(file.as_uri())
                interactive.append(driver.execute_script(INTERACTIVE))
                table.append(driver.execute_async_script(OPEN_TABLE))
                driver.get("about:blank")
        finally:
            driver.quit()
    print(f"interactive after {statistics.median(interactive):.0f} ms (median of {ROUNDS})")
    print(f"a table is open {statistics.median(table):.0f} ms after the click")


if __name__ == "__main__":
    main()
