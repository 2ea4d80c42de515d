"""What the card of a chapter says, as MyST, for its page and for the notebook copy of the page."""

from __future__ import annotations

from tools.book_chapters import Chapter


def card_lines(chapter: Chapter) -> list[str]:
    """Return the lines of the card: year, milestone, paper, outcomes, what to know first, minutes."""
    return [
        f"**{chapter.year}.** {chapter.milestone.rstrip('.')}.",
        "",
        f"**Milestone paper:** {{cite:t}}`{chapter.paper}`",
        "",
        "**You will be able to**",
        "",
        *(f"- {outcome}" for outcome in chapter.outcomes),
        "",
        "**You need first**",
        "",
        *(f"- {need}" for need in chapter.prerequisites),
        "",
        f"**Time to read:** {chapter.minutes} minutes",
    ]
