"""Ref files: what is written is read, and what does not verify is never read as something else."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from coda_fs_session import CorruptionError, StoreError, StoreFormatError
from coda_fs_session.format.generations import Generation, GenerationId
from coda_fs_session.format.ids import Chain, ObjectId, line_id
from coda_fs_session.format.marks import Mark
from coda_fs_session.format.records import LARGEST_COUNT, CommitLink, Stamped, Tag, decode_time
from coda_fs_session.format.refs import Header, Ref, Save, encode_header, encode_save, parse_ref

from .drawn import changes, headers


def ref_bytes(
    header: Header, saves: list[tuple[str, list[bytes], int | None, dict[str, Stamped], dict[str, Tag]]]
) -> tuple[bytes, Ref]:
    """Return the file of a ref, and what reading it should give."""
    data, identity = encode_header(header)
    ids, written = [identity], []
    for time, messages, position, values, labels in saves:
        save = Save(identity, time, tuple(messages), position, values, labels)
        line, identity = encode_save(save)
        data += line
        ids.append(identity)
        written.append(save)
    return data, Ref(header, tuple(written), tuple(ids), len(data))


NOW = "2024-05-17T12:00:00.000000+00:00"
SMALL = ref_bytes(
    Header("chat", "host-00000000", NOW, NOW),
    [
        (NOW, [b'{"role":"user","content":"one"}'], None, {}, {}),
        (NOW, [b'{"n":2}', b'{"n":3}'], 1, {"a": Stamped(NOW, b'"b"')}, {}),
    ],
)


@given(headers, st.lists(changes, max_size=4))
def test_round_trip(header: Header, saves: list[Any]) -> None:
    """Header, saves, ids and size come back as written, message bytes verbatim and unknown header keys kept."""
    data, expected = ref_bytes(header, saves)
    assert parse_ref(data, "x") == expected
    assert data.count(b"\n") == 1 + len(saves)
    again, _ = encode_header(parse_ref(data, "x").header)
    assert data.startswith(again)


def test_a_header_that_could_not_be_read_is_not_written() -> None:
    """A generation that begins after more messages than can be read is refused; after as many as can be, it is not."""
    zeros = "0" * 64
    for excess in (0, 1):
        frozen = LARGEST_COUNT + excess
        generation = Generation(GenerationId(zeros), "create", frozen, Chain(zeros), 0, 0, Chain(zeros))
        header = Header("chat", "host-00000000", NOW, NOW, generation=generation)
        if excess:
            with pytest.raises(StoreError, match="no program has written"):
                encode_header(header)
        else:
            assert parse_ref(encode_header(header)[0], "x").header == header


@given(headers, st.lists(changes, min_size=1, max_size=3))
def test_text_tools_can_take_a_ref_apart(header: Header, saves: list[Any]) -> None:
    """Each line is JSON; a save's even fields between tabs are its messages; ids are hashes of what is before."""
    data, _ = ref_bytes(header, saves)
    for line in data.splitlines():
        assert orjson.loads(line.replace(b"\t", b""))["id"] == line_id(line[: line.rindex(b',"id":"')])
    for line, (_, messages, *_) in zip(data.splitlines()[1:], saves, strict=True):
        assert line.split(b"\t")[1::2] == messages


def test_a_torn_tail_never_happened() -> None:
    """Cut at every length, a ref has the saves whose lines are whole; the rest is torn, and never damage."""
    data, whole = SMALL
    ends = [position + 1 for position, byte in enumerate(data) if byte == 0x0A]
    for length in range(len(data)):
        if length < ends[0]:
            with pytest.raises(CorruptionError) as caught:
                parse_ref(data[:length], "refs/x.jsonl")
            assert (str(caught.value.path), caught.value.line) == ("refs/x.jsonl", 1)
            continue
        good = max(end for end in ends if end <= length)
        found = parse_ref(data[:length], "x")
        assert found.saves == whole.saves[: ends.index(good)]
        if length + 1 in ends:
            # All but the newline is there: a write cut short right there cannot be told from a lost newline.
            assert found.torn == data[good:length] or found.damage is not None
        else:
            assert (found.size, found.torn, found.damage) == (good, data[good:length], None)


@pytest.mark.parametrize("zeros", [1, 511, 512, 4096])
def test_zeros_in_place_of_data_are_torn(zeros: int) -> None:
    """A file that grew by a write whose data never reached the disk, as ext4 and xfs leave it, lost nothing else."""
    data, whole = SMALL
    found = parse_ref(data + b"\0" * zeros, "x")
    assert (found.saves, found.torn, found.damage) == (whole.saves, b"\0" * zeros, None)


