"""What is printed and warned; none of it costs a mark."""

from __future__ import annotations

from robustness.accident import WRONG, extra_cell, in_r2

ONE_LINE = 'print("x" * 100_000_000)'
MANY_LINES = "for i in range(1_000_000):\n    print(i)"
CHARACTERS = r'print("\ud800 \x00 \x1b]0;title\x07 \u202e <script>alert(1)</script> ]]>")'
PROGRESS = 'import time\nfor i in range(100):\n    print(f"\\r{i} %", end="", flush=True)'
BAR = "from tqdm.auto import tqdm\n\nfor i in tqdm(range(100)):\n    pass"

ACCIDENTS = (
    in_r2("a warning", 'import warnings\nwarnings.warn("careful")'),
    in_r2("a line on stderr", 'import sys\nprint("careful", file=sys.stderr)'),
    in_r2("logging", 'import logging\nlogging.warning("careful")'),
    in_r2("a warning of NumPy", "np.array([1.0]) / 0\nnp.log(np.zeros(2))"),
    extra_cell("a warning in a cell", 'import warnings\n\nwarnings.warn("careful")'),
    extra_cell("100 MB on one line in a cell", ONE_LINE),
    in_r2("100 MB on one line in a function", ONE_LINE),
    extra_cell("a million lines in a cell", MANY_LINES),
    in_r2("100,000 lines in a function", "for i in range(100_000):\n    print(i)"),
    extra_cell("100 MB on stderr", f"import sys\n\n{ONE_LINE[:-1]}, file=sys.stderr)"),
    extra_cell("100 MB as a result", '"x" * 100_000_000'),
    extra_cell("ten thousand displays", "for i in range(10_000):\n    display(i)"),
    extra_cell("no newline", 'print("no newline", end="")'),
    extra_cell("carriage returns", PROGRESS),
    extra_cell("a progress bar", BAR),
    extra_cell("colors", 'print("\\x1b[1;31mred\\x1b[0m")'),
    extra_cell("odd characters", CHARACTERS),
    in_r2("odd characters from a function", CHARACTERS),
    in_r2("odd characters from a wrong function", f"{CHARACTERS}\nreturn 0.123", WRONG),
    extra_cell("bytes", 'import sys\n\nsys.stdout.buffer.write(b"\\xff\\xfe")'),
    extra_cell("bytes to the descriptor", 'import os\n\nos.write(1, b"\\xff" * 1_000_000)'),
    extra_cell("output cleared", "from IPython.display import clear_output\n\nprint(1)\nclear_output(wait=True)"),
)
