"""Results as JSON, for programs."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from mlcourse.grading.reports.files import write_whole
from mlcourse.grading.results import CourseResult

SURROGATE = re.compile("[\ud800-\udfff]")


def write_json(result: CourseResult, path: Path | str) -> None:
    """Write ``result.as_dict()`` to a file, in ASCII, so that no terminal that shows it can be steered by it."""
    text = json.dumps(_encodable(result.as_dict()), indent=1, ensure_ascii=True, allow_nan=False)
    write_whole(path, (text + "\n").encode("ascii"))


def _encodable(value: Any) -> Any:
    """Return a copy in which lone surrogates, which strict parsers of JSON refuse, are replacement characters."""
    if isinstance(value, str):
        return SURROGATE.sub("\ufffd", value)
    if isinstance(value, list):
        return [_encodable(entry) for entry in value]
    if isinstance(value, dict):
        return {key: _encodable(entry) for key, entry in value.items()}
    return value
