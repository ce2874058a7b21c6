"""A chat in the terminal that goes on tomorrow: `python terminal_chat.py [STORE [NAME]]`.

`/branch NAME` goes on in a branch, `/list` shows the conversations, `/quit` or Ctrl-D ends the program.
"""

from __future__ import annotations

import sys
from typing import Any

from coda_fs_session import Session, SessionError, SessionManager


class FakeModel:
    """In the place of a model of yours; it only counts."""

    def answer(self, messages: list[dict[str, Any]]) -> str:
        return f"That was your question number {sum(message['role'] == 'user' for message in messages)}."


def chat(manager: SessionManager, session: Session, model: FakeModel) -> None:
    for message in session.get_messages(limit=4):
        print(f"{message['role']:>9}: {message['content']}")
    while True:
        try:
            line = input("> ").strip()
        except EOFError:
            return
        command, _, argument = line.partition(" ")
        if command == "/quit":
            return
        if command == "/list":
            for info in manager.list_sessions():
                print(f"{info.message_count:5} {info.name}")
        elif command == "/branch":
            try:
                session = manager.create_session(argument, branch_from=session.name)
            except SessionError as error:
                print(error)
        elif line:
            # The question is kept before the model is asked: it is there whatever happens to the answer.
            session.add_message({"role": "user", "content": line})
            manager.save_session(session)
            answer = model.answer(session.get_messages())
            session.add_message({"role": "assistant", "content": answer})
            manager.save_session(session)
            print(answer)


def main() -> None:
    store = sys.argv[1] if len(sys.argv) > 1 else "~/chats"
    name = sys.argv[2] if len(sys.argv) > 2 else "terminal"
    with SessionManager(store) as manager:
        chat(manager, manager.create_session(name), FakeModel())


if __name__ == "__main__":
    main()
