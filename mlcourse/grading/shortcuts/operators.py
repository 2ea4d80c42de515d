"""What operators and comparisons give: of the student's own objects, what their methods do."""

from __future__ import annotations

import ast

from mlcourse.grading.shortcuts.calls import call_method
from mlcourse.grading.shortcuts.constants import combine
from mlcourse.grading.shortcuts.interpreter import EXPRESSIONS, MAX_CALLS, Interpreter
from mlcourse.grading.shortcuts.meanings import (
    DATA,
    GIVEN,
    Arguments,
    Constant,
    Container,
    Instance,
    Meanings,
    is_plain,
    join,
    one,
)

OPERATORS: dict[type, str] = {
    ast.Add: "add",
    ast.Sub: "sub",
    ast.Mult: "mul",
    ast.MatMult: "matmul",
    ast.Div: "truediv",
    ast.FloorDiv: "floordiv",
    ast.Mod: "mod",
    ast.Pow: "pow",
    ast.LShift: "lshift",
    ast.RShift: "rshift",
    ast.BitOr: "or",
    ast.BitXor: "xor",
    ast.BitAnd: "and",
}
UNARY: dict[type, str] = {
    ast.USub: "__neg__",
    ast.UAdd: "__pos__",
    ast.Invert: "__invert__",
    ast.Not: "__bool__",
}
COMPARISONS = ("__eq__", "__ne__", "__lt__", "__gt__", "__le__", "__ge__")


def _binary(run: Interpreter, node: ast.BinOp) -> Meanings:
    chain: list[ast.BinOp] = []
    left: ast.expr = node
    while isinstance(left, ast.BinOp):  # a long sum leans to the left
        chain.append(left)
        left = left.left
    value = run.evaluate(left)
    for step in reversed(chain):
        right = run.evaluate(step.right)
        if isinstance(step.op, ast.Div | ast.FloorDiv | ast.Mod) and right == one(Constant(0)):
            run.fails_here()
        value = operated(run, step.op, value, right)
    return value


def operated(run: Interpreter, operator: ast.operator, left: Meanings, right: Meanings, begin: str = "") -> Meanings:
    """Return what two things give with an operator between them; of the student's own objects, what their method does.

    ``begin`` is ``"i"`` for ``+=`` and its kin.
    """
    plain = combine(operator, left, right)
    if is_plain(left | right):
        return GIVEN if plain == DATA else plain
    if DATA.issuperset(left | right) or run.depth >= MAX_CALLS // 2:
        return join(plain, frozenset(item for item in left | right if isinstance(item, Instance)))
    name = OPERATORS[type(operator)]
    ways = [(left, f"__{name}__", right)]
    if not left or any(not isinstance(item, Instance) for item in left):
        ways.append((right, f"__r{name}__", left))
    ways += [(left, f"__{begin}{name}__", right)] if begin else []
    own = join(*(call_method(run, owner, method, Arguments((other,))) for owner, method, other in ways))
    if left >= DATA or right >= DATA:
        run.hand_on(left | right, "an operator")
    return join(plain, own)


def _unary(run: Interpreter, node: ast.UnaryOp) -> Meanings:
    values = run.evaluate(node.operand)
    numbers = [item.value for item in values if isinstance(item, Constant) and isinstance(item.value, int)]
    if isinstance(node.op, ast.USub) and numbers and len(numbers) == len(values):
        return frozenset(Constant(-number) for number in numbers)
    return join(DATA, call_method(run, values, UNARY[type(node.op)]))


def _comparison(run: Interpreter, node: ast.Compare) -> Meanings:
    values = [run.evaluate(part) for part in (node.left, node.comparators[0])]
    with run.perhaps():
        values += [run.evaluate(part) for part in node.comparators[1:]]
    found = [DATA]
    if run.depth >= MAX_CALLS // 2 or not any(
        isinstance(item, Instance | Container) for part in values for item in part
    ):
        return GIVEN
    for operator, left, right in zip(node.ops, values, values[1:], strict=False):
        if isinstance(operator, ast.In | ast.NotIn):
            found.append(call_method(run, right, "__contains__", Arguments((left,))))
            right = run.element(right)
        for owner, other in ((left, right), (right, left)):
            found += [call_method(run, owner, name, Arguments((other,))) for name in COMPARISONS]
    return join(*found)


EXPRESSIONS.update({ast.BinOp: _binary, ast.UnaryOp: _unary, ast.Compare: _comparison})
