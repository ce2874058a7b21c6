"""The golden store: every kind of record that version 1 knows, small enough to look at.

What is in it must stay readable for ever: records may be added to the recipe, never changed.
"""

from __future__ import annotations

import hashlib
import tempfile
import warnings
from dataclasses import replace
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any

import orjson

from coda_fs_session import SessionWarning
from coda_fs_session.format.chunks import STANDARD, closes
from coda_fs_session.format.ids import object_id
from coda_fs_session.format.lists import encode_list
from coda_fs_session.format.records import encode_time
from coda_fs_session.format.refs import encode_header, encode_save, parse_ref
from coda_fs_session.format.replica_file import ReplicaFile, encode_replica_file, parse_replica_file

from .conversations import conversation, long_conversation
from .stores import Machine
from .tree import plain_files, write_json

NAMES = (
    "CON",
    "../../etc/passwd",
    ".hidden",
    "a/b",
    "notes",
    "Notes",
    "NOTES",
    "🦜 parrot talk 🎉",
    "Größe",
    "שיחה 1",
    "音楽の話",
    'back\\slash and "quotes"',
    "resolve the conflict",
    "talk.jsonl",
    "-dash",
    "n" * 63,
    "n" * 64,
    "長い" * 127 + "名",
)
"""Names that are no plain file names on every disk, and some that nearly are not."""

GONE = ("deleted", "deleted-there", "draft", "draft 2", "renamed-there")
"""Names that a reader must not find any more."""


def make(root: Path, expected: Path) -> None:
    """Make the store at `root`, and beside it what a reader must find in it."""
    with tempfile.TemporaryDirectory() as state:
        desk = Machine(root, Path(state), "desk-11111111")
        laptop = Machine(root, Path(state), "laptop-22222222", clock=desk.clock)
        _growth(desk)
        _forks(desk)
        _generations(desk)
        _metadata(desk)
        _going_back(desk)
        _values(desk)
        _names(desk)
        _derived_name(desk, Machine(root, Path(state), desk.replica, desk.clock, on_conflict="branch"))
        _two_replicas(desk, laptop)
        _deposits(root, desk)
        _cuts_left_in_forks(root, Path(state), desk)
        _purged(desk)
        _listed(root, Path(state), desk)
        # A new reader, so that nothing comes from what the writers remember.
        write_json(expected, _look(root, Machine(root, Path(state), "reader-33333333", sizes=STANDARD)))


def _growth(desk: Machine) -> None:
    """Chunks, plain and compressed, list nodes of two heights, and three saves after the last cut."""
    talk = [*conversation("agent/the-house-by-the-lake"), *conversation("talk/capitals")]
    session = desk.start("long-talk", talk[:20])
    for at in range(20, 140, 3):
        desk.save(session, *talk[at : at + 3])
    # It closes a chunk, since it is large.
    desk.save(session, {"role": "tool", "content": "One line of a long output. " * 200})
    for number in range(3):
        desk.save(session, {"role": "user", "content": f"Line {number} of a tail of three saves."})
    desk.start("empty")
    chat = desk.start("small", conversation("talk/zh-doufu")[:2])
    desk.save(chat, {"role": "assistant", "content": "好的。"})
    # A cut where no hash asked for one: a large message is always a chunk of its own.
    large = {"role": "tool", "content": "All work and no play makes a dull log. " * 200}
    desk.save(
        desk.start("large", [{"role": "user", "content": "Run it."}]), large, {"role": "user", "content": "Thanks."}
    )


def _forks(desk: Machine) -> None:
    """Tail objects: one of its own at the head, the first lines of a chunk in the middle."""
    head = desk.branch("fork-at-head", "long-talk")
    desk.save(head, {"role": "user", "content": "Another ending."})
    middle = desk.branch("fork-in-the-middle", "long-talk", at=30)
    desk.save(middle, {"role": "user", "content": "What if I upgrade instead?"})
    desk.branch("fork-unchanged", "long-talk", at=31)
    desk.branch("fork-at-0", "long-talk", at=0)
    desk.branch("fork-of-fork", "fork-in-the-middle")
    desk.save(desk.branch("fork-that-grew", "long-talk", at=7), *conversation("agent/rain-chart"))
    short = desk.start("shortened", conversation("agent/library-2"))
    short.truncate_messages(4)
    desk.save(short)
    desk.branch("fork-of-shortened", "shortened", at=3)


