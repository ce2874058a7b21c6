"""What pages tell of a store, and what of it is told as text."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from hostile_store import damaged_store
from storekit import fill, message, open_store, untouched

from coda_fs_session import SessionManager
from coda_fs_session.viewer.rendering import command_for, in_address
from coda_fs_session.viewer.site import PAGE, Site

from .hostile import NAME, TITLE, messages
from .markup import Tags, assert_harmless


@pytest.fixture
def manager(tmp_path: Path) -> SessionManager:
    return open_store(tmp_path / "store")


def page(site: Site, address: str, status: int = 200) -> str:
    answer = site.answer(address)
    assert answer.status == status, answer.body.decode()[-500:]
    return answer.body.decode()


def branch(manager: SessionManager, name: str, parent: str, at: int, *numbers: int) -> None:
    session = manager.create_session(name, branch_from=parent, at=at)
    for number in numbers:
        session.add_message(message(number))
    manager.save_session(session)


def numbers(text: str) -> list[int]:
    return [int(each) for each in re.findall(r'data-number="(\d+)"', text)]


def test_nothing_hostile_is_markup(manager: SessionManager) -> None:
    """Whatever names, metadata, tags and messages say, each page has its own tags alone."""
    for name in (NAME, f"{NAME}\u202e2"):
        session = manager.create_session(name) if name == NAME else manager.create_session(name, branch_from=NAME, at=3)
        for each in messages():
            session.add_message(each)
        session.update_metadata({"title": TITLE, TITLE: TITLE, "tags": [TITLE]})
        session.update_metadata({"coda_fs_session.import": {"format": TITLE, "id": TITLE}})
        manager.save_session(session)
    manager.history(NAME).tag(TITLE)
    site = Site(manager)
    assert_harmless(page(site, "/"))
    tags = assert_harmless(page(site, "/search?q=script"))
    addresses = [each for each in tags.attributes("href") if each.startswith("/s/")]
    assert addresses
    for address in {each.partition("/at/")[0] for each in addresses}:
        for part in ("", "/history", "/about", "/at/3", "/whole/3"):
            tags = assert_harmless(page(site, address + part))
            for other in [each for each in tags.attributes("href") if each.startswith("/compare/")][:1]:
                assert_harmless(page(site, other))
    assert_harmless(page(site, f"/s/{TITLE}", 404))
    assert b"<" not in site.answer("/sessions.json").body


@pytest.mark.parametrize(
    "name", ["..", ".", "a/b?c#d%2e&e", "%2e%2e", "漢字/🙂", "a" * 255, " x ", "//x.example", "s", "at/7"]
)
def test_any_name_has_an_address(manager: SessionManager, name: str) -> None:
    """The address that the list gives leads to the session, also through a browser that takes dots for a way up."""
    fill(manager, name, 2)
    site = Site(manager)
    (row,) = json.loads(site.answer("/sessions.json").body)
    assert row["name"] == name
    (address,) = [each for each in Tags(page(site, "/")).attributes("href") if each.startswith("/s/")]
    assert address.split("/")[2].replace("%2e", ".") not in (".", "..")
    assert numbers(page(site, address)) == [1, 2]
    assert numbers(page(site, f"{address}/at/2")) == [1, 2]


def test_a_page_has_200_messages(manager: SessionManager) -> None:
    """It is the one with the message that the address names; the links lead to the ones before and behind."""
    fill(manager, "long", 2 * PAGE + 5)
    site = Site(manager)
    assert numbers(page(site, "/s/long")) == list(range(1, PAGE + 1))
    text = page(site, f"/s/long/at/{PAGE + 1}")
    assert numbers(text) == list(range(PAGE + 1, 2 * PAGE + 1))
    assert f'rel="next" href="/s/long/at/{2 * PAGE + 1}#m{2 * PAGE + 1}"' in text
    assert f'rel="prev" href="/s/long/at/{PAGE}#m{PAGE}"' in text
    assert numbers(page(site, "/s/long/at/99999999")) == list(range(2 * PAGE + 1, 2 * PAGE + 6))
    for bad in ("0x1", "-1", "٣", "1" * 30, "1.5"):
        page(site, f"/s/long/at/{bad}", 404)


def test_the_list_without_script(manager: SessionManager) -> None:
    """It has 200 sessions a page, the newest first, and a link to the older ones."""
    with manager.bulk():
        for number in range(PAGE + 3):
            fill(manager, f"session {number:03}", 1)
    site = Site(manager)
    names = [re.findall(r'class="row-name"[^>]*>([^<]+)<', page(site, address)) for address in ("/", f"/?start={PAGE}")]
    assert [name for shown in names for name in shown] == [info.name for info in manager.list_sessions()]
    assert len(names[1]) == 3
    assert f'href="/?start={PAGE}"' in page(site, "/")
    page(site, "/?start=-1", 404)


def test_forks_are_told_on_each_way(manager: SessionManager) -> None:
    """A card stands behind the message that sessions share last, with the same ways in the same order on each."""
    fill(manager, "trip", 6)
    branch(manager, "ship", "trip", 3, 70)
    branch(manager, "train", "trip", 3, 80, 81)
    branch(manager, "night train", "train", 4, 90)
    site = Site(manager)
    ways = {}
    for name in ("trip", "ship", "train", "night%20train"):
        text = page(site, f"/s/{name}")
        card = text.partition('id="f3"')[2].partition("</section>")[0]
        assert "3 ways on from here" in card
        ways[name] = re.findall(r'class="way-name"[^>]*>([^<]+)<', card)
    assert ways["trip"] == ways["ship"] == ways["train"] == ["trip", "ship", "train"]
    assert ways["night%20train"] == ["trip", "ship", "night train"]
    text = page(site, "/s/trip")
    assert 'href="/s/train/at/4#m4" data-swap="3"' in text
    assert "message 80<" in text
    assert "message 3<" in page(site, "/s/ship").partition('id="f3"')[2]
    assert 'id="f4"' in page(site, "/s/train")
    assert 'id="f4"' not in text


def test_a_branch_of_what_was_renamed(manager: SessionManager) -> None:
    """A fork is where it was also after the session was renamed, which the branch does not hear of."""
    fill(manager, "old", 4)
    branch(manager, "branch", "old", 2, 9)
    manager.rename_session("old", "new")
    site = Site(manager)
    assert 'href="/s/branch/at/3#m3"' in page(site, "/s/new")
    assert "old (not here under this name)" in page(site, "/s/branch")


def test_what_happened_is_marked(manager: SessionManager) -> None:
    """Tags and merges stand at the message that was the last one then; the history tells all."""
    fill(manager, "trip", 3)
    manager.history("trip").tag("sent")
    branch(manager, "ship", "trip", 3, 70)
    manager.branches.merge("ship", "trip")
    text = page(site := Site(manager), "/s/trip")
    assert "tagged sent" in text.partition('id="m3"')[2].partition("</article>")[0]
    assert "merged" in text.partition('id="m4"')[2].partition("</article>")[0]
    told = "".join(Tags(page(site, "/s/trip/history")).text)
    assert "sent" in told
    assert "merge" in told


def test_two_sides(manager: SessionManager) -> None:
    """What two sessions share is not shown; of a message that was changed the words are marked."""
    fill(manager, "trip", 3)
    branch(manager, "other", "trip", 2)
    for name, words in (("trip", "where is it warm in March"), ("other", "where is it warm in May"), ("other", "more")):
        session = manager.load_session(name)
        session.drop_last(len(session) - 2 if words != "more" else 0)
        session.add_message({"role": "user", "content": words})
        manager.save_session(session)
    site = Site(manager)
    tags = Tags(page(site, "/compare/trip/other"))
    assert tags.inside["del"] == ["March"]
    assert tags.inside["ins"] == ["May"]
    assert "The first 2 messages are the same." in "".join(tags.text)
    assert "They say the same." in page(site, "/compare/trip/trip")
    page(site, "/compare/trip/none", 404)


def test_long_and_quiet_parts_are_folded(manager: SessionManager) -> None:
    """Calls, results and reasoning are opened by a click; of what is very long the beginning is there, and a link."""
    session = manager.create_session("a")
    call = {"id": "c", "type": "function", "function": {"name": "look", "arguments": '{"x": 1}'}}
    session.add_message({"role": "assistant", "content": "Hm", "reasoning_content": "thought", "tool_calls": [call]})
    session.add_message({"role": "tool", "tool_call_id": "c", "name": "look", "content": "x " * 100_000})
    manager.save_session(session)
    site = Site(manager)
    text = page(site, "/s/a")
    assert Tags(text).inside["summary"][:2] == ["reasoning · 1 line", 'call of look · {"x": 1}']
    assert Tags(text).inside["summary"][2].startswith("result of look · x x x")
    assert "100,000 more characters" in text
    assert 'href="/s/a/whole/2"' in text
    assert len(page(site, "/s/a/whole/2")) > 200_000 > len(text)


def test_the_state_of_sessions(manager: SessionManager, tmp_path: Path) -> None:
    """Hidden, diverged, damaged sessions and those that are not here yet are told as such, and no path is told."""
    store, ref = damaged_store(tmp_path / "damaged")
    ref.write_bytes(ref.read_bytes().replace(b'"name":"bad"', b'"name":"bed"'))
    damaged = open_store(store)
    site = Site(damaged)
    rows = {row["name"]: row.get("flags", []) for row in json.loads(site.answer("/sessions.json").body)}
    assert rows == {"good": [], "bad": ["damaged"]}
    text = page(site, "/s/bad")
    assert "Not all of it can be read." in text
    assert "cannot be read" in page(site, "/")
    assert str(tmp_path) not in text + page(site, "/s/bad/about") + page(site, "/s/bad/history")

    fill(manager, "whole", 200, size=2000)
    manager.close()
    (tmp_path / "store" / "objects").rename(tmp_path / "elsewhere")
    site = Site(open_store(tmp_path / "store", read_only=True))
    text = page(site, "/s/whole")
    assert "not here yet" in text or "not shown" in text
    assert str(tmp_path) not in text


def test_hidden_and_diverged(tmp_path: Path) -> None:
    """A hidden session is in the list only where it is asked for; sides of one session name each other."""
    import shutil

    manager = open_store(tmp_path / "here")
    fill(manager, "chat", 2)
    session = manager.create_session("kept out")
    session.update_metadata({"coda_fs_session.hidden": True})
    manager.save_session(session)
    manager.close()
    shutil.copytree(tmp_path / "here", tmp_path / "there")
    for place, number in (("here", 5), ("there", 6)):
        manager = open_store(tmp_path / place, replica=f"machine-{place}")
        session = manager.load_session("chat")
        session.add_message(message(number))
        manager.save_session(session)
        manager.close()
    shutil.copytree(tmp_path / "there" / "refs", tmp_path / "here" / "refs", dirs_exist_ok=True)
    shutil.copytree(tmp_path / "there" / "objects", tmp_path / "here" / "objects", dirs_exist_ok=True)
    site = Site(open_store(tmp_path / "here"))
    rows: list[dict[str, Any]] = json.loads(site.answer("/sessions.json").body)
    assert {row["name"]: row.get("hidden") for row in rows}["kept out"]
    assert "kept out" not in page(site, "/")
    sides = [row["name"] for row in rows if row.get("flags") == ["diverged"]]
    assert len(sides) == 2
    text = page(site, f"/s/{in_address(sides[0])}")
    assert "continued apart" in text
    assert f'href="/s/{in_address(sides[1])}/at/3#m3"' in text
    assert "hidden" in page(site, "/s/kept%20out")


@pytest.mark.parametrize(
    ("name", "command"),
    [
        ("trip", "coda-session show trip:7"),
        ("a b'c", "coda-session show 'a b'\"'\"'c:7'"),
        ("-n", "coda-session show -- -n:7"),
        ("$(x)", "coda-session show '$(x):7'"),
        ("\u202ea\\'", "coda-session show $'\\u202ea\\\\\\':7'"),
    ],
)
def test_the_command_that_is_copied(name: str, command: str) -> None:
    """A shell takes the name for what it is, whatever is in it."""
    assert command_for(name, place=":7") == command


def test_reading_changes_nothing(tmp_path: Path) -> None:
    """Every page of a store that is opened to be read leaves each byte of it as it is."""
    with open_store(tmp_path / "store") as manager:
        fill(manager, "trip", 3)
        branch(manager, "ship", "trip", 2, 5)
    site = Site(open_store(tmp_path / "store", read_only=True))
    with untouched(tmp_path / "store"):
        for address in ("/", "/sessions.json", "/s/trip", "/s/trip/history", "/s/trip/about", "/search?q=message"):
            page(site, address)
        page(site, "/compare/trip/ship")
        for address in (
            "/x",
            "/s",
            "/s/trip/x",
            "/s/trip/at/1/2",
            "/compare/trip",
            "/static/../../etc/passwd",
            "/s/../x",
        ):
            page(site, address, 404)
