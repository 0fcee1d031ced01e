"""Mutants: small changes that a test of a module should notice, one at a time. Pure: source in, sources out.

What is changed are decisions: comparisons, arithmetic, the words of logic, numbers, what is returned, calls
made for their effect, loops left early. What is not: annotations, texts (they are told to people, and the
tests that care compare them), and assertions, which are themselves checks.
"""

from __future__ import annotations

import ast
import copy
from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple

COMPARISONS: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq, ast.NotEq: ast.Eq, ast.Is: ast.IsNot, ast.IsNot: ast.Is,
    ast.In: ast.NotIn, ast.NotIn: ast.In,
}  # fmt: skip
ARITHMETIC: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.FloorDiv, ast.FloorDiv: ast.Mult, ast.Div: ast.Mult,
    ast.Mod: ast.Mult, ast.LShift: ast.RShift, ast.RShift: ast.LShift, ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
}  # fmt: skip
NAMES = {"min": "max", "max": "min", "any": "all", "all": "any"}
WORDS_MAX = 110
"""Of a mutant's name: enough to find it."""


class Mutant(NamedTuple):
    """One change."""

    name: str
    """Function, before and after: what it is known by, however the lines move."""
    line: int
    tree: ast.Module
    """The whole module, unchanged."""
    old: ast.AST
    new: ast.AST

    def source(self) -> str:
        """The whole module, changed."""
        _replace(self.tree, self.old, self.new)
        text = ast.unparse(ast.fix_missing_locations(self.tree))
        _replace(self.tree, self.new, self.old)
        return text


def mutants(source: str) -> list[Mutant]:
    """All mutants of a module, in the order of its lines."""
    tree = ast.parse(source)
    spared = _spared(tree)
    functions = _functions(tree)
    found: list[Mutant] = []
    seen: Counter[str] = Counter()
    for node in ast.walk(tree):
        if node in spared:
            continue
        for changed in _changes(node):
            name = f"{functions.get(node, 'module')}: {_words(node)} → {_words(changed)}"
            seen[name] += 1
            if seen[name] > 1:
                name += f" ({seen[name]})"
            found.append(Mutant(name, getattr(node, "lineno", 0), tree, node, changed))
    return sorted(found, key=lambda one: one.line)


def _spared(tree: ast.AST) -> set[ast.AST]:
    """Everything in annotations, decorators, assertions, and what is raised."""
    roots: list[ast.AST | None] = []
    for node in ast.walk(tree):
        match node:
            case ast.Assert() | ast.Raise():
                roots.append(node)
            case ast.AnnAssign(annotation=annotation) | ast.arg(annotation=annotation):
                roots.append(annotation)
            case ast.FunctionDef() | ast.AsyncFunctionDef():
                roots += [node.returns, *node.decorator_list]
            case ast.ClassDef(decorator_list=decorators):
                roots += decorators
            case ast.If(test=ast.Name(id="TYPE_CHECKING")):
                roots.append(node)
            case _:
                pass
    return {inner for root in roots if root is not None for inner in ast.walk(root)}


def _functions(tree: ast.AST) -> dict[ast.AST, str]:
    """The innermost function or class around each node."""
    names: dict[ast.AST, str] = {}
    for outer in ast.walk(tree):  # from the outside in
        if isinstance(outer, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names.update(dict.fromkeys(ast.walk(outer), outer.name))
    return names


def _changes(node: ast.AST) -> Iterator[ast.AST]:
    """What could stand in the place of this node."""
    match node:
        case ast.Compare(ops=[op]) if type(op) in COMPARISONS:
            yield _with(node, ops=[COMPARISONS[type(op)]()])
        case ast.Compare(ops=[first, second]):
            if type(first) in COMPARISONS:
                yield _with(node, ops=[COMPARISONS[type(first)](), second])
            if type(second) in COMPARISONS:
                yield _with(node, ops=[first, COMPARISONS[type(second)]()])
        case ast.BinOp(op=op) if type(op) in ARITHMETIC:
            yield _with(node, op=ARITHMETIC[type(op)]())
        case ast.AugAssign(op=op) if type(op) in ARITHMETIC:
            yield _with(node, op=ARITHMETIC[type(op)]())
        case ast.BoolOp(op=op):
            yield _with(node, op=ast.Or() if isinstance(op, ast.And) else ast.And())
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            yield operand
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            yield operand
        case ast.Constant(value=bool(value)):
            yield _with(node, value=not value)
        case ast.Constant(value=int(value)):
            yield _with(node, value=value + 1)
        case ast.If() | ast.IfExp():
            yield _with(node, test=ast.UnaryOp(ast.Not(), node.test))
        case ast.Return(value=ast.expr() as value) if not _is_none(value):
            yield _with(node, value=ast.Constant(None))
        case ast.Expr(value=ast.Call() | ast.Await()):
            yield ast.Pass()
        case ast.Break():
            yield ast.Continue()
        case ast.Continue():
            yield ast.Break()
        case ast.Name(id=word, ctx=ast.Load()) if word in NAMES:
            yield _with(node, id=NAMES[word])
        case _:
            return


def _with(node: ast.AST, **fields: object) -> ast.AST:
    changed = copy.copy(node)
    for name, value in fields.items():
        setattr(changed, name, value)
    return changed


def _replace(tree: ast.AST, old: ast.AST, new: ast.AST) -> None:
    for parent in ast.walk(tree):
        for name, value in ast.iter_fields(parent):
            if value is old:
                setattr(parent, name, new)
                return
            if isinstance(value, list) and any(item is old for item in value):
                value[:] = [new if item is old else item for item in value]
                return
    raise AssertionError("what is replaced is not in the tree")


def _words(node: ast.AST) -> str:
    if isinstance(node, ast.If):
        return f"if {_words(node.test)}"
    text = " ".join(ast.unparse(ast.fix_missing_locations(node)).split())
    return text if len(text) <= WORDS_MAX else f"{text[: WORDS_MAX - 1]}…"


def _is_none(value: ast.expr) -> bool:
    return isinstance(value, ast.Constant) and value.value is None
