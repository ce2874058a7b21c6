"""Everything that `coda_fs_session.backends.base.Backend` promises, as tests to inherit."""

from __future__ import annotations

from ...backends.base import Backend, RefKey
from ...errors import UnsupportedError
from .case import KEY, OTHER, identities, new_object
from .objects import ObjectTests
from .refs import RefTests
from .sharing import LastingTests, SharingTests


class BackendTests(RefTests, ObjectTests, SharingTests, LastingTests):
    """Subclass as ``Test...``, with the fixture `backend` and the hooks of `BackendCase`.

    Tests of what the backend's `Capabilities` exclude are skipped, and say so. The model is the suite of restic's
    backends, and the one that zarr-python ships for stores.
    """

    def test_capabilities(self, backend: Backend) -> None:
        """They are facts about the backend that hold before anything is written."""
        assert all(type(each) is bool for each in backend.capabilities)
        assert backend.capabilities.persistent or not backend.capabilities.shared

    def test_place(self, backend: Backend) -> None:
        """It names the store that is there, and stays as it is whatever is written into that."""
        backend.prepare()
        before = backend.place()
        assert before.store is not None
        backend.create_ref(KEY, b"one\n")
        backend.put_objects([new_object(b"one")])
        assert backend.place() == before

    def test_prepare(self, backend: Backend) -> None:
        """It may be called before every write, and changes nothing of a store that is there."""
        backend.prepare()
        token = backend.create_ref(KEY, b"one\n")
        backend.prepare()
        assert backend.read_ref(KEY).token == token
        assert backend.append_ref(KEY, token, b"two\n") != token

    def test_replica_files(self, backend: Backend) -> None:
        """What a replica says is kept beside its refs, and is none of them; where there is no place for it, that is
        said, and nothing is read.
        """
        backend.prepare()
        assert (list(backend.replica_files()), backend.read_replica_file(KEY.replica)) == ([], None)
        try:
            backend.write_replica_file(KEY.replica, b"one\n")
        except UnsupportedError:
            assert (list(backend.replica_files()), backend.read_replica_file(KEY.replica)) == ([], None)
            return
        backend.write_replica_file(KEY.replica, b"two\n")
        assert list(backend.replica_files()) == [KEY.replica]
        assert backend.read_replica_file(KEY.replica) == b"two\n"
        assert backend.read_replica_file(OTHER.replica) is None
        assert (backend.ref_tokens(), backend.has_refs(KEY.replica)) == ({}, False)
        if backend.capabilities.persistent:
            assert self.reopen(backend).read_replica_file(KEY.replica) == b"two\n"

    def test_replica_marker(self, backend: Backend) -> None:
        """It tells whether a replica has refs here, and changes when one comes, if it tells more than that."""
        backend.prepare()
        backend.create_ref(KEY, b"one\n")
        assert backend.replica_marker(OTHER.replica) is None
        assert (backend.has_refs(KEY.replica), backend.has_refs(OTHER.replica)) == (True, False)
        before = backend.replica_marker(KEY.replica)
        assert before is not None
        backend.create_ref(RefKey(f"{KEY.replica}/another.jsonl"), b"two\n")
        # Without numbers, a folder may have changed.
        cannot_tell = not before or not all(before.values())
        assert cannot_tell or backend.replica_marker(KEY.replica) != before

    def test_identities_but_of_one_replica(self, backend: Backend) -> None:
        """The marker of others' refs changes whenever one of them comes or is replaced."""
        backend.prepare()
        backend.create_ref(KEY, b"one\n")
        found = backend.ref_folders({}, but=KEY.replica)
        backend.create_ref(RefKey(f"{KEY.replica}/another.jsonl"), b"two\n")
        found = backend.ref_folders(found.states, but=KEY.replica)
        token = backend.create_ref(OTHER, b"three\n")
        found = backend.ref_folders(found.states, but=KEY.replica)
        assert identities(found).get(OTHER.path) == token.identity
        replaced = backend.replace_ref(OTHER, token, b"four\n")
        found = backend.ref_folders(found.states, but=KEY.replica)
        assert identities(found).get(OTHER.path) == replaced.identity

    def test_locate(self, backend: Backend) -> None:
        """Errors can say where something is."""
        assert KEY.path in backend.locate(KEY)
        assert "ab" * 32 in backend.locate("ab" * 32)

    def test_after_close(self, backend: Backend) -> None:
        """A closed backend may be used again."""
        backend.prepare()
        token = backend.create_ref(KEY, b"one\n")
        token = backend.append_ref(KEY, token, b"two\n")
        backend.close()
        backend.close()
        backend.append_ref(KEY, token, b"three\n")
        assert backend.read_ref(KEY).data == b"one\ntwo\nthree\n"
