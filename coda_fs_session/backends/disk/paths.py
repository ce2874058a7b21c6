"""Every file name of a store on disk, and the constant files in it (FORMAT.md, "Files and folders")."""

from __future__ import annotations

import os
import re

FORMAT_FILE = b'{"coda_fs_session":1}\n'

GITATTRIBUTES_FILE = b"* -text\n"

_OF_MANY = b"""                           Where there are many, the newer ones are in refs/<replica>/<aa>/.
"""

README_FILE = rb"""This folder is a coda_fs_session store: conversations in plain files.

  refs/<replica>/*.jsonl   one file a conversation. Line 1 is a header (name, and which objects hold the
                           older messages); every further line is one save.
                           Where there are many, the newer ones are in refs/<replica>/<aa>/.
  objects/<aa>/<id>.jsonl  older messages, one JSON message a line; .jsonl.zst is the same, compressed with zstd.
                           The file name begins with the sha256 of the uncompressed bytes.

In a save each message stands between two tabs, and no tab is anywhere else: `tr '\t' '\n'` gives each message a line.

Which conversations are here:   find refs -name '*.jsonl' -exec awk 'FNR==1' {} + | jq -r .name
The newest messages of one:     awk -F'\t' 'FNR>1 {for (i=2; i<=NF; i+=2) print $i}' $(find refs -name my-chat.jsonl)
The same with jq:               awk 'FNR>1' $(find refs -name my-chat.jsonl) | jq -c '.messages[]?'
The objects with the older:     head -n1 $(find refs -name my-chat.jsonl) | jq -c '.base | .spine, .tail'
Read an object:                 jq . objects/ab/abcd....jsonl       zstdcat objects/ab/abcd....jsonl.zst | jq .
Verify an object:               sha256sum objects/ab/abcd....jsonl  zstdcat objects/ab/abcd....jsonl.zst | sha256sum
Search the newest messages:     find refs -name '*.jsonl' -exec awk 'FNR>1' {} + | tr '\t' '\n' | grep 'some words'
Search all that is plain:       grep -r 'some words' refs objects
And what is compressed:         find objects -name '*.zst' -exec zstdgrep -H 'some words' {} +
Search everything at once:      rg -z 'some words' refs objects
Whose an object is:             grep -rl abcd.... refs objects
Watch one:                      tail -F $(find refs -name my-chat.jsonl) | jq -c '.messages[]?'
How many messages one file has (those of the base, and what the saves add or replace):
  jq -s '.[0].base as $b | reduce .[1:][] as $s ($b.messages; ($s.replace//.) + ($s.messages|length)) - ($b.start//0)'

In JSON a quote is \" and the end of a line is \n: search for words between.
An object is of the conversations whose files in refs name its id. Where another object names it, look for that one.
`tail -f` falls silent when a save writes the file anew. `tail -F` goes on. It repeats what is not in objects yet, and
leaves out a message that went straight into one.

Copy or sync this folder with any tool. Do not edit the files in it: every line and object carries a hash
of its own bytes, and an edited one counts as damaged.

What was edited, cleared or deleted leaves its text in objects. To take a text out of everything: coda-session purge
To put back what an older copy of this folder takes away, each machine that writes here keeps a copy of the newest
messages of each conversation: in ~/.local/state/coda_fs_session/<name of this folder>-<16 digits>, on macOS in
~/Library/Application Support/coda_fs_session. To remove everything, remove this folder and, on each machine, that one.
"""

_THIRD_README = README_FILE.replace(
    b" in objects. To take a text out of everything: coda-session purge\n",
    b" in objects; this version removes nothing from there.\n",
)

_SECOND_README = (
    _THIRD_README.replace(b"find refs -name '*.jsonl' -exec awk 'FNR==1' {} +", b"awk 'FNR==1' refs/*/*.jsonl")
    .replace(b"find refs -name '*.jsonl' -exec awk 'FNR>1' {} +", b"awk 'FNR>1' refs/*/*.jsonl")
    .replace(b"$(find refs -name my-chat.jsonl)", b"refs/*/my-chat.jsonl")
    .replace(_OF_MANY, b"")
)

_FIRST_README = (
    README_FILE[: README_FILE.index(b"\nIn a save")].replace(_OF_MANY, b"")
    + b"""
Which conversations are here:   awk 'FNR==1' refs/*/*.jsonl | jq -r .name
The newest messages of one:     tail -n +2 refs/*/my-chat.jsonl | jq -c '.messages[]'
The objects with the older:     head -n1 refs/*/my-chat.jsonl | jq -c '.base | .spine, .tail'
Read an object:                 jq . objects/ab/abcd....jsonl       zstdcat objects/ab/abcd....jsonl.zst | jq .
Verify an object:               sha256sum objects/ab/abcd....jsonl  zstdcat objects/ab/abcd....jsonl.zst | sha256sum
Search everything:              grep -r 'some words' refs objects

Copy or sync this folder with any tool. Do not edit the files in it: every line and object carries a hash
of its own bytes, and an edited one counts as damaged.
"""
)

READMES = (
    README_FILE,
    _THIRD_README,
    _SECOND_README,
    _FIRST_README,
    _FIRST_README.replace(b"begins with the sha256", b"is the sha256"),
)
"""What this version writes, and what the ones before it wrote: a store keeps the one that it has."""

CONSTANT_FILES = (("FORMAT", FORMAT_FILE), ("README.txt", README_FILE), (".gitattributes", GITATTRIBUTES_FILE))

_REPLICA = re.compile(r"[a-z0-9][a-z0-9-]{0,62}\Z")
_OBJECT = re.compile(r"[0-9a-f]{64}")


class StorePaths:
    """Paths below the root of a store."""

    def __init__(self, root: str) -> None:
        self.root = root
        self.format = f"{root}/FORMAT"
        self.refs = f"{root}/refs"
        self.objects = f"{root}/objects"

    def ref(self, path: str) -> str:
        return f"{self.refs}/{path}"

    def replica_file(self, replica: str) -> str:
        return f"{self.refs}/{replica}/{REPLICA_FILE}"

    def object(self, identity: str) -> str:
        """Return the path of the plain form; the compressed one has `COMPRESSED` appended."""
        return f"{self.root}/{object_name(identity)}"


def object_name(identity: str, number: int = 1) -> str:
    """Return the path of an object's plain form below the store; from 2 on, of the further names that it may have."""
    return f"objects/{identity[:2]}/{identity}{'' if number == 1 else f'.{number}'}.jsonl"


COMPRESSED = ".zst"
DATABASE = "sessions.db"
"""What the SQLite backend keeps in the folder of its store."""

REF_ENDING = ".jsonl"
REPLICA_FILE = "replica.json"


def temporary(folder: str) -> str:
    """Return a new name for a file that is not complete yet: a dotfile, which no reader looks at."""
    return f"{folder}/.tmp-{os.urandom(8).hex()}"


def is_replica_id(text: str) -> bool:
    return _REPLICA.match(text) is not None


def is_hidden(file_name: str) -> bool:
    return file_name.startswith(".")


def is_ref_file(file_name: str) -> bool:
    """Tell whether a file name is one that this package gives to refs (others are read just the same)."""
    return file_name.endswith(REF_ENDING)


def is_replica_file(file_name: str) -> bool:
    """Tell whether a file below the refs is what a replica says of itself, or a copy of that under a tool's name."""
    return file_name.startswith("replica") and ".json" in file_name and REF_ENDING not in file_name


def object_of(file_name: str) -> str | None:
    """Return the id of the object that a file may be, whatever a sync tool has put after it; None for other files."""
    match = _OBJECT.match(file_name)
    return match.group() if match else None
