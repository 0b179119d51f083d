"""A snapshot of everything that can be reached from an object, and the way back to it, in place.

Nothing is copied but contents: of each object its attributes, of each list, dict, set, deque and bytearray
its elements. Putting them back leaves every object where it is, so views of memory, bound methods and
closures stay right; `copy.deepcopy` can do none of these. Objects that were made since are forgotten, those
that went come back.

Frozen values, classes, functions and chance are taken to be immutable.
"""

import random
import struct
from array import array
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from enum import Enum, IntEnum, auto
from functools import cache, partial
from ipaddress import IPv4Address, IPv6Address, IPv6Network
from types import BuiltinFunctionType, FunctionType, MethodType, ModuleType
from typing import Any, Final

Restore = Callable[[Any, Any], None]

_IMMUTABLE: Final = (
    *(int, float, str, bytes, type(None), type, frozenset, range, Enum, struct.Struct, random.Random),
    *(BuiltinFunctionType, ModuleType, IPv4Address, IPv6Address, IPv6Network),
)


def _restore_list(target: list[Any], content: list[Any]) -> None:
    target[:] = content


def _restore_dict(target: dict[Any, Any], content: dict[Any, Any]) -> None:
    if target or content:
        dict.clear(target)
        dict.update(target, content)  # not a Counter's, which adds


def _restore_set(target: set[Any], content: set[Any]) -> None:
    target.clear()
    target.update(content)


def _restore_deque(target: deque[Any], content: tuple[Any, ...]) -> None:
    target.clear()
    target.extend(content)


def _restore_bytes(target: Any, content: Any) -> None:
    target[:] = content


def _restore_object(target: Any, content: dict[str, Any]) -> None:
    attributes = target.__dict__
    if len(attributes) != len(content):
        attributes.clear()
    attributes.update(content)


def _restore_slots(target: Any, content: list[tuple[str, Any]]) -> None:
    for name, value in content:
        setattr(target, name, value)


class _How(IntEnum):
    """What is to be done with a type."""

    IMMUTABLE = auto()
    OBJECT = auto()
    SLOTS = auto()
    LIST = auto()
    DICT = auto()
    SET = auto()
    DEQUE = auto()
    BYTES = auto()
    LINK = auto()  # has no content of its own, but leads to something


_CONTAINERS: Final = (
    (list, _How.LIST),
    (dict, _How.DICT),
    (set, _How.SET),
    (deque, _How.DEQUE),
    (bytearray, _How.BYTES),
    (array, _How.BYTES),
)
_LINKS: Final = (tuple, memoryview, MethodType, FunctionType, partial)


def _how(kind: Any) -> _How:
    if kind in _LINKS:
        return _How.LINK
    parameters = getattr(kind, "__dataclass_params__", None)
    if issubclass(kind, _IMMUTABLE) or (parameters is not None and parameters.frozen):
        return _How.IMMUTABLE
    for base, how in _CONTAINERS:
        if issubclass(kind, base):
            return how
    if getattr(kind, "__dictoffset__", 0):
        return _How.OBJECT
    return _How.SLOTS if _slots(kind) else _How.IMMUTABLE


class _Hows(dict[type, _How]):
    """Found out once for each type."""

    def __missing__(self, kind: type) -> _How:
        how = self[kind] = _how(kind)
        return how


_HOWS: Final = _Hows()


@cache
def _slots(kind: Any) -> tuple[str, ...]:
    return tuple(
        name
        for base in kind.__mro__
        for name in (base.__dict__.get("__slots__") or ())
        if name not in ("__dict__", "__weakref__")
    )


class Snapshot:
    """What the objects that `root` leads to are like now."""

    def __init__(self, root: object) -> None:
        self._saved: list[tuple[Restore, Any, Any]] = []
        seen: dict[int, Any] = {
            id(root): root
        }  # with the object, so that no identity is used twice meanwhile
        waiting: list[Any] = [root]
        while waiting:
            for child in self._save(waiting.pop()):
                if _HOWS[type(child)] is not _How.IMMUTABLE and id(child) not in seen:
                    seen[id(child)] = child
                    waiting.append(child)

    def restore(self) -> None:
        """Put everything back."""
        for put_back, target, content in self._saved:
            put_back(target, content)

    def _save(self, value: Any) -> Iterable[Any]:
        """Note the content of one object; what it leads to."""
        kind: Any = type(value)
        content: Any
        match _HOWS[kind]:
            case _How.OBJECT:
                content = value.__dict__.copy()
                self._saved.append((_restore_object, value, content))
                children: Iterable[Any] = content.values()
                if _slots(kind):
                    children = [*children, *self._save_slots(value, kind)]
                return children
            case _How.SLOTS:
                return self._save_slots(value, kind)
            case _How.LIST:
                self._saved.append((_restore_list, value, value.copy()))
                return list(value)
            case _How.DICT:
                self._saved.append((_restore_dict, value, dict(value)))
                return [*value, *value.values()]
            case _How.SET:
                self._saved.append((_restore_set, value, value.copy()))
                return list(value)
            case _How.DEQUE:
                self._saved.append((_restore_deque, value, tuple(value)))
                return list(value)
            case _How.BYTES:
                self._saved.append((_restore_bytes, value, value[:]))
                return ()
            case _:
                return list(_behind(value))

    def _save_slots(self, value: Any, kind: type) -> list[Any]:
        pairs = [(name, getattr(value, name)) for name in _slots(kind) if hasattr(value, name)]
        self._saved.append((_restore_slots, value, pairs))
        return [each for _, each in pairs]


def _behind(value: Any) -> Iterator[Any]:
    """What something leads to that has no content of its own."""
    match value:
        case tuple():
            yield from value
        case memoryview():
            yield value.obj
        case MethodType():
            yield value.__self__
        case partial():
            yield value.func
            yield from value.args
        case FunctionType():
            for cell in value.__closure__ or ():
                try:
                    yield cell.cell_contents
                except ValueError:  # not filled yet
                    continue
