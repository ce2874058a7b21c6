"""A store of files where it can be read and not written: writers replace files that readers have open."""

from __future__ import annotations

from ...errors import StoreReadOnlyError
from .files import Files


class UnwrittenFiles(Files):
    """Refuses the calls that a change begins with."""

    def open_append(self, path: str) -> int:
        raise _refusal(path)

    def create(self, path: str) -> int:
        raise _refusal(path)

    def make_folder(self, path: str) -> None:
        raise _refusal(path)


def _refusal(path: str) -> StoreReadOnlyError:
    return StoreReadOnlyError(
        f"cannot write {path}: on Windows a store of files can only be read; keep sessions in another storage_path "
        'with backend = "sqlite", and bring over what is here with SessionManager.sync(..., direction="pull")',
        path,
    )
