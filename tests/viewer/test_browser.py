"""The pages in a real browser: what a person does with them, and what a hostile message cannot do there."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait
from storekit import open_store

from coda_fs_session import SessionManager
from coda_fs_session.viewer import Viewer
from coda_fs_session.viewer.site import Answer

from .hostile import NAME, TITLE, messages

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
pytestmark = pytest.mark.skipif(
    not (CHROMIUM and DRIVER), reason="needs chromium and chromium-driver, as scripts/test says"
)
PATIENCE = 30


@pytest.fixture(scope="module")
def chrome(tmp_path_factory: pytest.TempPathFactory) -> Iterator[webdriver.Chrome]:
    options = webdriver.ChromeOptions()
    options.binary_location = str(CHROMIUM)
    profile = tmp_path_factory.mktemp("profile")
    settings = ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--window-size=1400,1000")
    for argument in (*settings, f"--user-data-dir={profile}"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(str(DRIVER)))
    driver.set_page_load_timeout(120)
    yield driver
    driver.quit()


class Browser:
    """A browser that shows a viewer."""

    def __init__(self, chrome: webdriver.Chrome, viewer: Viewer) -> None:
        self.chrome, self.viewer = chrome, viewer

    def open(self, path: str) -> None:
        self.chrome.get(f"http://127.0.0.1:{self.viewer.port}{path}")

    def press(self, *keys: str) -> None:
        for key in keys:
            self.chrome.switch_to.active_element.send_keys(key)

    def script(self, text: str, *arguments: Any) -> Any:
        return self.chrome.execute_script(text, *arguments)

    def until(self, text: str, *arguments: Any) -> Any:
        """Wait until a script returns something true, and return that."""
        return WebDriverWait(self.chrome, PATIENCE, 0.05).until(lambda driver: driver.execute_script(text, *arguments))

    def texts(self, selector: str) -> list[str]:
        return [each.text for each in self.chrome.find_elements(By.CSS_SELECTOR, selector)]


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[SessionManager]:
    """A store with forks, something long, and something hostile."""
    with open_store(tmp_path / "store") as manager:
        add(manager, "trip", *(f"message {number}" for number in range(1, 8)))
        add(manager, "ship", "by ship", parent="trip", at=3)
        add(manager, "train", "by train", "and on foot", parent="trip", at=3)
        add(manager, "..", "a name of dots")
        add(manager, "late", "much later", parent="trip", at=7)
        add(manager, "long", *(f"number {number} of many" for number in range(1, 431)))
        session = manager.create_session(NAME)
        for each in messages():
            session.add_message(each)
        session.update_metadata({"title": TITLE})
        manager.save_session(session)
        yield manager


def add(manager: SessionManager, name: str, *texts: str, parent: str | None = None, at: int | None = None) -> None:
    session = manager.create_session(name, branch_from=parent, at=at)
    for number, text in enumerate(texts):
        session.add_message({"role": "assistant" if number % 2 else "user", "content": text})
    manager.save_session(session)


@contextmanager
def viewing(chrome: webdriver.Chrome, manager: SessionManager) -> Iterator[Browser]:
    """Show a store; at the end nothing may stand in the console of the browser."""
    with Viewer(manager) as viewer:
        thread = threading.Thread(target=viewer.run)
        thread.start()
        try:
            chrome.get_log("browser")
            chrome.get(viewer.link())
            yield Browser(chrome, viewer)
            assert chrome.get_log("browser") == []
        finally:
            chrome.get("about:blank")
            viewer.stop()
            thread.join()


@pytest.fixture
def browser(chrome: webdriver.Chrome, manager: SessionManager, tmp_path: Path) -> Iterator[Browser]:
    with open_store(tmp_path / "store", read_only=True) as reader, viewing(chrome, reader) as browser:
        yield browser


def test_the_link_opens_the_list(browser: Browser) -> None:
    """The token leaves the address; typing filters the rows, and a row leads to its session."""
    assert browser.chrome.current_url == f"http://127.0.0.1:{browser.viewer.port}/"
    browser.until("return document.querySelectorAll('#rows.virtual .row').length === 7")
    browser.press("/", *"TRAIN")
    browser.until("return document.querySelectorAll('.row').length === 1")
    assert browser.texts(".row-name") == ["train"]
    assert browser.texts("#shown") == ["1 of 7 sessions"]
    browser.chrome.find_element(By.CSS_SELECTOR, ".row a").click()
    browser.until("return document.title === 'train'")
    browser.open("/")
    browser.until("return document.querySelector('#rows.virtual .row')")
    next(each for each in browser.chrome.find_elements(By.CSS_SELECTOR, ".row a") if "dots" in each.text).click()
    browser.until("return document.title === '..'")


def test_forks_by_keyboard(browser: Browser) -> None:
    """n goes to a fork, ] to the next way: what follows is exchanged, and nothing above it moves."""
    browser.open("/s/trip")
    browser.press("n")
    assert browser.script("return document.activeElement.id") == "f3"
    browser.script("document.getElementById('m2').dataset.kept = 'yes'")
    place = browser.script("return document.getElementById('m3').getBoundingClientRect().top")
    seen = []
    for _ in range(3):
        before = browser.chrome.title
        browser.press("]")
        browser.until("return document.title !== arguments[0]", before)
        seen.append(
            (browser.chrome.title, browser.script("return document.querySelector('#m4 .said').innerText.trim()"))
        )
        assert browser.script("return document.getElementById('m2').dataset.kept") == "yes"
        assert abs(browser.script("return document.getElementById('m3').getBoundingClientRect().top") - place) < 2
        assert browser.script("return document.activeElement.id") == "f3"
    assert seen == [("ship", "by ship"), ("train", "by train"), ("trip", "message 4")]
    browser.press("[")
    browser.until("return document.title === 'train'")
    assert "/s/train/at/4" in browser.chrome.current_url
    assert browser.texts(".message .number")[-1] == "5"
    browser.chrome.back()
    browser.until("return document.title === 'trip'")
    browser.press("n", "n")
    assert browser.script("return document.activeElement.id") == "f7"
    browser.press("p", "k")
    assert browser.script("return document.activeElement.id") == "m3"
    browser.press("j")
    assert browser.script("return document.activeElement.id") == "m4"


def test_search(browser: Browser) -> None:
    """What messages say is found from any page, and a hit leads to its message."""
    browser.open("/s/trip")
    browser.press("/")
    browser.until("return document.activeElement.id === 'query'")
    browser.press(*"and on foot", Keys.ENTER)
    browser.until("return document.querySelectorAll('.hits .row').length === 1")
    browser.chrome.find_element(By.CSS_SELECTOR, ".hits a").click()
    browser.until("return document.querySelector('.message:target .said')?.innerText.trim() === 'and on foot'")


def test_news_of_another_process(browser: Browser, manager: SessionManager, tmp_path: Path) -> None:
    """A message that is saved elsewhere comes into the open page; what is opened in that stays open."""
    add(manager, "folded", "x\n" * 20_000)
    browser.open("/s/folded")
    browser.script("document.querySelector('details').open = true")
    program = (
        "import sys; from coda_fs_session import SessionManager\n"
        "with SessionManager({'session': {'storage_path': sys.argv[1], 'state_path': sys.argv[2]}}) as manager:\n"
        "    session = manager.load_session('folded')\n"
        "    session.add_message({'role': 'assistant', 'content': 'from elsewhere'})\n"
        "    manager.save_session(session)\n"
    )
    store = tmp_path / "store"
    subprocess.run([sys.executable, "-c", program, str(store), f"{store}.state"], check=True, timeout=60)
    browser.until("return document.querySelector('#m2 .said')?.innerText.trim() === 'from elsewhere'")
    assert browser.script("return document.querySelector('#m1 details').open")
    assert browser.texts("#status") == ["1 new"]


def test_more_as_one_scrolls(browser: Browser) -> None:
    """The next 200 messages come before the end of the page does, once each, and in order."""
    browser.open("/s/long")
    for most in (400, 430):
        browser.until(
            "scrollTo(0, 1e6); return document.querySelectorAll('.message').length >= arguments[0]",
            most,
        )
    assert browser.script("return [...document.querySelectorAll('.message')].map(e => +e.dataset.number)") == [
        *range(1, 431)
    ]
    browser.open("/s/long/at/250")
    top = browser.until("return document.getElementById('m250').getBoundingClientRect().top")
    assert 0 <= top < 400


def test_hostile_messages_do_not_run(browser: Browser) -> None:
    """No script of a message, a name or metadata runs, and nothing is asked of another machine."""
    address = browser.until(
        "return [...document.querySelectorAll('.row a')].find(e => e.href.includes('script'))?.href"
    )
    for part in ("", "/history", "/about"):
        browser.chrome.get(address + part)
        assert browser.chrome.title != "pwned"
        assert "pwned" not in browser.script("return document.title").replace(TITLE, "").replace(NAME, "")
        asked = browser.script("return performance.getEntriesByType('resource').map(e => new URL(e.name).host)")
        assert set(asked) <= {f"127.0.0.1:{browser.viewer.port}"}
    browser.chrome.get(address)
    for each in browser.chrome.find_elements(By.CSS_SELECTOR, "summary"):
        browser.script("arguments[0].parentElement.open = true", each)
    assert browser.script("return document.querySelectorAll('main script, main iframe, main form').length") == 0


def test_without_script(browser: Browser) -> None:
    """List, session and forks are links: they lead to the same pages."""
    browser.chrome.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    try:
        browser.open("/")
        browser.chrome.find_element(By.LINK_TEXT, "trip\nmessage 1").click()
        browser.chrome.find_element(By.CSS_SELECTOR, "#f3 .way:last-child a").click()
        assert browser.chrome.title == "train"
        assert "by train" in browser.texts("#m4 .said")
    finally:
        browser.chrome.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})


def test_nothing_shifts_while_a_long_list_is_filtered(browser: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of 10,000 sessions only the rows in sight are in the page, and typing moves nothing else."""
    row = {"title": "", "updated": "2026-11-30T12:00:00+00:00", "source": "", "parent": None, "words": "w", "flags": []}
    rows = [row | {"name": f"session {number}", "count": 1, "hidden": False, "more": ""} for number in range(10_000)]
    answer = Answer(200, json.dumps(rows).encode(), "application/json")
    monkeypatch.setitem(browser.viewer.site._routes, "sessions.json", lambda: answer)
    browser.open("/")
    browser.until("return document.getElementById('shown').textContent.startsWith('10,000')")
    assert browser.script("return document.querySelectorAll('.row').length") < 100
    browser.script(
        "window.moved = 0;"
        "new PerformanceObserver(list => list.getEntries().forEach(e => { window.moved += e.value; }))"
        ".observe({ type: 'layout-shift', buffered: false });"
    )
    browser.press("/", *"session 99")
    browser.until("return document.getElementById('shown').textContent.startsWith('280 of')")
    browser.press(*"99x")
    browser.until("return document.getElementById('shown').textContent.startsWith('0 of')")
    assert browser.script("return window.moved") == 0


