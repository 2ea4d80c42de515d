"""The book in a real browser: opened from the file system, without a network, in light and dark and on a phone."""

from __future__ import annotations

import functools
import http.server
import io
import json
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from built_book import CHAPTERS, built_html
from PIL import Image

sync_api = pytest.importorskip("playwright.sync_api", reason="Install Playwright with: pip install playwright")

pytestmark = pytest.mark.browser

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]
FLAGS += ["--disable-sync", "--no-first-run"]
PAGES = ["index", *CHAPTERS]
PHONE = {"width": 390, "height": 844}
DESKTOP = {"width": 1280, "height": 900}

# Text as a reader sees it: without code, and without what MathJax keeps for screen readers.
VISIBLE_TEXT = """() => {
  const article = document.querySelector("article.bd-article").cloneNode(true);
  article.querySelectorAll("pre, code, script, style, mjx-container").forEach(node => node.remove());
  return article.textContent;
}"""
MATH_IS_SET = "() => window.MathJax && MathJax.startup && MathJax.startup.promise.then(() => true)"


@pytest.fixture(scope="session")
def html() -> Path:
    return built_html()


@pytest.fixture(scope="session")
def browser() -> Iterator[sync_api.Browser]:
    if CHROMIUM is None:
        pytest.skip("No Chromium was found. Install it with: apt-get install chromium")
    with sync_api.sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield chromium
        chromium.close()


class Reader:
    """A reader with a page of the book open, and what went wrong on the way.

    Parameters
    ----------
    browser : Browser
    html : Path
        The built book.
    viewport : dict
        Width and height of the window.
    """

    def __init__(self, browser: sync_api.Browser, html: Path, viewport: dict[str, int]) -> None:
        self.html = html
        self.faults: list[str] = []
        self.context = browser.new_context(viewport=viewport, color_scheme="light")
        self.context.route("**/*", self._only_files)
        self.page = self.context.new_page()
        self.page.on("console", lambda message: message.type == "error" and self.faults.append(message.text))
        self.page.on("pageerror", lambda error: self.faults.append(str(error)))
        self.page.on("requestfailed", lambda request: self.faults.append(f"failed: {request.url}"))

    def _only_files(self, route: sync_api.Route) -> None:
        if route.request.url.startswith(("file:", "data:", "blob:")):
            route.continue_()
        else:
            self.faults.append(f"asked the network for {route.request.url}")
            route.abort()

    def open(self, name: str) -> sync_api.Page:
        """Open a page of the book from the file system and wait until its mathematics is set."""
        self.page.goto((self.html / f"{name}.html").as_uri())
        if self.page.locator(".math").count():
            assert self.page.evaluate(MATH_IS_SET)
        return self.page


@pytest.fixture
def desktop(browser: sync_api.Browser, html: Path) -> Iterator[Reader]:
    reader = Reader(browser, html, DESKTOP)
    yield reader
    reader.context.close()


@pytest.fixture
def phone(browser: sync_api.Browser, html: Path) -> Iterator[Reader]:
    reader = Reader(browser, html, PHONE)
    yield reader
    reader.context.close()


@pytest.mark.parametrize("name", [*CHAPTERS, "notation"])
def test_mathematics_is_set_without_a_network(name: str, desktop: Reader) -> None:
    page = desktop.open(name)
    formulas = page.locator("mjx-container")
    assert formulas.count() >= page.locator(".math").count() > 0
    assert page.locator("mjx-merror, [data-mjx-error]").count() == 0
    text = page.evaluate(VISIBLE_TEXT)
    for raw in ("$$", "\\(", "\\[", "\\frac", "\\begin", "\\mathbb"):
        assert raw not in text
    font = page.evaluate(
        "() => [...document.fonts].some(font => font.family.startsWith('MJX') && font.status == 'loaded')"
    )
    assert font, "the fonts of MathJax are not loaded"


@pytest.mark.parametrize("name", PAGES)
def test_page_opens_without_an_error(name: str, desktop: Reader) -> None:
    desktop.open(name)
    assert desktop.faults == []


@pytest.mark.parametrize("name", CHAPTERS)
def test_figures_load(name: str, desktop: Reader) -> None:
    page = desktop.open(name)
    widths = page.evaluate("() => [...document.querySelectorAll('article img')].map(image => image.naturalWidth)")
    assert widths
    assert all(width > 0 for width in widths)


