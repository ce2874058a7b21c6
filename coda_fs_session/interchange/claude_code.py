"""Claude Code: ``~/.claude/projects/<folder>/<session>.jsonl``, its sub-agents, and what was forked from it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from typing import Any
from uuid import UUID

from . import claude_lines, claude_records
from .fields import Fields, Keep, base_name, left_out
from .parsing import lines as read_lines
from .restoring import restored
from .skipping import Skips, nothing
from .sources import Head, SourceFile
from .times import moment
from .tree import Message, MessageTree, Node, made_id

NAME = "claude-code"
_TITLES = (("custom-title", ("customTitle", "title")), ("ai-title", ("aiTitle", "title")), ("summary", ("summary",)))
_TALK = ("user", "assistant")

Line = dict[str, Any]


def picks(name: str) -> bool:
    """Tell whether a file in a folder may be one of this format."""
    return name.endswith(".jsonl")


def fits(head: Head) -> bool:
    """Tell whether a file is of this format."""
    return any(
        (record.get("type") in _TALK and isinstance(record.get("message"), dict))
        or (record.get("type") == "attachment" and isinstance(record.get("attachment"), dict))
        or ("uuid" in record and "sessionId" in record)
        or (record.get("type") == "summary" and "leafUuid" in record)
        for record in head.records
    )


def links(file: SourceFile) -> set[str]:
    """Return what a file shares with those that it is read together with: forks begin with the same record."""
    with file.stream() as stream:
        for line in read_lines(stream, []):
            if isinstance(line.get("uuid"), str):
                return {line["uuid"]}
    return {file.path}


def read(files: Sequence[SourceFile], keep: Keep, problems: list[str], skips: Skips = nothing) -> Iterator[MessageTree]:
    """Yield the session that files are of, with what was forked from it as branches, and each of its sub-agents."""
    given: list[list[Line]] = []
    notes: list[str] = []
    for file in files:
        odd: list[str] = []
        with file.stream() as stream:
            given.append(list(read_lines(stream, odd)))
        notes += [f"{file.base}: {each}" for each in odd]
    strands: dict[str, list[list[Line]]] = {}
    for lines in given:
        for strand, its in _strands(lines).items():
            strands.setdefault(strand, []).append(its)
    for strand, several in strands.items():
        tree = _Maker(strand, several, keep).tree
        if tree.nodes and any(node.messages for node in tree.nodes.values()):
            tree.notes[:0], notes = notes, []
            yield tree
    problems += notes


def lines_of(messages: Iterable[Message], _about: dict[str, Any]) -> Iterator[Line]:
    """Yield the lines of messages that were imported, as they were, but for results that stood there twice."""
    last: Line = {}
    for group in _groups(messages):
        name = str(group[0].get("id") or made_id(last.get("uuid"), group[0]))
        if group[0].get("role") == "assistant":
            found = restored(group, claude_records.answer_lines, partial(_answer, name))
        else:
            found = restored(group, claude_records.prompt_line, partial(_prompt, name))
        if isinstance(found, dict):
            # With all of each record kept, the further lines of an answer stand in the first one.
            others = found.get("lines", []) if group[0].get("role") == "assistant" else []
            found = [{key: value for key, value in found.items() if key != "lines"} if others else found, *others]
        for line in found:
            if isinstance(group[0].get("source"), dict):
                last = line
            else:
                # It was added here, after the line before it.
                about = {key: last[key] for key in ("sessionId", "cwd", "version", "userType") if key in last}
                last = (
                    {"parentUuid": last.get("uuid"), "uuid": str(UUID(made_id(last.get("uuid"), line)))} | about | line
                )
            yield last


def _groups(messages: Iterable[Message]) -> Iterator[list[Message]]:
    """Yield messages that were one line together."""
    group: list[Message] = []
    for each in messages:
        if group and (
            each.get("id") is None or each.get("id") != group[0].get("id") or "assistant" == each.get("role")
        ):
            yield group
            group = []
        group.append(each)
    if group:
        yield group


def _answer(name: str, record: Any, keep: Keep) -> list[Message]:
    if isinstance(record, dict):
        others = record.get("lines")
        first = {key: value for key, value in record.items() if key != "lines"}
        record = [first, *others] if isinstance(others, list) else [first]
    is_whole = all(isinstance(Fields(each).look("message"), dict) for each in record)
    return [claude_lines.answer(record, name, keep)] if is_whole else []


def _prompt(name: str, record: Any, keep: Keep) -> list[Message]:
    read = claude_lines.queued if "attachment" in record else claude_lines.prompt
    return read(record, name, keep) if "attachment" in record or isinstance(record.get("message"), dict) else []


def _strands(lines: list[Line]) -> dict[str, list[Line]]:
    """Take the lines of a file apart: "" for the session, and one for each sub-agent."""
    strands: dict[str, list[Line]] = {}
    of: dict[str, str] = {}
    for line in lines:
        strand = ""
        if line.get("isSidechain") is True:
            agent, parent = line.get("agentId"), line.get("parentUuid")
            session = str(line.get("sessionId") or "")
            if isinstance(agent, str) and agent:
                strand = f"{session}/agent-{agent}"
            else:
                strand = of.get(str(parent)) or f"{session}/{line.get('uuid') or 'sidechain'}"
            if isinstance(line.get("uuid"), str):
                of[line["uuid"]] = strand
        strands.setdefault(strand, []).append(line)
    return strands


class _Maker:
    """Makes the tree of one session, or of one sub-agent, from the lines of all files that have some of it."""

    def __init__(self, strand: str, files: list[list[Line]], keep: Keep) -> None:
        self._keep: Keep = keep
        self.tree = tree = MessageTree(NAME, strand)
        self._lines: dict[str, Line] = {}
        self._parents: dict[str, str | None] = {}
        self._left = Counter[str]()
        # Which record stands for others: lines of one answer, results that one answer asked for.
        self._for: dict[str, str] = {}
        self._sessions: dict[str, None] = {}
        for lines in _by_age(files):
            self._gather(lines)
        self._make()
        self._drop_commands()
        first = next(iter(self._lines.values()), {})
        tree.id = tree.id or str(first.get("uuid") or first.get("sessionId") or next(iter(self._lines), ""))
        cwd = next((line["cwd"] for line in self._lines.values() if isinstance(line.get("cwd"), str)), "")
        tree.project = base_name(cwd)
        tree.title = self._title([line for lines in files for line in lines])
        times = [moment(line.get("timestamp")) for line in self._lines.values()]
        known = [time for time in times if time is not None]
        tree.created, tree.updated = (known[0], known[-1]) if known else (None, None)
        if keep != "none" and self._sessions:
            tree.rest["sessions"] = list(self._sessions)
        tree.notes += left_out(self._left)

    def _gather(self, lines: list[Line]) -> None:
        """Note the lines of a file, each with the one before it; a line of a file before it is there already."""
        before: str | None = None
        for line in lines:
            name = line.get("uuid")
            kind = line.get("type")
            if not isinstance(name, str) or not name:
                if kind not in _TALK and not _is_queued(line):
                    self._left[str(kind)] += 1
                    continue
                # Lines of old versions say neither what they are called nor what they come after.
                name = made_id(before, line)
            if isinstance(line.get("sessionId"), str):
                self._sessions[line["sessionId"]] = None
            if name not in self._lines:
                self._lines[name] = line
                self._parents[name] = self._above(line, name, before)
                self.tree.current = name
            before = name

    def _above(self, line: Line, name: str, before: str | None) -> str | None:
        parent = line.get("parentUuid")
        if not isinstance(parent, str):
            # A conversation that was made shorter goes on: its line says what it logically comes after.
            parent = line.get("logicalParentUuid")
            if not isinstance(parent, str):
                return before if "parentUuid" not in line or line.get("subtype") == "compact_boundary" else None
        if parent in self._lines and parent != name:
            return parent
        if before is not None:
            self.tree.notes.append(f"{name} comes after {parent}, which is not there: it follows on the line before it")
        return before

    def _make(self) -> None:
        """Make nodes: one for the lines of one answer, and one for all results that an answer asked for."""
        answers: dict[str, list[str]] = {}
        calls: dict[str, str] = {}
        results: dict[str, str] = {}
        groups: dict[str, list[str]] = {}
        for name, line in self._lines.items():
            said = line.get("message")
            if line.get("type") == "assistant" and isinstance(said, dict):
                known = said.get("id")
                group = answers.setdefault(known if isinstance(known, str) and known else name, [])
                group.append(name)
                self._for[name] = group[0]
                groups[group[0]] = group
                for block in said["content"] if isinstance(said.get("content"), list) else ():
                    if isinstance(block, dict) and block.get("type") == "tool_use" and isinstance(block.get("id"), str):
                        calls.setdefault(block["id"], group[0])
            elif (asked := _asked(line, calls)) is not None:
                first = results.setdefault(asked, name)
                self._for[name] = first
                groups.setdefault(first, []).append(name)
                self._parents[first] = asked
            else:
                groups[name] = [name]
        for name, group in groups.items():
            parent = self._parents[name]
            self.tree.add(Node(name, parent and self._for.get(parent, parent), self._messages(group)))
        self.tree.current = self._for.get(self.tree.current, self.tree.current)

    def _messages(self, group: list[str]) -> list[Message]:
        line = self._lines[group[0]]
        kind, said = line.get("type"), line.get("message")
        if kind == "assistant" and isinstance(said, dict):
            return [claude_lines.answer([self._lines[name] for name in group], group[0], self._keep)]
        if kind == "user" and isinstance(said, dict):
            return [made for name in group for made in claude_lines.prompt(self._lines[name], name, self._keep)]
        if _is_queued(line):
            return claude_lines.queued(line, group[0], self._keep)
        self._left[str(line.get("subtype") or kind)] += 1
        return []

    def _drop_commands(self) -> None:
        """Leave out sides that have nothing but commands of the program, such as ``/clear``, beside another side."""
        nodes = self.tree.nodes
        heard: set[str | None] = set()
        # A record comes after its parent here.
        for name in reversed(nodes):
            if name in heard or not all(map(_is_command, nodes[name].messages)):
                heard |= {name, nodes[name].parent}
        forked = {nodes[name].parent for name in nodes if name in heard}
        dropped: set[str | None] = set()
        for name, node in nodes.items():
            if name not in heard and (node.parent in forked or node.parent in dropped):
                dropped.add(name)
                if node.messages and node.parent not in dropped:
                    self.tree.notes.append(f"{name} begins a side with only commands of the program: left out")
                node.messages = []

    def _title(self, lines: list[Line]) -> str | None:
        for kind, keys in _TITLES:
            for line in reversed(lines):
                if line.get("type") == kind and (kind != "summary" or str(line.get("leafUuid")) in self._lines):
                    for key in keys:
                        if isinstance(line.get(key), str) and line[key].strip():
                            return str(line[key])
        return None


def _by_age(files: list[list[Line]]) -> list[list[Line]]:
    """Return the lines of files, what was forked after what it was forked from."""
    if len(files) == 1:
        return files
    met = Counter(line["uuid"] for lines in files for line in lines if isinstance(line.get("uuid"), str))

    def age(lines: list[Line]) -> tuple[str, str]:
        own = next((line for line in lines if isinstance(line.get("uuid"), str) and met[line["uuid"]] == 1), {})
        return str(own.get("timestamp") or ""), str(own.get("sessionId") or "")

    return sorted(files, key=age)


def _is_queued(line: Line) -> bool:
    attachment = line.get("attachment")
    return (
        line.get("type") == "attachment"
        and isinstance(attachment, dict)
        and attachment.get("type") == "queued_command"
        and isinstance(attachment.get("prompt"), (str, list))
    )


def _asked(line: Line, calls: dict[str, str]) -> str | None:
    """Return the answer that asked for the results of tools in a line, None where it is no such line."""
    said = line.get("message")
    content = said.get("content") if line.get("type") == "user" and isinstance(said, dict) else None
    for block in content if isinstance(content, list) else ():
        if isinstance(block, dict) and block.get("type") == "tool_result":
            return calls.get(str(block.get("tool_use_id")))
    return None


def _is_command(message: Message) -> bool:
    content = message["content"]
    return (
        message["role"] == "user"
        and message.get("hidden") is True
        and isinstance(content, str)
        and (claude_lines.LOCAL.match(content) is not None or "<local-command-caveat>" in content)
    )
