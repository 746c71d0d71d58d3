"""Print what CHANGELOG.md says about a release, if its tag is the version of the project.

Usage: release_notes.py TAG, in the folder of the project. Exit status 1
with a message and a hint where the tag is not ready to be released.
"""

import re
import sys
from pathlib import Path


def notes(tag: str, project: str, changelog: str) -> str:
    """Return the section of the release. Raise ValueError with what is wrong, and a hint."""
    written = re.search(r'^VERSION = "(.+)"$', project, re.MULTILINE)
    version = written[1] if written else "nothing"
    if tag != f"v{version}":
        raise ValueError(
            f"the tag is {tag}, and harness/__init__.py has {version}",
            f"tag the commit that sets the version; the tag of {version} is v{version}",
        )
    heading = rf"^## \[{re.escape(version)}\] - \d{{4}}-\d\d-\d\d$"
    found = re.search(rf"{heading}\n(.*?)(?=^## |\Z)", changelog, re.MULTILINE | re.DOTALL)
    if found is None or not found[1].strip():
        raise ValueError(
            f"CHANGELOG.md says nothing about {version}",
            f"move what is under [Unreleased] to a section '## [{version}] - YYYY-MM-DD'",
        )
    return found[1].strip() + "\n"


def main() -> int:
    """Read the files of the current folder, and print."""
    (tag,) = sys.argv[1:]
    project, changelog = (
        Path(name).read_text(encoding="utf-8") for name in ("harness/__init__.py", "CHANGELOG.md")
    )
    try:
        sys.stdout.write(notes(tag, project, changelog))
    except ValueError as error:
        message, hint = error.args
        sys.stderr.write(f"{message}\nhint: {hint}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
