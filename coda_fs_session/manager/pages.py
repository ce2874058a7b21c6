"""Sessions as HTML files: the pages of the viewer, written outside the store."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from ..session.session import Session
from .outside import make_folder_outside, refuse_taken, write_outside


def write_pages(target: str | os.PathLike[str], sessions: Sequence[Session], *, overwrite: bool) -> list[Path]:
    """Write sessions into one file; those of more than 5 MB into several, which the file is an index of.

    Returns:
        The path of the file, and of the parts in the folder beside it.

    Raises:
        UnsupportedError: what makes pages is not installed; nothing was written.
        FileExistsError: a path is taken, and `overwrite` is false; nothing was written.
    """
    # Late: it needs an extra, and tells so.
    from ..viewer.document import Document

    path = Path(target).expanduser()
    document = Document(sessions, path.name.removesuffix(".html"))
    parts: list[Path] = []
    if document.folder:
        place = path.with_name(document.folder)
        if not overwrite:
            refuse_taken([os.fspath(path), os.fspath(place)])
        folder = Path(make_folder_outside(place))
        # The index comes last: it leads to what is there.
        for name, texts in document.parts():
            parts.append(write_outside(folder / name, (text.encode() for text in texts), overwrite=overwrite))
    return [write_outside(path, (text.encode() for text in document.index()), overwrite=overwrite), *parts]