def of_size(size: int) -> tuple[bytes, int]:
    """Return a ref of two lines and so many bytes, and where its last line begins."""
    header, identity = encode_header(Header("chat", "host-00000000", NOW, NOW))
    bare, _ = encode_save(Save(identity, NOW, (b'{"n":""}',)))
    line, _ = encode_save(Save(identity, NOW, (b'{"n":"%b"}' % (b"x" * (size - len(header + bare))),)))
    assert len(header + line) == size
    return header + line, len(header)


@pytest.mark.parametrize(("size", "torn"), [(2049, True), (2048, False), (2050, False), (1537, True)])
def test_a_zero_in_place_of_the_last_newline(size: int, torn: bool) -> None:
    """Where the newline would begin a sector it may never have reached the disk; anywhere else the zero is damage."""
    data, start = of_size(size)
    found = parse_ref(data[:-1] + b"\0", "x")
    assert (found.saves, found.size) == ((), start)
    assert (found.torn != b"", found.damage is None) == (torn, torn)


@pytest.mark.parametrize(
    ("first", "last", "torn"),
    [
        *((512, 1024, True), (1024, 2048, True), (513, 1024, False), (512, 1023, False), (600, 700, False)),
        *((None, 512, True), (None, 1024, True), (None, 511, False)),
    ],
)
def test_sectors_of_zeros_in_the_last_line(first: int | None, last: int, torn: bool) -> None:
    """A last line that ends well but has sectors of zeros was never all on disk; other zeros in it are damage."""
    data, start = of_size(2100)
    first = start if first is None else first
    found = parse_ref(data[:first] + bytes(last - first) + data[last:], "x")
    assert (found.saves, found.size) == ((), start)
    assert (found.torn != b"", found.damage is None) == (torn, torn)


def test_a_damaged_sector_before_the_last_line() -> None:
    """Only the last line can be one that was never written: zeros before it are damage, where others follow."""
    data, _ = of_size(2100)
    zeroed = data[:512] + bytes(512) + data[1024:]
    found = parse_ref(zeroed + b'{"prev":"0000000000000000"}\n', "x")
    assert found.damage is not None
    assert found.torn == b""


@pytest.mark.parametrize("flip", [0x01, 0x20, 0x80, 0xFF])
def test_every_flipped_byte_is_noticed(flip: int) -> None:
    """One wrong byte anywhere: an error, or damage located at its line after the intact lines; never other messages."""
    data, whole = SMALL
    for position in range(len(data)):
        wrong = bytearray(data)
        wrong[position] ^= flip
        number = data[:position].count(b"\n") + 1
        try:
            found = parse_ref(bytes(wrong), "x")
        except (CorruptionError, StoreFormatError):
            assert number == 1
            continue
        assert found.header == whole.header
        assert found.saves == whole.saves[: number - 2]
        assert found.damage is not None or found.torn
        if found.damage:
            assert found.damage.line == number


@pytest.mark.parametrize("position", [0, 1, 2])
def test_lines_cannot_change_places(position: int) -> None:
    """A line that is missing or twice there is damage, since every line names the one before it."""
    data, _ = SMALL
    all_lines = data.splitlines(keepends=True)
    with_double = all_lines[: position + 1] + all_lines[position:]
    found = parse_ref(b"".join(with_double), "x")
    assert found.damage is not None
    assert found.damage.line == position + 2
    if position == 1:
        missing = parse_ref(all_lines[0] + all_lines[2], "x")
        assert missing.damage is not None
        assert missing.saves == ()


def with_fields(**fields: Any) -> bytes:
    """Return a header line with other fields, and the right id for them."""
    header = {**orjson.loads(encode_header(Header("chat", "host-00000000", NOW, NOW))[0]), **fields}
    del header["id"]
    before = orjson.dumps(header)[:-1]
    return b'%b,"id":"%b"}\n' % (before, line_id(before).encode())


def test_what_is_required_and_unknown_is_refused() -> None:
    """A ref that requires a feature of a later version is refused with that version; so is a later format."""
    assert parse_ref(with_fields(requires=[]), "x").header.name == "chat"
    with pytest.raises(StoreFormatError, match=r"'wings'.*2\.5"):
        parse_ref(with_fields(requires=[{"feature": "wings", "since": "2.5"}]), "x")
    with pytest.raises(StoreFormatError, match="wings"):
        parse_ref(with_fields(requires=["wings"]), "x")
    with pytest.raises(StoreFormatError, match="version 2"):
        parse_ref(with_fields(coda_fs_session=2), "x")


