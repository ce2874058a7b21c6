"""Records as hypothesis draws them: every field of the format, with values that it may have."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import orjson
from hypothesis import strategies as st

from coda_fs_session.format.edits import TailEdit
from coda_fs_session.format.generations import Generation, GenerationId, Picked, StateId, TakenIn
from coda_fs_session.format.ids import Chain, ObjectId
from coda_fs_session.format.jsonl import encode_message
from coda_fs_session.format.marks import Mark
from coda_fs_session.format.names import normalise_name
from coda_fs_session.format.records import Base, CommitLink, Parent, Stamped, Tag, encode_time
from coda_fs_session.format.refs import Header
from coda_fs_session.format.tree import Entry, Spine

times = st.datetimes(datetime(1000, 1, 1), datetime(9000, 1, 1), timezones=st.just(UTC)).map(encode_time)
texts = st.text(st.characters(exclude_categories=("Cs",)), max_size=20)
names = st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1, max_size=20).map(normalise_name)
hex64 = st.integers(0, 2**256 - 1).map(lambda number: f"{number:064x}")
stamped = st.builds(Stamped, times, st.none() | st.just(b"null") | texts.map(orjson.dumps))
metadata = st.dictionaries(texts, stamped, max_size=3)
lines = st.lists(
    st.dictionaries(texts, texts | st.integers(-5, 5), max_size=3).map(lambda m: encode_message(m, "m")), max_size=4
)
entries = st.builds(Entry, hex64.map(ObjectId), st.integers(1, 9), st.integers(9, 99), st.none())
spines = st.lists(entries, max_size=4).map(lambda level: Spine((tuple(level),)) if level else Spine())
links = st.builds(CommitLink, hex64.map(ObjectId), st.integers(0, 9), st.integers(0, 9))
tags = st.dictionaries(texts, st.builds(Tag, times, st.none() | links), max_size=2)
bases = st.builds(
    lambda spine, values, labels: Base(
        spine.messages, spine.bytes, spine.end_chain(), metadata=values, spine=spine, tags=labels
    ),
    *(spines, metadata, tags),
)
state_ids = st.builds(StateId, hex64.map(GenerationId), st.integers(0, 9), hex64.map(Chain))
taken_in = st.lists(st.builds(TakenIn, state_ids, links), min_size=1, max_size=2).map(tuple)
picked = st.lists(st.builds(Picked, names, hex64.map(Chain)), min_size=1, max_size=2).map(tuple)
marks = st.dictionaries(st.integers(0, 99), st.tuples(times, st.integers(0, 3)), max_size=3).map(
    lambda moments: tuple(Mark(count, *moments[count]) for count in sorted(moments))
)
chains = st.sampled_from([Chain(f"{number:064x}") for number in range(3)])
edits = st.lists(
    st.builds(
        lambda position, more, replaced, time, after: TailEdit(
            position, position + more, tuple(replaced), time, after if time else Chain("")
        ),
        *(st.integers(0, 2), st.integers(0, 2), st.lists(chains, max_size=3), st.just("") | times),
        st.just(Chain("")) | chains,
    ),
    max_size=6,
).map(tuple)


def _generations(operations: list[str], **facts: Any) -> st.SearchStrategy[Generation]:
    return st.builds(
        Generation,
        *(hex64, st.sampled_from(operations), st.integers(0, 9), hex64.map(Chain)),
        *(st.integers(0, 9), st.integers(0, 9), hex64.map(Chain), st.none() | names),
        **{"to": st.none(), "merged": st.just(()), "picked": st.just(()), **facts},
    )


generations = st.one_of(
    _generations(["clear", "edit", "delete", "create"]),
    _generations(["undo", "restore", "part"], to=state_ids),
    _generations(["merge"], merged=taken_in),
    _generations(["pick"], picked=picked),
)
headers = st.builds(
    Header,
    *(names, st.just("host-00000000"), times, times, bases),
    parent=st.none() | st.builds(Parent, names, st.integers(0, 9), st.integers(0, 9), hex64.map(Chain)),
    former_names=st.lists(names, max_size=2).map(tuple),
    generation=st.none() | generations,
    commit=st.none() | links,
    marks=marks,
    extra=st.dictionaries(st.sampled_from(["later", "ü"]), texts | st.none() | st.lists(st.integers(0, 9)), max_size=2),
)
changes = st.tuples(times, lines, st.none() | st.integers(0, 9), metadata, tags)
