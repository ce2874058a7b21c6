"""Syncing with a store on another host, by rsync: in an order in which nothing that counts is ever missing there."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from typing import IO, TYPE_CHECKING, Literal, NamedTuple

from ..config import Config
from ..errors import StoreError, StoreFormatError, UnsupportedError
from ..repo.events.changes import changes_between, listing_of
from ..repo.sync.exchange import take_refs
from ..repo.sync.report import Direction, ProgressCallback, SyncProgress, SyncReport, SyncTransfer, transfer_of
from .open_store import OpenedStore

if TYPE_CHECKING:
    from ..repo.storage import RepoStorage

_NAMES = frozenset(("FORMAT", "README.txt", "refs", "objects"))
# What is hidden is not written whole yet, here or there.
_OBJECTS = (
    *("--ignore-existing", "--include=/.gitattributes", "--exclude=.*", "--include=/objects/***"),
    *("--include=/FORMAT", "--include=/README.txt", "--exclude=*"),
)
_REFS = ("--relative", "--exclude=.*")
_PARTIAL = 23
_VANISHED = 24
"""Exit codes of rsync: something could not be carried; a file was gone before its turn, which is none of ours then."""
_SAID = 2000


class RemotePlace(NamedTuple):
    """A folder on another host, as rsync is told of it."""

    host: str
    path: str

    def __str__(self) -> str:
        return f"{self.host}:{self.path}"


class _Moved:
    """What rsync has carried in one direction."""

    def __init__(self) -> None:
        self.refs = self.objects = self.bytes = 0


class RemoteSync:
    """One sync with another host.

    Args:
        ours: this store, of files; config: its options.
        dry_run: carry nothing, and count what would be carried.
    """

    def __init__(
        self,
        ours: RepoStorage,
        config: Config,
        place: RemotePlace,
        *,
        progress: ProgressCallback | None,
        dry_run: bool = False,
    ) -> None:
        if config.backend != "files":
            raise UnsupportedError(
                f"a store in {config.backend} cannot be carried by rsync: sync it with a store of files, and that one"
            )
        self._ours = ours
        self._config = config
        self._place = place
        self._progress = progress
        self._dry_run = dry_run
        self._root = ours.repo.backend.place().path

    def run(self, direction: Direction) -> SyncReport:
        there = self._has_store()
        pushed, pulled = SyncTransfer(), SyncTransfer()
        if direction != "pull":
            pushed = self._push()
        elif not there:
            raise StoreError(f"there is no store at {self._place} to pull from")
        if direction != "push" and there:
            pulled = self._pull()
        return SyncReport(pushed, pulled)

    def _push(self) -> SyncTransfer:
        moved = _Moved()
        own = self._ours.repo.replica
        if own is not None:
            # Nobody else writes these: what is there is never newer.
            self._carry("objects", moved, _OBJECTS, f"{self._root}/", f"{self._place}/")
            self._carry("refs", moved, _REFS, f"{self._root}/./refs/{own}", f"{self._place}/")
        return SyncTransfer(refs=moved.refs, objects=moved.objects, bytes=moved.bytes)

    def _pull(self) -> SyncTransfer:
        moved = _Moved()
        before = listing_of(self._ours)
        own = self._ours.repo.replica
        if not self._dry_run:
            self._ours.repo.backend.prepare()
        self._carry("objects", moved, _OBJECTS, f"{self._place}/", f"{self._root}/")
        # What a third machine wrote may be newer here than there: that is kept.
        others = [*_REFS, "--update", *([f"--exclude=/refs/{own}"] if own else [])]
        with tempfile.TemporaryDirectory(prefix="coda_fs_session-") as replaced:
            try:
                backup = ["--backup", f"--backup-dir={replaced}"]
                self._carry("refs", moved, [*others, *backup], f"{self._place}/./refs", f"{self._root}/")
            finally:
                self._take_back(replaced)
        events = changes_between(before, listing_of(self._ours), self._ours)
        touched = {name for event in events for name in (event.name, event.previous_name or event.name)}
        return transfer_of(events, touched, refs=moved.refs, objects=moved.objects, size=moved.bytes)

    def _take_back(self, replaced: str) -> None:
        """Bring refs forward again that rsync has replaced by older ones: it goes by whole seconds of files alone."""
        options = self._config._replace(storage_path=replaced, state_path=replaced, replica=None, read_only=True)
        theirs = OpenedStore(options, new=True).storage()
        try:
            take_refs(self._ours, theirs)
        finally:
            theirs.close()

    def _has_store(self) -> bool:
        """Tell whether there is a store at the place; a folder of something else is refused.

        Raises:
            StoreFormatError: it is, or a store of a newer version.
        """
        listing, code = self._ask(["--list-only"], f"{self._place}/")
        if code == _PARTIAL:
            return False
        names = {line.split(None, 4)[-1] for line in listing.splitlines() if line[:1] in "d-l"}
        names = {name for name in names if not name.startswith(".")}
        if "FORMAT" in names:
            self._check_format()
            return True
        if names - _NAMES:
            shown = ", ".join(sorted(names)[:3])
            raise StoreFormatError(f"{self._place} is not empty and holds no store ({shown}...): name another folder")
        return bool(names & {"refs", "objects"})

    def _check_format(self) -> None:
        with tempfile.TemporaryDirectory(prefix="coda_fs_session-") as folder:
            store = f"{folder}/store"
            self._ask([], f"{self._place}/FORMAT", f"{store}/")
            try:
                OpenedStore(self._config._replace(storage_path=store, state_path=f"{folder}/state", read_only=True))
            except StoreFormatError as error:
                raise StoreFormatError(str(error).replace(store, str(self._place))) from error

    def _carry(
        self, phase: Literal["objects", "refs"], moved: _Moved, options: Sequence[str], source: str, target: str
    ) -> None:
        done = 0
        dry = ["--dry-run"] if self._dry_run else []
        for line in self._lines(["-rt", "--out-format=%l %n", *dry, *options], source, target):
            size, _, name = line.partition(" ")
            if not size.isdecimal() or name.endswith("/"):
                continue
            done += 1
            moved.bytes += int(size)
            if name.startswith("refs/"):
                moved.refs += 1
            elif name.startswith("objects/"):
                moved.objects += 1
            if self._progress is not None:
                self._progress(SyncProgress(phase, done, done, moved.bytes))

    def _lines(self, options: Sequence[str], *places: str) -> Iterator[str]:
        """Run rsync, and yield what it writes as it comes."""
        with tempfile.TemporaryFile() as said:
            with self._start(options, places, said.fileno()) as process:
                assert process.stdout is not None
                try:
                    yield from (line.rstrip("\n") for line in process.stdout)
                except BaseException:
                    process.terminate()
                    raise
            if process.returncode not in (0, _VANISHED):
                raise self._failed(said, process.returncode)

    def _ask(self, options: Sequence[str], *places: str) -> tuple[str, int]:
        """Return what rsync writes, and its exit code where that is 0 or 23."""
        with tempfile.TemporaryFile() as said:
            with self._start(options, places, said.fileno()) as process:
                out, _ = process.communicate()
            if process.returncode not in (0, _PARTIAL):
                raise self._failed(said, process.returncode)
            return out, process.returncode

    def _start(self, options: Sequence[str], places: Sequence[str], errors: int) -> subprocess.Popen[str]:
        # -s: the other side takes the path as it is, and no shell looks at it.
        command = ["rsync", "-s", *options, "--", *places]
        try:
            return subprocess.Popen(
                command, stdout=subprocess.PIPE, stderr=errors, encoding="utf-8", errors="surrogateescape"
            )
        except FileNotFoundError as error:
            raise UnsupportedError("a sync with another host needs rsync, here and there: install it") from error

    def _failed(self, said: IO[bytes], code: int) -> StoreError:
        said.seek(0)
        words = said.read(_SAID).decode(errors="replace").strip()
        return StoreError(
            f"rsync with {self._place} ended with {code}: {words}; what has arrived stays, sync once more"
        )
