"""One look for all figures: readable without color, in light and dark, on a phone."""

from __future__ import annotations

import matplotlib as mpl
from cycler import cycler

# Okabe and Ito's palette: told apart by readers with any of the common forms of color blindness.
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
LINES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (1, 3)))
PANEL = "#fcfcf8"


def use_course_style() -> None:
    """Set matplotlib's defaults for the course.

    Color and line style change together, so that a figure printed in gray can be read. The figure keeps its
    own light panel, so that it stays legible on a dark page.

    Examples
    --------
    >>> use_course_style()
    >>> import matplotlib as mpl
    >>> mpl.rcParams["figure.facecolor"]
    '#fcfcf8'
    """
    mpl.rcParams.update(
        {
            "figure.facecolor": PANEL,
            "axes.facecolor": PANEL,
            "savefig.facecolor": PANEL,
            "figure.figsize": (6.4, 3.8),
            "figure.dpi": 150,
            "figure.constrained_layout.use": True,
            "font.size": 10.5,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.grid": True,
            "grid.alpha": 0.3,
            "legend.frameon": False,
            "lines.linewidth": 1.8,
            "lines.markersize": 5,
            "image.cmap": "cividis",
            "axes.prop_cycle": cycler(color=COLORS) + cycler(linestyle=LINES),
        }
    )