@pytest.mark.parametrize("width", [400, 1400])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_page_fits(browser: Browser, width: int, scheme: str) -> None:
    """No page is wider than the window, on a telephone either, and text stands out from what is behind it."""
    metrics = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500}
    browser.chrome.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    media = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
    browser.chrome.execute_cdp_cmd("Emulation.setEmulatedMedia", media)
    try:
        hostile = browser.until(
            "return [...document.querySelectorAll('.row a')].find(e => e.href.includes('script'))?.href"
        )
        base = f"http://127.0.0.1:{browser.viewer.port}"
        for address in ("/", "/s/trip", "/s/trip/history", "/s/trip/about", "/compare/trip/train", "/search?q=message"):
            browser.open(address)
            assert browser.script("return document.documentElement.scrollWidth") <= width
            assert browser.script(CONTRAST) >= 4.5
        for address in (hostile, f"{base}/s/long"):
            browser.chrome.get(address)
            assert browser.script("return document.documentElement.scrollWidth") <= width
    finally:
        browser.chrome.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
        browser.chrome.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})


CONTRAST = """
const numbers = (color) => color.match(/[\\d.]+/g).map(Number);
const light = (color) => numbers(color).slice(0, 3).map((each) => each / 255)
  .map((each) => (each <= 0.03928 ? each / 12.92 : ((each + 0.055) / 1.055) ** 2.4))
  .reduce((sum, each, place) => sum + each * [0.2126, 0.7152, 0.0722][place], 0);
const behind = (element) => {
  for (let each = element; each; each = each.parentElement) {
    const color = getComputedStyle(each).backgroundColor;
    if (numbers(color).length < 4 || numbers(color)[3] > 0) { return color; }
  }
  return "rgb(255, 255, 255)";
};
const seen = [...document.querySelectorAll("body *")].filter((each) => each.offsetParent && each.innerText?.trim()
  && [...each.childNodes].some((node) => node.nodeType === 3 && node.data.trim()));
return Math.min(...seen.map((each) => {
  const [one, other] = [light(getComputedStyle(each).color), light(behind(each))].sort((a, b) => b - a);
  return (one + 0.05) / (other + 0.05);
}));
"""
"""Returns the least contrast of a text in the page and what is behind it, as WCAG counts it."""


