"""A store with a damaged ref in it, and what must hold of it."""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest
from storekit import lose_record, message, open_store, ref_of, untouched, within

from coda_fs_session import CorruptionError, StoreError
from coda_fs_session.format.ids import line_id


def sign(line: bytes) -> bytes:
    """Give a ref line (without its id) the id that belongs to it."""
    before = line[:-1]
    return b'%b,"id":"%b"}\n' % (before, line_id(before).encode())


def change_header(path: Path, **fields: object) -> None:
    """Rewrite the header of a ref without saves, with valid ids, as another program might."""
    header = orjson.loads(path.read_bytes().splitlines()[0])
    del header["id"]
    path.write_bytes(sign(orjson.dumps({**header, **fields})))


def damaged_store(tmp_path: Path) -> tuple[Path, Path]:
    """Make a store with the sessions good and bad, and return it with the ref of bad."""
    store = tmp_path / "store"
    manager = open_store(store)
    for name in ("good", "bad"):
        session = manager.create_session(name)
        for number in range(3):
            session.add_message(message(number))
            manager.save_session(session)
    manager.close()
    # What the machine still knows of a damaged ref it puts beside it: see tests/damage/test_put_back.py.
    lose_record(store)
    return store, ref_of(store, "bad")


def assert_only_bad_is_bad(
    store: Path, path: Path, kind: type[StoreError] = CorruptionError, line: int | None = None
) -> StoreError:
    """Read a damaged store with and without an index: the damage is located, nothing is written, good is good."""
    error: StoreError
    for manager in (open_store(store), open_store(store, state_path=f"{store}.other.state")):
        with untouched(store), within(20):
            infos = {info.name: info for info in manager.list_sessions()}
            assert sorted(infos) == ["bad", "good"]
            assert isinstance(infos["bad"].error, kind)
            assert infos["good"].error is None
            assert infos["good"].message_count == 3
            assert "bad" in manager
            for opener in (manager.load_session, manager.create_session):
                with pytest.raises(kind) as caught:
                    opener("bad")
            error = caught.value
            assert isinstance(error, StoreError)
            assert error.path == path
            if isinstance(error, CorruptionError):
                assert error.line == line
            info = manager.get_session_info("bad")
            assert info is not None
            assert isinstance(info.error, kind)
            assert len(manager.load_session("good").get_messages()) == 3
            assert manager.stats().sessions == 1
        with within(20):
            session = manager.load_session("good")
            metadata = {"looked": len(session)}
            session.update_metadata(metadata)
            manager.save_session(session)
            session.update_metadata({"looked": 0})
            manager.save_session(session)
        manager.close()
    return error
