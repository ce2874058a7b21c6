"""A database tells what changed by the folders of the paths, and a look costs what is in those that changed."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from storekit import fill, open_store, say

from coda_fs_session.backends import spread
from coda_fs_session.backends.base import RefFolders, RefKey, folder_of
from coda_fs_session.backends.sqlite import refs
from coda_fs_session.backends.sqlite.backend import SqliteBackend
from coda_fs_session.format.names import key_folders, ref_path
from coda_fs_session.testing.kit.case import KEY, OTHER

from .databases import database, make_old, rows

FOLDERS = [f"{key.replica}{inner}" for key in (KEY, OTHER) for inner in ("", "/00", "/ab", "/ab/deep")]


def by_folder(backend: SqliteBackend) -> dict[str, dict[str, int]]:
    """Return the identity of each ref by its folder, from a look at all of them."""
    found: dict[str, dict[str, int]] = {}
    for path, token in backend.ref_tokens().items():
        found.setdefault(folder_of(path), {})[path] = token.identity
    return found


def seen(known: dict[str, dict[str, int]], found: RefFolders) -> dict[str, dict[str, int]]:
    """Return what is known after a look, without folders that have nothing in them."""
    now = {folder: found.contents.get(folder, known.get(folder, {})) for folder in found.states}
    return {folder: content for folder, content in now.items() if content}


@pytest.mark.parametrize("version", [1, 2, 3])
def test_as_a_look_at_all(store: Path, seed: int, version: int) -> None:
    """What looks add up to is what is there, whichever program creates and replaces refs between them.

    A database of an earlier version is brought to this one in between.
    """
    chance = random.Random(seed)
    backends = [SqliteBackend(store), SqliteBackend(store)]
    tokens = {}
    for number in range(20):
        key = RefKey(f"{chance.choice(FOLDERS)}/{number}.jsonl")
        tokens[key] = backends[0].create_ref(key, b"first\n")
    if version < 3:
        backends[0].close()
        make_old(store, version)
        backends = [SqliteBackend(store), SqliteBackend(store)]
    known: dict[str, dict[str, int]] = {}
    found = RefFolders({}, {})
    for number in range(60):
        backend = chance.choice(backends)
        found = backend.ref_folders(found.states)
        known = seen(known, found)
        assert known == by_folder(backend)
        assert backend.ref_folders(found.states) == (found.states, {})
        for _ in range(chance.randrange(3) if number else 0):
            key, what = chance.choice(list(tokens)), chance.randrange(3)
            if what == 0:
                key = RefKey(f"{chance.choice(FOLDERS)}/new-{number}-{len(tokens)}.jsonl")
                tokens[key] = backend.create_ref(key, b"new\n")
            elif what == 1:
                tokens[key] = backend.replace_ref(key, tokens[key], b"replaced\n")
            else:
                tokens[key] = backend.append_ref(key, tokens[key], b"more\n")
        if chance.randrange(10) == 0:
            # As of a reader that wants to look into one again.
            found.states[chance.choice(list(found.states))] = None
    folders = chance.sample(FOLDERS, 3)
    expected = {path: token for path, token in backends[0].ref_tokens().items() if folder_of(path) in folders}
    assert backends[0].ref_tokens_in(folders) == expected


def test_what_did_not_change_is_not_looked_at(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A ref that is created, replaced or appended to makes nobody read the rows of refs in other folders."""
    backend = SqliteBackend(store)
    made = backend.create_refs([(RefKey(f"{folder}/chat.jsonl"), b"one\n") for folder in FOLDERS])
    states = backend.ref_folders({}).states
    monkeypatch.setattr(refs, "LIST_REFS", None)
    key, token = RefKey(f"{FOLDERS[1]}/chat.jsonl"), made[1]
    assert token is not None
    appended = backend.append_ref(key, token, b"two\n")
    assert backend.ref_folders(states).contents == {}
    replaced = backend.replace_ref(key, appended, b"three\n")
    found = backend.ref_folders(states)
    assert found.contents == {"": {}, FOLDERS[1]: {key.path: replaced.identity}}
    assert backend.ref_token(key) == replaced
    assert backend.ref_token(RefKey(f"{FOLDERS[1]}/other.jsonl")) is None
    states = found.states
    new = backend.create_ref(RefKey(f"{FOLDERS[0]}/new.jsonl"), b"four\n")
    content = backend.ref_folders(states).contents
    assert content.keys() == {"", FOLDERS[0]}
    assert content[FOLDERS[0]][f"{FOLDERS[0]}/new.jsonl"] == new.identity


def test_what_was_put_there_by_hand(store: Path) -> None:
    """A ref that somebody has written with SQL is seen by whoever looks for the first time, or at its folder."""
    backend = SqliteBackend(store)
    backend.create_ref(KEY, b"one\n")
    known = backend.ref_folders({})
    with database(store) as connection:
        connection.execute("INSERT INTO refs (path, version, size, mark) VALUES ('by-hand/ab/chat.jsonl', 1, 0, 0)")
        connection.execute("INSERT INTO refs (path, version, size, mark) VALUES (x'ff', 2, 0, 0)")
    (number,) = (row for (row,) in rows(store, "SELECT id FROM refs WHERE typeof(path) = 'blob'"))
    strange = {"by-hand/ab": {"by-hand/ab/chat.jsonl": 1}, "?": {f"?/row-{number}.jsonl": 2}}
    first = backend.ref_folders({})
    assert {folder: first.contents[folder] for folder in strange} == strange
    again = backend.ref_folders({**known.states, **dict.fromkeys(strange)})
    assert {folder: again.contents.get(folder) for folder in strange} == strange
    assert {folder: again.states[folder] for folder in strange} == dict.fromkeys(strange)
    assert backend.ref_tokens_in(strange).keys() == {path for content in strange.values() for path in content}
    with database(store) as connection:
        connection.execute("DELETE FROM refs WHERE version IN (1, 2)")
    assert not backend.ref_folders(again.states).states.keys() & strange.keys()


def test_a_replica_with_many_spreads_them(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As files do: from so many on, a new ref goes into a folder by the hash of its name, whichever process made many.

    Nothing is moved, and a name that is taken in one folder is taken in the other.
    """
    monkeypatch.setattr(spread, "FLAT_REFS", 4)
    names = [f"chat-{number}" for number in range(8)]
    with open_store(store, backend="sqlite") as manager:
        for name in names[:4]:
            fill(manager, name, 1)
    with open_store(store, backend="sqlite") as manager:
        replica = manager.list_sessions()[0].replica
        for name in names[4:]:
            fill(manager, name, 1)
        for name in names:
            assert len(manager.create_session(name)) == 1
            say(manager, manager.load_session(name), 1)
        manager.delete_session(names[0])
        manager.create_session(names[0])
        assert {info.name for info in manager.list_sessions()} == {*names}
    assert {path for (path,) in rows(store, "SELECT path FROM refs")} == {
        ref_path(key_folders(replica, name)[number >= 4], name, 1) for number, name in enumerate(names)
    }
    assert rows(store, "SELECT folder FROM refs ORDER BY folder") == sorted(
        (folder_of(path),) for (path,) in rows(store, "SELECT path FROM refs")
    )
