"""A learner's function as a file that another process can import."""

from __future__ import annotations

import ast
import builtins
import importlib.util
import inspect
import os
import re
import symtable
import sys
import textwrap
import types
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

MOST_TEXT = 10_000


class Unportable(TypeError):
    """A function that no file can stand for."""


@dataclass
class Learner:
    """A file that has the learner as `automl`, the files that it imports, and the libraries that it needs."""

    text: str
    files: list[Path] = field(default_factory=list)
    libraries: list[str] = field(default_factory=list)


def of(learn: Callable[..., Any] | str) -> Learner:
    """The file of a learner: a function, `module:function` or `path/to/file.py:function`."""
    if isinstance(learn, str):
        return _named(learn)
    if not inspect.isfunction(learn):
        raise Unportable(f"{learn!r} is a {type(learn).__name__}: expected a function of a task, or an estimator of scikit-learn")
    if learn.__name__ == "<lambda>" or "<locals>" in learn.__qualname__ or learn.__closure__:
        raise Unportable(
            f"{learn.__qualname__} is a lambda or a function within a function, which another process cannot import: "
            "define it at the top of a file or of a cell"
        )
    module = sys.modules.get(learn.__module__)
    if learn.__module__ != "__main__" and getattr(module, learn.__name__, None) is learn:
        assert module is not None
        return _imported(module.__name__, learn.__name__, module)
    return _written(learn)


def _named(learn: str) -> Learner:
    module_name, _, function = learn.rpartition(":")
    if not module_name:
        raise Unportable(f"{learn!r} names no function: expected module:function, or path/to/file.py:function")
    if module_name.endswith(".py"):
        path = Path(module_name).resolve()
        if not path.is_file():
            raise FileNotFoundError(f"{module_name} is no file")
        return _import_of(path.stem, function, [path.parent], path)
    folders = [Path.cwd()]
    sys.path.insert(0, os.fspath(folders[0]))
    try:
        spec = importlib.util.find_spec(module_name)
    finally:
        sys.path.pop(0)
    if spec is None:
        raise ModuleNotFoundError(f"there is no module {module_name!r} here, nor on sys.path")
    return _import_of(module_name, function, folders, Path(spec.origin) if spec.origin else None)


def _imported(name: str, function: str, module: types.ModuleType) -> Learner:
    path = Path(module.__file__).resolve() if getattr(module, "__file__", None) else None  # type: ignore[arg-type]
    return _import_of(name, function, [path.parents[name.count(".")]] if path else [], path)


def _import_of(module: str, function: str, folders: list[Path], path: Path | None) -> Learner:
    text = path.read_text("utf-8") if path and path.suffix == ".py" else ""
    head = _search_path(folders)
    return Learner(
        f"{head}from {module} import {function}{'' if function == 'automl' else ' as automl'}\n",
        [path] if path else [],
        _libraries(text),
    )


def _search_path(folders: list[Path]) -> str:
    """Lines by which the other process finds what this one finds, beyond its own libraries."""
    own = [Path(folder).resolve() for folder in sys.path if folder and Path(folder).is_dir()]
    known = [Path(sys.prefix).resolve(), Path(sys.base_prefix).resolve()]
    further = [f for f in [*folders, *own] if not any(root == f or root in f.parents for root in known)]
    listed = [os.fspath(folder) for folder in dict.fromkeys(further)]
    return f"import sys\n\nsys.path[:0] = {listed!r}\n" if listed else ""


def _written(learn: Callable[..., Any]) -> Learner:
    """The source of a function of a notebook or a script, and of all that it refers to there."""
    lines: dict[str, str] = {}
    imports: dict[str, None] = {}
    _collect(learn, vars(sys.modules["__main__"]), lines, imports, learn.__name__)
    head = "from __future__ import annotations\n\n" + _search_path([]) + "\n".join(imports)
    text = head + "\n\n\n" + "\n\n\n".join(lines.values()) + "\n"
    if learn.__name__ != "automl":
        text += f"\n\nautoml = {learn.__name__}\n"
    return Learner(text, [], _libraries(text))


