"""The folder in memory and the layouts that the crash tests use, too."""

from crash.conftest import layout, scratch
from layouts import is_tried

__all__ = ["is_tried", "layout", "scratch"]
