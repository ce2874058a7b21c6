"""Steps of a history that tools and people make with files, around the engine."""

from __future__ import annotations

import random

from .machines import Replica
from .reader import Files
from .transport import CONFLICT_NAMES, FOLDER_NAMES, Carried, What, Wins, any_name, carry, copy_folder

Results = set[tuple[bytes, ...]]
"""What the sessions that a step worked on hold after it."""


class ToolSteps:
    """What may happen to the files of some replicas.

    Each step returns what was received, the results of the work, or None where any session may have changed.

    Attributes:
        reverts: whether tools do to a replica's own files, too, what they do to those of others.
        log: what has happened so far, for people.
        backups: the files of some replicas as they once were.
    """

    def __init__(self, *, reverts: bool) -> None:
        self.reverts = reverts
        self.replicas: list[Replica] = []
        self.log: list[str] = []
        self.backups: list[dict[str, bytes]] = []

    def _back_up(self, replica: Replica) -> Results:
        self.backups = [*self.backups[-3:], replica.place.files()]
        self._tell(replica, "is copied to a backup")
        return set()

    def _carry(self, replica: Replica, source: int, what: int, wins: int, conflict: int, order: int) -> Carried:
        origin, own, files = self._source(source, [each for each in self.replicas if each is not replica])
        tool = list(CONFLICT_NAMES)[conflict]
        rng = random.Random(order)
        done = carry(
            files, replica.place, What(what), Wins(wins), CONFLICT_NAMES[tool], rng, own=own, reverts=self.reverts
        )
        replica.reverted |= bool(done.own)
        how = f"{What(what).name} from {origin} ({Wins(wins).name}, conflicts as {tool})"
        self._tell(replica, f"receives {how}: {', '.join(done.written) or 'nothing new'}")
        return done

    def _source(self, number: int, machines: list[Replica]) -> tuple[str, str, Files]:
        """Return from where files come: one of some machines or a backup, with the id that the machine goes by."""
        sources = [(str(each.number), each.place.replica, each.place.files()) for each in machines]
        sources += [(f"backup {at}", "", files) for at, files in enumerate(self.backups)]
        return sources[number % len(sources)]

    def _copy_folder(self, replica: Replica, source: int, folder: int, name: int, order: int) -> Carried:
        origin, _, files = self._source(source, self.replicas)
        folders = sorted({path.split("/")[1] for path in files if path.startswith("refs/") and path.count("/") > 1})
        if not folders:
            return Carried()
        chosen, rng = folders[folder % len(folders)], random.Random(order)
        copy = FOLDER_NAMES[name](chosen, rng)
        done = copy_folder(files, chosen, replica.place, copy, rng)
        self._tell(replica, f"gets a copy of refs/{chosen} of {origin} as refs/{copy}: {', '.join(done.written)}")
        return done

    def _rename_file(self, replica: Replica, which: int, order: int) -> Results:
        """Give a ref a name that says nothing; one of our own only where tools may do anything to these."""
        files, new = replica.place.files(), f"refs/{any_name(random.Random(order))}"
        # Of refs alone: what is none must not become one that is damaged.
        paths = [path for path in self._tools_may_take(replica, files) if path in replica.refs]
        if not paths or new in files:
            return set()
        old = paths[which % len(paths)]
        self._tell(replica, f"{old} is renamed {new}")
        replica.place.put(new, files[old])
        self._remove(replica, old)
        return set()

    def _remove_replica(self, replica: Replica, which: int) -> None:
        """Take all refs of a replica away from the store of one; its own, where tools may do anything to these."""
        paths = self._tools_may_take(replica, replica.place.files())
        folders = sorted({path.split("/")[1] for path in paths})
        if folders:
            chosen = folders[which % len(folders)]
            self._tell(replica, f"refs/{chosen} is removed")
            for path in paths:
                if path.split("/")[1] == chosen:
                    self._remove(replica, path)

    def _tools_may_take(self, replica: Replica, files: Files) -> list[str]:
        refs = sorted(path for path in files if path.startswith("refs/"))
        return refs if self.reverts else [path for path in refs if not replica.place.is_own(path)]

    def _remove(self, replica: Replica, path: str) -> None:
        replica.place.remove(path)
        replica.reverted |= replica.place.is_own(path)

    def _litter(self, replica: Replica, kind: int) -> Results:
        """Leave something beside the refs that is none."""
        refs = [(path, data) for path, data in sorted(replica.place.files().items()) if path.startswith("refs/")]
        path, data = refs[kind % len(refs)] if refs else ("refs/other-00000000/x.jsonl", b'{"coda_fs_session":1')
        choices = (
            ("refs/desktop.ini", b"[ViewState]\r\n"),
            ("refs/other-00000000/notes.txt", b"not a ref\n"),
            ("refs/other-00000000/nothing", b""),
            (f"{path}.part", data[: data.find(b"\n") // 2]),
            (f"{path}.orig", data),
            (f"{path}.rest", data[: max(len(data) - 9, data.find(b"\n") + 1)]),
        )
        where, what = choices[kind]
        replica.place.put(where, what)
        self._tell(replica, f"{where} appears")
        return set()

    def _tell(self, replica: Replica | None, what: str) -> None:
        self.log.append(f"replica {replica.number} {what}" if replica else what)
