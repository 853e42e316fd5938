"""How the book is built: `make docs`, into build/docs. Nothing is fetched, neither to build it nor to read it."""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
# The extension, and the benchmark's own reading of its results.
sys.path[:0] = [str(ROOT / "docs" / "_ext"), str(ROOT)]

project = "twinscore"
author = "The twinscore authors"
copyright = "the twinscore authors, Apache-2.0"

extensions = ["myst_parser", "sphinx_design", "twinbook"]
exclude_patterns = ["_ext", "**/.*"]
myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 4

# Where `twinscore bench --results` puts the figures of the plots; see docs/book/index.md.
twinbook_results = "benchmark/results.json"

smartquotes = False
nitpicky = True
language = "en"
html_theme = "furo"
html_title = "twinscore"
html_static_path = ["_static"]
html_css_files = ["book.css"]
html_copy_source = False
html_show_sourcelink = False
html_theme_options = {
    "light_css_variables": {"color-brand-primary": "#3b4d61", "color-brand-content": "#2b5f8a"},
    "dark_css_variables": {"color-brand-primary": "#b9c6d4", "color-brand-content": "#8ab8dd"},
}
pygments_style = "friendly"
pygments_dark_style = "github-dark"
