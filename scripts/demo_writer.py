"""Save messages one by one and print the number of each that is saved, until this process is killed.

`scripts/demo` starts it, with the options of the store as JSON and the name of a session.
"""

import json
import sys
from itertools import count

from coda_fs_session import SessionManager

manager = SessionManager({"session": json.loads(sys.argv[1])})
session = manager.create_session(sys.argv[2])
for number in count(len(session) + 1):
    session.add_message({"role": "user", "content": f"message {number}"})
    manager.save_session(session)
    print(number, flush=True)
