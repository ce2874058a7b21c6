"""A chat with LangChain that goes on tomorrow: `python langchain_chat.py [STORE]`."""

import sys

from langchain_core.language_models import GenericFakeChatModel
from langchain_core.messages import AIMessage

from coda_fs_session import SessionManager
from coda_fs_session.integrations.langchain import CodaChatMessageHistory


def main(manager: SessionManager) -> None:
    model = GenericFakeChatModel(messages=iter([AIMessage("Crete."), AIMessage("By ship.")]))
    history = CodaChatMessageHistory("ann", manager)
    for question in ("Where is it warm in March?", "How do I get there?"):
        history.add_user_message(question)
        history.add_message(model.invoke(history.messages))
    for message in history.messages:
        print(f"{message.type}: {message.content}")


with SessionManager(sys.argv[1] if len(sys.argv) > 1 else None) as manager:
    main(manager)
