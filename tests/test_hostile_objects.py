"""Objects that are cut, altered, swapped, missing or made to explode: never returned as data, and located."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard
from storekit import (
    ROOT,
    fill,
    lose_record,
    make_irregular,
    message,
    objects_of,
    open_store,
    ref_of,
    run_python,
    say,
    untouched,
    within,
)

from coda_fs_session import CorruptionError, ObjectNotYetHereError, Session, StoreError
from coda_fs_session.backends.disk.zstd import compress, decompress

LARGE = 70_000
"""A message of this size is an object of its own."""


def store_with_objects(tmp_path: Path, *, compressed: bool) -> tuple[Path, Path]:
    """Make a store with the sessions good and bad, of objects each, and return it with the second object of bad."""
    store = tmp_path / "store"
    manager = open_store(store, compress_messages=compressed)
    fill(manager, "good", 2)
    messages = fill(manager, "bad", 2, size=LARGE)
    fill(manager, "large", 1, size=LARGE + 1)
    manager.close()
    line = hashlib.sha256(_line(messages[1]))
    (path,) = store.glob(f"objects/*/{line.hexdigest()}.*")
    assert path.name.endswith(".zst") == compressed
    return store, path


def _line(value: dict[str, str]) -> bytes:
    import orjson

    return orjson.dumps(value) + b"\n"


def assert_only_bad_is_bad(store: Path, kind: type[StoreError], path: Path | None = None) -> StoreError:
    """Read the damaged session: an error with the path, again and again, nothing written, the others good."""
    manager = open_store(store)
    with untouched(store), within(20):
        session = manager.load_session("bad")
        assert session.get_messages(limit=0) == []
        for read in (session.get_messages, lambda: session.get_messages(limit=1), lambda: session.messages):
            with pytest.raises(kind) as caught:
                read()
        assert len(session) == 2, "the count is known, and stays"
        assert {info.name: info.message_count for info in manager.list_sessions()} == {"good": 2, "bad": 2, "large": 1}
        assert manager.load_session("good").get_messages() == [message(0), message(1)]
        assert manager.load_session("large").get_messages() == [message(0, LARGE + 1)]
        assert manager.stats().sessions == 3
    error = caught.value
    if path is not None:
        assert error.path == path
    return error


def _cut(data: bytes) -> bytes:
    return data[: len(data) // 2]


def _last_byte(data: bytes) -> bytes:
    return data[:-1]


def _nothing(data: bytes) -> bytes:
    return b""


def _altered(data: bytes) -> bytes:
    return data[:50] + bytes([data[50] ^ 1]) + data[51:]


def _zeros(data: bytes) -> bytes:
    return bytes(len(data))


def _longer(data: bytes) -> bytes:
    return data + data


@pytest.mark.parametrize("compressed", [False, True], ids=["plain", "compressed"])
@pytest.mark.parametrize("damage", [_cut, _last_byte, _nothing, _altered, _zeros, _longer])
def test_a_damaged_object(tmp_path: Path, damage: Callable[[bytes], bytes], compressed: bool) -> None:
    """Whatever happened to an object's bytes, the error names the file and says to restore it; restoring it helps."""
    store, path = store_with_objects(tmp_path, compressed=compressed)
    good = path.read_bytes()
    path.write_bytes(damage(good))
    error = assert_only_bad_is_bad(store, CorruptionError, path)
    assert "restore the file" in str(error)
    path.write_bytes(good)
    assert len(open_store(store).load_session("bad").get_messages()) == 2


@pytest.mark.parametrize("compressed", [False, True], ids=["plain", "compressed"])
@pytest.mark.parametrize("kind", ["folder", "fifo", "link"])
def test_an_object_that_is_no_regular_file(tmp_path: Path, kind: str, compressed: bool) -> None:
    """A folder, FIFO or link in an object's place is neither followed nor waited for, not even a link to good bytes.

    Of a link, as git-annex and tools that find duplicates leave them, nobody is told to throw it away, as once.
    """
    store, path = store_with_objects(tmp_path, compressed=compressed)
    make_irregular(path, kind, tmp_path / "elsewhere")
    error = assert_only_bad_is_bad(store, CorruptionError, path)
    if kind == "link":
        assert "git annex get" in str(error)
        assert str(tmp_path / "elsewhere") in str(error)
    assert ("move it out of the store" in str(error)) == (kind != "link")


