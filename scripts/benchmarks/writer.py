"""A process of its own that saves messages: `open SESSION` and `save NUMBER` come on standard input."""

import sys
from pathlib import Path

from .contenders import open_contender
from .messages import Messages


def main(name: str, folder: str, first: str) -> None:
    contender = open_contender(name, Path(folder))
    messages = Messages(int(first))
    session = ""
    for line in sys.stdin:
        match line.split():
            case ["open", session]:
                contender.open(session)
            case ["save", number]:
                for message in messages.take(int(number)):
                    contender.save(session, message)
        print("done", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
