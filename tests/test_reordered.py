"""A container does not hide a shortcut by the order of what stands in it."""

from __future__ import annotations

import numpy as np  # noqa: F401  (what the process that searches has loaded)
import pytest

from mlcourse.grading.shortcuts import Check, find_shortcuts

pytestmark = pytest.mark.parallel

SUM = "numpy.sum"


def shortcut(*cells: str) -> str | None:
    """Return the shortcut of `total`, which is checked behind these cells."""
    return find_shortcuts(cells, {"toy.total": Check(len(cells), "total", (SUM,), "mlcourse.toy")}).get("toy.total")


LISTS = [
    *("L.pop(0)", "del L[0]", "L.reverse()", "L.sort(key=str)", "L.insert(0, np.sum)", "L = L[::-1]", "L.remove(len)"),
    *("L = list(reversed(L))", "L = L[1:]", "L[0], L[1] = L[1], L[0]", "L = sorted(L, key=str)", "L = [L[-1]]"),
    *("L[:1] = []", "L[:] = [np.sum]", "L = L * 2\nL = L[1:]", "import random\nrandom.shuffle(L)", "list.pop(L, 0)"),
    *("L += [np.sum]\nL = L[2:]", "list.reverse(L)", "L = np.roll(L, 1)", "L = np.array(L, dtype=object)[::-1]"),
    *("from collections import deque\nL = deque(L)\nL.rotate(1)", "L.clear()\nL.append(np.sum)", "L = [L.pop(-1)]"),
    *("import bisect\nbisect.insort(L, np.sum, key=str)", "import heapq\nheapq.heappush(L, np.sum)"),
    *("import operator\noperator.delitem(L, 0)", "L.__delitem__(0)", "while len(L) > 1: L.pop(0)"),
    *("np.random.default_rng(0).shuffle(L)", "L = [len] * 30 + [np.sum]\nfor _ in range(30): L.pop(0)"),
    *("L[0] = L[1]", "for _ in L[1:]: del L[0]", "L.extend(L)\ndel L[:1]", "L = [f for f in L if f is not len]"),
    *("L = {1: np.sum, 0: len}\nL = [f for _, f in L.items()]", "L = [*L][1:]", "L = (*L[1:],)"),
]


@pytest.mark.parametrize("code", LISTS)
def test_a_list_in_another_order_hides_nothing(code):
    assert shortcut("import numpy as np", f"L = [len, np.sum]\n{code}\ntotal = L[0]") == SUM


DICTS = [
    *("d['a'] = d.pop('b')", "d['a'] = d.popitem()[1]", "d = dict(zip(d, reversed(d.values())))", "d.update(a=np.sum)"),
    *("d[0] = len\nd[7] = np.sum\nd.pop(0)\nd['a'] = d[7]", "d[0] = len\nd[1] = np.sum\ndel d[0]\nd['a'] = d[1]"),
    *("d.update(zip('a', [np.sum]))", "d |= {'a': np.sum}", "del d['a']\nd['a'] = d.get('b')", "d = {'a': d['b']}"),
]


@pytest.mark.parametrize("code", DICTS)
def test_a_dict_with_other_elements_hides_nothing(code):
    assert shortcut("import numpy as np", f"d = {{'a': len, 'b': np.sum}}\n{code}\ntotal = d['a']") == SUM


HONEST = [
    "pair = [own, np.sum]\nprint(len(pair), pair[0]([1]) == pair[1]([1]))\ntotal = own",
    "pair = [own, np.sum]\npair.append(len)\nassert pair.index(len) == 2\ntotal = pair[0]",
    "ways = {'own': own, 'numpy': np.sum}\ndel ways['numpy']\ntotal = ways['own']",
    "names = ['exp', 'sum']\nprint(names)\nnp.array(names)\ntotal = getattr(np, names[0])",
    "data = [3, 1, 2]\ndata.sort()\ndata.pop(0)\ndef total(x): return own(x) + data[0]",
    "ways = [np.sum, own]\ntotal = ways.pop()",
    "ways = [own, np.sum]\ntotal = ways.pop(0)",
    "ways = [np.sum, own]\nways.reverse()\ntotal = ways[0]",
    "ways = [np.sum, own]\ndel ways[0]\ntotal = ways[0]",
    "for way in [own, np.sum]:\n    print(way([1, 2]))\ntotal = own",
]


@pytest.mark.parametrize("code", HONEST)
def test_a_list_that_keeps_its_order_accuses_nobody(code):
    own = "def own(x):\n    s = 0\n    for y in x: s += y\n    return s"
    assert shortcut("import numpy as np", own, code) is None