def test_a_missing_object_may_still_come(tmp_path: Path) -> None:
    """What a sync has not brought yet is named by its id, is no corruption, and reads as soon as it is here."""
    store, path = store_with_objects(tmp_path, compressed=True)
    path.rename(tmp_path / "late")
    error = assert_only_bad_is_bad(store, ObjectNotYetHereError)
    assert isinstance(error, ObjectNotYetHereError)
    assert not isinstance(error, CorruptionError)
    assert error.object_id == path.name.partition(".")[0]
    assert "try again" in str(error)
    manager = open_store(store)
    session = manager.load_session("bad")
    with pytest.raises(ObjectNotYetHereError):
        session.get_messages()
    (tmp_path / "late").rename(path)
    assert len(session.get_messages()) == 2


def test_a_missing_object_can_be_worked_around(tmp_path: Path) -> None:
    """A session goes on while an older object is missing: adding and saving need only what they touch."""
    store, path = store_with_objects(tmp_path, compressed=True)
    path.rename(tmp_path / "late")
    manager = open_store(store)
    session = manager.load_session("bad")
    say(manager, session, 7)
    (tmp_path / "late").rename(path)
    assert open_store(store).load_session("bad").get_messages()[-1] == message(7)


@pytest.mark.parametrize("compressed", [False, True], ids=["plain", "compressed"])
def test_either_form_serves(tmp_path: Path, compressed: bool) -> None:
    """A good file of one form makes up for a damaged one of the other."""
    store, path = store_with_objects(tmp_path, compressed=compressed)
    data = _line(message(1, LARGE))
    plain = path.with_name(f"{hashlib.sha256(data).hexdigest()}.jsonl")
    other = plain if compressed else plain.with_name(f"{plain.name}.zst")
    other.write_bytes(data if compressed else compress(data))
    path.write_bytes(b"damaged")
    assert open_store(store).load_session("bad").get_messages()[1] == message(1, LARGE)


def frame(
    declared: int | None, *, blocks: int = 0, empty: int = 0, window_log: int = 17, content: bytes = b""
) -> bytes:
    """Build a zstd frame by hand: a header, run-length blocks of 128 KiB of zeros, empty ones, and a last, raw block.

    With a `window_log` of 0 all of the content is its window.
    """
    kind = bytes([0b11000000 if declared is not None else 0, window_log - 10 << 3]) if window_log else b"\xe0"
    head = b"\x28\xb5\x2f\xfd" + kind
    head += b"" if declared is None else declared.to_bytes(8, "little")
    run = (131072 << 3 | 1 << 1).to_bytes(3, "little") + b"\0"
    return head + run * blocks + bytes(3 * empty) + (len(content) << 3 | 1).to_bytes(3, "little") + content


def bombs(size: int) -> dict[str, bytes]:
    """Frames for an object of `size` bytes that are not what they should be."""
    data = _line(message(1, LARGE))
    assert len(data) == size
    good = compress(data)
    return {
        "declares nothing, holds 1 GiB": frame(None, blocks=8192),
        "declares the right size, holds 1 GiB": frame(size, blocks=8192),
        "declares 10 GB": frame(10 * 2**30, blocks=10),
        "declares one byte less": frame(size - 1, content=data[:-1]),
        "holds less than declared": frame(size, content=data[:1000]),
        "window of 128 MiB": frame(size, window_log=27, content=data[:1000]),
        "right, but 1 MiB too long": frame(size, empty=350_000, content=data),
        "window of 2 TiB": frame(size, window_log=41, content=data[:1000]),
        "two frames": good + good,
        "an empty frame behind": good + compress(b""),
        "a skippable frame behind": good + b"\x50\x2a\x4d\x18\x04\0\0\0abcd",
        "a skippable frame before": b"\x50\x2a\x4d\x18\x04\0\0\0abcd" + good,
        "a byte of garbage behind": good + b"x",
        "checksum wrong": good[:-1] + bytes([good[-1] ^ 1]),
        "checksum cut": good[:-2],
        "unknown block": frame(size)[:-3] + b"\x07\0\0",
        "needs a dictionary": zstandard.ZstdCompressor(
            dict_data=zstandard.ZstdCompressionDict(data[:5000] + bytes(range(256)), dict_type=1)
        ).compress(data),
        "not zstd": b"message " * 1000,
        "other content": compress(bytes(size)),
    }


