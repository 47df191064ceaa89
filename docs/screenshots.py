"""The pictures of the README: the report of a race on the sample corpora, in light and dark, by headless Chromium.

    python docs/screenshots.py [--work DIR]

Needs the dev extra, chromium and chromedriver (Debian: ``apt-get install chromium chromium-driver``). The race is that
of the demo by probe, with a stage whose threshold can be moved. A folder whose race is there already is used again.
"""

import argparse
import base64
import shutil
import tempfile
from pathlib import Path

from selenium import webdriver
from selenium.webdriver.common.by import By

from curator import Recipe, Workspace, demo
from curator.recipe import StageUse

HERE = Path(__file__).parent
WIDTH, HEIGHT = 1280, 900
# The top of the page, and its sections that can be pointed at: file, section, height in pixels.
PICTURES = (("report", None, HEIGHT), ("report-map", "map", 940))
SCHEMES = ("light", "dark")


def main() -> None:
    """Make the report, open it once for each scheme, and write docs/<picture>-<scheme>.png."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, help="a workspace; else one that is removed afterwards")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as passing:
        page = _report(asked.work or Path(passing) / "work")
        browser = _browser()
        try:
            for scheme in SCHEMES:
                _picture(browser, page, scheme)
        finally:
            browser.quit()


def _report(work: Path) -> Path:
    recipe = Recipe.load(demo.recipe())
    place = [use.use for use in recipe.stage].index("pairing")
    near = StageUse.model_validate({"use": "relevance_label", "min_score": 0.2})
    stages = [*recipe.stage[:place], near, *recipe.stage[place:]]
    ws = Workspace(work)
    ws.add("docstrings", demo.docstrings(limit=1500))
    race = ws.race(recipe.model_copy(update={"stage": stages}), probe=True, command="curator race demo.toml --probe")
    return race.report().resolve()


def _browser() -> webdriver.Chrome:
    options = webdriver.ChromeOptions()
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"):
        options.add_argument(argument)
    return webdriver.Chrome(options=options, service=webdriver.ChromeService(shutil.which("chromedriver")))


def _picture(browser: webdriver.Chrome, page: Path, scheme: str) -> None:
    feature = {"name": "prefers-color-scheme", "value": scheme}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [feature]})
    for name, section, height in PICTURES:
        size = {"width": WIDTH, "height": height, "deviceScaleFactor": 1, "mobile": False}
        browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        browser.get(page.as_uri())
        if section:
            browser.execute_script(
                "document.documentElement.style.scrollBehavior = 'auto'; location.hash = arguments[0]", section
            )
            _point(browser)
        picture = browser.execute_cdp_cmd("Page.captureScreenshot", {"format": "png"})
        (HERE / f"{name}-{scheme}.png").write_bytes(base64.b64decode(picture["data"]))


def _point(browser: webdriver.Chrome) -> None:
    """Read a kept document with a partner, as somebody would who points at it."""
    plot = browser.find_element(By.ID, "map-plot")
    found = browser.execute_script(
        "const {groups, points} = JSON.parse(document.getElementById('map-points').textContent);"
        "return points.filter((point) => groups[point[2]].stage === 'pairing')[7];"
    )
    svg = plot.find_element(By.TAG_NAME, "svg")
    scale = svg.rect["width"] / float(svg.get_dom_attribute("viewBox").split()[2])
    moved = webdriver.ActionChains(browser, duration=0)
    x, y = (found[i] * scale - svg.rect[side] / 2 for i, side in enumerate(("width", "height")))
    moved.move_to_element_with_offset(svg, round(x), round(y)).perform()


if __name__ == "__main__":
    main()