def luminance(rgb: np.ndarray) -> np.ndarray:
    """Return the relative luminance, 0 to 1, of colors from 0 to 255 (WCAG 2)."""
    share = rgb[..., :3] / 255
    linear = np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)
    return linear @ np.array([0.2126, 0.7152, 0.0722])


def contrast(picture: bytes) -> float:
    """Return the contrast between the commonest color of a picture, its panel, and its darkest or lightest part."""
    image = Image.open(io.BytesIO(picture)).convert("RGB")
    frame = 16  # pixels at the border, where the page shows
    inside = image.crop((frame, frame, image.width - frame, image.height - frame))
    pixels = np.asarray(inside).reshape(-1, 3).astype(float)
    colors, counts = np.unique(pixels, axis=0, return_counts=True)
    panel = luminance(colors[counts.argmax()])
    values = luminance(pixels)
    text = min(np.quantile(values, [0.001, 0.999]), key=lambda value: -abs(value - panel))
    return float((max(panel, text) + 0.05) / (min(panel, text) + 0.05))


@pytest.mark.parametrize("name", CHAPTERS)
def test_figures_stay_legible_in_the_dark(name: str, desktop: Reader) -> None:
    page = desktop.open(name)
    while page.evaluate("document.documentElement.dataset.theme") != "dark":
        page.locator(".theme-switch-button").first.click()
    assert luminance(np.array(background(page, "body"))) < 0.1
    for figure in page.locator("article figure img").all():
        assert luminance(np.array(background(page, figure))) > 0.8
        assert contrast(figure.screenshot()) >= 4.5  # what WCAG 2 asks of text
    text = page.locator("article p").first
    assert luminance(np.array(color(text))) > 0.4


def background(page: sync_api.Page, element: str | sync_api.Locator) -> list[float]:
    locator = page.locator(element) if isinstance(element, str) else element
    return color(locator, "backgroundColor")


def color(locator: sync_api.Locator, which: str = "color") -> list[float]:
    style = locator.evaluate(f"element => getComputedStyle(element).{which}")
    return [float(part) for part in style[style.index("(") + 1 : -1].split(",")[:3]]


@pytest.mark.parametrize("name", [*PAGES, "notation", "how-to-use", "bibliography"])
def test_page_fits_a_phone(name: str, phone: Reader) -> None:
    page = phone.open(name)
    page.evaluate("() => document.querySelectorAll('details').forEach(element => element.open = true)")
    wide, window = page.evaluate("() => [document.scrollingElement.scrollWidth, document.scrollingElement.clientWidth]")
    assert wide <= window
    for image in page.locator("article img").all():
        assert image.bounding_box()["width"] <= PHONE["width"]


@pytest.mark.parametrize("name", CHAPTERS)
def test_figures_open_larger_on_a_phone(name: str, phone: Reader) -> None:
    page = phone.open(name)
    figures = page.locator("article .cell_output img").all()
    assert figures
    for figure in figures:
        alone = figure.evaluate("image => image.closest('a')?.href")
        assert alone == figure.evaluate("image => image.src")
        assert figure.get_attribute("alt")
        assert figure.evaluate("image => image.naturalWidth") > 1.5 * figure.bounding_box()["width"]


def test_timeline_leads_to_a_chapter(phone: Reader) -> None:
    page = phone.open("index")
    for name in CHAPTERS:
        page = phone.open("index")
        page.locator(f'.timeline a.title[href="{name}.html"]').click()
        page.wait_for_url(f"**/{name}.html")
    assert phone.faults == []


@pytest.fixture(scope="session")
def site(html: Path) -> Iterator[str]:
    """Serve the book on this machine, as a course's web site would."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *args: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(html))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.mark.parametrize("name", CHAPTERS)
def test_exercises_can_be_downloaded(name: str, browser: sync_api.Browser, site: str) -> None:
    with browser.new_context() as context:
        context.route(lambda url: not url.startswith(site), lambda route: route.abort())
        page = context.new_page()
        page.goto(f"{site}/{name}.html")
        with page.expect_download() as download:
            page.locator(f'.chapter-card a[href="notebooks/{name}-exercises.ipynb"]').click()
        assert download.value.suggested_filename == f"{name}-exercises.ipynb"
        notebook = json.loads(Path(download.value.path()).read_text(encoding="utf-8"))
        assert any("check(" in "".join(cell["source"]) for cell in notebook["cells"])


def test_search_works_from_the_file_system(desktop: Reader) -> None:
    page = desktop.open("index")
    page.goto(f"{(desktop.html / 'search.html').as_uri()}?q=milestone")
    page.locator("#search-results li").first.wait_for()
