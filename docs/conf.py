"""Sphinx configuration. `make docs` builds with warnings as errors."""

import sys
from importlib.metadata import version as version_of
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "_ext"))

project = "Shoal"
author = "the Shoal authors"
project_copyright = "the Shoal authors, Apache-2.0"
version = release = version_of("shoal")

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "shoal_docs"]
source_suffix = {".md": "markdown"}
exclude_patterns = ["_build"]
nitpicky = False  # signatures name types of libraries whose inventories we do not fetch

myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 4

napoleon_use_ivar = True  # else fields with a description are described twice
autodoc_typehints = "signature"
autodoc_member_order = "bysource"
autodoc_default_options = {"members": True, "undoc-members": True, "show-inheritance": True}

html_theme = "furo"
html_title = "Shoal"
html_static_path: list[str] = []