def _collect(thing: Any, names: dict[str, Any], lines: dict[str, str], imports: dict[str, None], learner: str) -> None:
    try:
        source = textwrap.dedent(inspect.getsource(thing))
    except (OSError, TypeError):
        raise Unportable(
            f"the source of {thing.__name__} is not to be had here: put the learner into a file, and give "
            f"'file.py:{learner}' or the imported function"
        ) from None
    # Before what it refers to, so that two that refer to each other come to an end; its place is behind them.
    lines[thing.__name__] = ""
    for name in sorted(_free(symtable.symtable(source, thing.__name__, "exec"))):
        if name in lines or (name not in names and hasattr(builtins, name)):
            continue
        if name not in names:
            continue  # A NameError of the learner's own.
        _refer(name, names[name], source, names, lines, imports, learner)
    del lines[thing.__name__]
    lines[thing.__name__] = source.rstrip()


def _refer(
    name: str,
    value: Any,
    source: str,
    names: dict[str, Any],
    lines: dict[str, str],
    imports: dict[str, None],
    learner: str,
) -> None:
    """Adds what makes `name` mean `value` in the file."""
    if isinstance(value, types.ModuleType):
        for match in re.findall(rf"\b{name}((?:\.\w+)+)", source):
            parts = match.split(".")[1:]
            for n in range(len(parts), 0, -1):
                inner = ".".join([value.__name__, *parts[:n]])
                if inner in sys.modules:
                    imports[f"import {inner}"] = None
                    break
        imports[f"import {value.__name__}" + ("" if value.__name__ == name else f" as {name}")] = None
        return
    module, own = getattr(value, "__module__", None), getattr(value, "__qualname__", name)
    if module == "__main__" and (inspect.isfunction(value) or inspect.isclass(value)) and own == value.__name__ == name:
        _collect(value, names, lines, imports, learner)
    elif module not in (None, "__main__") and getattr(sys.modules.get(module), own, None) is value:
        public = module.rsplit("._", 1)[0]
        module = public if getattr(sys.modules.get(public), own, None) is value else module
        imports[f"from {module} import {own}" + ("" if own == name else f" as {name}")] = None
    elif _is_literal(value):
        lines[name] = f"{name} = {value!r}"
    else:
        raise Unportable(
            f"{learner} uses {name}, a {type(value).__name__} of this session, which another process does not have: "
            f"make {name} within {learner}, hand numbers and words over as params={{...}}, or put the learner into a file"
        )


def _is_literal(value: Any) -> bool:
    try:
        return len(repr(value)) <= MOST_TEXT and bool(ast.literal_eval(repr(value)) == value)
    except (ValueError, SyntaxError, TypeError):
        return False


def _free(table: symtable.SymbolTable) -> set[str]:
    """The names that a source takes from around it."""
    top = table.get_type() == "module"
    found = {s.get_name() for s in table.get_symbols() if s.is_referenced() and (s.is_global() or (top and not s.is_assigned()))}
    for child in table.get_children():
        found |= _free(child)
    return found


def _libraries(text: str) -> list[str]:
    """The libraries that a source imports, as far as they have a version and are no part of Python; imported here or not."""
    try:
        nodes = list(ast.walk(ast.parse(text)))
    except SyntaxError:
        return []
    names = [alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names]
    names += [node.module for node in nodes if isinstance(node, ast.ImportFrom) and node.module and not node.level]
    roots = {name.partition(".")[0] for name in names}
    standard: frozenset[str] = getattr(sys, "stdlib_module_names", frozenset())
    return sorted(root for root in roots - standard if hasattr(sys.modules.get(root), "__version__") or _installed(root))


def _installed(module: str) -> bool:
    try:
        return bool(metadata.version(module))
    except metadata.PackageNotFoundError:
        return False
