"""Which files below a folder are scenarios: the command line and pytest both ask here.

Every file whose name ends in ``.yaml`` or ``.yml``, in any case, except hidden ones and those
in folders that hold something else: ``policies``, ``fixtures`` and ``manifests``, hidden
folders, ``__pycache__``, and Python's virtual environments.
"""

from __future__ import annotations

import os
from pathlib import Path

_SUFFIXES = frozenset({".yaml", ".yml"})
_OTHERS = frozenset({"policies", "fixtures", "manifests", "__pycache__"})


def find(folder: Path) -> tuple[Path, ...]:
    """Return the scenario files under a folder, sorted; none where there is no folder.

    Links to folders are followed, except to a folder that the link is in. Raises OSError for
    a folder that cannot be read.
    """
    if not folder.is_dir():
        return ()
    found: list[Path] = []
    for place, folders, files in os.walk(folder, onerror=_raise, followlinks=True):
        here = Path(place)
        folders[:] = [name for name in folders if not is_passed_over(here / name)]
        found += [here / name for name in files if has_scenario_name(name)]
    return tuple(sorted(found))


def has_scenario_name(name: str) -> bool:
    """Return whether a file of that name is a scenario, where scenarios are."""
    return Path(name).suffix.lower() in _SUFFIXES and not name.startswith(".")


def is_passed_over(folder: Path) -> bool:
    """Return whether no file below the folder is a scenario, or the folder was visited already."""
    name = folder.name
    return (
        name.startswith(".")
        or name in _OTHERS
        or (folder / "pyvenv.cfg").is_file()
        or (folder / "conda-meta" / "history").is_file()
        or (folder.is_symlink() and is_loop(folder))
    )


def is_loop(folder: Path) -> bool:
    """Return whether a link to a folder leads to one that it is in."""
    real = folder.resolve()
    return any(parent.resolve() == real for parent in folder.parents)


def _raise(error: OSError) -> None:
    raise error
