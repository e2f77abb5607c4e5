# SPDX-License-Identifier: Apache-2.0
"""The site: every page at two widths and in both themes, nothing from elsewhere, and a wrong reference ends the build.

Only `make test-docs` runs these tests; each page's picture is kept in build/site-pictures/.
"""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path
from urllib.parse import unquote

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser
from tree import ROOT

from labkit.course import LESSONS

LOADED = re.compile(
    r"<(?:script|img|link|iframe|source|video|audio)\b[^>]*?(?:src|href)=\"((?:https?:)?//[^\"]*)", re.I
)
IN_STYLE = re.compile(r"(?:url\(|@import\s+)[\"']?((?:https?:)?//[^)\"']*)")
PICTURES = ROOT / "build" / "site-pictures"


def pages(site: Path) -> list[Path]:
    return [page for page in sorted(site.rglob("*.html")) if "_static" not in page.parts]


def test_every_lesson_is_a_page_with_its_outputs(site: Path) -> None:
    without = []
    for lesson in LESSONS:
        page = (site / "notebooks" / lesson.notebook).with_suffix(".html").read_text(encoding="utf-8")
        executed = (ROOT / "build/lessons" / lesson.notebook).exists()
        if executed != ("cell_output" in page) or executed == ("was not run when the site was built" in page):
            without.append(lesson.number)
    assert without == []


def test_the_reference_has_every_lesson_and_layer(site: Path) -> None:
    start = (site / "api" / "start.html").read_text(encoding="utf-8")
    assert "labkit.lessons.start.measure" in start and "Parameters" in start
    for name in (*(lesson.stem for lesson in LESSONS), "labkit", "bpf-layer", "running-layer", "stats-layer"):
        assert 'class="sig sig-object py"' in (site / "api" / f"{name}.html").read_text(encoding="utf-8"), name


def test_nothing_is_loaded_from_elsewhere(site: Path) -> None:
    found = [(page.name, link) for page in pages(site) for link in LOADED.findall(page.read_text(encoding="utf-8"))]
    styles = [(path.name, link) for path in site.rglob("*.css") for link in IN_STYLE.findall(path.read_text())]
    assert found + styles == []


def test_no_link_leads_nowhere(site: Path) -> None:
    """Sphinx checks those in text; those in outputs it copies."""
    broken = set()
    for page in pages(site):
        for link in re.findall(r'(?:href|src)="([^"#?]+)[#?"]', page.read_text(encoding="utf-8")):
            if not re.match(r"\w+:", link) and not (page.parent / unquote(link)).exists():
                broken.add((str(page.relative_to(site)), link))
    assert broken == set()


@pytest.mark.parametrize(("theme", "width"), [("light", 1400), ("dark", 390)])
def test_every_page_fits_loads_and_hinders_nobody(site: Path, browser: Browser, theme: str, width: int) -> None:
    PICTURES.mkdir(exist_ok=True)
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=theme)  # type: ignore[arg-type]
    tab = context.new_page()
    elsewhere: list[str] = []
    errors: list[str] = []
    tab.on("request", lambda request: elsewhere.append(request.url) if request.url.startswith("http") else None)
    tab.on("pageerror", lambda error: errors.append(str(error)))
    wrong = []
    for page in pages(site):
        name = str(page.relative_to(site))
        tab.goto(page.as_uri())
        if (wide := tab.evaluate("document.documentElement.scrollWidth")) > width:
            wrong.append(f"{name}: {wide} px wide")
        for rule in Axe().run(tab).response["violations"]:
            wrong.append(f"{name}: {rule['id']} {rule['nodes'][0]['html'][:120]}")
        tab.screenshot(path=PICTURES / f"{name.replace('/', '-')}-{width}.png")
    context.close()
    assert wrong + elsewhere + errors == []


def test_a_reader_finds_a_word_without_a_network(site: Path, browser: Browser) -> None:
    tab = browser.new_page()
    tab.goto((site / "search.html").as_uri() + "?q=sockhash")
    tab.get_by_text("Search finished").wait_for()
    assert tab.locator("#search-results a").first.is_visible()
    tab.close()


@pytest.mark.parametrize("wrong", ["[there](nonesuch.md)", "[there](glossary.md#nonesuch)"])
def test_a_reference_that_leads_nowhere_fails_the_build(site: Path, tmp_path: Path, wrong: str) -> None:
    done = build(tmp_path, f"See {wrong}.")
    assert done.returncode and "nonesuch" in done.stderr


def test_a_line_that_begins_with_a_percent_sign_is_shown(site: Path, tmp_path: Path) -> None:
    """MyST would take it for a comment."""
    assert build(tmp_path, "It was busy for 65\n% of the time.").returncode == 0
    assert "65\n% of the time." in (tmp_path / "site/index.html").read_text()


def build(folder: Path, text: str) -> subprocess.CompletedProcess[str]:
    """Build a site of two pages, as the real one is built; the first page has `text`."""
    source = folder / "source"
    source.mkdir()
    for path in ("conf.py", "docstrings.py"):
        (source / path).write_text((ROOT / "docs/site" / path).read_text())
    (source / "static").mkdir()
    (source / "static/lab.css").touch()
    (source / "glossary.md").write_text("# Glossary\n")
    (source / "index.md").write_text(f"# First\n\n{text}\n\n```{{toctree}}\nglossary\n```\n")
    python = ROOT / ".venv-docs/bin/python"
    command = [python, "-m", "sphinx", "-q", "-W", "-n", "-b", "html", source, folder / "site"]
    return subprocess.run(command, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True)
