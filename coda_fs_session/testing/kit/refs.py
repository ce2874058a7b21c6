"""Tests of the verbs for refs: create, append, replace, read and list."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from ...backends.base import Backend, RefChangedError, RefKey, RefTakenError, RefWrite, Snapshot, Token
from .case import KEY, LARGE, OTHER, BackendCase, identities, incompressible, new_object, shown

HOSTILE_FILES = [
    *("chat (conflicted copy 2026-01-31).jsonl", "chat.sync-conflict-20260131-120000-ABCDEFG.jsonl", "chat~HEAD"),
    *("50% of_it.jsonl", "'; DROP TABLE refs; --.jsonl", '"quoted".jsonl', "back\\slash.jsonl", "[a-z]*?.jsonl"),
    *("con.jsonl", " leading and trailing .jsonl", "-rf.jsonl", "$HOME.jsonl", "a&b=c#d.jsonl", "x" * 240 + ".jsonl"),
    *("größe.jsonl", "会話.jsonl", "🗣️.jsonl", "\u202eright to left.jsonl", "line\nbreak.jsonl", "no ending"),
]
"""File names that sync tools, people or other systems give to refs."""


class RefTests(BackendCase):
    """What is promised of refs."""

    def test_an_empty_store(self, backend: Backend) -> None:
        """Before anything is written there is nothing, and looking makes nothing."""
        assert list(backend.refs()) == []
        assert backend.ref_tokens() == {}
        assert identities(backend.ref_folders({})) == {}
        assert backend.ref_tokens_in([""]) == {}
        assert backend.replica_marker(KEY.replica) is None
        for look in (backend.read_ref, backend.ref_end):
            with pytest.raises(KeyError):
                look(KEY)
        assert backend.ref_token(KEY) is None
        assert self.read_raw(backend, KEY) is None

    def test_create_then_append_then_replace(self, backend: Backend) -> None:
        """Each verb returns the token of what it left, which is what reading gives with those bytes."""
        backend.prepare()
        token = backend.create_ref(KEY, b"one\n")
        assert backend.read_ref(KEY) == Snapshot(b"one\n", token)
        following = backend.append_ref(KEY, token, b"two\n")
        assert backend.read_ref(KEY) == Snapshot(b"one\ntwo\n", following)
        assert self.read_raw(backend, KEY) == b"one\ntwo\n"
        last = backend.replace_ref(KEY, following, b"three\n")
        assert backend.read_ref(KEY) == Snapshot(b"three\n", last)
        assert self.read_raw(backend, KEY) == b"three\n"
        assert len({token, following, last}) == 3
        assert [key for key, _ in backend.refs()] == [KEY]
        assert list(backend.ref_tokens()) == [KEY.path]
        assert [token.size for token in backend.ref_tokens().values()] == [6]

    def test_several_at_once(self, backend: Backend) -> None:
        """New refs, lines and refs that are written anew: each has the token that it has by itself then."""
        backend.prepare()
        grown, anew = backend.create_ref(KEY, b"one\n"), backend.create_ref(OTHER, b"two\n")
        new = RefKey(f"{KEY.replica}/new.jsonl")
        grown, anew = backend.renew_token(KEY, grown), backend.renew_token(OTHER, anew)
        assert backend.read_ref(KEY) == Snapshot(b"one\n", grown)
        writes = [
            RefWrite(new, None, b"three\n"),
            RefWrite(KEY, grown, b"one\nfour\n", kept=4),
            RefWrite(OTHER, anew, b"five\n"),
        ]
        tokens = backend.write_refs(writes)
        for write, token in zip(writes, tokens, strict=True):
            assert backend.read_ref(write.key) == Snapshot(write.data, token)
            assert self.read_raw(backend, write.key) == write.data
        assert len(backend.ref_tokens()) == 3
        assert backend.write_refs([]) == []

    @pytest.mark.parametrize("what", ["a token", "a key"])
    def test_several_of_which_one_is_refused(self, backend: Backend, what: str) -> None:
        """A stale token or a taken key is an error; a backend that promises all or none has written none then."""
        backend.prepare()
        token = backend.create_ref(KEY, b"one\n")
        backend.append_ref(KEY, token, b"two\n")
        first = RefWrite(OTHER, None, b"three\n")
        wrong = RefWrite(KEY, token if what == "a token" else None, b"one\nfour\n")
        with pytest.raises(RefChangedError):
            backend.write_refs([first, wrong])
        assert self.read_raw(backend, KEY) == b"one\ntwo\n"
        if backend.capabilities.together:
            assert self.read_raw(backend, OTHER) is None

    def test_what_was_appended(self, backend: Backend) -> None:
        """With its writers kept waiting, a ref tells what was appended since a token, or that it cannot tell."""
        backend.prepare()
        token = backend.create_ref(KEY, b"one\n")
        later = backend.append_ref(KEY, token, b"two\n")
        assert backend.begins_with(KEY, b"one\n") in (True, False)
        with backend.hold(KEY):
            now = backend.read_ref(KEY).token
            assert backend.begins_with(KEY, b"one\n")
            assert backend.ref_after(KEY, token, b"one\n") in (None, Snapshot(b"two\n", now))
            assert backend.ref_after(KEY, later, b"one\ntwo\n") in (None, Snapshot(b"", now))
            for front in (b"two\n", b"no one\n", b"one\ntwo\nmore\n"):
                known = later._replace(size=len(front))
                assert not backend.begins_with(KEY, front) or backend.ref_after(KEY, known, front) is None
            assert backend.ref_after(OTHER, token, b"one\n") is None
        backend.replace_ref(KEY, later, b"one\nthree\n")
        with backend.hold(KEY):
            assert backend.ref_after(KEY, later, b"one\ntwo\n") is None

    def test_replacing_with_the_same_bytes(self, backend: Backend) -> None:
        """It is a change all the same: who holds the old token has not seen it."""
        backend.prepare()
        token = backend.create_ref(KEY, b"one\n")
        if backend.capabilities.content_tokens:
            # The same bytes are the same state there.
            assert backend.replace_ref(KEY, token, b"one\n") == token
            return
        assert backend.replace_ref(KEY, token, b"one\n") != token
        with pytest.raises(RefChangedError):
            backend.append_ref(KEY, token, b"lost\n")

    def test_refs_by_their_paths(self, backend: Backend) -> None:
        """The refs of a key, and those below a beginning, are told with their tokens, and no others."""
        backend.prepare()
        files = ("a.jsonl", "a.2.jsonl", "a.3.jsonl", "a.x.jsonl", "ab.jsonl", "b/a.jsonl", "a.2")
        for file in files:
            backend.create_ref(RefKey(f"here-00000001/{file}"), b"one\n")
        backend.create_ref(RefKey("there-00000002/a.jsonl"), b"two\n")
        tokens = backend.ref_tokens()
        told = backend.refs_of("here-00000001", "a")
        assert told.keys() == {f"here-00000001/{file}" for file in files[:3]}
        below = backend.refs_below("here-00000001/a")
        assert below.keys() == {f"here-00000001/{file}" for file in files if file.startswith("a")}
        assert all(token[:2] == tokens[path][:2] for path, token in {**told, **below}.items())
        assert backend.refs_of("here-00000001", "none") == backend.refs_below("nobody-00000003/") == {}
        assert sorted(backend.ref_replicas()) == ["here-00000001", "there-00000002"]

    def test_reading_what_was_told(self, backend: Backend) -> None:
        """A ref is read as it was under a token, or as it is; and reading ahead leaves out none."""
        backend.prepare()
        old = backend.create_ref(KEY, b"one\n")
        assert backend.read_as(KEY, old) == Snapshot(b"one\n", old)
        new = backend.append_ref(KEY, old, b"two\n")
        assert backend.read_as(KEY, new) == Snapshot(b"one\ntwo\n", new)
        assert backend.read_as(KEY, old) in (Snapshot(b"one\n", old), Snapshot(b"one\ntwo\n", new))
        assert list(backend.ahead([KEY, OTHER])) == [KEY, OTHER]
        with pytest.raises(KeyError):
            backend.read_as(OTHER, old)

    def test_a_taken_key(self, backend: Backend) -> None:
        """Creating never replaces; keys of other replicas are others."""
        backend.prepare()
        backend.create_ref(KEY, b"one\n")
        with pytest.raises(RefTakenError):
            backend.create_ref(KEY, b"two\n")
        backend.create_ref(OTHER, b"two\n")
        assert (backend.read_ref(KEY).data, backend.read_ref(OTHER).data) == (b"one\n", b"two\n")
        assert {key.replica for key, _ in backend.refs()} == {"here-00000001", "there-00000002"}

    def test_a_stale_token(self, backend: Backend) -> None:
        """With the token of an earlier state nothing is appended or replaced, and the newer state stays."""
        backend.prepare()
        old = backend.create_ref(KEY, b"one\n")
        current = backend.append_ref(KEY, old, b"two\n")
        for _ in range(2):
            with pytest.raises(RefChangedError):
                backend.append_ref(KEY, old, b"lost\n")
            with pytest.raises(RefChangedError):
                backend.replace_ref(KEY, old, b"lost\n")
        assert self.read_raw(backend, KEY) == b"one\ntwo\n"
        backend.append_ref(KEY, current, b"three\n")
        assert backend.read_ref(KEY).data == b"one\ntwo\nthree\n"

    def test_a_ref_that_is_gone(self, backend: Backend) -> None:
        """There is nothing to compare with: changed, not an error of the disk. The key is free again."""
        backend.prepare()
        token = backend.create_ref(KEY, b"one\n")
        for verb in (backend.append_ref, backend.replace_ref):
            with pytest.raises(RefChangedError):
                verb(OTHER, token, b"two\n")
        self.write_raw(backend, KEY, None)
        for verb in (backend.append_ref, backend.replace_ref):
            with pytest.raises(RefChangedError):
                verb(KEY, token, b"two\n")
        with pytest.raises(KeyError):
            backend.read_ref(KEY)
        assert list(backend.refs()) == []
        backend.create_ref(KEY, b"anew\n")
        assert backend.read_ref(KEY).data == b"anew\n"

    def test_what_a_stranger_wrote(self, backend: Backend) -> None:
        """A ref that something else replaced, with more bytes, fewer or as many, is changed for all verbs."""
        backend.prepare()
        for number, data in enumerate((b"one\nmore\n", b"x\n", b"two\n")):
            key = RefKey(f"here-00000001/chat{number}.jsonl")
            token = backend.create_ref(key, b"one\n")
            self.write_raw(backend, key, data)
            with pytest.raises(RefChangedError):
                backend.append_ref(key, token, b"lost\n")
            with pytest.raises(RefChangedError):
                backend.replace_ref(key, token, b"lost\n")
            snapshot = backend.read_ref(key)
            assert snapshot.data == data
            assert snapshot.token != token
            backend.append_ref(key, snapshot.token, b"after\n")
            assert self.read_raw(backend, key) == data + b"after\n"

    def test_hold(self, backend: Backend) -> None:
        """Within `hold` the holder reads and writes as always, and afterwards everybody does."""
        backend.prepare()
        backend.create_ref(KEY, b"one\n")
        with backend.hold(KEY):
            token = backend.append_ref(KEY, backend.read_ref(KEY).token, b"two\n")
            token = backend.replace_ref(KEY, token, b"three\n")
            token = backend.append_ref(KEY, token, b"four\n")
        backend.append_ref(KEY, token, b"five\n")
        assert backend.read_ref(KEY).data == b"three\nfour\nfive\n"

    def test_an_error_while_holding(self, backend: Backend) -> None:
        """It comes through, and the ref is not held any more."""
        backend.prepare()
        token = backend.create_ref(KEY, b"one\n")
        with pytest.raises(ZeroDivisionError), backend.hold(KEY):
            raise ZeroDivisionError
        backend.append_ref(KEY, token, b"two\n")
        assert backend.read_ref(KEY).data == b"one\ntwo\n"

    def test_together(self, backend: Backend) -> None:
        """What is written within `together` is there afterwards, for everybody."""
        backend.prepare()
        new = new_object(b"words\n")
        with backend.together():
            backend.put_objects([new])
            token = backend.create_ref(KEY, b"one\n")
        assert backend.get_object(new.id, size=len(new.data), limit=100) == new.data
        assert (self.read_raw(backend, new.id), self.read_raw(backend, KEY)) == (new.data, b"one\n")
        backend.append_ref(KEY, token, b"two\n")

    def test_an_error_while_writing_together(self, backend: Backend) -> None:
        """It comes through, and the store can be written after it."""
        backend.prepare()
        with pytest.raises(ZeroDivisionError), backend.together():
            raise ZeroDivisionError
        backend.create_ref(KEY, b"one\n")
        assert backend.read_ref(KEY).data == b"one\n"

    @pytest.mark.parametrize(
        "data",
        [b"", b"\x00", b"no newline", b"\r\n\x1a\xff\xfe\n", incompressible(LARGE)],
        ids=["empty", "zero", "no newline", "no text", "large"],
    )
    def test_any_bytes(self, backend: Backend, data: bytes) -> None:
        """Refs hold bytes, none or many of any value, whichever verb brought them."""
        backend.prepare()
        token = backend.create_ref(KEY, data)
        assert shown(backend.read_ref(KEY).data) == shown(data)
        token = backend.append_ref(KEY, token, b"|" + data)
        assert shown(backend.read_ref(KEY).data) == shown(data + b"|" + data)
        end = backend.ref_end(KEY)
        assert (end.size, (data + b"|" + data)[-32:].endswith(end.end)) == (2 * len(data) + 1, True)
        token = backend.replace_ref(KEY, token, b"other")
        token = backend.replace_ref(KEY, token, data)
        found = backend.read_ref(KEY)
        assert (shown(found.data), found.token) == (shown(data), token)
        assert found.token.size == len(data)

    @pytest.mark.parametrize("file", HOSTILE_FILES)
    def test_hostile_names(self, backend: Backend, file: str) -> None:
        """A file name is only a name: whatever is in it, all verbs find that ref and no other."""
        backend.prepare()
        key, similar = RefKey(f"here-00000001/{file}"), RefKey(f"here-00000001/{file[:-1]}_")
        backend.create_ref(similar, b"similar\n")
        token = backend.append_ref(key, backend.create_ref(key, b"one\n"), b"two\n")
        assert dict(backend.refs()).keys() == {key, similar}
        assert identities(backend.ref_folders({})).keys() == {key.path, similar.path}
        token = backend.replace_ref(key, token, b"three\n")
        assert backend.read_ref(key) == Snapshot(b"three\n", token)
        assert backend.read_ref(similar).data == b"similar\n"
        with pytest.raises(RefTakenError):
            backend.create_ref(key, b"lost\n")
        assert file in backend.locate(key)

    def test_a_ref_further_down(self, backend: Backend) -> None:
        """Where a sync tool or a person has put one deeper, it can be kept there too."""
        backend.prepare()
        deep = RefKey("there-00000002/kept by hand/of May/chat.jsonl")
        backend.create_refs([(deep, b"one\n")])
        assert backend.read_ref(deep).data == b"one\n"
        assert [key for key, _ in backend.refs()] == [deep]
        assert deep.replica == "there-00000002"

    def test_many_new_refs(self, backend: Backend) -> None:
        """Each is there with its token, in the order given; what was taken stays as it was and is told apart."""
        backend.prepare()
        backend.create_ref(KEY, b"one\n")
        keys = [RefKey(f"there-00000002/chat{number}.jsonl") for number in range(150)]
        tokens = backend.create_refs([(KEY, b"lost\n"), *((key, b"%s\n" % key.path.encode()) for key in keys)])
        assert tokens[0] is None
        assert backend.read_ref(KEY).data == b"one\n"
        for key, token in zip(keys, tokens[1:], strict=True):
            snapshot = backend.read_ref(key)
            assert (snapshot.data, snapshot.token) == (f"{key.path}\n".encode(), token)
            backend.append_ref(key, snapshot.token, b"two\n")
        assert {key for key, _ in backend.refs()} == {KEY, *keys}
        assert backend.create_refs([]) == []

    def test_listed_tokens(self, backend: Backend) -> None:
        """The listing's token changes with every verb, and with that of a ref only its own; so does one looked up."""
        backend.prepare()
        token, resting = backend.create_ref(KEY, b"one\n"), backend.create_ref(OTHER, b"one\n")
        seen, alone = [backend.ref_tokens()[KEY.path]], [backend.ref_token(KEY)]
        verbs: list[Callable[[RefKey, Token, bytes], Token]] = [backend.append_ref, backend.replace_ref]
        for verb in verbs * 3:
            token = verb(KEY, token, f"four {len(seen)}".encode() if backend.capabilities.content_tokens else b"four")
            seen.append(backend.ref_tokens()[KEY.path])
            alone.append(backend.ref_token(KEY))
        assert len(set(seen)) == len(seen)
        assert len(set(alone)) == len(alone)
        assert None not in alone
        backend.append_ref(OTHER, resting, b"two\n")

    def test_identities(self, backend: Backend) -> None:
        """They tell refs that came or went; with a marker that is still good there is nothing to tell."""
        backend.prepare()
        token = backend.create_ref(KEY, b"one\n")
        found = backend.ref_folders({})
        assert identities(found) == {KEY.path: token.identity}
        assert found.contents.keys() == found.states.keys()
        token = backend.append_ref(KEY, token, b"two\n")
        again = backend.ref_folders(found.states)
        assert again.states.keys() == found.states.keys()
        assert identities(again) in ({}, {KEY.path: token.identity})
        backend.create_ref(OTHER, b"three\n")
        replaced = backend.replace_ref(KEY, token, b"one\n")
        found = backend.ref_folders(again.states)
        assert found.contents, "states from before a ref was created must not pass for good ones"
        assert identities(found) == {KEY.path: replaced.identity, OTHER.path: found.contents[OTHER.replica][OTHER.path]}

    def test_tokens_of_folders(self, backend: Backend) -> None:
        """They are those of the refs right in some folders, as in the listing of all."""
        backend.prepare()
        deep = RefKey(f"{KEY.replica}/ab/chat.jsonl")
        backend.create_refs([(KEY, b"one\n"), (OTHER, b"two\n"), (deep, b"three\n")])
        found = backend.ref_folders({})
        assert {KEY.replica, OTHER.replica, f"{KEY.replica}/ab"} <= found.states.keys()
        assert found.contents[f"{KEY.replica}/ab"].keys() == {deep.path}
        for key in (KEY, OTHER, deep):
            folder = key.path.rpartition("/")[0]
            (found_token,) = backend.ref_tokens_in([folder]).items()
            assert (found_token[0], found_token[1][:3]) == (key.path, backend.ref_tokens()[key.path][:3])
        assert backend.ref_tokens_in([KEY.replica, OTHER.replica, "nobody"]).keys() == {KEY.path, OTHER.path}
        assert backend.ref_tokens_in([]) == {}