@pytest.mark.parametrize(
    "fields",
    [
        {"name": 1},
        {"created": "yesterday"},
        {"created": "2024-05-17T12:00:00"},
        {"updated": None},
        {"base": {}},
        {"base": None},
        {"base": {"messages": 1, "bytes": 0, "chain": "0" * 64}},
        {"base": {"messages": 0, "bytes": 0, "chain": "1" * 64}},
        {"base": {"messages": 0, "bytes": 0, "chain": "0" * 64, "start": 1}},
        {"base": {"messages": True, "bytes": 0, "chain": "0" * 64}},
        {"parent": []},
        {"generation": {"id": "0" * 64}},
        {"commit": ["x", 1, 1]},
        {"former_names": "chat"},
        {"former_names": [1]},
        {"requires": 1},
        {"coda_fs_session": "1"},
    ],
    ids=str,
)
def test_impossible_headers_are_damage(fields: dict[str, Any]) -> None:
    """A header whose id is right but whose fields cannot be is damage at line 1, not a crash of the reader."""
    with pytest.raises(CorruptionError) as caught:
        parse_ref(with_fields(**fields), "x")
    assert caught.value.line == 1


def test_what_is_wrong_with_a_header_is_said() -> None:
    """A field that is not there is named, and so is a value that cannot be."""
    with pytest.raises(CorruptionError, match="no 'chain'"):
        parse_ref(with_fields(base={"messages": 0, "bytes": 0}), "x")
    with pytest.raises(CorruptionError, match=r"damaged: -1 is no count"):
        parse_ref(with_fields(life=-1), "x")


@pytest.mark.parametrize("end", [b"]", b"]]", b"],", b"]\0"], ids=repr)
def test_what_is_no_json_around_the_messages_is_damage(end: bytes) -> None:
    """Also if its id is right: the messages are not parsed, the rest of the line is as it must be."""
    header, header_id = encode_header(SMALL[1].header)
    before = b'{"prev":"%b","time":"%b","messages":[\t{"n":1}\t%b' % (header_id.encode(), NOW.encode(), end)
    found = parse_ref(header + b'%b,"id":"%b"}\n' % (before, line_id(before).encode()), "x")
    assert [save.messages for save in found.saves] == ([(b'{"n":1}',)] if end == b"]" else [])
    assert (found.damage is None) == (end == b"]")


@pytest.mark.parametrize("metadata", [b"", b',"metadata":{}'], ids=["plain", "with metadata"])
@pytest.mark.parametrize(
    "tabs", [b"\t", b"\t{}\t,\t", b"\t{}\t;\t{}\t", b"\t{}\t\t{}\t", b"\t{}\t,{},\t{}\t"], ids=repr
)
def test_messages_that_do_not_stand_between_two_tabs_are_damage(tabs: bytes, metadata: bytes) -> None:
    """Also if the line's id is right: with one tab, the end of the line passed for a message."""
    header, header_id = encode_header(SMALL[1].header)
    before = b'{"prev":"%b","time":"%b","messages":[%b]%b' % (header_id.encode(), NOW.encode(), tabs, metadata)
    found = parse_ref(header + b'%b,"id":"%b"}\n' % (before, line_id(before).encode()), "x")
    assert (found.saves, found.size) == ((), len(header))
    assert found.damage is not None


@given(st.binary(max_size=200))
def test_garbage_is_no_ref(data: bytes) -> None:
    """Any bytes that are no ref raise CorruptionError."""
    with pytest.raises(CorruptionError):
        parse_ref(data, "x")
    damaged = parse_ref(SMALL[0] + data, "x")
    assert damaged.saves == SMALL[1].saves
    assert damaged == SMALL[1]._replace(size=damaged.size, torn=damaged.torn, damage=damaged.damage)
    assert not data or damaged.torn or damaged.damage


@pytest.mark.parametrize(
    "time",
    [
        *("2026-01-02T03:04:05.000006+00:00", "0002-01-01T00:00:00.000000+00:00", "9998-12-31T23:59:59.999999+00:00"),
        *("0001-01-01T00:00:00.000000+00:00", "9999-12-31T23:59:59.999999+00:00", "0000-01-01T00:00:00.000000+00:00"),
        *("2026-13-02T03:04:05.000006+00:00", "2026-02-29T03:04:05.000006+00:00", "2026-01-02T24:00:00.000000+00:00"),
        *("2026-01-02T03:60:05.000006+00:00", "2026-01-02T03:04:60.000006+00:00", "2026-01-02T03:04:05.000006-00:00"),
        *("2026-01-02T03:04:05.000006+01:00", "2026-01-02 03:04:05.000006+00:00", "2026-01-02T03:04:05,000006+00:00"),
        *("20260102T03:04:05.00000006+00:00", "2026-W01-1T03:04:05.00006+00:00+", "2026-01-02T030405.00000006+00:00"),
    ],
)
def test_a_save_has_a_time_that_is_written_as_all_are(time: str) -> None:
    """A plain line, which no JSON parser sees, has the times that any other line may have, and no others."""
    header = Header("chat", "host-00000000", *["2026-01-02T03:04:05.000006+00:00"] * 2)
    first, identity = encode_header(header)
    for save in (Save(identity, time, [b"{}"]), Save(identity, time, [b"{}", b"{}"]), Save(identity, time, [], 0)):
        found = parse_ref(first + encode_save(save)[0], "refs/chat.jsonl")
        try:
            decode_time(time)
        except ValueError:
            assert found.damage is not None
        else:
            assert [each.time for each in found.saves] == [time]


