"""Hold what an API page says about classes and options against the package."""

from __future__ import annotations

import ast
import collections.abc
import dataclasses
import inspect
import re
import types
import typing
import warnings
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from datetime import datetime
from pathlib import Path
from typing import Any

from coda_fs_session import SessionManager
from coda_fs_session.repo.sync import report

from .examples import PUBLIC, Config
from .page import Passage, Problem

LATE = {"Direction": report.Direction, "ProgressCallback": report.ProgressCallback}
"""Types in signatures whose module is only imported when it is used."""

TYPES = {
    **vars(collections.abc),
    **vars(typing),
    **PUBLIC,
    **LATE,
    "AbstractContextManager": AbstractContextManager,
    "Path": Path,
    "datetime": datetime,
}


def check_listings(passages: Iterable[Passage]) -> list[Problem]:
    """Compare the classes that the page lists with the real ones, member by member."""
    return [
        Problem(passage, reason)
        for passage in passages
        if passage.kind == "listing"
        for node in ast.parse(passage.text).body
        if isinstance(node, ast.ClassDef)
        for reason in _class_differences(node)
    ]


def check_signatures(passages: Iterable[Passage]) -> list[Problem]:
    """Compare the headings that show a call with the methods of the class in whose section they stand."""
    return [
        Problem(passage, reason)
        for passage in passages
        if passage.kind == "signature"
        for reason in _method_differences(_owner(passage), passage.text)
    ]


def check_properties(passages: Iterable[Passage], instances: Iterable[object]) -> list[Problem]:
    """Look up the properties that the page lists on an instance of their class, and check the types of the values."""
    problems = []
    by_class = {type(instance): instance for instance in instances}
    for passage in passages:
        if passage.kind == "property":
            name, annotation = (part.strip() for part in passage.text.split(":", 1))
            owner = _owner(passage)
            instance = by_class.get(owner) if owner is not None else None
            if not hasattr(instance, name):
                problems.append(Problem(passage, f"{_name(owner)} has no property {name!r}"))
                continue
            value = getattr(instance, name)
            if not covers(eval(annotation, dict(TYPES)), type(value)):
                problems.append(Problem(passage, f"{_name(owner)}.{name} is {value!r}, not of type {annotation}"))
    return problems


def check_options(passages: Iterable[Passage], backend: str, folder: Path) -> list[Problem]:
    """Open a manager with every configuration on the page, TOML or dict, and report what it refuses or warns about.

    Args:
        passages: The page, as `read_page` returns it.
        backend: Used in place of the backend that the page names.
        folder: Where TOML files may be written.
    """
    problems = []
    for passage in passages:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            try:
                if passage.kind == "toml":
                    file = folder / f"line-{passage.line}.toml"
                    file.write_text(re.sub(r"(?m)^backend\s*=.*$", f'backend = "{backend}"', passage.text), "utf-8")
                    SessionManager.from_toml(file).close()
                elif (config := _literal_config(passage)) is not None:
                    config["session"]["backend"] = backend
                    SessionManager(config).close()
            except Exception as error:
                problems.append(Problem(passage, f"{type(error).__name__}: {error}"))
    return problems


def _literal_config(passage: Passage) -> Config | None:
    """Return the dict of a block that says `config = {...}` and nothing else."""
    if passage.kind == "python":
        match ast.parse(passage.text).body:
            case [ast.Assign(targets=[ast.Name(id="config")], value=ast.Dict() as value)]:
                config: Config = ast.literal_eval(value)
                return config
    return None


def _owner(passage: Passage) -> type | None:
    """Return the public class that the nearest heading above the passage names first, as in "### Session Class"."""
    for title in passage.section:
        found = PUBLIC.get(title.split()[0].strip("`"))
        if isinstance(found, type):
            return found
    return None


def _class_differences(listed: ast.ClassDef) -> Iterator[str]:
    real = PUBLIC.get(listed.name)
    if not isinstance(real, type):
        yield f"the package has no class {listed.name}"
        return
    for member in listed.body:
        if isinstance(member, ast.FunctionDef):
            call = f"{member.name}({ast.unparse(member.args)})"
            yield from _method_differences(real, f"{call} -> {ast.unparse(member.returns)}" if member.returns else call)
    fields = [member for member in listed.body if isinstance(member, ast.AnnAssign)]
    if fields:
        yield from _field_differences(real, {ast.unparse(field.target): field.annotation for field in fields})


