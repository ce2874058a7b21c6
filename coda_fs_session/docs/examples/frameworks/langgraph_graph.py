"""A graph of LangGraph that goes on tomorrow, and back: `python langgraph_graph.py [STORE]`."""

import sys

from langchain_core.language_models import GenericFakeChatModel
from langchain_core.messages import AIMessage, HumanMessage
from langgraph.graph import START, MessagesState, StateGraph

from coda_fs_session import SessionManager
from coda_fs_session.integrations.langgraph import CodaSaver


def main(manager: SessionManager) -> None:
    model = GenericFakeChatModel(messages=iter([AIMessage("Crete."), AIMessage("Madeira.")]))
    builder = StateGraph(MessagesState)
    builder.add_node("model", lambda state: {"messages": [model.invoke(state["messages"])]})
    builder.add_edge(START, "model")
    graph = builder.compile(checkpointer=CodaSaver(manager))
    config = {"configurable": {"thread_id": "ann"}}
    graph.invoke({"messages": [HumanMessage("Where is it warm in March?")]}, config)
    # Another answer to the same question: again from the state before the first.
    asked = next(state for state in graph.get_state_history(config) if state.next == ("model",))
    graph.invoke(None, asked.config)
    for info in manager.list_sessions(order="name"):
        print(info.name, info.preview.last)


with SessionManager(sys.argv[1] if len(sys.argv) > 1 else None) as manager:
    main(manager)
