"""The site of README, the other documents at the top, and ``docs/``: ``make docs`` builds it.

The source folder is the repository, so that a relative link leads to the same place here and on
GitHub. Links to files that are no documents lead to GitHub.
"""

import posixpath
import re
import tomllib
from pathlib import Path

from sphinx.application import Sphinx

ROOT = Path(__file__).parents[2]
_PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]

project = _PROJECT["name"]
release = re.search(
    r'^VERSION = "(.+)"$', (ROOT / "harness/__init__.py").read_text("utf-8"), re.M
)[1]
author = _PROJECT["authors"][0]["name"]

extensions = ["myst_parser"]
root_doc = "README"
include_patterns = ["README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md", "docs/*.md"]
exclude_patterns = [".*", "build", "dist", "results", "site"]
nitpicky = True
myst_heading_anchors = 4

html_theme = "furo"
html_title = project
html_show_copyright = False
html_copy_source = False

CONTENTS = """
```{toctree}
:hidden:
:caption: Use
docs/scenarios
docs/verdicts
docs/command-line
docs/real-clusters
docs/embedded-cluster
docs/results
docs/applications
docs/lint
docs/difference
docs/audit
docs/gate
docs/netpol-analyzer
```

```{toctree}
:hidden:
:caption: Reference
docs/semantics
docs/tiers
docs/requirements
docs/coverage
docs/scoreboard
docs/upstream
docs/defects
docs/kill-table
docs/generated-cases
docs/real-runs
SECURITY
CHANGELOG
```

```{toctree}
:hidden:
:caption: Develop
CONTRIBUTING
docs/architecture
docs/style
```
"""

_LINK = re.compile(r"\]\((?![a-z]+:|#)([^)#\s]+)\)")


def _write_for_the_site(_app: Sphinx, name: str, text: list[str]) -> None:
    """Add the table of contents, and point links that lead to no page of the site to GitHub."""

    def target(link: re.Match[str]) -> str:
        path = posixpath.normpath(posixpath.join(posixpath.dirname(name), link[1]))
        if path.endswith(".md") or not (ROOT / path).exists():
            return link[0]
        kind = "tree" if (ROOT / path).is_dir() else "blob"
        return f"]({_PROJECT['urls']['Repository']}/{kind}/main/{path})"

    text[0] = _LINK.sub(target, text[0]) + (CONTENTS if name == root_doc else "")


def setup(app: Sphinx) -> None:
    """Register with Sphinx, which calls this."""
    app.connect("source-read", _write_for_the_site)
