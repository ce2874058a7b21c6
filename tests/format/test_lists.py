"""Lists of files: written, read, and refused where they say anything else."""

from __future__ import annotations

import pytest

from coda_fs_session.format.lists import decode_list, encode_list

ONE = f"objects/ab/{'ab' * 32}.jsonl"
TWO = f"objects/00/{'00' * 32}.2.jsonl.zst"


def test_a_list_is_read_as_it_was_written() -> None:
    """In the order of the names, whatever order they came in: equal lists are one object."""
    assert decode_list(encode_list([ONE, TWO])) == {ONE, TWO}
    assert encode_list([ONE, TWO, ONE]) == encode_list([TWO, ONE])
    assert encode_list([ONE]) == f'["{ONE}"]\n'.encode()
    # A later version may say more of a file.
    assert decode_list(f'["{ONE}",{{"why":1}}]\n'.encode()) == {ONE}


@pytest.mark.parametrize(
    "data",
    [
        *(b"", b"\n", b"{}\n", b"[]\n", b"[1]\n", encode_list([ONE])[:-1]),
        *(encode_list([name]) for name in ("refs/desk/chat.jsonl", "../x", f"objects/ac/{'ab' * 32}.jsonl")),
        *(encode_list([name]) for name in (f"objects/ab/../{'ab' * 32}", f"objects/ab/{'ab' * 32}/../../FORMAT")),
        encode_list([f"objects/ab/{'ab' * 32}{'x' * 300}"]),
    ],
)
def test_what_is_none(data: bytes) -> None:
    """A name that leads anywhere but to a file of an object is refused, as is what has none."""
    with pytest.raises(ValueError, match=r"."):
        decode_list(data)