def _generations(desk: Machine) -> None:
    """Clear, truncate, edit, rename, delete, create: each a commit, and the skip links of a longer history."""
    talk = conversation("agent/leap-years")
    edited = desk.start("edited", talk)
    edited.messages[5] = {"role": "assistant", "content": "Edited where chunks held it already."}
    desk.save(edited)
    desk.save(edited, {"role": "user", "content": "And on it goes."})
    truncated = desk.start("truncated", talk)
    truncated.truncate_messages(7)
    desk.save(truncated, {"role": "user", "content": "Said after the truncation."})
    hidden = desk.start("truncated-in-the-tail", conversation("talk/one-word"))
    hidden.truncate_messages(1)
    desk.save(hidden)
    cleared = desk.start("cleared", talk[:6])
    cleared.clear_messages()
    desk.save(cleared, {"role": "user", "content": "A new start."})
    # What is still in the tail is replaced by a line of the ref: only a chunk makes clearing a generation.
    often = desk.start("cleared-often", talk[:1])
    for number in range(9):
        often.clear_messages()
        desk.save(often, talk[0], {"role": "user", "content": f"Start number {number}."})

    replaced = desk.start("replaced", [{"role": "user", "content": "Helo"}, {"role": "assistant", "content": "Hi!"}])
    replaced.messages[0]["content"] = "Hello"
    desk.save(replaced)
    sealed = desk.start("replaced-then-sealed", [{"role": "user", "content": "Frist"}])
    sealed.messages[0]["content"] = "First"
    desk.save(sealed)
    desk.save(sealed, *talk[:8])
    # What the second edit replaced is in no commit's list.
    twice = desk.start("replaced-twice-then-sealed", [{"role": "user", "content": "Frist"}])
    for text in ("Fisrt", "First"):
        twice.messages[0]["content"] = text
        desk.save(twice)
    desk.save(twice, *talk[:8])

    desk.start("draft", talk[2:5])
    desk.manager.rename_session("draft", "draft 2")
    desk.clock.advance()
    desk.manager.rename_session("draft 2", "final")
    desk.clock.advance()
    for name in ("deleted", "created-again"):
        desk.start(name, talk[:4])
        desk.manager.delete_session(name)
        desk.clock.advance()
    desk.start("created-again", [{"role": "user", "content": "Nothing of the old one."}])


def _metadata(desk: Machine) -> None:
    """Keys set, changed and removed, with and without messages, in saves and in bases."""
    session = desk.start("metadata", metadata={"title": "First", "kept": [1, {"two": None}], "große 🦜": True})
    session.metadata["title"] = "Second"
    del session.metadata["kept"]
    desk.save(session)
    session.update_metadata({"model": "m-1", "temperature": 0.1})
    desk.save(session, {"role": "user", "content": "With a message."})
    settled = desk.start("metadata-settled", [{"role": "user", "content": "x"}], {"gone": 1, "stays": "yes"})
    del settled.metadata["gone"]
    settled.clear_messages()
    desk.save(settled)


def _going_back(desk: Machine) -> None:
    """Undo, restore and tags: set, moved and removed, of the present state and of earlier ones."""
    talk = conversation("agent/leap-years")
    session = desk.start("undone", talk[:4])
    desk.save(session, talk[4])
    session.clear_messages()
    desk.save(session)
    history = desk.manager.history("undone")
    history.undo()
    desk.clock.advance()
    history.undo()
    desk.clock.advance()
    tagged = desk.start("tagged", talk[:5])
    history = desk.manager.history("tagged")
    for label in ("draft", "größe 🦜", "gone"):
        history.tag(label)
        desk.clock.advance()
    desk.save(tagged, talk[5])
    history.tag("draft")
    history.untag("gone")
    desk.clock.advance()
    tagged.messages[0]["content"] = "Edited after the tags, and sealed with them."
    desk.save(tagged, *talk[6:])
    desk.manager.delete_session("tagged")
    desk.clock.advance()
    history.restore()
    desk.clock.advance()


