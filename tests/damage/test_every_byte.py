"""Every byte of a store damaged, and every file cut at every length: located, or harmless; never something else."""

from __future__ import annotations

import json
import random
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import pytest
from compat.reading import needs_zstdcat, read_store

from coda_fs_session import (
    CorruptionError,
    SessionError,
    SessionInfo,
    SessionNotFoundError,
    SessionWarning,
    StoreError,
    StoreFormatError,
)
from coda_fs_session.format.refs import Header, Save, encode_header, encode_save, parse_ref

from .specimen import DESK, SIZES, Reading, altered, make, open_fresh, read_all, reading

QUICK = 300


class Damage(NamedTuple):
    """A file and what is done to it: the byte at `at` becomes `byte`, or the file ends there where that is None."""

    path: Path
    at: int
    byte: int | None

    def apply(self, good: bytes) -> bytes:
        return good[: self.at] + (b"" if self.byte is None else bytes([self.byte]) + good[self.at + 1 :])


@dataclass
class Specimen:
    """The store, how it reads undamaged, and which sessions each file has to do with."""

    store: Path
    before: dict[str, Reading]
    infos: dict[str, SessionInfo]
    concerned: dict[Path, list[str]] = field(default_factory=dict)
    at_lines: dict[tuple[Path, int, str], Reading] = field(default_factory=dict)

    @property
    def files(self) -> list[Path]:
        return sorted(path for path in self.store.rglob("*") if path.is_file())


@pytest.fixture(scope="module")
def specimen(layout: str, tmp_path_factory: pytest.TempPathFactory) -> Specimen:
    store = tmp_path_factory.mktemp("damage") / "store"
    make(store)
    infos = {info.name: info for info in open_fresh(store).list_sessions()}
    made = Specimen(store, read_all(store), infos)
    for path in made.files:
        made.concerned[path] = list(_concerned(made, path))
    return made


def _concerned(specimen: Specimen, path: Path) -> Iterator[str]:
    """Yield the sessions that a ref is of, or that cannot be read while an object holds nothing."""
    if "refs" in path.relative_to(specimen.store).parts:
        header = json.loads(path.read_bytes().split(b"\n")[0])
        yield from {header["name"], *header.get("former_names", [])}
    elif path.parent.parent.name == "objects":
        with altered(path, b""):
            for name, expected in specimen.before.items():
                found = _found(specimen, name)[0]
                if found != expected:
                    assert isinstance(found, CorruptionError)
                    assert found.path == path
                    yield name


def _found(specimen: Specimen, name: str) -> tuple[Reading | SessionError, list[str]]:
    """Return what a session reads as, or why it cannot be read, and the warnings on the way."""
    found: Reading | SessionError
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", SessionWarning)
        try:
            found = reading(open_fresh(specimen.store).load_session(name))
        except SessionError as error:
            found = error
    return found, [str(each.message) for each in caught]


def _damages(path: Path, dice: random.Random) -> Iterator[Damage]:
    good = path.read_bytes()
    for at, byte in enumerate(good):
        yield Damage(path, at, None)
        for other in {byte ^ 1 << dice.randrange(8), 0, ord("\n"), ord("9")} - {byte}:
            yield Damage(path, at, other)


def test_the_specimen_has_every_kind_of_record(specimen: Specimen) -> None:
    """What the tests below damage: list nodes of two heights, tails, commits, both forms of objects, every field."""
    everything = b"".join(path.read_bytes() for path in specimen.files).decode("utf-8", "replace")
    for text in ("parent", "generation", "former_names", "start", "tail", "spine", "commit", "replace", "skip"):
        assert f'"{text}":' in everything
    for reason in ("clear", "truncate", "edit", "rename", "delete", "create", "seal"):
        assert f'"commit":"{reason}"' in everything
    header = json.loads(next(specimen.store.glob("refs/**/long.jsonl")).read_bytes().split(b"\n")[0])
    assert len(header["base"]["spine"]) == 3 <= SIZES.fan_out
    assert list(specimen.store.glob("objects/*/*.zst"))
    assert len(list(specimen.store.glob("refs/*"))) == 2


def test_any_byte_changed_and_any_file_cut(specimen: Specimen, long_size: bool, seed: int) -> None:
    """The session concerned raises an error that names file and line, or reads as before; all others as before.

    A ref cut within a line reads as if that save had never been: it is what a crash leaves. That never holds for
    a changed byte. `list_sessions` never raises, and marks a session whose ref is damaged.
    """
    dice = random.Random(seed)
    every = [damage for path in specimen.files for damage in _damages(path, dice)]
    for number, damage in enumerate(every if long_size else dice.sample(every, QUICK)):
        good = damage.path.read_bytes()
        with altered(damage.path, damage.apply(good)):
            _check(specimen, damage, good, everything=number % 25 == 0)
    assert read_all(specimen.store) == specimen.before


