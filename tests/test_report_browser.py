"""The report in a real browser: what can be pointed at, moved and filtered, in light, dark and print, offline."""

import json
import operator
import shutil
import time
from urllib.parse import urlsplit

import pytest
from conftest import ToyEncoder
from looked import HOSTILE, raced

webdriver = pytest.importorskip("selenium.webdriver", reason="the report is looked at with selenium, of the dev extra")
from selenium.webdriver.common.action_chains import ActionChains  # noqa: E402
from selenium.webdriver.common.by import By  # noqa: E402
from selenium.webdriver.common.keys import Keys  # noqa: E402
from selenium.webdriver.support.ui import Select, WebDriverWait  # noqa: E402

BROWSER, DRIVER = shutil.which("chromium") or shutil.which("google-chrome"), shutil.which("chromedriver")
pytestmark = pytest.mark.skipif(
    not (BROWSER and DRIVER), reason="needs chromium and chromedriver (Debian: apt-get install chromium-driver)"
)
SIDES = {"at least": operator.ge, "more than": operator.gt, "less than": operator.lt, "at most": operator.le}


@pytest.fixture(scope="module")
def race(tmp_path_factory):
    return raced(tmp_path_factory.mktemp("looked"), ToyEncoder())


@pytest.fixture(scope="module")
def driver(tmp_path_factory):
    options = webdriver.ChromeOptions()
    options.binary_location = BROWSER
    profile = tmp_path_factory.mktemp("profile")
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", f"--user-data-dir={profile}"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(DRIVER))
    driver.set_window_size(1280, 900)
    yield driver
    driver.quit()


@pytest.fixture
def page(driver, race):
    """The report, newly opened; afterwards nothing was asked of any network, and nothing went wrong."""
    media(driver)
    driver.get_log("performance")
    driver.get(race[1].report().as_uri())
    yield driver
    assert driver.get_log("browser") == []
    sent = [json.loads(entry["message"])["message"] for entry in driver.get_log("performance")]
    asked = [m["params"]["request"]["url"] for m in sent if m["method"] == "Network.requestWillBeSent"]
    assert {urlsplit(url).scheme for url in asked} <= {"file"}
    assert len(asked) == 1
    assert driver.execute_script("return window.hit === undefined")


def media(driver, medium="", scheme="light"):
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": medium, "features": features})


def one(page, selector):
    return page.find_element(By.CSS_SELECTOR, selector)


def every(page, selector):
    return page.find_elements(By.CSS_SELECTOR, selector)


def shown(page):
    """What the panel of the map says."""
    return {
        name: one(page, f"#map-panel .shown {selector}").text
        for name, selector in (("kind", ".chip"), ("key", "code"), ("text", "blockquote"), ("why", ".sentence"))
    }


def points_of(page):
    return json.loads(one(page, "#map-points").get_attribute("textContent"))


# The map


def test_the_pointer_reads_the_document_under_it(page, race):
    ledger = {
        f"{row['corpus']}:{row['id']}": row
        for row in race[0].sql("SELECT * FROM ledger('looked') WHERE deciding").to_dicts()
    }
    data = points_of(page)
    groups, points = data["groups"], data["points"]
    svg = one(page, "#map-plot svg")
    page.execute_script("arguments[0].scrollIntoView({block: 'center', behavior: 'instant'})", svg)
    scale = svg.rect["width"] / float(svg.get_dom_attribute("viewBox").split()[2])
    alone = [p for p in points if all(p is o or abs(p[0] - o[0]) + abs(p[1] - o[1]) > 6 for o in points)]
    hostile = [p for p in alone if HOSTILE in p[5]]
    kinds = {groups[p[2]]["kind"]: p for p in alone}
    assert set(kinds) == {"target", "kept", "dropped", "test"}
    for point in [*kinds.values(), *hostile[:1]]:
        x, y = point[0] * scale - svg.rect["width"] / 2, point[1] * scale - svg.rect["height"] / 2
        ActionChains(page).move_to_element_with_offset(svg, round(x), round(y)).perform()
        found = shown(page)
        kind = groups[point[2]]["kind"]
        assert found["key"] == point[3]
        assert found["text"].split() == point[5].split()
        assert found["kind"].startswith(kind)
        if kind in ("kept", "dropped"):
            assert ledger[found["key"]]["keep"] is (kind == "kept")
            assert found["why"].startswith(f"{ledger[found['key']]['stage']} {kind} it")
        else:
            assert found["why"] == ""
    assert hostile