def _values(desk: Machine) -> None:
    """Every kind of JSON value; keys keep their order and numbers their digits."""
    desk.start(
        "values",
        [
            {
                "z": 1,
                "a": 2,
                "": None,
                "nested": {"y": [[], {}, [True, False]], "b": 'tab\t newline\n quote" back\\slash'},
            },
            {"integers": [0, -1, -(2**63), 2**64 - 1], "floats": [0.1, 1e-7, 1.5e300, -0.0, 1.0]},
            {"content": "\x00\x1f\x7f\u2028 é e\u0301 🦜 \U0010ffff"},
            {},
        ],
    )


def _names(desk: Machine) -> None:
    for number, name in enumerate(NAMES):
        desk.start(name, [{"role": "user", "content": f"Name number {number}."}])


def _derived_name(desk: Machine, branching: Machine) -> None:
    """A stale append that became a branch of its own."""
    stale = branching.start("shared", [{"role": "user", "content": "One."}])
    other = desk.manager.load_session("shared")
    other.clear_messages()
    desk.save(other, {"role": "user", "content": "Begun anew."})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SessionWarning)
        branching.save(stale, {"role": "user", "content": "Said to the old one."})


def _two_replicas(desk: Machine, laptop: Machine) -> None:
    """Sessions that the other replica went on with, in every way that leaves the first one's ref behind."""
    talk = conversation("talk/capitals")
    for name in ("continued", "edited-there", "cleared-there", "renamed-there", "deleted-there", "back-and-forth"):
        desk.start(name, talk[1:6])
    desk.start("continued-long", talk[:20])
    laptop.save(laptop.manager.load_session("continued"), *talk[6:8])
    laptop.save(laptop.manager.load_session("continued-long"), *talk[20:40])
    edited = laptop.manager.load_session("edited-there")
    edited.messages[1]["content"] = "Edited on the laptop."
    laptop.save(edited)
    cleared = laptop.manager.load_session("cleared-there")
    cleared.clear_messages()
    laptop.save(cleared, talk[9])
    laptop.manager.rename_session("renamed-there", "renamed on the laptop")
    laptop.clock.advance()
    laptop.manager.delete_session("deleted-there")
    laptop.clock.advance()
    for machine, message in ((laptop, talk[6]), (desk, talk[7]), (laptop, talk[8])):
        machine.save(machine.manager.load_session("back-and-forth"), message)


def _deposits(root: Path, desk: Machine) -> None:
    """What only crashes, sync tools and later versions leave in a store."""
    refs = root / "refs" / desk.replica
    torn = desk.start("torn", [{"role": "user", "content": "Saved."}])
    desk.save(torn, {"role": "user", "content": "Never acknowledged."})
    path = refs / "torn.jsonl"
    path.write_bytes(path.read_bytes()[:-20])

    older = (refs / "small.jsonl").read_bytes()
    (refs / "small.sync-conflict-20260102-030405-ABCDEFG.jsonl").write_bytes(older[: older.rindex(b"\n", 0, -1) + 1])
    (refs / ".tmp-0123456789abcdef").write_bytes(b"half a fi")

    said = ReplicaFile(desk.replica, 7, retired=("phone-33333333",), extra={"colour": ["teal"]})
    (refs / "replica.json").write_bytes(encode_replica_file(said))

    desk.start("later-version", [{"role": "user", "content": "Its header says more than version 1 knows."}] * 2)
    path = refs / "later-version.jsonl"
    ref = parse_ref(path.read_bytes(), path)
    header, identity = encode_header(replace(ref.header, extra={"colour": ["teal"]}))
    path.write_bytes(header + encode_save(ref.saves[0]._replace(previous=identity))[0])


