"""Settings of Sphinx for the documentation as a site. `scripts/site` makes the folder of pages that Sphinx reads."""

from pathlib import Path

from cometify import __version__

HERE = Path(__file__).parent

project = "Cometify"
author = "the authors of Cometify"
release = version = __version__
extensions = ["myst_parser", "sphinx.ext.autodoc"]
source_suffix = {".md": "markdown"}
root_doc = "index"

myst_heading_anchors = 4
myst_enable_extensions = ["attrs_inline", "attrs_block"]

nitpicky = True
nitpick_ignore_regex = [("py:.*", ".*")]  # the types of Python itself have no page here
default_role = "code"
autodoc_typehints = "description"
html_theme = "furo"
html_title = f"Cometify {release}"
html_static_path = [str(HERE / "static")]
html_css_files = ["site.css"]
html_favicon = str(HERE.parents[1] / "cometify" / "static" / "page" / "favicon.svg")
html_copy_source = False
html_show_sourcelink = False
html_use_index = False
html_domain_indices = False
html_last_updated_fmt = None
pygments_style = "tango"
pygments_dark_style = "monokai"
highlight_language = "none"