def test_the_frames_built_by_hand_are_good_ones() -> None:
    """The bombs are refused for what they are: a frame built the same way, with nothing wrong, is read."""
    data = _line(message(1, LARGE))
    assert decompress(frame(len(data), content=data), size=len(data), limit=len(data)) == data
    assert decompress(frame(131072 * 3 + 2, blocks=3, content=b"ab"), size=None, limit=2**20)[-3:] == b"\0ab"
    assert decompress(frame(len(data), empty=3, content=data), size=len(data), limit=len(data)) == data
    assert zstandard.ZstdDecompressor().decompress(frame(None, blocks=2), max_output_size=2**20) == bytes(2 * 131072)


def test_a_window_may_have_8_mib() -> None:
    """That is the memory which reading a frame takes; one that asks for a byte more is refused."""
    most = 8 * 2**20
    assert decompress(frame(most, blocks=64, window_log=0), size=most, limit=2 * most) == bytes(most)
    with pytest.raises(ValueError, match=f"a window of {most + 1} bytes"):
        decompress(frame(most + 1, blocks=64, window_log=0, content=b"x"), size=most + 1, limit=2 * most)


@pytest.mark.parametrize("bomb", bombs(len(_line(message(1, LARGE)))))
def test_a_frame_that_cannot_be_trusted(tmp_path: Path, bomb: str) -> None:
    """Every kind of bad frame is a located error, and none makes room in memory for what it says of itself."""
    store, path = store_with_objects(tmp_path, compressed=True)
    path.write_bytes(bombs(len(_line(message(1, LARGE))))[bomb])
    tracemalloc.start()
    try:
        error = assert_only_bad_is_bad(store, CorruptionError, path)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert "restore the file" in str(error)
    assert peak < 8 * 2**20


def test_a_bomb_within_limited_memory(tmp_path: Path) -> None:
    """Also what Python does not see of zstd's own memory stays small: a process with little of it reads on."""
    pytest.importorskip("resource")
    store, path = store_with_objects(tmp_path, compressed=True)
    script = """
        import resource, sys
        from coda_fs_session import CorruptionError
        from storekit import open_store
        manager = open_store(__import__("pathlib").Path(sys.argv[1]))
        manager.load_session("large").get_messages()
        pages = int(open("/proc/self/statm").read().split()[0])
        limit = pages * resource.getpagesize() + 64 * 2**20
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
        try:
            manager.load_session("bad").get_messages()
        except CorruptionError as error:
            print("refused", error.path)
    """
    if not os.path.exists("/proc/self/statm"):
        pytest.skip("needs /proc")
    for name, data in bombs(len(_line(message(1, LARGE)))).items():
        if "GiB" in name or "GB" in name or "TiB" in name:
            path.write_bytes(data)
            run = run_python(script, store)
            assert run.stdout == f"refused {path}\n", (name, run.stderr)


def test_an_entry_and_a_frame_that_lie_together(tmp_path: Path) -> None:
    """A ref that names an object of 10 GB, and a small frame that declares as much, do not make room for 10 GB."""
    data = frame(10 * 2**30, blocks=3)
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match="other than the 10737418240 bytes"):
            decompress(data, size=10 * 2**30, limit=10 * 2**30)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 8 * 2**20


def test_a_damaged_object_is_healed_by_saving_the_same(tmp_path: Path) -> None:
    """Writers do not trust what is there: a session with the same messages rewrites the bad file, and both read."""
    for compressed in (False, True):
        store, path = store_with_objects(tmp_path / str(compressed), compressed=compressed)
        good = path.read_bytes()
        path.write_bytes(good[:100])
        fill(open_store(store, compress_messages=compressed), "again", 2, size=LARGE)
        assert path.read_bytes() == good
        assert len(open_store(store).load_session("bad").get_messages()) == 2


def test_names_in_objects_that_are_none(tmp_path: Path) -> None:
    """Foreign files among the objects are not counted and not read."""
    store, _ = store_with_objects(tmp_path, compressed=True)
    before = open_store(store).stats()
    folder = objects_of(store)[0].parent
    for name in ("notes.txt", "x" * 64 + ".jsonl", ".tmp-1", "A" * 64 + ".jsonl"):
        (folder / name).write_text("hello")
    (folder / ("0" * 64 + ".jsonl")).mkdir()
    assert open_store(store).stats() == before


