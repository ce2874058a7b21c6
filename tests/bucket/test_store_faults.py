"""What a manager of a store in a bucket says of requests that fail, and of places that are none."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from coda_fs_session import StoreError, UnsupportedError

from .fleet import Fleet, asking, fleet, say
from .proxy import Fault, Proxy
from .servers import free_port

pytest.importorskip("obstore")
__all__ = ["fleet"]


@pytest.mark.parametrize(
    ("fault", "said"),
    [("403", "rights"), ("429", "fewer requests"), ("503", "fewer requests"), ("cut before", "network")],
)
def test_what_goes_wrong(fleet: Fleet, proxy: Proxy, fault: Fault, said: str) -> None:
    """Each verb says what is wrong and what to do, and what was not saved is saved by the next try."""
    pod = fleet.pod()
    say(pod, pod.create_session("chat"), "one")
    spoiled = Fleet(fleet.url, proxy).pod(bucket={**proxy.options, "retries": 0})
    session = spoiled.load_session("chat")
    session.add_message({"role": "user", "content": "two"})
    proxy.spoil = lambda verb, key: fault
    verbs: list[Callable[[], object]] = [
        lambda: spoiled.save_session(session),
        lambda: spoiled.create_session("new"),
        lambda: spoiled.create_session("branch", branch_from="chat"),
        lambda: spoiled.rename_session("chat", "talk"),
        lambda: spoiled.delete_session("chat"),
        lambda: spoiled.list_sessions(),
        lambda: spoiled.list_sessions(prefix="c"),
        lambda: spoiled.load_session("other"),
        lambda: "other" in spoiled,
        lambda: spoiled.history("chat").undo(),
        lambda: spoiled.watch(),
        lambda: spoiled.store_exists(),
    ]
    for verb in verbs:
        with pytest.raises(StoreError, match=said) as caught:
            verb()
        assert "secret" not in str(caught.value)
    proxy.spoil = lambda verb, key: None
    spoiled.save_session(session)
    assert fleet.read("chat") == ["one", "two"]
    assert [info.name for info in fleet.pod().list_sessions()] == ["chat"]


def test_a_place_that_is_none(fleet: Fleet) -> None:
    """A bucket that is not there is said to be not there, and is not made; with no server it is the network."""
    with pytest.raises(StoreError, match="no such bucket"):
        Fleet("s3://nobody-made-this/chats", fleet.server).pod().create_session("chat")
    nowhere = {**fleet.server.options, "endpoint": f"http://127.0.0.1:{free_port()}", "retries": 0}
    with pytest.raises(StoreError, match="network"):
        fleet.pod(bucket=nowhere).create_session("chat")


def test_a_storage_without_conditions(fleet: Fleet, proxy: Proxy) -> None:
    """One that overwrites whatever a write was to find is refused at the first write."""
    proxy.without = ("if-none-match", "if-match")
    with pytest.raises(UnsupportedError, match="conditions"):
        Fleet(fleet.url, proxy).pod().create_session("chat")


@pytest.mark.parametrize("verb", ["create", "branch", "save", "delete", "undo"])
def test_an_answer_that_is_lost(fleet: Fleet, proxy: Proxy, verb: str) -> None:
    """Whichever answer is lost, the verb is done once or not at all, and can be done again."""
    for number in range(30):
        name, new = f"chat {number}", f"new {number}"
        pod = Fleet(fleet.url, proxy).pod(bucket={**proxy.options, "retries": 0})
        session = pod.create_session(name)
        say(pod, session, "one")
        say(pod, session, "two")
        session.add_message({"role": "user", "content": "three"})
        acts: dict[str, Callable[[], object]] = {
            "create": lambda pod=pod, new=new: pod.create_session(new),
            "branch": lambda pod=pod, new=new, name=name: pod.create_session(new, branch_from=name),
            "save": lambda pod=pod, session=session: pod.save_session(session),
            "delete": lambda pod=pod, name=name: pod.delete_session(name, missing_ok=True),
            "undo": lambda pod=pod, name=name, session=session: (session.reload(), pod.history(name).undo()),
        }
        proxy.spoil_number(number, "cut after")
        failed = False
        with asking(proxy) as asked:
            try:
                acts[verb]()
            except StoreError:
                failed = True
        proxy.spoil = lambda verb, key: None
        if failed and verb != "undo":
            acts[verb]()
        there = {info.name: info.message_count for info in fleet.pod().list_sessions() if info.name in (name, new)}
        assert (
            there
            in {
                "create": [{name: 2, new: 0}],
                "branch": [{name: 2, new: 3}],
                "save": [{name: 3}],
                "delete": [{}],
                "undo": [{name: 1}, {name: 2}] if failed else [{name: 1}],
            }[verb]
        )
        if asked.total() <= number:
            return
    raise AssertionError(f"no {verb} went through")