def test_the_keyboard_walks_over_the_map_and_past_kinds_that_are_hidden(page):
    data = points_of(page)
    points = {point[3]: point for point in data["points"]}
    plot = one(page, "#map-plot")
    plot.send_keys(Keys.HOME)
    assert page.switch_to.active_element == plot
    assert shown(page)["key"] == data["points"][0][3]
    for key, axis, sign in ((Keys.RIGHT, 0, 1), (Keys.DOWN, 1, 1), (Keys.LEFT, 0, -1), (Keys.UP, 1, -1)):
        before = points[shown(page)["key"]]
        plot.send_keys(key)
        after = points[shown(page)["key"]]
        assert after is before or (after[axis] - before[axis]) * sign > 0
    hidden = data["groups"].index({"kind": "target", "stage": None})
    one(page, f'.legend input[data-group="{hidden}"]').send_keys(Keys.SPACE)
    assert one(page, f'#map-plot g[data-group="{hidden}"]').value_of_css_property("visibility") == "hidden"
    plot.send_keys(Keys.HOME)
    for key in [Keys.RIGHT] * 8 + [Keys.DOWN] * 8 + [Keys.LEFT] * 8:
        plot.send_keys(key)
        assert shown(page)["kind"] != "target"
    plot.send_keys(Keys.ESCAPE)
    assert not one(page, "#map-panel .shown").is_displayed()


# Thresholds


def test_a_moved_threshold_keeps_what_a_count_over_the_ledger_gives(page, race):
    look = json.loads((race[1].directory / "look.json").read_text("utf8"))
    rows = {name: part for (name,), part in race[0].sql("SELECT * FROM ledger('looked')").group_by("stage")}
    figures = every(page, "figure.movable")
    assert len(figures) == len(look["thresholds"]) >= 1
    for figure, found in zip(figures, look["thresholds"], strict=True):
        part, holds = rows[found["stage"]], SIDES[found["relation"]]
        slider, readout = (figure.find_element(By.CSS_SELECTOR, s) for s in ("input", "output"))
        assert readout.text.startswith(f"{part['keep'].sum()} of {len(part)} kept")
        for keys in ([Keys.HOME], [Keys.RIGHT] * 3, [Keys.PAGE_UP] * 4, [Keys.LEFT], [Keys.END]):
            slider.send_keys(*keys)
            kept, at = (figure.find_element(By.CSS_SELECTOR, s).text for s in (".kept-at", ".value-at"))
            value = float(at.replace("−", "-"))
            counted = sum(
                keep if score is None or limit is None else holds(score, value)
                for score, limit, keep in part.select("score", "threshold", "keep").iter_rows()
            )
            assert int(kept) == counted
        figure.find_element(By.TAG_NAME, "button").send_keys(Keys.ENTER)  # it may lie at the window's edge
        assert readout.text.startswith(f"{part['keep'].sum()} of {len(part)} kept")
        assert not figure.find_element(By.TAG_NAME, "button").is_enabled()


# The table


def test_filters_leave_the_rows_that_they_should(page, race):
    rows = json.loads((race[1].directory / "look.json").read_text("utf8"))["documents"]["rows"]

    def left(wanted):
        keys = {f"{row['corpus']}:{row['id']}" for row in rows if wanted(row)}
        told = f"{len(keys)} of {len(rows)} rows"
        WebDriverWait(page, 5).until(lambda page: one(page, "#documents-shown").text == told)
        there = [row for row in every(page, "#documents-table tbody tr") if row.is_displayed()]
        assert {row.find_element(By.CSS_SELECTOR, "th code").text for row in there} == keys
        assert len(there) == len(keys) > 0

    left(lambda row: True)
    stage, verdict, source = (Select(one(page, f'[data-filter="{name}"]')) for name in ("stage", "verdict", "source"))
    stage.select_by_value("relevance")
    left(lambda row: row["stage"] == "relevance")
    source.select_by_value("far")
    left(lambda row: row["stage"] == "relevance" and row["source"] == "far")
    one(page, "#documents-filters button").click()
    left(lambda row: True)
    verdict.select_by_value("kept")
    left(lambda row: row["keep"])
    one(page, "#documents-filters button").click()
    one(page, '[data-filter="text"]').send_keys("ONERROR")
    left(lambda row: HOSTILE in row["text"])


