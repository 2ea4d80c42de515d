"""What makes, joins and loops over containers."""

from __future__ import annotations

from typing import Any

from mlcourse.grading.shortcuts.elements import call_next
from mlcourse.grading.shortcuts.interpreter import Interpreter
from mlcourse.grading.shortcuts.known import known
from mlcourse.grading.shortcuts.meanings import (
    DATA,
    GIVEN,
    MANY,
    NOTHING,
    REST,
    Arguments,
    Container,
    Instance,
    Meanings,
    Namespace,
    Path,
    View,
    bag,
    functions_in,
    generated,
    join,
    one,
)
from mlcourse.grading.shortcuts.operations import looped, merge, pairs


@known("builtins.sum", "math.prod", "statistics.mean")
def _sum(run: Interpreter, arguments: Arguments) -> Meanings:
    element = looped(run, arguments.at(0))
    own = frozenset(item for item in element if isinstance(item, Instance))
    total = run.call(run.attribute(own, "__add__"), Arguments((join(element, arguments.at(1, "start")),)))
    inner = join(NOTHING, *(item.values() for item in element if isinstance(item, Container)))
    return join(DATA, total, bag(inner) if run.leads.marks(inner) else NOTHING)


@known("builtins.filter", "itertools.filterfalse", "itertools.takewhile", "itertools.dropwhile")
def _filter(run: Interpreter, arguments: Arguments) -> Meanings:
    element = looped(run, arguments.at(1))
    run.call(functions_in(arguments.at(0)), Arguments((element,)))
    return generated(element, join(functions_in(arguments.at(0)), lazy_in(arguments)), of=arguments.at(1))


@known("itertools.starmap")
def _starmap(run: Interpreter, arguments: Arguments) -> Meanings:
    element = looped(run, arguments.at(1))
    result = run.call(arguments.at(0), Arguments(rest=join(element, run.element(element))))
    return generated(result, by=join(functions_in(arguments.at(0)), lazy_in(arguments)))


@known("builtins.map")
def _map(run: Interpreter, arguments: Arguments) -> Meanings:
    lists = [item for item in arguments.at(1) if isinstance(item, Container)]
    ordered = lists[0].in_order() if len(lists) == len(arguments.at(1)) == 1 else None
    if len(arguments.positional) == 2 and ordered is not None:
        results = [run.call(arguments.at(0), Arguments((part,))) or part for part in ordered]

        def show() -> dict[Any, Meanings]:
            unchanged = lists[0].in_order() == ordered
            return dict(enumerate(results)) if unchanged else {REST: join(lists[0].values(), *results)}

        return one(View(show, functions_in(arguments.at(0))))
    taken = tuple(looped(run, part) for part in arguments.positional[1:])
    elements = join(run.call(arguments.at(0), Arguments(taken)), *taken)
    of = join(NOTHING, *arguments.positional[1:])
    return generated(elements, join(functions_in(arguments.at(0)), lazy_in(arguments)), of)


def lazy_in(arguments: Arguments) -> Meanings:
    """Return what runs when elements are taken from what was given."""
    return join(NOTHING, *(item.made_by for item in arguments.everything() if isinstance(item, Container)))


@known("functools.reduce")
def _reduce(run: Interpreter, arguments: Arguments) -> Meanings:
    ordered = [item.in_order() for item in arguments.at(1) if isinstance(item, Container)]
    steps = (ordered[0] if ordered else None) or [looped(run, arguments.at(1))]
    current = arguments.at(2, "initial")
    run.cut = run.cut or len(steps) > MANY
    for step in steps[:MANY]:
        current = run.call(arguments.at(0), Arguments((current, step))) if current else step
        run.note(current, used=False)
    return current


@known("builtins.iter")
def _iter(run: Interpreter, arguments: Arguments) -> Meanings:
    if len(arguments.positional) == 2:
        return generated(run.call(arguments.at(0), Arguments()), by=functions_in(arguments.at(0)))
    own = frozenset(item for item in arguments.at(0) if isinstance(item, Instance))
    iterator = run.call(run.attribute(own, "__iter__"), Arguments())
    return join(generated(looped(run, arguments.at(0)), by=lazy_in(arguments), of=arguments.at(0)), iterator)


