"""Run code in the browser of whoever opens the feedback."""

from __future__ import annotations

from typing import Any

import nbformat

from .base import Attack, Place, cell_of

FAMILY = "HTML in feedback"

# Everything that a browser would run; each names the attack's mark.
ACTIVE = """<script>alert("@MARK@")</script>
<img src=x onerror="alert('@MARK@')">
<a href="javascript:alert('@MARK@')">open</a>
<a href="  jAvA&#115;cript:alert('@MARK@')">open</a>
<iframe srcdoc="<script>alert('@MARK@')</script>"></iframe>
<iframe src="data:text/html,@MARK@"></iframe>
<object data="data:text/html,@MARK@"></object><embed src="//example.org/@MARK@">
<svg onload="alert('@MARK@')"><script>alert("@MARK@")</script><a xlink:href="javascript:alert('@MARK@')"></a></svg>
<form action="javascript:alert('@MARK@')"><button formaction="javascript:alert('@MARK@')">go</button></form>
<base href="//example.org/@MARK@/"><meta http-equiv="refresh" content="0;url=//example.org/@MARK@">
<style>@import url("//example.org/@MARK@.css");</style><link rel="stylesheet" href="//example.org/@MARK@.css">
<details open ontoggle="alert('@MARK@')"><video><source onerror="alert('@MARK@')"></video></details>"""


def markdown(text: str) -> Any:
    """Return an edit that writes Markdown into the manual question and into a cell of its own."""

    def edit(notebook: Any, place: Place) -> None:
        cell_of(notebook, "explain_step_size").source = place.fill(text)
        notebook.cells.append(nbformat.v4.new_markdown_cell(place.fill(text)))

    return edit


def _attachment(notebook: Any, place: Place) -> None:
    cell = nbformat.v4.new_markdown_cell("![x](attachment:a.png)\n\n![y](attachment:b.svg)")
    quote = f'" onerror="alert(&quot;{place.mark}&quot;)'
    cell["attachments"] = {
        "a.png": {"image/png": f'x" onerror="alert(1,{place.mark!r})'},
        "b.svg": {"image/svg+xml" + quote: quote},
    }
    notebook.cells.append(cell)


def _metadata(notebook: Any, place: Place) -> None:
    active = place.fill(ACTIVE)
    notebook.metadata.title = active
    notebook.metadata.authors = [{"name": active}]
    notebook.metadata.language_info = {"name": active, "pygments_lexer": active, "version": active}
    notebook.metadata.widgets = {
        "application/vnd.jupyter.widget-state+json": {
            "version_major": 2,
            "version_minor": 0,
            "state": {"x": {"model_name": f"</script><script>alert('{place.mark}')</script>"}},
        }
    }
    for cell in notebook.cells:
        cell.metadata["tags"] = [f'" onmouseover="alert(1)" class="{place.mark}', active]
        cell.metadata["name"] = active


def _ids(notebook: Any, place: Place) -> None:
    for number, name in enumerate(("fit_least_squares", "cell-2", "cell-3")):
        cell = cell_of(notebook, name)
        cell["id"] = f'x" onmouseover="alert({number})" class="{place.mark}'
        cell.metadata["collapsed"] = f'"><script>alert("{place.mark}")</script>'


def _outputs(notebook: Any, place: Place) -> None:
    active = place.fill(ACTIVE)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs = [
                nbformat.v4.new_output("display_data", data={"text/html": active, "image/svg+xml": active}),
                nbformat.v4.new_output("display_data", data={"application/javascript": f"alert('{place.mark}')"}),
            ]


def displaying(name: str, tries: str, source: str) -> Attack:
    """Return an attack in a cell that may use ``active``, the text of everything that a browser would run."""
    start = f"active = {ACTIVE!r}\nfrom IPython.display import display\n"
    return Attack(name, FAMILY, tries, {"fit_least_squares": start + source})


