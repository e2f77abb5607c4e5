# SPDX-License-Identifier: Apache-2.0
"""`make docs`: the lessons with their outputs, guides, glossary and reference, as pages that need no network.

    python docs/site/build.py [--lessons FOLDER] [--to FOLDER]

The lessons are those that `make lessons` executed; one that is not there is shown without outputs, and says so.
A warning of Sphinx, such as a reference that leads nowhere, fails the build.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import sys
from pathlib import Path

from accessible import correct
from reference import write_reference
from sphinx.cmd.build import main as sphinx

from labkit.course import LESSONS, lesson

ROOT = Path(__file__).resolve().parents[2]
# for learners, then for teachers, then for those who judge or maintain the lab
ORDER = ("does-this-help-me", "glossary", "container", "teaching", "teaching-questions", "grading")
ORDER += ("performance", "kernels", "reliability", "architecture", "when-bcc-changes")
PAGES = ("CONTRIBUTING", "SECURITY", "CODE_OF_CONDUCT", "CHANGELOG")
NOT_RUN = "This lesson was not run when the site was built: its outputs are missing. `make lessons` makes them."
TERM = re.compile(r"^- (\*\*([^*]+)\*\*) \((\d\d)\): ", re.MULTILINE)
LINK = re.compile(r"\]\((?!\w+:|#)([^)\s#]+)")


def main() -> int:
    asked = argparse.ArgumentParser(description="Build the site.")
    asked.add_argument("--lessons", type=Path, default=ROOT / "build/lessons", help="executed notebooks")
    asked.add_argument("--to", type=Path, default=ROOT / "build/site", help="where the site goes")
    options = asked.parse_args()
    source = options.to.with_name(options.to.name + "-source")
    shutil.rmtree(source, ignore_errors=True)
    shutil.rmtree(options.to, ignore_errors=True)
    write_source(source, options.lessons)
    os.environ["PYTHONPATH"] = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    sys.path.insert(0, str(ROOT))
    failed = sphinx(["-q", "-W", "-n", "--keep-going", "-j", "2", "-b", "html", str(source), str(options.to)])
    correct(options.to)
    if not failed:
        print(f"The site: {options.to / 'index.html'}")
    return failed


def write_source(source: Path, lessons: Path) -> None:
    """Put all that becomes pages into one folder, laid out as the tree is, so that links between them hold."""
    shutil.copytree(ROOT / "docs", source / "docs", ignore=shutil.ignore_patterns("site"))
    for name in ("conf.py", "docstrings.py", "static"):
        place = ROOT / "docs/site" / name
        (shutil.copytree if place.is_dir() else shutil.copy)(place, source / name)
    for name in PAGES:
        shutil.copy(ROOT / f"{name}.md", source)
    (source / "notebooks").mkdir()
    for each in LESSONS:
        write_lesson(each.notebook, lessons, source / "notebooks")
    write_reference(source / "api")
    (source / "index.md").write_text(front(), encoding="utf-8")
    glossary = source / "docs/glossary.md"
    glossary.write_text(TERM.sub(_entry, glossary.read_text(encoding="utf-8")), encoding="utf-8")
    for page in [*source.glob("*.md"), *source.glob("docs/*.md")]:
        bring_files(page, source)


def write_lesson(name: str, lessons: Path, to: Path) -> None:
    executed = lessons / name
    notebook = json.loads((executed if executed.exists() else ROOT / "notebooks" / name).read_text(encoding="utf-8"))
    if not executed.exists():
        notebook["cells"].insert(1, {"cell_type": "markdown", "metadata": {}, "source": f"> {NOT_RUN}"})
    notebook["metadata"]["language_info"] = {"name": "python", "pygments_lexer": "ipython3"}
    for index, cell in enumerate(notebook["cells"]):
        cell.setdefault("id", f"cell-{index}")
    (to / name).write_text(json.dumps(notebook), encoding="utf-8")


def _entry(term: re.Match[str]) -> str:
    """Return the head of an entry of the glossary, as a place to link to, with a link to the term's lesson."""
    anchor = re.sub(r"[^a-z0-9_]+", "-", term[2].lower().replace("'", ""))
    notebook = lesson(term[3]).notebook
    return f"- [{term[1]}]{{#{anchor}}} ([{term[3]}](../notebooks/{notebook})): "


def front() -> str:
    """Return the first page: README, and the list of all pages."""
    lists = {
        "Lessons": [f"notebooks/{each.notebook.removesuffix('.ipynb')}" for each in LESSONS],
        "Guides": [f"docs/{name}" for name in guides()],
        "Reference": ["api/index"],
        "The project": list(PAGES),
    }
    trees = [
        "\n".join([f"```{{toctree}}\n:caption: {caption}\n:hidden:\n", *pages, "```"])
        for caption, pages in lists.items()
    ]
    return "\n\n".join([(ROOT / "README.md").read_text(encoding="utf-8"), *trees]) + "\n"


def guides() -> list[str]:
    """Return all pages of `docs/`, in the order of the sidebar; one that it does not name comes last."""
    pages = {page.stem for page in (ROOT / "docs").glob("*.md")}
    return [*ORDER, *sorted(pages - set(ORDER))]


def bring_files(page: Path, source: Path) -> None:
    """Copy the files of the tree that a page links to; Sphinx offers them as downloads. README is the first page."""
    text = re.sub(r"(\]\((?:\.\./)?)README\.md", r"\1index.md", page.read_text(encoding="utf-8"))
    page.write_text(text, encoding="utf-8")
    for link in LINK.findall(text):
        wanted = (page.parent / link).resolve()
        original = ROOT / wanted.relative_to(source.resolve())
        if not wanted.exists() and original.is_file():
            wanted.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(original, wanted)


if __name__ == "__main__":
    sys.exit(main())
