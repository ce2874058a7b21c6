"""Names, and the file keys made from them."""

from __future__ import annotations

import string
import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from coda_fs_session import InvalidNameError, SessionManager
from coda_fs_session.format.names import (
    ascii_key,
    derived,
    identity_of,
    is_lengthened,
    is_of_key,
    key_folders,
    key_of_ref,
    key_starts,
    normalise_name,
    number_of_ref,
    origin,
    origins,
    ref_path,
    session_key,
)

letters = st.characters(exclude_categories=("Cs", "Cc"))
names = st.text(letters, min_size=1, max_size=60) | st.text("aAbB-_.cConflict019 ~/", min_size=1, max_size=80)
DEVICES = {"con", "prn", "aux", "nul", "clock$", "conin$", "conout$"} | {
    f"{port}{number}" for port in ("com", "lpt") for number in "0123456789¹²³"
}
HOSTILE = [
    *(
        "../../etc/passwd",
        "CON",
        "con",
        "nul",
        "Com1",
        "lpt9.txt",
        "a/b",
        "a\\b",
        ".hidden",
        "..",
        ".",
        "~",
        "-rf",
        " ",
    ),
    *(
        "🙂",
        "👩‍👩‍👧‍👦",
        "Straße",
        "STRASSE",
        "strasse",
        "İstanbul",
        "ñ",
        "n\u0303",
        "a",
        "A",
        "a ",
        "a.",
        "a:b",
        "a?*",
        "%2e%2e",
    ),
    *("conflict", "my-conflict", "chat.sync-conflict-2024", "CONflict", "con-flict", "conconflictflict"),
    *("a" * 63, "a" * 64, "x" * 255, "ü" * 255, "a\u200bb", "\u202egpj", "\u2028", "$(rm -rf ~)", "a\u0300" * 127),
]


@given(names)
@example("\u0958")
def test_names_are_nfc(name: str) -> None:
    """A name is compared in NFC: normalising it twice is normalising it once, and both forms are one name."""
    normal = normalise_name(name)
    assert normalise_name(normal) == normal == unicodedata.normalize("NFC", name)
    assert normalise_name(unicodedata.normalize("NFD", name)) == normal


@given(st.lists(names, min_size=2, max_size=30) | st.just(HOSTILE))
@example([f"{device}{suffix}" for device in ("con", "CON", "aux") for suffix in ("", ".txt", "-")])
def test_keys_are_safe_and_never_collide(given_names: list[str]) -> None:
    """Different names have different keys, also where the disk folds case or Unicode forms, and keys are safe."""
    by_key: dict[str, str] = {}
    for given_name in given_names:
        name = normalise_name(given_name)
        key = session_key(name)
        assert session_key(name) == key
        assert by_key.setdefault(unicodedata.normalize("NFD", key).casefold(), name) == name
        assert by_key.setdefault(identity_of(key), name) == name
        assert unicodedata.normalize("NFC", key) == key
        assert all(unicodedata.category(each)[0] in "LMN" or each in "-_." for each in key)
        assert not set(key) & set(string.ascii_uppercase)
        assert key[0] not in ".-" or "." in key[1:]
        assert not key.startswith(".")
        assert not key.endswith(".")
        assert "conflict" not in key
        assert key.partition(".")[0] not in DEVICES
        assert len(key.encode()) <= 117
        assert len(f"{key}.1000.jsonl".encode()) < 143, "what the strictest disks take, as eCryptfs"


@given(names | st.sampled_from(HOSTILE), st.integers(0, 255))
@example("con", 2)
@example("my-conflict of interest", 7)
@example("H\u0331", 1)
@example("a_b--c", 4)
@example("x" * 99 + "conflict", 100)
def test_keys_of_names_that_begin_alike(given_name: str, size: int) -> None:
    """The key of a name begins with one of few texts, which the beginning of the name tells."""
    name = normalise_name(given_name)
    starts = key_starts(name[:size])
    assert any(session_key(name).startswith(start) for start in starts)
    assert len(starts) <= 4


def test_keys_of_one_user() -> None:
    """Those of a user are told from those of users whose names begin with the same letters."""
    starts = key_starts("user-4/")
    assert starts == ["user-4-", "user-4."]
    assert not any(session_key(name).startswith(tuple(starts)) for name in ("user-42/a", "user-5/a", "user"))


@given(names, st.integers(1, 10**6))
def test_a_ref_file_tells_its_key(name: str, number: int) -> None:
    """The key is read back from the file name of a ref, whatever its number."""
    key = session_key(normalise_name(name))
    assert key_of_ref(ref_path("host-00000000", key, number)) == key


@pytest.mark.parametrize(
    "file",
    [
        "chat (conflicted copy).jsonl",
        "chat.sync-conflict-20240517-123000-ABC.jsonl",
        "chat-conflict.jsonl",
        "x.tmp",
        "Chat.jsonl",
    ],
)
def test_other_file_names_tell_nothing(file: str) -> None:
    """A name that this package would not give, such as a conflict copy's, is not taken for one of its own."""
    assert key_of_ref(f"host-00000000/{file}") is None


