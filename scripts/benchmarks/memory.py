"""A process of its own that prints, in bytes, by how much its peak grew by one read, and the peak itself."""

import resource
import sys
from pathlib import Path

from .contenders import open_contender


def main(name: str, folder: str, session: str, limit: str) -> None:
    contender = open_contender(name, Path(folder))
    before = peak()
    contender.last(session, int(limit))
    print(peak() - before, peak())


def peak() -> int:
    """Return the most memory this process ever had; Linux counts the parent's into `ru_maxrss`, so not from there."""
    try:
        status = Path("/proc/self/status").read_text()
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # bytes on macOS
    (kibibytes,) = [line.split()[1] for line in status.splitlines() if line.startswith("VmHWM:")]
    return 1024 * int(kibibytes)


if __name__ == "__main__":
    main(*sys.argv[1:])