def test_tags_of_a_save() -> None:
    """Tags stand after metadata; a line with nothing else is one that `updated` does not move with."""
    save = Save(
        "0" * 16, NOW, (), None, {}, {"draft": Tag(NOW, CommitLink(ObjectId("a" * 64), 300, 7)), "gone": Tag(NOW, None)}
    )
    line, _ = encode_save(save)
    assert (
        b'","tags":{"draft":["%b",["%b",300,7]],"gone":["%b"]},"id":"' % (NOW.encode(), b"a" * 64, NOW.encode()) in line
    )
    assert save.only_tags
    for more in ({"messages": (b"{}",)}, {"replace": 0}, {"metadata": {"a": Stamped(NOW, None)}}, {"tags": {}}):
        assert not save._replace(**more).only_tags  # type: ignore[arg-type]
    with_both, _ = encode_save(save._replace(metadata={"a": Stamped(NOW, None)}))
    assert b',"metadata":{"a":["%b"]},"tags":{' % NOW.encode() in with_both


def genuine(data: bytes) -> bytes:
    """Give a line the id that it should have."""
    before = data[: data.rindex(b',"id":"')]
    return b'%b,"id":"%b"}\n' % (before, line_id(before).encode())


def test_an_operation_of_a_later_version_needs_an_upgrade() -> None:
    """A header with an operation that this version does not know is no damage, and the error names the file."""
    generation = Generation(GenerationId("0" * 64), "clear", 0, Chain("a" * 64), 0, 0, Chain("b" * 64))
    line, _ = encode_header(Header("chat", "host-00000000", NOW, NOW, generation=generation))
    with pytest.raises(StoreFormatError, match=r"refs/x.jsonl: .*'wings'.*upgrade"):
        parse_ref(genuine(line.replace(b'"clear"', b'"wings"')), "refs/x.jsonl")
    with pytest.raises(CorruptionError):
        parse_ref(genuine(line.replace(b'"clear"', b'"undo"')), "refs/x.jsonl")


def test_unknown_fields_are_no_damage() -> None:
    """A later version may say more in a header and in a save: the header's is kept, and the save is what it is."""
    data, whole = SMALL
    header, save, _ = data.splitlines(keepends=True)
    later = genuine(header.replace(b',"base":', b',"later":{"x":[1]},"base":'))
    previous = later[-19:-3]
    line = genuine(save.replace(save[9:25], previous).replace(b',"id":"', b',"later":7,"id":"'))
    ref = parse_ref(later + line, "x")
    assert ref.damage is None
    assert ref.header.extra == {"later": {"x": [1]}}
    assert ref.saves == (whole.saves[0]._replace(previous=previous.decode()),)
    assert encode_header(ref.header)[0] == later


@pytest.mark.parametrize(
    "marks",
    [
        *({}, [[1]], [["1", NOW]], [[-1, NOW]], [[1, "now"]], [[1, 7]], [[1, NOW, -1]], [[1, NOW, 1, 1]]),
        *([[1, NOW], [1, NOW]], [[2, NOW], [1, NOW]], [[1, NOW[:-6] + "Z"]], [[1, "0001" + NOW[4:]]]),
        *([[1, NOW.replace("05-17", "13-17")]], [[1, NOW.replace("T12", "T24")]], [[1, NOW], [2, NOW[:-1]]]),
    ],
    ids=str,
)
def test_impossible_marks_are_damage(marks: object) -> None:
    """Marks that do not ascend, or have another time than the format writes, are no marks."""
    line, _ = encode_header(Header("chat", "host-00000000", NOW, NOW, marks=(Mark(3, NOW, 0), Mark(7, NOW))))
    assert parse_ref(line, "x").header.marks == (Mark(3, NOW, 0), Mark(7, NOW))
    good = orjson.dumps([[3, NOW, 0], [7, NOW]])
    with pytest.raises(CorruptionError):
        parse_ref(genuine(line.replace(good, orjson.dumps(marks))), "x")