def _field_differences(real: type, listed: dict[str, ast.expr]) -> Iterator[str]:
    """Yield what differs: the listed fields must come first, in order, and all others must have defaults."""
    if not dataclasses.is_dataclass(real):
        yield f"{real.__name__} is no dataclass"
        return
    fields = dataclasses.fields(real)
    names = [field.name for field in fields]
    if names[: len(listed)] != list(listed):
        yield f"{real.__name__} has the fields {names}, not first {list(listed)}"
        return
    hints = typing.get_type_hints(real, TYPES)
    for name, annotation in listed.items():
        if not covers(eval(ast.unparse(annotation), dict(TYPES)), hints[name]):
            yield f"{real.__name__}.{name} is of type {hints[name]}, not {ast.unparse(annotation)}"
    for field in fields[len(listed) :]:
        if field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
            yield f"{real.__name__}.{field.name} is not listed and has no default"


def _method_differences(owner: type | None, call: str) -> Iterator[str]:
    name = call.split("(")[0]
    method = getattr(owner, name, None)
    if not callable(method):
        yield f"{_name(owner)} has no method {name!r}"
        return
    for reason in _signature_differences(_promised(call), _real(owner, method)):
        yield f"{_name(owner)}.{name} {reason}"


def _promised(call: str) -> inspect.Signature:
    names = dict(TYPES)
    exec(compile(f"def {call}: ...", call, "exec", dont_inherit=True), names)  # annotations as types, not as text
    return _without_self(inspect.signature(names[call.split("(")[0]]))


def _real(owner: type | None, method: Any) -> inspect.Signature:
    """Return the method's signature with its annotations resolved, those included that only type checkers import."""
    signature = inspect.signature(method)
    hints = typing.get_type_hints(method, TYPES | inspect.unwrap(method).__globals__)
    hints = {name: owner if hint is typing.Self else hint for name, hint in hints.items()}
    parameters = [
        parameter.replace(annotation=hints.get(name, parameter.empty))
        for name, parameter in signature.parameters.items()
    ]
    return _without_self(
        signature.replace(parameters=parameters, return_annotation=hints.get("return", signature.empty))
    )


def _without_self(signature: inspect.Signature) -> inspect.Signature:
    return signature.replace(
        parameters=[each for name, each in signature.parameters.items() if name not in ("self", "cls")]
    )


def _signature_differences(promised: inspect.Signature, real: inspect.Signature) -> Iterator[str]:
    """Yield what would break a caller who goes by the promised signature.

    The real one may accept more: wider types, a default where the page has none, further keyword-only parameters
    with defaults. It may not return more than the page says.
    """
    missing = promised.parameters.keys() - real.parameters.keys()
    if missing or _positional(real)[: len(_positional(promised))] != _positional(promised):
        yield f"is really {real}"
        return
    for name, parameter in real.parameters.items():
        if name not in promised.parameters:
            if parameter.kind is not parameter.KEYWORD_ONLY or parameter.default is parameter.empty:
                yield f"takes {parameter} as well: it must be keyword-only and have a default"
            continue
        wanted = promised.parameters[name]
        if wanted.default is not wanted.empty and repr(wanted.default) != repr(parameter.default):
            yield f"has {name}={parameter.default!r}, not {wanted.default!r}"
        if wanted.annotation is not wanted.empty and not covers(parameter.annotation, wanted.annotation):
            yield f"takes {parameter}, not {wanted}"
    result = promised.return_annotation
    if result is not promised.empty and not covers(result, real.return_annotation):
        yield f"returns {real.return_annotation}, not {result}"


def _positional(signature: inspect.Signature) -> list[str]:
    return [name for name, each in signature.parameters.items() if each.kind is each.POSITIONAL_OR_KEYWORD]


def covers(wide: Any, narrow: Any) -> bool:
    """Tell whether every value of the type `narrow` is also one of the type `wide`."""
    wide, narrow = (types.NoneType if each is None else each for each in (wide, narrow))
    if wide is Any or wide == narrow:
        return True
    if _is_union(narrow):
        return all(covers(wide, each) for each in typing.get_args(narrow))
    if _is_union(wide):
        return any(covers(each, narrow) for each in typing.get_args(wide))
    outer, inner = (typing.get_origin(each) or each for each in (wide, narrow))
    if not (isinstance(outer, type) and isinstance(inner, type) and issubclass(inner, outer)):
        return False
    return all(map(covers, typing.get_args(wide), typing.get_args(narrow)))  # a bare `dict` has no arguments to compare


def _is_union(annotation: Any) -> bool:
    return typing.get_origin(annotation) in (typing.Union, types.UnionType)


def _name(owner: type | None) -> str:
    return owner.__name__ if owner is not None else "No class that the headings name"
