"""A module's names that are imported when they are first read."""

import builtins
import sys
from collections.abc import Callable, Iterator, Mapping, MutableMapping, Sequence
from contextlib import suppress
from functools import partial
from importlib.util import resolve_name
from inspect import CO_OPTIMIZED
from threading import get_ident
from types import CodeType
from typing import Any, ForwardRef

from deferred_imports.bytecode import is_guarded, next_operation
from deferred_imports.packages import ANNOTATIONS, CLASSES, MODELS, REPLACED

DEFERRED: set[str] = set()  # top-level packages, by `install`


class _Later:
    """What a name stands for, not made yet."""

    def __init__(self, resolve: Callable[[], Any]) -> None:
        self.resolve = resolve


class _Import(_Later):
    """An import of `module`, and of the attributes along `path` from there (without `from`: from its top)."""

    def __init__(self, module: str, is_from: bool, path: tuple[str, ...] = ()) -> None:
        self.module, self.is_from, self.path = module, is_from, path

    def __getattr__(self, name: str) -> "_Import":
        # What `from module import name` and `import module.name as n` ask of a module.
        return _Import(self.module, self.is_from, (*self.path, name))

    def resolve(self) -> Any:
        value = builtins.__import__(self.module, fromlist=self.path if self.is_from else ())
        for name in self.path:
            try:
                value = getattr(value, name)
            except AttributeError:  # two that import one another: it is there, but not bound yet
                part = f"{value.__name__}.{name}"
                if part not in sys.modules:
                    raise ImportError(f"cannot import name {name!r} from {value.__name__!r}", name=part) from None
                value = sys.modules[part]
        return value


class _Class(_Later):
    """A class statement, whose bases may wait as well."""

    def __init__(self, name: str, resolve: Callable[[], Any]) -> None:
        super().__init__(resolve)
        self.name = name


class Waiting(dict[str, Any]):
    """The builtins of a module, which know its waiting names."""

    def __init__(self, names: dict[str, Any]) -> None:
        name = names["__name__"]
        self._classes = CLASSES.get(name, ())
        build_class = _build_model if name in MODELS else self._build_class if self._classes else None
        super().__init__(__build_class__=build_class or builtins.__build_class__)
        self.waits: dict[str, tuple[_Later, ...]] = {}
        self._names = names
        self._annotations = ANNOTATIONS.get(name, ())
        self._resolving: set[tuple[int, str]] = set()  # by thread

    def run(self, code: CodeType) -> None:
        self._code = code
        at_once = {"sys", "modules"} <= {*code.co_names}  # it looks for what it has just imported
        self["__import__"] = builtins.__import__ if at_once else self._import
        exec(code, self._names, Names(self._names, self))
        self["__import__"] = builtins.__import__  # functions import at once

    def knows(self, name: str) -> bool:
        """Return whether a name waits and this thread is not resolving it."""
        return name in self.waits and (get_ident(), name) not in self._resolving

    def resolve(self, name: str) -> Any:
        """Import it now. Concurrent threads get the same object."""
        mine = (get_ident(), name)
        if not (later := self.waits.get(name)):
            return self._names[name]  # another thread was quicker
        self._resolving.add(mine)
        try:
            value = [each.resolve() for each in later][-1]
        except (AttributeError, KeyError) as error:  # Python would take it for a name that nobody knows
            raise ImportError(f"{name} in {self._names['__name__']} could not be imported: {error!r}") from error
        finally:
            self._resolving.discard(mine)
        value = self._names.setdefault(name, value)  # what was assigned in the meantime stays
        self.waits.pop(name, None)
        return value

    def resolve_public(self) -> None:
        for name in [name for name in self.waits if not name.startswith("_") and self.knows(name)]:
            self.resolve(name)

    def resolve_possible(self) -> None:
        for name in [name for name in self.waits if self.knows(name)]:
            with suppress(ImportError):
                self.resolve(name)

    def read_in_body(self, name: str) -> Any:
        """Return what a body at the top of the module gets for a waiting name."""
        if name in self._classes:  # as the base of another
            return self.waits[name][-1]
        return ForwardRef(name, module=self._names["__name__"]) if name in self._annotations else self.resolve(name)

    def _build_class(self, body: Any, name: str, *bases: Any, **named: Any) -> Any:
        if name in self._classes:
            return _Class(name, partial(self._build_now, body, name, *bases, **named))
        return builtins.__build_class__(body, name, *bases, **named)

    def _build_now(self, body: Any, name: str, *bases: Any, **named: Any) -> Any:
        there = [self.resolve(base.name) if isinstance(base, _Class) else base for base in bases]
        return builtins.__build_class__(body, name, *there, **named)

    def __missing__(self, name: str) -> Any:
        if not self.knows(name):
            if name in REPLACED:
                return vars(builtins)[name]
            if name not in self._names:  # or again and again: builtins that are no plain dict are slow to read
                self._names[name] = vars(builtins)[name]
            return self._names[name]
        reader = sys._getframe(1).f_code
        is_class = not reader.co_flags & CO_OPTIMIZED and reader.co_filename == self._code.co_filename
        return self.read_in_body(name) if is_class else self.resolve(name)

    def _import(
        self,
        name: str,
        globals: Mapping[str, Any] | None = None,
        locals: Mapping[str, Any] | None = None,
        fromlist: Sequence[str] | None = (),
        level: int = 0,
    ) -> Any:
        if type(locals) is Names and fromlist != ("*",):
            module = resolve_name("." * level + name, self._names["__package__"]) if level else name
            package = module.partition(".")[0]
            if package in DEFERRED and not is_guarded(sys._getframe(1)):
                return _Import(module, bool(fromlist))
        return builtins.__import__(name, globals, locals, fromlist or (), level)


class Names(MutableMapping[str, Any]):
    """The names that a module's body reads and writes while it runs, without those that wait."""

    def __init__(self, names: dict[str, Any], waiting: Waiting) -> None:
        self._names, self._waiting = names, waiting

    def __getitem__(self, name: str) -> Any:
        if name not in self._names and self._waiting.knows(name):
            return self._waiting.read_in_body(name)
        value = self._names[name]
        if name == "TypeAdapter" and next_operation(sys._getframe(1)) == "PUSH_NULL":  # it is called
            return partial(_adapter, self._names, value)
        return value

    def __setitem__(self, name: str, value: Any) -> None:
        waits = self._waiting.waits
        if not isinstance(value, _Later):
            waits.pop(name, None)
            self._names[name] = value
            return
        self._names.pop(name, None)
        together = isinstance(value, _Import) and not value.path  # import a.b, then import a.c
        waits[name] = (*waits.get(name, ()), value) if together else (value,)

    def __delitem__(self, name: str) -> None:
        if self._waiting.waits.pop(name, None) is None:
            del self._names[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


def _adapter(names: dict[str, Any], adapter: Any, *given: Any, **named: Any) -> Any:
    """Build pydantic's TypeAdapter when its name is first read."""
    if next_operation(sys._getframe(1)) != "STORE_NAME":  # it is given none
        return adapter(*given, **named)
    build = {"adapter": adapter, "given": given, "named": named}
    return _Later(partial(eval, "adapter(*given, **named)", names, build))


def _build_model(body: Any, name: str, *bases: Any, **named: Any) -> Any:
    """Build a class; a pydantic model is completed at its first use."""
    if any(hasattr(base, "model_config") for base in bases):
        named.setdefault("defer_build", True)
    return builtins.__build_class__(body, name, *bases, **named)
