"""The folder in memory that the crash tests use, too."""

from crash.conftest import scratch

__all__ = ["scratch"]
