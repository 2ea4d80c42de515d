"""What IPython adds to Python, and mistakes in single cells."""

from __future__ import annotations

from robustness.accident import ERROR, MISSING, WRONG, Accident, answer, extra_cell, in_r2, right_r2

PLOT = """\
%matplotlib inline
import matplotlib.pyplot as plt

figure, axes = plt.subplots(figsize=(2, 2))
axes.plot([0, 1], [1, 3])
plt.show()"""
SHOWN = """\
from IPython.display import HTML, Latex, Markdown, display

display(HTML("<b>bold</b>"), Markdown("**bold**"), Latex("$x$"), {"a": np.ones(2)})
_ = display("handle", display_id=True)"""


def r2_below(first: str):
    """Return a cell that begins with something of IPython's and goes on with a right r2_score."""
    return right_r2(before=first)


ACCIDENTS = (
    answer("syntax error in a solution", "r2_score", "def r2_score(y, predictions)\n    return 1", MISSING),
    answer("indentation error in a solution", "r2_score", "def r2_score(y, p):\nreturn 1", MISSING),
    answer("error above the function", "r2_score", r2_below("value = undefined_name + 1"), MISSING),
    answer("error below the function", "r2_score", right_r2() + "\nprint(r2_score(1, undefined_name))"),
    answer("name of the function misspelled", "r2_score", right_r2().replace("r2_score", "r2score"), MISSING),
    answer("one parameter too few", "r2_score", "def r2_score(y):\n    return 1.0", ERROR),
    answer("prints and returns nothing", "r2_score", "def r2_score(y, predictions):\n    print(1.0)", WRONG),
    extra_cell("syntax error in another cell", "for i in range(3)\n    print(i)"),
    extra_cell("error in another cell", "1 / 0"),
    extra_cell("merge conflict in a cell", "<<<<<<< HEAD\nx = 1\n=======\nx = 2\n>>>>>>> mine"),
    extra_cell("question in a code cell", "Why is this not text?"),
    extra_cell("magic that does not exist", "%no_such_magic 1 2"),
    extra_cell("cell magic that does not exist", "%%no_such_magic\nx = 1"),
    answer("solution under a magic that does not exist", "r2_score", "%%no_such_magic\n" + right_r2(), MISSING),
    answer("pip install above a solution", "r2_score", r2_below("!pip install --quiet no-such-package-at-all")),
    extra_cell("pip magic", "%pip --version"),
    extra_cell("commands of the shell", "!ls -la\nfiles = !ls\nprint(files)"),
    extra_cell("script of the shell", "%%bash\nls\nexit 3"),
    answer("matplotlib inline above a solution", "r2_score", r2_below("%matplotlib inline")),
    extra_cell("plot", PLOT),
    extra_cell("plot in a window", "%matplotlib qt\nimport matplotlib.pyplot as plt\nplt.plot([1, 2])\nplt.show()"),
    extra_cell("display", SHOWN),
    answer("await above a solution", "r2_score", r2_below("import asyncio\n\nawait asyncio.sleep(0)")),
    extra_cell("asyncio.run", "import asyncio\n\nasyncio.run(asyncio.sleep(0))"),
    extra_cell("timeit", "%timeit -n 2 -r 2 np.sum(np.ones(10))"),
    answer("solution under %%time", "r2_score", "%%time\n" + right_r2()),
    answer("solution under %%capture", "r2_score", "%%capture said\nprint(1)\n" + right_r2()),
    answer("autoreload above a solution", "r2_score", r2_below("%load_ext autoreload\n%autoreload 2")),
    extra_cell("extension that does not exist", "%load_ext no_such_extension"),
    extra_cell("file magics", "%%writefile mine.py\nthree = 3", before="r2_score"),
    extra_cell("help", "np.linalg.lstsq?\nhelp(np.sum)"),
    extra_cell("source", "np.linalg.lstsq??"),
    extra_cell("names forgotten", "%reset -f\nimport numpy as np"),
    extra_cell("results not shown", "%config InteractiveShell.ast_node_interactivity = 'none'"),
    extra_cell("history", "%history -n\n%who\n%whos\nIn[1]\nOut"),
    extra_cell("input in a cell", 'n = int(input("How many? "))'),
    answer("input above a solution", "r2_score", r2_below('n = int(input("How many? "))'), MISSING),
    in_r2("input in a function", 'input("ready? ")', ERROR),
    extra_cell("getpass in a cell", "import getpass\n\ngetpass.getpass()"),
    in_r2("getpass in a function", "import getpass\ngetpass.getpass()", ERROR),
    in_r2("breakpoint in a function", "breakpoint()", ERROR),
    extra_cell("debugger in a cell", "%debug"),
    extra_cell("debugger switched on", "%pdb on\n1 / 0"),
    extra_cell("own function called check", "def check(*anything):\n    return 'fine'"),
    Accident(
        "own variable called check from the first cell on",
        lambda submission: submission.insert_before("fit_least_squares", "check = True"),
    ),
    extra_cell("unicode identifiers", "θ, ŷ, 学习率 = 1.0, 2.0, 0.1\nnaïve_é = θ + ŷ"),
    answer(
        "unicode parameters",
        "r2_score",
        right_r2().replace("predictions", "ŷ").replace("y - np.mean(y)", "y - np.mean(y)"),
    ),
    extra_cell("a very long line", f"text, numbers = '{'x' * 2_000_000}', [{', '.join(['1.5'] * 20_000)}]"),
    extra_cell("tabs and form feeds", "if True:\n\tx = 1\n\f\n\ty = 2"),
    extra_cell("a zero byte", "x = 1\x00"),
    extra_cell("half a surrogate pair", 'x = "\ud83d"'),
)
