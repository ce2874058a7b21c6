"""What to say where a framework is not installed."""

from __future__ import annotations


def not_installed(error: ModuleNotFoundError, package: str, *modules: str, extra: str | None = None) -> ImportError:
    """Return the error for an adapter whose framework is not there; the very error where something else is missing.

    Args:
        package: what the framework is called where it is installed from.
        modules: what it is imported as.
        extra: the extra of this package that brings it: it has the same name where not given.
    """
    if error.name is None or error.name.partition(".")[0] not in modules:
        return error
    return ImportError(
        f"this adapter needs {package}, which is not installed: pip install 'coda-fs-session[{extra or package}]'",
        name=error.name,
    )