def test_a_ref_leads_nowhere_but_into_objects(tmp_path: Path) -> None:
    """An object id is 64 hexadecimal digits: no header can make the reader open any other path."""
    store, path = store_with_objects(tmp_path, compressed=False)
    secret = tmp_path / "secret"
    secret.write_text('{"role":"user","content":"secret"}\n')
    identity = path.name.partition(".")[0]
    ref = ref_of(store, "bad")
    hostile = f"../../../{secret.name}".ljust(64, "/")
    ref.write_bytes(ref.read_bytes().replace(identity.encode(), hostile.encode()))
    lose_record(store)
    with pytest.raises(CorruptionError) as caught:
        open_store(store).load_session("bad")
    assert caught.value.path == ref


RENAMED = ("..path1", " (conflicted copy 2024-01-01)", ".sync-conflict-20240101-ABCDEFG.jsonl", "~", "\udce9")
"""What sync tools put after the name of a file that both sides made."""


@pytest.mark.parametrize("compressed", [False, True], ids=["plain", "compressed"])
@pytest.mark.parametrize("ending", RENAMED)
def test_an_object_that_a_tool_renamed(tmp_path: Path, ending: str, compressed: bool) -> None:
    """Bug: where both machines had made the same object, rclone left two others, and the session was never whole."""
    store, path = store_with_objects(tmp_path, compressed=compressed)
    identity = path.name.partition(".")[0]
    # One that is damaged, or something else, does not stand in the way of a good one.
    path.with_name(f"{path.name} (damaged)").write_bytes(b"\x28\xb5\x2f\xfd and so on")
    path.with_name(f"{identity}.folder").mkdir()
    os.mkfifo(path.with_name(f"{identity}.fifo"))
    path.rename(path.with_name(path.name + ending))
    whole = [message(0, LARGE), message(1, LARGE)]
    with open_store(store) as manager, within(20):
        assert manager.load_session("bad").get_messages() == whole
        assert manager.load_session("bad", partial=True).missing == 0
        assert manager.stats().sessions == 3
        report = manager.sync(f"{store}.other", direction="push")
        assert report.problems == ()
    with open_store(Path(f"{store}.other")) as manager:
        assert manager.load_session("bad").get_messages() == whole
    assert objects_of(Path(f"{store}.other")) != []
    # Whoever writes the object anew gives it its name again.
    with open_store(store, compress_messages=compressed) as manager:
        manager.save_session(Session("again", [message(1, LARGE)]))
    assert path.exists()


def test_a_renamed_object_is_looked_for_only_where_it_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ordinary reading lists no folder; where no other file holds the object, it is not here yet."""
    store, path = store_with_objects(tmp_path, compressed=True)
    real, listed = os.listdir, []

    def listdir(folder: str) -> list[str]:
        listed.append(folder)
        return real(folder)

    manager = open_store(store)
    monkeypatch.setattr(os, "listdir", listdir)
    manager.load_session("bad").get_messages()
    assert listed == []
    path.rename(path.with_name(path.name + ".partial"))
    path.with_name(path.name + ".partial").write_bytes(b"the first part of it")
    with pytest.raises(ObjectNotYetHereError):
        manager.load_session("good").get_messages() and open_store(store).load_session("bad").get_messages()
    assert listed[-1] == str(path.parent)


def test_a_renamed_object_beside_a_damaged_one(tmp_path: Path) -> None:
    """A damaged file of the right name is made up for too, and named in the error where nothing does."""
    store, path = store_with_objects(tmp_path, compressed=True)
    copy = path.with_name(path.name + ".orig")
    copy.write_bytes(path.read_bytes())
    path.write_bytes(b"damaged")
    assert open_store(store).load_session("bad").get_messages()[1] == message(1, LARGE)
    copy.write_bytes(b"damaged too")
    assert_only_bad_is_bad(store, CorruptionError, path)


@pytest.mark.skipif(shutil.which("zstdcat") is None, reason="needs zstdcat")
@pytest.mark.parametrize("compressed", [False, True], ids=["plain", "compressed"])
def test_read_store_finds_a_renamed_object(tmp_path: Path, compressed: bool) -> None:
    """The independent reader does as FORMAT.md says."""
    store, path = store_with_objects(tmp_path, compressed=compressed)
    path.rename(path.with_name(path.name + "..path1"))
    run = subprocess.run([ROOT / "scripts/read_store", store, "bad"], capture_output=True)
    assert run.stdout == _line(message(0, LARGE)) + _line(message(1, LARGE)), run.stderr
