"""Mutants that nobody thought of: each decoder with one comparison, bound or check changed.

The changes are those after which a decoder is wrong by one or by one condition:

    a < b       a <= b      and the other way round; likewise >, >=
    a == b      a != b      likewise `is`, `in`
    7           8           a number in a function; one less and one more in a table of the module
    if a: raise             the check is gone; what returns or goes on early counts too
    a or b      a or False  each operand of `or`, and of `and` likewise
"""

import ast
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from durability.mutants.edited import source
from fuzz.mutants.trial import Changed

SUBJECTS: Final[Mapping[str, tuple[str, ...]]] = {
    "raft.message": ("message",),
    "raft.log_entry": ("log_entry", "message"),
    "raft.peer": ("peer", "peer_list", "append_batch"),
    "raft.preamble": ("metadata", "segment", "snapshot"),
    "raft.metadata": ("metadata", "recovery"),
    "raft.segment": ("segment", "recovery", "append_batch"),
    "raft.snapshot": ("snapshot", "recovery"),
    "raft.recovery": ("recovery",),
    "raft.config": ("config", "message"),
    "raft.examples.fields": ("commands",),
    "raft.examples.kv": ("commands",),
    "raft.examples.queue": ("commands",),
    "durability.history.reading": ("history_file",),
    "durability.history.json_lines": ("history_file",),
    "durability.history.jepsen": ("history_file",),
    "durability.history.edn": ("history_file",),
    "durability.history.event": ("history_file",),
    "durability.history.well_formed": ("history_file",),
}
"""The modules that read bytes, and the targets whose inputs get there."""

_NO_DECODERS: Final = (
    "encode", "write", "_split", "segment_name", "SnapshotWriter", "snapshot", "apply", "__str__",
    "_settle", "load",
)  # fmt: skip
"""Functions and classes that read none of an input: what their names begin with."""

_NEIGHBOURS: Final[dict[type[ast.cmpop], type[ast.cmpop]]] = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
}
_LEAVES: Final = (ast.Raise, ast.Return, ast.Continue, ast.Break)


@dataclass(frozen=True)
class Mutant:
    """One change: `name` says where it is, and what became of what; it has no line number."""

    name: str
    changed: Changed


@dataclass(frozen=True)
class _Site:
    """A field of a node that is to have another value.

    `shown` is the code around that tells it, before and after; `dropped` what is gone without that.
    """

    place: str
    node: ast.AST
    field: str
    value: Any
    shown: ast.AST
    dropped: bool = False


def mutants(module: str) -> Iterator[Mutant]:
    """Make all mutants of a module, in the order of its source."""
    path = f"{module.replace('.', '/')}.py"
    tree = ast.parse(source(path), path)
    names: Counter[str] = Counter()
    for site in list(_sites(tree, module)):
        own = getattr(site.node, site.field)
        before = ast.unparse(site.shown)
        setattr(site.node, site.field, site.value)
        after = "dropped" if site.dropped else f"-> {ast.unparse(site.shown)}"
        code = compile(tree, path, "exec")
        setattr(site.node, site.field, own)
        name = f"{site.place}: {before} {after}"
        names[name] += 1
        yield Mutant(name if names[name] == 1 else f"{name} ({names[name]})", Changed(module, code))


def _sites(tree: ast.Module, module: str) -> Iterator[_Site]:
    for statement in tree.body:
        match statement:
            case ast.FunctionDef() | ast.ClassDef():
                yield from _definition_sites(statement, module)
            case ast.Assign(targets=[ast.Name(id=name)], value=ast.Dict() as table):
                for key, value in zip(table.keys, table.values, strict=True):
                    if key is not None:
                        yield from _constant_sites(value, f"{module}.{name}[{ast.unparse(key)}]")
            case ast.Assign(targets=[ast.Name(id=name)], value=value):
                yield from _constant_sites(value, f"{module}.{name}")


def _constant_sites(value: ast.expr, place: str) -> Iterator[_Site]:
    """Look for numbers in what a name of the module stands for."""
    for number in ast.walk(value):
        if isinstance(number, ast.Constant) and type(number.value) is int:
            for neighbour in (number.value - 1, number.value + 1):
                yield _Site(place, number, "value", neighbour, value)


def _definition_sites(definition: ast.stmt, place: str) -> Iterator[_Site]:
    """Look for sites in a function, or in the functions of a class."""
    assert isinstance(definition, ast.FunctionDef | ast.ClassDef)
    if definition.name.startswith(_NO_DECODERS):
        return
    place = f"{place}.{definition.name}"
    for statement in definition.body:
        if isinstance(statement, ast.FunctionDef):
            yield from _definition_sites(statement, place)
        elif isinstance(definition, ast.FunctionDef):
            yield from _statement_sites(statement, place)


def _statement_sites(statement: ast.AST, place: str) -> Iterator[_Site]:
    """Look for sites in a statement; what is raised, and what is asserted, is only said."""
    if isinstance(statement, ast.Raise | ast.Assert):
        return
    if isinstance(statement, ast.If) and _is_check(statement):
        never = ast.copy_location(ast.Constant(value=False), statement.test)
        yield _Site(place, statement, "test", never, statement.test, dropped=True)
    for node, around in _expressions(statement):
        yield from _expression_sites(node, place, around)
    for child in ast.iter_child_nodes(statement):
        if isinstance(child, ast.stmt | ast.excepthandler | ast.match_case):
            yield from _statement_sites(child, place)


def _is_check(statement: ast.If) -> bool:
    return isinstance(statement.body[-1], _LEAVES) and not statement.orelse


def _expressions(parent: ast.AST) -> Iterator[tuple[ast.expr, ast.expr]]:
    """Yield each expression of a statement, and each inside of it; and the one around it."""
    for child in ast.iter_child_nodes(parent):
        if isinstance(child, ast.JoinedStr):
            continue
        if isinstance(child, ast.expr):
            yield child, parent if isinstance(parent, ast.expr) else child
        if isinstance(child, ast.expr | ast.comprehension | ast.keyword | ast.withitem):
            yield from _expressions(child)


def _expression_sites(node: ast.expr, place: str, around: ast.expr) -> Iterator[_Site]:
    match node:
        case ast.Compare(ops=ops):
            for number, op in enumerate(ops):
                changed = [*ops[:number], _NEIGHBOURS[type(op)](), *ops[number + 1 :]]
                yield _Site(place, node, "ops", changed, node)
        case ast.Constant(value=int() as value) if not isinstance(value, bool):
            yield _Site(place, node, "value", value + 1, around)
        case ast.BoolOp(op=op, values=values):
            for number, operand in enumerate(values):
                neutral = ast.copy_location(ast.Constant(value=isinstance(op, ast.And)), operand)
                without = [*values[:number], neutral, *values[number + 1 :]]
                yield _Site(place, node, "values", without, operand, dropped=True)
