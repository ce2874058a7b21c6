"""What stands for something open, and must not be copied."""

from __future__ import annotations

from typing import NoReturn, SupportsIndex


class Uncopied:
    """Refuses `copy.copy`, `copy.deepcopy` and `pickle`, before anything of a copy exists.

    A copy would hold the descriptors, locks and connections of the original, and close them when it goes.
    """

    __slots__ = ()

    def __reduce_ex__(self, protocol: SupportsIndex) -> NoReturn:
        raise TypeError(
            f"{type(self).__name__} cannot be copied or pickled, as it stands for what is open in this process: make "
            "another one where you need it, and copy or pickle sessions"
        )