ATTACKS = [
    Attack("markdown_html", FAMILY, "writes active HTML into Markdown cells", edit=markdown(ACTIVE)),
    Attack(
        "markdown_links",
        FAMILY,
        "writes Markdown links, images and references with javascript: and data: addresses",
        edit=markdown(
            "[a](javascript:alert('@MARK@')) <javascript:alert('@MARK@')> "
            "[b](data:text/html;base64,PHNjcmlwdD4=@MARK@) ![c](x\"onerror=\"alert('@MARK@'))\n\n"
            "[d][e]\n\n[e]: JaVaScRiPt:alert('@MARK@')\n\n"
            "[f](vbscript:@MARK@) [g](java&#10;script:alert('@MARK@'))\n\n"
            "```html\"><script>alert('@MARK@')</script>\nx\n```\n"
        ),
    ),
    Attack(
        "markdown_mathematics",
        FAMILY,
        "writes mathematics with links, classes and HTML that the page's renderer would turn into markup",
        edit=markdown(
            "$\\href{javascript:alert('@MARK@')}{x}$ $$\\text{<img src=x onerror=alert('@MARK@')>}$$\n\n"
            "\\begin{align}<script>alert('@MARK@')</script>\\end{align}\n\n"
            "$\\unicode{<iframe srcdoc='<script>@MARK@</script>'>}$ `<script>alert('@MARK@')</script>` $x$"
        ),
    ),
    Attack(
        "attachments", FAMILY, "attaches pictures whose data end the attribute that they stand in", edit=_attachment
    ),
    Attack(
        "metadata_html", FAMILY, "writes active HTML into the metadata of the notebook and its cells", edit=_metadata
    ),
    Attack("cell_ids", FAMILY, "writes attributes into the ids of cells", edit=_ids),
    Attack("outputs_handed_in", FAMILY, "hands in outputs with active HTML", edit=_outputs),
    displaying(
        "display_html",
        "displays active HTML, JavaScript, an IFrame and a video",
        "from IPython.display import HTML, IFrame, Javascript\n"
        "display(HTML(active))\n"
        "display(Javascript(\"alert('@MARK@')\"))\n"
        "display(IFrame(\"javascript:alert('@MARK@')\", 10, 10))\n"
        "HTML(active)",
    ),
    displaying(
        "display_other_types",
        "displays active Markdown, LaTeX, SVG, widgets and JSON, and types that no browser knows",
        "for kind in ('text/markdown', 'text/latex', 'image/svg+xml', 'application/json', 'text/vnd.mermaid',\n"
        "             'application/vnd.jupyter.widget-view+json', 'application/vnd.plotly.v1+json', 'text/x-any'):\n"
        "    for data in (active, {'model_id': active, 'data': active}):\n"
        "        try:\n"
        "            display({kind: data, 'text/plain': active}, raw=True)\n"
        "        except Exception as error:\n"
        "            print(type(error).__name__)\n",
    ),
    displaying(
        "pictures_that_are_markup",
        "displays pictures whose data and sizes end the attribute that they stand in",
        "for kind in ('image/png', 'image/jpeg', 'image/gif'):\n"
        '    display({kind: \'x" onerror="alert(1)" class="@MARK@\'}, raw=True)\n'
        "    display({kind: 'iVBORw0KGgo='}, raw=True,\n"
        "            metadata={kind: {'width': '1\" onerror=\"alert(1)\" class=\"@MARK@', 'alt': active}})\n",
    ),
    displaying(
        "repr_html",
        "ends a cell with an object whose texts in all forms are active",
        "class Odd:\n"
        "    def _repr_html_(self): return active\n"
        "    def _repr_svg_(self): return active\n"
        "    def _repr_markdown_(self): return active\n"
        "    def _repr_latex_(self): return active\n"
        "    def _repr_javascript_(self): return \"alert('@MARK@')\"\n"
        "    def __repr__(self): return active\n"
        "display(Odd())\n"
        "Odd()",
    ),
    displaying(
        "exception_html",
        "raises an exception whose name and message are active HTML, in a cell and when it is called",
        "import builtins\n"
        "builtins.active = active\n"
        "def fit_least_squares(X, y):\n"
        "    raise type(active, (Exception,), {})(active)\n"
        "def r2_score(y, predictions):\n"
        "    print(active)\n"
        "    return active\n"
        "raise type(active, (Exception,), {})(active)",
    ),
    displaying(
        "printed_html",
        "prints active HTML, terminal codes that become markup, and terminal links",
        "import sys\n"
        "print(active)\n"
        "print(active, file=sys.stderr)\n"
        "print(\"\\x1b]8;;javascript:alert('@MARK@')\\x1b\\\\click\\x1b]8;;\\x1b\\\\\")\n"
        "print('\\x1b[31m' + active + '\\x1b[38;2;1;2;3\"onmouseover=\"alert(1)m')\n",
    ),
    Attack(
        "student_name",
        FAMILY,
        "hands in under a name that is active HTML",
        student="x<svg onload=alert(1)>",
        edit=markdown("$x$"),
    ),
]
