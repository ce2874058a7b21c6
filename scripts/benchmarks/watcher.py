"""A process of its own that watches a store: it says "done" when it has begun, and at each command.

`idle SECONDS` tells, before that, what share of a core it took; `event` waits until one was told since the last.
"""

import sys
import threading
import time

from coda_fs_session import SessionManager


def main(store: str, state: str) -> None:
    told = threading.Event()
    manager = SessionManager({"session": {"storage_path": store, "state_path": state, "autosave_interval": 0}})
    with manager.watch(lambda _event: told.set()):
        print("done", flush=True)
        for line in sys.stdin:
            match line.split():
                case ["idle", seconds]:
                    began, spent = time.perf_counter(), time.process_time()
                    time.sleep(float(seconds))
                    print((time.process_time() - spent) / (time.perf_counter() - began), flush=True)
                case ["event"]:
                    told.wait()
                    told.clear()
            print("done", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