def test_names_and_roles(browser: Browser) -> None:
    """A screen reader finds the messages, forks and ways about by role and name."""
    browser.open("/s/trip")
    found = {
        selector: (each.aria_role, each.accessible_name)
        for selector in ("main", ".strip", ".tabs", ".fork", "#m1", ".tabs a[aria-current]", ".strip svg a")
        for each in browser.chrome.find_elements(By.CSS_SELECTOR, selector)[:1]
    }
    assert found["main"][0] == "main"
    assert found[".strip"] == ("navigation", "Lanes: this session and what leaves it")
    assert found[".tabs"] == ("navigation", "Of this session")
    assert found[".fork"] == ("region", "3 ways on from here")
    assert found["#m1"] == ("article", "user")
    assert found[".tabs a[aria-current]"] == ("link", "Messages")
    assert found[".strip svg a"][1].startswith("The end of ")
    assert browser.script("return document.documentElement.lang") == "en"
    assert not browser.script(
        "return [...document.querySelectorAll('a, input, summary')].filter(e => !(e.innerText || e.ariaLabel || "
        "e.labels?.length || e.getAttribute('aria-label') || e.textContent.trim())).length"
    )
    browser.open("/")
    box = browser.chrome.find_element(By.ID, "filter")
    assert (box.aria_role, box.accessible_name) == ("searchbox", "Filter the list")


def test_a_file_with_the_network_cut(chrome: webdriver.Chrome, manager: SessionManager, tmp_path: Path) -> None:
    """An exported family opens without a network, asks for nothing, and its forks lead from branch to branch."""
    (path,) = manager.export_sessions(["trip", NAME], tmp_path / "a b.html", format="html", branches=True)
    chrome.get_log("browser")
    offline = {"offline": True, "latency": 0, "downloadThroughput": 0, "uploadThroughput": 0}
    chrome.execute_cdp_cmd("Network.enable", {})
    chrome.execute_cdp_cmd("Network.emulateNetworkConditions", offline)
    try:
        chrome.get(path.as_uri())
        assert chrome.title == "trip"
        assert chrome.execute_script("return performance.getEntriesByType('resource').length") == 0
        chrome.switch_to.active_element.send_keys("n")
        assert chrome.execute_script("return document.activeElement.id") == "f3"
        chrome.switch_to.active_element.send_keys("]")
        said = "return document.querySelector('.message:target .said').innerText.trim()"
        assert chrome.execute_script(said) in ("by ship", "by train")
        assert chrome.title == "trip"
        assert chrome.get_log("browser") == []
    finally:
        chrome.execute_cdp_cmd("Network.disable", {})
