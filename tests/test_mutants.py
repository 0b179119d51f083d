"""What scripts/mutants.py makes of a module, and what it says of survivors."""

from pathlib import Path

import pytest

from scripts.mutant_operators import find_mutants
from scripts.mutants import KILLED, SURVIVED, Module, report_survivors

LISTED = "# Mutants\n\nNobody sees it.\n\n```survivors\n{}\n```\n"


def changes(source: str) -> list[str]:
    """Each change of a module, as ``{was -> becomes}``."""
    keys = [mutant.key for mutant in find_mutants("m.py", source.encode())]
    return [key[key.index("{") : key.rindex("}") + 1] for key in keys]


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("a < b", ["{a < b -> pass}", "{< -> <=}"]),
        ("a is not b in c", ["{a is not b in c -> pass}", "{is not -> is}", "{in -> not in}"]),
        ("x = a >> b & c", ["{& -> |}", "{>> -> <<}"]),
        ("x = (a or b) and c", ["{(a or b) and c -> c}", "{(a or b) and c -> (a or b)}", "{a or b -> b}"]),
        ("x = not a", ["{not a -> a}"]),
        ("x = -(a + b)", ["{-(a + b) -> (a + b)}", "{+ -> -}"]),
        ("a.b = c", ["{a.b = c -> pass}"]),
        ("a, b.c = d", ["{a, b.c = d -> pass}"]),
        ("a += b", ["{a += b -> pass}", "{+= -> -=}"]),
        ("if a: pass", ["{a -> not a}"]),
        ("if a == b: pass", ["{== -> !=}"]),
        ("x = a if b else c", ["{b -> not b}"]),
        ("while a: break", ["{a -> False}", "{break -> pass}"]),
        ("x = [a for a in b if c]", ["{c -> True}"]),
        ("x = a[b:c]", ["{b -> }", "{c -> }"]),
        ("x = 0xFF", ["{0xFF -> 0x100}"]),
        (
            "x = True, 'a', b'a', b''",
            ["{True -> False}", "{'a' -> \"XXa\"}", "{b'a' -> b'`'}", "{b'' -> b'\\x01'}"],
        ),
        ("x = min(a, b)", ["{min -> max}"]),
        ("x = Struct('<I'), a.to_bytes(b, 'big')", ["{'<I' -> \">I\"}", "{'big' -> \"little\"}"]),
        ("raise a('b')", ["{raise a('b') -> pass}"]),
    ],
)
def test_a_module_is_changed_in_one_place_at_a_time(source: str, expected: list[str]) -> None:
    assert set(expected) <= set(changes(source + "\n"))
    for mutant in find_mutants("m.py", source.encode() + b"\n"):
        compile(mutant.source, "m.py", "exec")


@pytest.mark.parametrize(
    ("annotation", "expected"),
    [("bool", ["{a -> not a}"]), ("int", ["{a -> a + 1}"]), ("A | None", ["{a -> None}"]), ("A", [])],
)
def test_what_is_returned_is_changed_by_its_type(annotation: str, expected: list[str]) -> None:
    assert changes(f"def f(a) -> {annotation}:\n    return a\n") == expected


@pytest.mark.parametrize(
    "source",
    [
        '"""A docstring."""',
        "assert 1 < 2, 'so it is'",
        "x: Literal[1] | None",
        "x = f'{1 + 1}'",
        "x = field(default=1)",
        "x = None",
        "@a(1)\nclass B:\n    'c'",
        "def f(a: Literal[1] = None) -> Literal[2]:\n    'b'",
        "def f(self):\n    x = a",
    ],
)
def test_what_no_test_should_hold_is_left_alone(source: str) -> None:
    assert changes(source + "\n") == []


def test_a_key_says_where_and_what_but_no_line() -> None:
    source = b"class A:\n    def b(self):\n        return 1 + 2\n"
    mutants = {mutant.key: mutant for mutant in find_mutants("x/y.py", source)}
    mutant = mutants["x/y.py A.b: return 1 {+ -> -} 2"]
    assert mutant.line == 3
    assert mutant.source == source.replace(b"+", b"-")
    assert [mutant.key for mutant in find_mutants("x/y.py", b"\n" + source)] == list(mutants)


def test_changes_that_look_the_same_have_keys_of_their_own() -> None:
    keys = [mutant.key for mutant in find_mutants("m.py", b"a.b()\na.b()\n")]
    assert keys == ["m.py module: {a.b() -> pass}", "m.py module: {a.b() -> pass} #2"]


def judged(outcome: str) -> Module:
    """A module with one mutant."""
    mutants = find_mutants("m.py", b"a.b()\n")
    return Module("m.py", mutants, outcomes={mutants[0].key: outcome})


@pytest.mark.parametrize(
    ("outcome", "listed", "is_right"),
    [
        (KILLED, "", True),
        (SURVIVED, "", False),
        (SURVIVED, "m.py module: {a.b() -> pass}", True),
        (KILLED, "m.py module: {a.b() -> pass}", False),
        (KILLED, "m.py module: {a.c() -> pass}", False),
        (KILLED, "n.py module: {a.c() -> pass}", True),  # of a module that was not asked for
    ],
)
def test_the_list_of_survivors_is_to_be_right(
    outcome: str, listed: str, is_right: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("docs").mkdir()
    Path("docs/mutants.md").write_text(LISTED.format(listed))
    assert report_survivors([judged(outcome)]) is is_right
