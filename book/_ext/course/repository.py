"""The buttons that lead to the repository, shown only where its address is set."""

from __future__ import annotations

from sphinx.application import Sphinx
from sphinx.config import Config


def show_repository_buttons(app: Sphinx, config: Config) -> None:
    """Switch on the buttons for the repository and its issues if the settings name the address of the course."""
    options = config.html_theme_options
    if options.get("repository_url"):
        options["use_repository_button"] = True
        options["use_issues_button"] = True