@given(names)
def test_only_the_digits_tell_a_key(name: str) -> None:
    """Whatever form a disk or another version gave to the slug: it is a ref of the key, at the same place."""
    key = session_key(normalise_name(name))
    slug, dot, digits = key.rpartition(".")
    forms = {key}
    if dot:
        forms |= {f"{unicodedata.normalize('NFD', slug)}.{digits}", f"{slug.upper()}.{digits}", f"x.{digits}"}
    for form in forms:
        path = ref_path("host-00000000", form, 2)
        assert key_of_ref(path) == form
        assert is_of_key(path, key)
        assert number_of_ref(path) == 2
        assert key_folders("host-00000000", form) == key_folders("host-00000000", key)
        assert identity_of(form) == identity_of(key)
        assert not is_of_key(path, session_key(f"{normalise_name(name)} "))
    assert ascii_key(key).isascii()
    assert identity_of(ascii_key(key)) == identity_of(key)


@pytest.mark.parametrize(
    ("name", "slug"),
    [
        *(
            ("音楽の話", "音楽の話"),
            ("Größe", "größe"),
            ("שיחה 1", "שיחה-1"),
            ("हिन्दी में", "हिन्दी-में"),
            ("٣ рублей", "٣-рублей"),
        ),
        *(("🦜 parrot", "parrot"), ("🦜", "x"), ("a — b", "a-b"), ("日本 Conflict", "日本-x"), ("com¹", "x-com¹")),
        *(("é" * 90, "é" * 50), ("語" * 90, "語" * 33), ("a" * 90 + " b" * 20, "a" * 90 + "-b" * 5)),
    ],
)
def test_slugs(name: str, slug: str) -> None:
    """People know a file by its name in any script: letters, marks and numbers stay, within 100 bytes."""
    assert session_key(name).rpartition(".")[0] == slug


def test_digits_that_look_like_a_number() -> None:
    """Sixteen digits after the slug are its hash, even without a letter; they used to pass for a file's number."""
    assert key_of_ref("host/chat.1234567890123456.jsonl") == "chat.1234567890123456"
    assert key_of_ref("host/chat.12.jsonl") == "chat"


@pytest.mark.parametrize(
    "name", ["", "a" * 256, "ü" * 256, "a\nb", "\x00", "a\x7f", "\x85", "\ud800", "a\udfff", None, 1, b"a"]
)
def test_refused_names(name: object) -> None:
    """Empty, too long, control characters, lone surrogates, or no text at all: InvalidNameError, a ValueError."""
    with pytest.raises(InvalidNameError):
        normalise_name(name)
    with pytest.raises(ValueError):
        SessionManager({"session": {"backend": "memory"}}).create_session(name)  # type: ignore[arg-type]


def test_length_counts_composed_characters() -> None:
    """The limit of 255 is that of the NFC form."""
    assert len(normalise_name("e\u0301" * 255)) == 255
    with pytest.raises(InvalidNameError):
        normalise_name("e\u0301" * 256)


def test_derived_names_may_be_longer() -> None:
    """A label with a hash after it passes the limit that holds for chosen names."""
    assert normalise_name("a" * 255 + "~0123abcd", derived=True)


def test_derived_names_tell_what_they_are_derived_from() -> None:
    """Of as many digits as it takes, each longer than the one before; what has another form is derived from nothing."""
    identity = "0123456789abcdef" * 4
    found = list(derived("chat", identity))
    assert [len(name.removeprefix("chat~")) for name in found] == [8, 12, 16, 24, 32, 64]
    assert {origin(name) for name in found} == {"chat"}
    assert [is_lengthened(name, "chat") for name in found] == [False, True, True, True, True, True]
    assert list(origins("a~01234567~89abcdef")) == ["a~01234567~89abcdef", "a~01234567", "a"]
    assert [
        origin(name) for name in ("chat", "~01234567", "chat~0123456", "chat~ABCDEF01", "chat~" + identity + "0")
    ] == ([None] * 5)
    assert origin("a" * 5000 + "~01234567") is None


@pytest.mark.parametrize("backend", ["memory", "files"])
def test_hostile_names_are_names(backend: str, tmp_path) -> None:
    """Every hostile name makes a session of its own, below the store and nowhere else, and comes back in NFC."""
    config = {
        "session": {
            "backend": backend,
            "storage_path": tmp_path / "s" / "store",
            "state_path": tmp_path / "s" / "state",
        }
    }
    with SessionManager(config) as manager:
        for name in HOSTILE:
            session = manager.create_session(name)
            session.messages = [{"content": normalise_name(name)}]
        manager.save_all()
        expected = {normalise_name(name) for name in HOSTILE}
        assert {info.name for info in manager.list_sessions()} == expected
    if backend == "files":
        assert [path.name for path in tmp_path.iterdir()] == ["s"]
        assert sorted(path.name for path in (tmp_path / "s").iterdir()) == ["state", "store"]
        with SessionManager(config) as manager:
            for name in HOSTILE:
                assert manager.load_session(name).get_messages() == [{"content": normalise_name(name)}]
