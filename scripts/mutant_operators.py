"""Small bugs for a module: each a change of one expression or statement, text put in the place of text.

`find_mutants` reads the syntax tree and gives every change that docs/mutants.md lists. Left alone is what no
test should hold: annotations, decorators, docstrings, assertions, and texts that are read by people. What
another change covers is not made twice: `and` for `or`, say, is seen by whoever sees that either side is left
out.

It runs nothing; scripts/mutants.py does.
"""

import ast
from collections import Counter
from dataclasses import dataclass
from typing import Final

_SWAPPED: Final[dict[type[ast.AST], tuple[str, str]]] = {
    ast.Lt: ("<", "<="),
    ast.LtE: ("<=", "<"),
    ast.Gt: (">", ">="),
    ast.GtE: (">=", ">"),
    ast.Eq: ("==", "!="),
    ast.NotEq: ("!=", "=="),
    ast.Is: ("is", "is not"),
    ast.IsNot: ("is not", "is"),
    ast.In: ("in", "not in"),
    ast.NotIn: ("not in", "in"),  # codespell:ignore
    ast.Add: ("+", "-"),
    ast.Sub: ("-", "+"),
    ast.Mult: ("*", "//"),
    ast.FloorDiv: ("//", "*"),
    ast.Mod: ("%", "//"),
    ast.LShift: ("<<", ">>"),
    ast.RShift: (">>", "<<"),
    ast.BitAnd: ("&", "|"),
    ast.BitOr: ("|", "&"),
    ast.BitXor: ("^", "&"),
}
_OTHER_NAME: Final = {"min": "max", "max": "min"}
_OTHER_TEXT: Final = {"big": "little", "little": "big"}
_OTHER_ORDER: Final = {"<": ">", ">": "<"}  # of bytes, in a format of struct
_ATOMS: Final = (ast.Name, ast.Attribute, ast.Call, ast.Subscript, ast.Constant)
_NEGATED_ELSEWHERE: Final = (ast.Eq, ast.NotEq, ast.Is, ast.IsNot, ast.In, ast.NotIn)  # codespell:ignore


@dataclass(frozen=True, slots=True)
class Mutant:
    """A module with one small bug.

    ``key`` says where it is and what, as in ``host/power.py HostVote._enter: if a {< -> <=} b:``. It tells
    the mutant from all others, and stays when lines move.
    """

    key: str
    line: int
    source: bytes


def find_mutants(name: str, source: bytes) -> list[Mutant]:
    """Every mutant of a module; ``name`` is how its keys begin."""
    finder = _Finder(name, source)
    finder.visit(ast.parse(source))
    return finder.mutants


