"""The folder in memory and the layouts that the crash tests use, too."""

from crash.conftest import layout, scratch

__all__ = ["layout", "scratch"]
