"""Moving records aside and back: a set of them, which is a folder, or one."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable

from ..disk.files import Files, make_folders, open_regular, publish, store_errors


def move_aside(files: Files, folder: str, replica: str, names: Iterable[str], *, whole: bool) -> None:
    """Move the records of a replica, or some of them, into a folder beside, durably.

    Args:
        folder: where the folder of the replica is; names: of the files, below that.
        whole: these are all: the folder is renamed, in one step and with whatever else is in it.

    Raises:
        StoreError: that is not possible; what was not moved is where it was.
    """
    source = f"{folder}/{replica}"
    target = f"{source}.{os.urandom(4).hex()}"
    durable = Files()
    with store_errors("keep aside what is in", source):
        for name in names:
            # What is in no store any more must last longer than a record, which nothing makes durable.
            with contextlib.suppress(FileNotFoundError):
                _sync(durable, f"{source}/{name}")
            if not whole:
                beside = os.path.dirname(f"{target}/{name}")
                make_folders(durable, beside)
                with contextlib.suppress(FileNotFoundError):
                    files.rename(f"{source}/{name}", f"{target}/{name}")
                durable.sync_folder(beside)
        if whole:
            # Another process may have been faster.
            with contextlib.suppress(FileNotFoundError):
                files.rename(source, target)
        durable.sync_folder(folder)


def move_back(files: Files, source: str, target: str) -> bool:
    """Give a record its own name again; False where another one has it.

    Raises:
        StoreError: that is not possible; it is where it was.
    """
    with store_errors("take back", target):
        make_folders(files, os.path.dirname(target))
        try:
            publish(files, source, target)
        except FileExistsError:
            return False
        except FileNotFoundError:
            pass
    return True


def _sync(files: Files, path: str) -> None:
    # Not only to read: Windows syncs what can be written.
    descriptor = open_regular(path, append=files)
    try:
        files.sync_data(descriptor)
    finally:
        os.close(descriptor)
