"""What the search of the text makes of classes: which method is meant, and objects that hold one another."""

from __future__ import annotations

import numpy as np  # noqa: F401  (what the process that searches has loaded)
import pytest
import torch  # noqa: F401

from mlcourse.grading.shortcuts import Check, find_shortcuts

pytestmark = pytest.mark.parallel

SUM = "numpy.sum"
OWN = "def own(x):\n    s = 0\n    for y in x: s += y\n    return s\n"


def shortcut(source: str) -> str | None:
    """Return the shortcut of `total` behind these lines."""
    check = Check(2, "total", (SUM,), "mlcourse.toy")
    return find_shortcuts(["import numpy as np, torch\n" + OWN, source], {"toy.total": check}).get("toy.total")


MEANT = {
    "the first of two bases": (None, "class A: g = own\nclass B: g = np.sum\nclass D(A, B): pass\ntotal = D.g"),
    "the first of two bases, forbidden": (
        SUM,
        "class A: g = np.sum\nclass B: g = own\nclass D(A, B): pass\ntotal = D.g",
    ),
    "the base of a base before a second one": (
        SUM,
        "class A: g = np.sum\nclass B(A): pass\nclass E: g = own\nclass D(B, E): pass\ntotal = D.g",
    ),
    "a base of two classes comes last": (
        SUM,
        "class A: g = own\nclass B(A): pass\nclass C(A): g = np.sum\nclass D(B, C): pass\ntotal = D.g",
    ),
    "super of a class beside": (
        SUM,
        "class A:\n    def run(self, x): return super().run(x)\nclass B:\n    def run(self, x): return np.sum(x)\n"
        "class D(A, B): pass\ntotal = D().run",
    ),
    "forward of a module": (
        SUM,
        "class Net(torch.nn.Module):\n    def forward(self, x): return np.sum(x)\n"
        "net = Net()\ndef total(x): return net(x)",
    ),
    "forward of a module of one's own": (
        None,
        "class Net(torch.nn.Module):\n    def forward(self, x): return own(x)\n"
        "net = Net()\ndef total(x): return net(x)",
    ),
    "forward of a module inside a module": (
        SUM,
        "class Inner(torch.nn.Module):\n    def forward(self, x): return np.sum(x)\nclass Net(torch.nn.Module):\n"
        "    def __init__(self):\n        super().__init__()\n        self.inner = Inner()\n"
        "    def forward(self, x): return self.inner(x)\nnet = Net()\ndef total(x): return net(x)",
    ),
    "an element of a crowd": (
        SUM,
        "".join(f"def c{i}(x): return {i}\n" for i in range(100)) + "crowd = ["
        + ", ".join(f"c{i}" for i in range(100)) + ", [np.sum]]\ntotal = crowd[100][0]",
    ),
    "the end of a list of linked objects": (
        SUM,
        "class Node:\n    def __init__(self, v, n=None): self.v, self.n = v, n\n"
        "node = Node(0, Node(1, Node(2, Node(3, Node(4, Node(np.sum))))))\nwhile node.n: node = node.n\ntotal = node.v",
    ),
    "the bottom of a nested list": (
        SUM,
        "deep = [[[[[[np.sum]]]]]]\nfor _ in range(5): deep = deep[0]\ntotal = deep[0]",
    ),
    "the 60th of a chain of functions": (
        SUM,
        "import functools\ntotal = functools.reduce(lambda a, b: b, [" + "len, " * 60 + "np.sum])",
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", MEANT)
def test_the_meant_one_is_found(kind):
    expected, source = MEANT[kind]
    assert [shortcut(source) for _ in range(3)] == [expected] * 3


VALUE = """
class Value:
    def __init__(self, data, children=()):
        self.data, self.grad, self._backward, self._prev = data, 0.0, lambda: None, set(children)
    def __add__(self, o):
        out = Value(self.data + o.data, (self, o))
        def _backward():
            self.grad += out.grad
            o.grad += out.grad
        out._backward = _backward
        return out
    def go(self):
        topo, seen = [], set()
        def build(v):
            if v not in seen:
                seen.add(v)
                for c in v._prev: build(c)
                topo.append(v)
        build(self)
        self.grad = 1.0
        for v in reversed(topo): v._backward()
"""
TREE = """
class Tree:
    def __init__(self, k): self.k, self.l, self.r = k, None, None
    def insert(self, k):
        if k < self.k:
            if self.l is None: self.l = Tree(k)
            else: self.l.insert(k)
        elif self.r is None: self.r = Tree(k)
        else: self.r.insert(k)
root = Tree(5)
for k in [3, 8, 1]: root.insert(k)
"""
QUEUE = """
class Item:
    def __init__(self, v): self.v, self.n = v, None
class Queue:
    def __init__(self): self.h = self.t = None
    def push(self, v):
        new = Item(v)
        if self.t is None: self.h = self.t = new
        else: self.t.n = new; self.t = new
    def pop(self):
        v, self.h = self.h.v, self.h.n
        return v
q = Queue()
for f in [own, np.mean, own]: q.push(f)
while q.h: q.pop()
"""
HONEST = {
    "objects that hold the one before": (
        "class Node:\n    def __init__(self, n): self.n = n\nx = None\nfor _ in range(9): x = Node(x)"
    ),
    "modules that wrap the one before": (
        "class N(torch.nn.Module):\n    def __init__(self, x):\n        super().__init__()\n        self.x = x\n"
        "x = torch.nn.Identity()\nfor _ in range(3): x = N(x)"
    ),
    "a graph of derivatives": f"{VALUE}\ns = Value(0.0)\nfor i in range(2): s = s + Value(1.0)\ns.go()",
    "a search tree": TREE,
    "a queue": QUEUE,
    "a name that is bound twice in a loop": (
        "for i in range(3):\n    act = np.tanh\n    print(act(1))\n    act = np.sum\n    print(act([1]))"
    ),
    "optimizers": "for lr in [.1, .2]:\n    opt = torch.optim.SGD\n    opt = torch.optim.Adam",
    "functions that are wrapped in a loop": (
        "def timed(f):\n    def inner(*a): return f(*a)\n    return inner\n"
        "for f in [own, np.sum]:\n    f = timed(f)\n    print(f([1]))"
    ),
    "a list that is made again in a loop": "for i in range(3):\n    L = []\n    L.append(own)\n    L = [np.sum]",
    "forty functions in a chain": (
        "import functools\ncompose = lambda *fs: functools.reduce(lambda f, g: lambda x: g(f(x)), fs)\npipe = compose("
        + ", ".join(f"lambda x: x + {i}" for i in range(40)) + ")\nprint(pipe(1))"
    ),
    "eighty functions that call one another": (
        "def h0(x): return x\n" + "".join(f"def h{i}(x): return h{i - 1}(x)\n" for i in range(1, 80)) + "h79(1)"
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", HONEST)
@pytest.mark.parametrize("inside", [False, True], ids=["alone", "in a function"])
def test_honest_cells_are_searched_to_their_end(kind, inside):
    source = HONEST[kind]
    if inside:
        source = "def main():\n" + "".join(f"    {line}\n" for line in source.splitlines()) + "main()"
    assert shortcut(f"{source}\ntotal = own") is None
