# SPDX-License-Identifier: Apache-2.0
"""What Sphinx and its theme leave out of a page: for those who use a keyboard or listen to it (axe), and links."""

from __future__ import annotations

import re
from pathlib import Path

CORRECTIONS = (
    # a heading has a level
    (r'(<p class="caption" role="heading")>', r'\1 aria-level="2">'),
    # what scrolls can be reached by the keyboard
    (r"<pre>", r'<pre tabindex="0">'),
    (r'(<div class="(?:table-wrapper|cell_output)[^"]*")>', r'\1 tabindex="0">'),
    # the empty corner of a table is no heading
    (r"<th\b[^>]*>(?:<p></p>|\s)*</th>", r"<td></td>"),
    # the two sidebars can be told apart
    (r'<aside class="sidebar-drawer">', r'<aside class="sidebar-drawer" aria-label="All pages">'),
    (r'(<div id="search-results")', r"<h1>Search</h1>\1"),
    (r'<aside class="toc-drawer', r'<aside aria-label="On this page" class="toc-drawer'),
    # an output links from lesson to lesson, as JupyterLab needs it
    (r'href="(\d\d-[\w-]+)\.ipynb', r'href="\1.html'),
)


def correct(site: Path) -> None:
    """Correct every page of a built site in place."""
    for page in site.rglob("*.html"):
        text = page.read_text(encoding="utf-8")
        for wrong, right in CORRECTIONS:
            text = re.sub(wrong, right, text)
        page.write_text(text, encoding="utf-8")