def _listed(root: Path, state: Path, desk: Machine) -> None:
    """Objects that stand under other names, since the first ones are on a list that is done."""
    said = list(long_conversation(14, seed=5))
    Machine(state / "scratch", state, desk.replica).start("listed", said)
    data = encode_list(
        path.relative_to(state / "scratch").as_posix() for path in (state / "scratch").glob("objects/*/*")
    )
    identity = object_id(data)
    path = root / "objects" / identity[:2] / f"{identity}.jsonl"
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(data)
    refs = root / "refs" / desk.replica
    before = parse_replica_file((refs / "replica.json").read_bytes(), desk.replica, refs)
    (refs / "replica.json").write_bytes(
        encode_replica_file(replace(before, writes=before.writes + 1, done=(identity,)))
    )
    desk.start("listed", said)


def _purged(desk: Machine) -> None:
    """A text that is gone from a chunk, a tail, a fork, metadata and an earlier state."""
    secret = "sk-0123456789"
    said = [{"role": "user", "content": f"My key is {secret}."}, {"role": "assistant", "content": "Tell nobody."}]
    talk = desk.start("purged", said, {"key": {secret: secret}})
    desk.save(desk.branch("purged-fork", "purged"), {"role": "user", "content": "Why?"})
    desk.save(talk, *conversation("talk/capitals")[:12], {"role": "user", "content": f"{secret}, again."})
    talk.messages[14]["content"] = "Never mind."
    desk.save(talk)
    desk.manager.maintenance.purge_text(secret)
    desk.clock.advance()
    desk.save(talk, {"role": "user", "content": "Thank you."})


def _cuts_left_in_forks(root: Path, state: Path, desk: Machine) -> None:
    """Forks whose saves pass a cut that at most the other replica makes; readers know the real sizes only."""
    writer = Machine(root, state, desk.replica, desk.clock, sizes=STANDARD)
    other = Machine(root, state, "laptop-22222222", desk.clock, sizes=STANDARD._replace(deferred=0))
    talk, size = [], 0
    for message in long_conversation(200, seed=3):
        if size < STANDARD.minimum:
            talk.append(message)
            size += len(orjson.dumps(message)) + 1
    writer.start("nearly-a-chunk", talk)
    for name in ("cut-left", "cut-made-there"):
        fork = writer.branch(name, "nearly-a-chunk")
        writer.save(fork, {"role": "user", "content": "One more."}, _closing(size))
        writer.save(fork, {"role": "user", "content": "After the cut."})
    other.save(other.manager.load_session("cut-made-there"), {"role": "user", "content": "Said on the laptop."})


def _closing(size: int) -> dict[str, Any]:
    """Return a message that closes a chunk of so many bytes."""
    for number in count():
        message = {"role": "user", "content": f"Line {number}."}
        if closes(line := orjson.dumps(message), size + len(line) + 1, STANDARD):
            return message
    raise AssertionError("the numbers have ended")


def _look(root: Path, reader: Machine) -> dict[str, Any]:
    sessions = {}
    for info in sorted(reader.manager.list_sessions(), key=lambda info: info.name):
        if info.name in GONE:
            continue
        lines = b"".join(line + b"\n" for line in reader.manager.load_session(info.name)._state.copy.lines())
        sessions[info.name] = {
            "messages": info.message_count,
            "sha256": hashlib.sha256(lines).hexdigest(),
            "size": info.size_bytes,
            "metadata": info.metadata,
            "parent": info.parent,
            "forked_at": info.forked_at,
            "created": _utc(info.created_at),
            "updated": _utc(info.updated_at),
            "replica": info.replica,
        }
    files = {path: hashlib.sha256(data).hexdigest() for path, data in plain_files(root).items()}
    return {"sessions": sessions, "gone": GONE, "files": files}


def _utc(local: datetime) -> str:
    return encode_time(local.astimezone(UTC))
