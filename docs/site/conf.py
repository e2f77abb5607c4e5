# SPDX-License-Identifier: Apache-2.0
"""Sphinx: how the site is made from what `build.py` put into one folder. Nothing in it comes from elsewhere."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parent)]

from docstrings import as_fields  # noqa: E402
from ipython_pygments_lexers import IPython3Lexer  # noqa: E402
from pygments.lexers import CLexer  # noqa: E402
from pygments.token import Comment  # noqa: E402

project = "eBPF I/O Lab"
extensions = ["myst_nb", "sphinx.ext.autodoc"]
html_theme = "furo"
html_title = project
html_static_path = ["static"]
html_css_files = ["lab.css"]
html_show_copyright = html_show_sphinx = html_copy_source = False
html_theme_options = {"navigation_with_keys": False}
pygments_style = "a11y-high-contrast-light"
pygments_dark_style = "a11y-high-contrast-dark"
highlight_language = "none"

# The lessons were executed by `make lessons`; the site shows what they printed then.
nb_execution_mode = "off"
nb_number_source_lines = False
nb_merge_streams = True  # lines that were printed one by one belong together
nb_mime_priority_overrides = [("html", "application/vnd.jupyter.widget-view+json", None)]
nb_render_markdown_format = "myst"
myst_enable_extensions = ["attrs_inline", "colon_fence", "html_image"]
myst_disable_syntax = ["myst_line_comment"]  # a line may begin with "% of the time"
myst_heading_anchors = 3

default_role = "code"
autodoc_typehints = "signature"
autodoc_member_order = "bysource"
autodoc_preserve_defaults = True
python_use_unqualified_type_names = True
toc_object_entries = False

# Types of other libraries have their pages elsewhere; a few of the lab's own are only handed from function to function.
nitpick_ignore_regex = [
    (r"py:.*", r"(?!labkit).*"),
    (r"py:class", r"labkit\..*\.(?:Boot|MapShape|RingPlayer|Workshop|[AT])"),
]


class CellLexer(IPython3Lexer):
    """A cell of Python, or of the C that follows `%%bpf`."""

    def get_tokens_unprocessed(self, text, *rest):
        head, _, program = text.partition("\n")
        if not head.startswith("%%bpf"):
            yield from super().get_tokens_unprocessed(text, *rest)
            return
        yield 0, Comment.Preproc, head + "\n"
        for index, kind, word in CLexer().get_tokens_unprocessed(program):
            yield index + len(head) + 1, kind, word


def setup(app):
    app.connect("autodoc-process-docstring", as_fields)
    for name in ("ipython3", "python"):
        app.add_lexer(name, CellLexer)