# Light, dark, print, small; a reader without eyes


def test_dark_mode_reaches_the_page_its_charts_and_its_controls(page):
    def colours():
        found = {"page": one(page, "body").value_of_css_property("background-color")}
        found["text"] = one(page, "body").value_of_css_property("color")
        found["dots"] = one(page, "#map-plot .dots.kept").value_of_css_property("fill")
        found["bars"] = one(page, ".movable .bars.kept").value_of_css_property("fill")
        found["button"] = one(page, ".movable button").value_of_css_property("background-color")
        found["vega"] = page.execute_script("return getComputedStyle(document.querySelector('#arms svg text')).fill")
        return found

    light = colours()
    media(page, scheme="dark")
    dark = colours()
    assert all(light[name] != dark[name] for name in light)
    assert light["page"] == "rgba(255, 255, 255, 1)"


def test_paper_has_no_controls_and_is_light(page):
    controls = "nav, .slider, .legend input, .filters, .panel, .skip"
    assert any(element.is_displayed() for element in every(page, controls))
    media(page, "print", "dark")
    assert not [element for element in every(page, controls) if element.is_displayed()]
    assert one(page, "body").value_of_css_property("background-color") == "rgba(255, 255, 255, 1)"
    box = one(page, "div.tall")
    assert page.execute_script("return arguments[0].scrollHeight <= arguments[0].clientHeight + 1", box)
    assert [row for row in every(page, "#documents-table tbody tr") if row.is_displayed()]


def test_a_narrow_screen_does_not_scroll_sideways(page):
    page.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride", {"width": 400, "height": 800, "deviceScaleFactor": 1, "mobile": True}
    )
    try:
        assert page.execute_script("return document.documentElement.scrollWidth") <= 400
    finally:
        page.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_every_control_has_a_name_and_a_focus_that_shows(page):
    tree = page.execute_cdp_cmd("Accessibility.getFullAXTree", {})["nodes"]
    roles = {}
    for node in tree:
        if not node["ignored"]:
            roles.setdefault(node["role"]["value"], []).append(node.get("name", {}).get("value", ""))
    for role in (
        "slider",
        "checkbox",
        "combobox",
        "searchbox",
        "button",
        "link",
        "image",
        "table",
        "region",
        "application",
    ):
        assert roles[role], role
        assert all(roles[role]), role
    for role in ("banner", "navigation", "main", "contentinfo"):
        assert len(roles[role]) == 1, role
    one(page, "body").send_keys(Keys.TAB)
    assert page.switch_to.active_element.text == "Skip to the report"
    for _ in range(30):
        active = page.switch_to.active_element
        assert active.value_of_css_property("outline-style") != "none", active.get_attribute("outerHTML")[:80]
        active.send_keys(Keys.TAB)


def test_the_contents_mark_what_is_being_read(page):
    page.execute_script("document.documentElement.style.scrollBehavior = 'auto'")
    one(page, 'nav a[href="#documents"]').click()
    time.sleep(0.3)
    assert [link.text for link in every(page, "nav a[aria-current]")] == ["Kept and dropped"]


def test_without_a_script_everything_is_there_to_read(driver, race):
    driver.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    try:
        driver.get(race[1].report().as_uri())
        assert not [element for element in every(driver, ".control") if element.is_displayed()]
        assert one(driver, "#map-plot svg").is_displayed()
        assert len(every(driver, "#documents-table tbody tr")) == len(
            [row for row in every(driver, "#documents-table tbody tr") if row.is_displayed()]
        )
        assert "kept at" in one(driver, ".movable output").text
    finally:
        driver.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})
