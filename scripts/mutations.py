"""Gathers what can be changed in a Python file: operators, conditions, constants, statements and locks.

A change keeps all other bytes of the file as they are, so that lines keep their numbers.
"""

from __future__ import annotations

import ast
import copy
from dataclasses import dataclass

COMPARISONS = {ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq}
COMPARISONS |= {ast.NotEq: ast.Eq, ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.In: ast.NotIn, ast.NotIn: ast.In}
OPERATORS = {ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.FloorDiv, ast.FloorDiv: ast.Mult, ast.Mod: ast.Mult}
OPERATORS |= {ast.BitOr: ast.BitAnd, ast.BitAnd: ast.BitOr, ast.LShift: ast.RShift, ast.RShift: ast.LShift}


@dataclass(frozen=True)
class Mutant:
    """One change: `old` at these bytes of a file becomes `new`."""

    path: str
    line: int
    scope: str
    start: int
    end: int
    old: str
    new: str

    @property
    def change(self) -> str:
        return f"{_one_line(self.old)} -> {_one_line(self.new)}"

    @property
    def key(self) -> str:
        return f"{self.path} | {self.scope} | {self.change}"

    def __str__(self) -> str:
        return f"{self.path}:{self.line} in {self.scope}: {self.change}"


def _one_line(text: str) -> str:
    return " ".join(text.split())


class Mutations(ast.NodeVisitor):
    """Gathers every mutant of a file."""

    def __init__(self, path: str, source: bytes) -> None:
        self.path, self.source = path, source
        self.found: list[Mutant] = []
        self.starts = [0]
        for line in source.splitlines(keepends=True):
            self.starts.append(self.starts[-1] + len(line))
        self.scope: list[str] = []
        self.visit(ast.parse(source))

    def add(self, node: ast.expr | ast.stmt, new: ast.AST | str) -> None:
        start = self.starts[node.lineno - 1] + node.col_offset
        end = self.starts[(node.end_lineno or 0) - 1] + (node.end_col_offset or 0)
        text = new if isinstance(new, str) else ast.unparse(new)
        if isinstance(new, ast.expr):
            text = f"({text})"
        old = self.source[start:end].decode()
        self.found.append(Mutant(self.path, node.lineno, ".".join(self.scope) or "module", start, end, old, text))

    def visit_block(self, body: list[ast.stmt]) -> None:
        for statement in body:
            # Text alone is a docstring.
            if not (isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)):
                self.visit(statement)

    def visit_Module(self, node: ast.Module) -> None:
        self.visit_block(node.body)

    def visit_scope(self, node: ast.ClassDef | ast.FunctionDef) -> None:
        self.scope.append(node.name)
        if isinstance(node, ast.FunctionDef):
            for default in (*node.args.defaults, *node.args.kw_defaults):
                if default is not None:
                    self.visit(default)
        self.visit_block(node.body)
        self.scope.pop()

    visit_ClassDef = visit_FunctionDef = visit_scope

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        if node.value is not None:
            self.visit(node.value)

    def visit_If(self, node: ast.If) -> None:
        if not (isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"):
            self.negate(node.test)
            self.generic_visit(node)

    def visit_While(self, node: ast.While) -> None:
        self.negate(node.test)
        self.generic_visit(node)

    def visit_IfExp(self, node: ast.IfExp) -> None:
        self.negate(node.test)
        self.generic_visit(node)

    def visit_comprehension(self, node: ast.comprehension) -> None:
        for test in node.ifs:
            self.add(test, ast.Constant(True))
        self.generic_visit(node)

    def negate(self, test: ast.expr) -> None:
        # Of a comparison the swapped operator says the same, or more.
        if not isinstance(test, ast.Compare | ast.Constant | ast.UnaryOp):
            self.add(test, ast.UnaryOp(ast.Not(), test))

    def visit_Compare(self, node: ast.Compare) -> None:
        for at, operator in enumerate(node.ops):
            self.add(node, _with(node, ops=[*node.ops[:at], COMPARISONS[type(operator)](), *node.ops[at + 1 :]]))
            if type(operator) in (ast.Lt, ast.LtE, ast.Gt, ast.GtE) and len(node.ops) == 1:
                self.add(node, ast.UnaryOp(ast.Not(), node))
        self.generic_visit(node)

    def visit_BoolOp(self, node: ast.BoolOp) -> None:
        self.add(node, _with(node, op=ast.Or() if isinstance(node.op, ast.And) else ast.And()))
        self.generic_visit(node)

    def visit_UnaryOp(self, node: ast.UnaryOp) -> None:
        if isinstance(node.op, ast.Not):
            self.add(node, node.operand)
        self.generic_visit(node)

    def visit_BinOp(self, node: ast.BinOp) -> None:
        if type(node.op) in OPERATORS and not isinstance(node.right, ast.Constant | ast.JoinedStr | ast.Tuple):
            self.add(node, _with(node, op=OPERATORS[type(node.op)]()))
        self.generic_visit(node)

    def visit_Constant(self, node: ast.Constant) -> None:
        value = node.value
        if isinstance(value, bool):
            self.add(node, ast.Constant(not value))
        elif isinstance(value, int):
            self.add(node, ast.Constant(value + 1))
        elif isinstance(value, str | bytes) and value:
            self.add(node, ast.Constant(value + ("X" if isinstance(value, str) else b"X")))

    def visit_JoinedStr(self, node: ast.JoinedStr) -> None:
        """Leave it: before Python 3.12 nobody knows where its parts are."""

    def visit_Raise(self, node: ast.Raise) -> None:
        # The text of an error is for people; that there is one is for tests.
        self.add(node, "pass")

    def visit_Return(self, node: ast.Return) -> None:
        # Of True and False the other one is a mutant already.
        if node.value is not None and not isinstance(node.value, ast.Constant):
            self.add(node, "return None")
        self.generic_visit(node)

    def visit_Expr(self, node: ast.Expr) -> None:
        if not isinstance(node.value, ast.Yield | ast.YieldFrom):
            self.add(node, "pass")
        self.generic_visit(node)

    def visit_AugAssign(self, node: ast.AugAssign) -> None:
        self.add(node, "pass")
        self.generic_visit(node)

    def visit_Delete(self, node: ast.Delete) -> None:
        self.add(node, "pass")

    def visit_Break(self, node: ast.Break) -> None:
        self.add(node, "continue")

    def visit_Continue(self, node: ast.Continue) -> None:
        self.add(node, "break")

    def visit_With(self, node: ast.With) -> None:
        for item in node.items:
            # A lock that is not taken, an error that is not caught.
            if item.optional_vars is None:
                self.add(item.context_expr, "__import__('contextlib').nullcontext()")
        self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> None:
        if not (isinstance(node.func, ast.Name) and node.func.id in ("NewType", "TypeVar", "cast")):
            self.generic_visit(node)


def _with(node: ast.expr, **fields: object) -> ast.expr:
    changed = copy.copy(node)
    for name, value in fields.items():
        setattr(changed, name, value)
    return changed
