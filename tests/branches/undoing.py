"""An undo as the format has it: a step back to a state, and before it what a merge took in set apart again."""

from __future__ import annotations

import orjson

from coda_fs_session.format.generations import StateId
from coda_fs_session.format.names import origins, session_key
from coda_fs_session.repo.ancestry.ancestors import generations
from coda_fs_session.repo.branches.bases import state_id
from coda_fs_session.repo.content.messages import Draft
from coda_fs_session.repo.content.state import State
from coda_fs_session.repo.lookup.names import resolve
from coda_fs_session.repo.repository import Repository
from coda_fs_session.repo.writing.commits import Facts
from coda_fs_session.repo.writing.merging import label_of, set_apart
from coda_fs_session.repo.writing.refs import Content
from coda_fs_session.repo.writing.step import step

from .model import Node


def take_back(repo: Repository, label: str, before: Node, last: Node) -> str:
    """Bring a session back to the state `before`, from which `last` led on; return what it is called then."""
    with repo.machine.lock(*map(session_key, origins(label))):
        resolved = resolve(repo, label)
        head, own = resolved.head, resolved.own
        assert head is not None
        if last.step == "merge":
            merged = next(each for each in generations(head) if each is not None and each.id == last.id[0])
            set_apart(repo, head, merged, _state_at(head, before))
        draft = Draft(repo.objects, repo.sizes)
        draft.extend(orjson.dumps({"content": text}) for text in before.texts)
        draft.finish()
        facts = Facts(to=StateId(*before.id))  # type: ignore[arg-type]
        state = step(repo, head, "undo", Content(draft.base(), draft.loose), own, now=repo.now(), facts=facts)
    return label_of(repo, state)


def _state_at(head: State, node: Node) -> State:
    objects, link = head.messages.objects, head.header.commit
    while link is not None:
        commit = objects.commit(link)
        state = head.at_commit(link, commit)
        if state_id(state) == node.id:
            return state
        link = commit.previous
    raise AssertionError("no commit has frozen it")