@known("builtins.list", "builtins.tuple", "builtins.set", "builtins.frozenset", "collections.deque")
def _list(run: Interpreter, arguments: Arguments) -> Meanings:
    ordered = [item for item in arguments.at(0) if isinstance(item, Container) and item.in_order() is not None]
    return join(*(one(Container(dict(item.items))) for item in ordered)) or bag(looped(run, arguments.at(0)))


@known("builtins.sorted", "builtins.reversed", "itertools.chain", "itertools.cycle", "itertools.repeat")
def _any_order(run: Interpreter, arguments: Arguments) -> Meanings:
    run.note(functions_in(arguments.everything()), with_data=True)
    run.call_back(arguments)
    given = arguments.positional
    alone = (item for part in given[:1] for item in part if not isinstance(item, Container))  # what is repeated
    elements = join(frozenset(alone), *(looped(run, part) for part in given))
    return generated(elements, by=lazy_in(arguments), of=join(NOTHING, *given))


@known("itertools.islice", "itertools.compress", "itertools.tee")
def _of_the_first(run: Interpreter, arguments: Arguments) -> Meanings:
    taken = generated(looped(run, arguments.at(0)), by=lazy_in(arguments), of=arguments.at(0))
    return taken | bag(taken)


@known("builtins.next", "builtins.max", "builtins.min", "random.choice")
def _one_of(run: Interpreter, arguments: Arguments) -> Meanings:
    run.note(functions_in(arguments.everything()), with_data=True)
    run.call_back(arguments)
    taken = join(looped(run, arguments.at(0)), call_next(run, arguments.at(0)))
    return join(taken, dict(arguments.keywords).get("default", NOTHING), *arguments.positional)


@known("builtins.zip", "itertools.product")
def _tuples(run: Interpreter, arguments: Arguments) -> Meanings:
    return generated(_side_by_side(run, *arguments.positional), by=lazy_in(arguments))


@known("builtins.enumerate")
def _numbered(run: Interpreter, arguments: Arguments) -> Meanings:
    return generated(_side_by_side(run, NOTHING, arguments.at(0)), by=lazy_in(arguments))


@known("types.MappingProxyType", "collections.ChainMap")
def _mapping_of(run: Interpreter, arguments: Arguments) -> Meanings:
    return join(_dict(run, arguments), *arguments.positional)  # what is put into the one stands in the other


@known("builtins.dict", "collections.OrderedDict", "collections.UserDict", "collections.Counter")
def _dict(run: Interpreter, arguments: Arguments) -> Meanings:
    everything = join(NOTHING, *arguments.positional, arguments.rest)
    namespaces = frozenset(item for item in everything if isinstance(item, Namespace))
    items: dict[Any, Meanings] = dict(arguments.keywords)
    for given in everything:
        if isinstance(given, Container):
            merge(items, pairs(run, given))
    return join(namespaces, one(Container(items, keyed=True)))


@known("types.SimpleNamespace", "argparse.Namespace")
def _record(run: Interpreter, arguments: Arguments) -> Meanings:
    rest = join(*arguments.positional, arguments.rest)
    return one(Container({**dict(arguments.keywords), REST: rest}, record=True))


@known("collections.namedtuple")
def _record_type(run: Interpreter, arguments: Arguments) -> Meanings:
    return one(Path("types.SimpleNamespace"))


def _side_by_side(run: Interpreter, *parts: Meanings) -> Meanings:
    """Return one element of each of these together, from what stands in them when somebody asks."""
    taken = [looped(run, part) or GIVEN for part in parts]
    shown = [[item for item in part if isinstance(item, Container) and not item.keyed] for part in parts]

    def together() -> dict[Any, Meanings]:
        return {place: join(taken[place], *(item.values() for item in shown[place])) for place in range(len(parts))}

    return one(View(together))
