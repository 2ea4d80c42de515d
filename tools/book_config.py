"""The settings of the book that the tools read from ``_config.yml``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import yaml

GITHUB = "https://github.com/"
COLAB = "https://colab.research.google.com/github/"


@dataclass(frozen=True)
class Settings:
    """The settings that other tools need.

    Attributes
    ----------
    address : str
        Where the course is published, without a slash at the end; empty where nobody has said.
    branch : str
        The branch of that repository on which the built book stands.
    solutions : bool
        Whether the pages of worked solutions are built.
    timeout : int
        Seconds that one cell of a page may run.
    """

    address: str = ""
    branch: str = "gh-pages"
    solutions: bool = True
    timeout: int = 30

    def colab(self, path: str) -> str:
        """Return the address that opens a published notebook in Colab; empty where there is none.

        Colab opens notebooks from GitHub only.

        Examples
        --------
        >>> Settings(address="https://github.com/someone/course").colab("notebooks/attention.ipynb")
        'https://colab.research.google.com/github/someone/course/blob/gh-pages/notebooks/attention.ipynb'
        >>> Settings().colab("notebooks/attention.ipynb")
        ''
        """
        if not self.address.startswith(GITHUB):
            return ""
        return f"{COLAB}{self.address.removeprefix(GITHUB)}/blob/{self.branch}/{path}"


def read_settings(root: Path) -> Settings:
    """Return the settings of the book in this folder.

    Raises
    ------
    FileNotFoundError
        If the folder has no ``_config.yml``.
    """
    path = root / "_config.yml"
    if not path.exists():
        raise FileNotFoundError(f"{root} holds no _config.yml: run the tools from the root of the repository.")
    config = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    course = (config.get("sphinx") or {}).get("config") or {}
    return Settings(
        address=((config.get("repository") or {}).get("url") or "").rstrip("/"),
        branch=course.get("mlcourse_published_branch", Settings.branch),
        solutions=bool(course.get("mlcourse_solutions", Settings.solutions)),
        timeout=(config.get("execute") or {}).get("timeout", Settings.timeout),
    )