class _Finder(ast.NodeVisitor):
    def __init__(self, name: str, source: bytes) -> None:
        self._name = name
        self._source = source
        self._line_starts = [0]
        for line in source.splitlines(keepends=True):
            self._line_starts.append(self._line_starts[-1] + len(line))
        self._scopes: list[str] = []
        self._returned = ""  # the annotation of the function that we are in
        self._seen: Counter[str] = Counter()
        self.mutants: list[Mutant] = []

    # Text

    def _start(self, node: ast.expr | ast.stmt) -> int:
        return self._line_starts[node.lineno - 1] + node.col_offset

    def _end(self, node: ast.expr | ast.stmt) -> int:
        assert node.end_lineno is not None
        assert node.end_col_offset is not None
        return self._line_starts[node.end_lineno - 1] + node.end_col_offset

    def _text(self, node: ast.expr) -> str:
        return self._source[self._start(node) : self._end(node)].decode()

    def _atom(self, node: ast.expr) -> str:
        return self._text(node) if isinstance(node, _ATOMS) else f"({self._text(node)})"

    def _replace(self, node: ast.expr | ast.stmt, text: str) -> None:
        self._put(self._start(node), self._end(node), text)

    def _put(self, start: int, end: int, text: str) -> None:
        first, last = self._source.rfind(b"\n", 0, start) + 1, self._source.find(b"\n", end)
        was, before, behind = (
            self._source[part].decode() for part in (slice(start, end), slice(first, start), slice(end, last))
        )
        change = " ".join(f"{before}{{{was} -> {text}}}{behind}".split())
        key = f"{self._name} {'.'.join(self._scopes) or 'module'}: {change}"
        self._seen[key] += 1
        if self._seen[key] > 1:
            key += f" #{self._seen[key]}"
        line = self._source.count(b"\n", 0, start) + 1
        self.mutants.append(Mutant(key, line, self._source[:start] + text.encode() + self._source[end:]))

    def _swap_operator(self, left: ast.expr, operator: ast.AST, right: ast.expr, suffix: str = "") -> None:
        if type(operator) in _SWAPPED:
            was, becomes = (text + suffix for text in _SWAPPED[type(operator)])
            start = self._source.index(was.encode(), self._end(left), self._start(right))
            self._put(start, start + len(was), becomes)

    def _negate(self, test: ast.expr) -> None:
        """Turn a condition round, unless a swapped operator or a `not` taken away does just that."""
        if (
            isinstance(test, ast.Compare)
            and len(test.ops) == 1
            and isinstance(test.ops[0], _NEGATED_ELSEWHERE)
        ):
            return
        if isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
            return
        self._replace(test, f"not {self._atom(test)}")

    # Where we are, and what is left alone

    def _visit_scope(self, node: ast.ClassDef | ast.FunctionDef) -> None:
        self._scopes.append(node.name)
        for statement in node.body:
            self.visit(statement)
        self._scopes.pop()

    visit_ClassDef = _visit_scope

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        for default in (*node.args.defaults, *node.args.kw_defaults):
            if default is not None:
                self.visit(default)
        outer, self._returned = self._returned, ast.unparse(node.returns) if node.returns else ""
        self._visit_scope(node)
        self._returned = outer

    def _leave_alone(self, node: ast.AST) -> None:
        pass

    visit_Assert = visit_JoinedStr = _leave_alone

    # Statements

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        if node.value is not None:
            self.visit(node.value)

    def visit_Assign(self, node: ast.Assign) -> None:
        # Of an attribute or an item: a variable that is not there is no bug that goes unseen.
        if self._scopes[-1:] != ["__init__"] and any(_is_stored(target) for target in node.targets):
            self._replace(node, "pass")
        self.generic_visit(node)

    def visit_AugAssign(self, node: ast.AugAssign) -> None:
        self._replace(node, "pass")
        self._swap_operator(node.target, node.op, node.value, suffix="=")
        self.generic_visit(node)

    def visit_Expr(self, node: ast.Expr) -> None:
        if not isinstance(node.value, ast.Constant):
            self._replace(node, "pass")
            self.generic_visit(node)

    def visit_Return(self, node: ast.Return) -> None:
        if node.value is None:
            self._replace(node, "pass")
            return
        if self._returned == "bool" and not isinstance(node.value, ast.Constant):
            self._negate(node.value)
        elif self._returned == "int" and not isinstance(node.value, ast.Constant):
            self._replace(node.value, f"{self._atom(node.value)} + 1")
        elif self._returned.endswith("| None") and not _is_none(node.value):
            self._replace(node.value, "None")
        self.visit(node.value)

    def visit_Raise(self, node: ast.Raise) -> None:
        self._replace(node, "pass")

    def _visit_jump(self, node: ast.Continue | ast.Break) -> None:
        self._replace(node, "pass")

    visit_Continue = visit_Break = _visit_jump

    def _visit_branch(self, node: ast.If | ast.IfExp) -> None:
        self._negate(node.test)
        self.generic_visit(node)

    visit_If = visit_IfExp = _visit_branch

    def visit_While(self, node: ast.While) -> None:
        self._replace(node.test, "False")
        self.generic_visit(node)

    # Expressions

    def visit_comprehension(self, node: ast.comprehension) -> None:
        for test in node.ifs:
            self._replace(test, "True")
        self.generic_visit(node)

    def visit_Compare(self, node: ast.Compare) -> None:
        operands = (node.left, *node.comparators)
        for left, operator, right in zip(operands, node.ops, node.comparators, strict=False):
            self._swap_operator(left, operator, right)
        self.generic_visit(node)

    def visit_BinOp(self, node: ast.BinOp) -> None:
        self._swap_operator(node.left, node.op, node.right)
        self.generic_visit(node)

    def visit_BoolOp(self, node: ast.BoolOp) -> None:
        word = " and " if isinstance(node.op, ast.And) else " or "
        for left_out in node.values:
            kept = [operand for operand in node.values if operand is not left_out]
            nested = (ast.BoolOp, ast.IfExp, ast.NamedExpr)
            self._replace(
                node,
                word.join(f"({self._text(k)})" if isinstance(k, nested) else self._text(k) for k in kept),
            )
        self.generic_visit(node)

    def visit_UnaryOp(self, node: ast.UnaryOp) -> None:
        self._replace(node, self._atom(node.operand))
        self.generic_visit(node)

    def visit_Slice(self, node: ast.Slice) -> None:
        # A slice is no expression of its own in Python's grammar, but it has a place like one.
        if node.lower is not None:
            self._put(self._start(node.lower), self._end(node.lower), "")
        if node.upper is not None:
            self._put(self._start(node.upper), self._end(node.upper), "")
        self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> None:
        if isinstance(node.func, ast.Name) and node.func.id == "field":
            return  # how a dataclass is made
        if isinstance(node.func, ast.Name) and node.func.id in _OTHER_NAME:
            self._replace(node.func, _OTHER_NAME[node.func.id])
        self.visit(node.func)
        for argument in (*node.args, *(keyword.value for keyword in node.keywords)):
            # A text that is parsed would not parse any more; of such, only the order of bytes is changed.
            if isinstance(argument, ast.Constant) and isinstance(argument.value, str):
                self._swap_byte_order(argument)
            else:
                self.visit(argument)

    def _swap_byte_order(self, node: ast.Constant) -> None:
        text = node.value
        if text in _OTHER_TEXT:
            self._replace(node, f'"{_OTHER_TEXT[text]}"')
        elif text[:1] in _OTHER_ORDER:
            self._replace(node, f'"{_OTHER_ORDER[text[0]]}{text[1:]}"')

    def visit_Constant(self, node: ast.Constant) -> None:
        match node.value:
            case bool():
                self._replace(node, str(not node.value))
            case int():
                is_hexadecimal = self._text(node).lower().startswith("0x")
                self._replace(node, hex(node.value + 1) if is_hexadecimal else str(node.value + 1))
            case str():
                self._replace(node, f'"XX{node.value}"')
            case bytes():
                self._replace(
                    node, repr(node.value[:-1] + bytes((node.value[-1] ^ 1,)) if node.value else b"\1")
                )


def _is_stored(target: ast.expr) -> bool:
    """Whether an assignment to it outlives the function."""
    if isinstance(target, ast.Tuple):
        return any(_is_stored(element) for element in target.elts)
    return isinstance(target, ast.Attribute | ast.Subscript)


def _is_none(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value is None