def _check(specimen: Specimen, damage: Damage, good: bytes, *, everything: bool) -> None:
    path = damage.path
    try:
        manager = open_fresh(specimen.store)
    except StoreFormatError as error:
        refused = error.path
    else:
        refused = None
    if refused is not None:
        assert refused == path == specimen.store / "FORMAT", damage
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SessionWarning)
        infos = {info.name: info for info in manager.list_sessions()}
    concerned = specimen.concerned[path]
    for name, info in infos.items():
        known = name in specimen.before and name not in concerned
        assert info == specimen.infos[name] if known else not info.error or _is_at(info.error, path), (damage, info)
        assert known or info.error or name in specimen.before, (damage, info)
    assert specimen.before.keys() - {*concerned} <= infos.keys(), damage
    for name in specimen.before if everything else concerned:
        if name in specimen.before:
            _check_session(specimen, damage, good, name, infos)


def _check_session(specimen: Specimen, damage: Damage, good: bytes, name: str, infos: dict[str, SessionInfo]) -> None:
    path, is_ref = damage.path, "refs" in damage.path.relative_to(specimen.store).parts
    found, notes = _found(specimen, name)
    if isinstance(found, SessionNotFoundError):
        # A renamed session whose header is damaged: only the name of its file is known.
        assert _line(damage, good) == 1, damage
        assert _is_marked(infos, path), damage
        return
    if isinstance(found, SessionError):
        assert _is_at(found, path), (damage, found)
        if is_ref:
            assert getattr(found, "line", 1) == _line(damage, good), (damage, found)
            assert _is_marked(infos, path), damage
        return
    if found == specimen.before[name]:
        return
    if any(str(path) in note for note in notes):
        # Another ref of the session is good: what it holds is shown, and that it may not be everything is said.
        assert _is_marked(infos, path), damage
        return
    assert is_ref, damage
    assert damage.byte is None, damage
    assert found == _at_line(specimen, damage, good, name), damage


def _is_marked(infos: dict[str, SessionInfo], path: Path) -> bool:
    """Tell whether the list shows a ref's damage, under the session's name or at least under that of the file."""
    return any(info.error and _is_at(info.error, path) for info in infos.values())


def _is_at(error: Exception, path: Path) -> bool:
    return isinstance(error, StoreError) and error.path == path and str(path) in str(error)


def _line(damage: Damage, good: bytes) -> int:
    return good.count(b"\n", 0, damage.at) + 1


def _at_line(specimen: Specimen, damage: Damage, good: bytes, name: str) -> Reading:
    """Return how a session reads with its ref cut at the beginning of the line that the damage is in."""
    start = good.rfind(b"\n", 0, damage.at) + 1
    place = damage.path, start, name
    if place not in specimen.at_lines:
        with altered(damage.path, good[:start]):
            specimen.at_lines[place] = reading(open_fresh(specimen.store).load_session(name))
    return specimen.at_lines[place]


@needs_zstdcat
def test_a_ref_cut_between_two_lines(specimen: Specimen) -> None:
    """It reads as after an earlier save, and a reader without the package finds the same."""
    for path in specimen.store.glob("refs/**/*.jsonl"):
        good = path.read_bytes()
        name = json.loads(good.split(b"\n")[0])["name"]
        for at in (at + 1 for at, byte in enumerate(good[:-1]) if byte == ord("\n")):
            with altered(path, good[:at]):
                lines = reading(open_fresh(specimen.store).load_session(name)).lines
                assert b"".join(line + b"\n" for line in lines) == read_store(specimen.store, name)


def test_a_newline_that_became_zero() -> None:
    """Bug: a zero in the place of the last newline made an acknowledged save pass for one that never happened.

    Only at the edge of a sector can it be what a power failure leaves of a write.
    """
    session = Header("chat", DESK, *["2026-01-02T03:04:05.000006+00:00"] * 2)
    header, last = encode_header(session)
    for size in range(600):
        line, _ = encode_save(Save(last, session.created, [b'{"x":"%b"}' % (b"x" * size)]))
        ref = parse_ref(header + line[:-1] + b"\0", "chat.jsonl")
        at_edge = len(header + line[:-1]) % 512 == 0
        assert (ref.damage is None) == at_edge
        assert ref.torn == (line[:-1] + b"\0" if at_edge else b"")
