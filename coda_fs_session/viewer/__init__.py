"""Looking at the sessions of a store in a browser on this machine; it needs the extra ``view``.

Everything here reads, and nothing is changed. What is in a store is taken for hostile: its names, metadata and
messages are texts in the pages, never markup.
"""

from __future__ import annotations

from .. import UnsupportedError

try:
    from .server import Viewer, serve
except ModuleNotFoundError as error:
    if error.name is None or error.name.partition(".")[0] not in ("jinja2", "markupsafe", "markdown_it", "pygments"):
        raise
    raise UnsupportedError(
        f"pages in HTML need {error.name}, which is not installed: pip install 'coda-fs-session[view]'"
    ) from error

__all__ = ["Viewer", "serve"]
