"""What builds the course out of its sources. Run a tool from the repository root: ``python -m tools.book build``."""
