"""Masks: a text is taken out of JSON however it is written there, and nothing else changes."""

from __future__ import annotations

import json
import re
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from coda_fs_session.format.masks import Sieve, mask, of_pattern, of_text

SECRETS = ("sk-ant-1234", 'a"b\\c', "zeile\nzwei", "schlüssel", "鍵🔑鍵", "*", "</script>", "\x01\x7f", "0")


def masked(value: object, secret: str) -> Any:
    line = orjson.dumps(value)
    result = mask(line, of_text(secret))
    assert len(result) == len(line)
    return orjson.loads(result)


def test_only_the_text_is_taken_out() -> None:
    assert masked({"role": "user", "content": "my key is sk-1, yes"}, "sk-1") == {
        "role": "user",
        "content": "my key is ****, yes",
    }


def test_every_match_goes_and_bytes_count_not_characters() -> None:
    assert masked(["é-é", "xéx"], "é") == ["**-**", "x**x"]


def test_an_escape_goes_as_a_whole() -> None:
    """Half of one would be no JSON, or another character."""
    assert masked('a"b', '"') == "a**b"
    assert masked("line\nnext", "e\nn") == "lin****ext"
    assert masked("C:\\new", "\\n") == "C:***ew"


@pytest.mark.parametrize("secret", SECRETS)
@pytest.mark.parametrize("ascii_only", [True, False])
@pytest.mark.parametrize("levels", [0, 1, 2, 3])
def test_json_within_json_is_read_as_what_it_holds(secret: str, ascii_only: bool, levels: int) -> None:
    """Arguments of a tool call are JSON in a text; what is masked there is JSON still."""
    value: Any = {"key": f"before {secret} after", secret: [1, secret]}
    for _ in range(levels):
        value = {"arguments": json.dumps(value, ensure_ascii=ascii_only)}
    found = masked(value, secret)
    for _ in range(levels):
        found = json.loads(found["arguments"])
    assert secret == "*" or secret not in str(list(found.values()) + list(found))
    assert found["key"].startswith("before *")
    assert found["key"].endswith("* after")
    assert len(found) == 2


def test_escapes_that_need_not_be_are_read_too() -> None:
    line = rb'{"a":"{\"k\":\"\\u0073\\u006b-\\u0031 \\/x\"}"}'
    assert mask(line, of_text("sk-1 /x")) == rb'{"a":"{\"k\":\"' + b"*" * 27 + rb'\"}"}'


def test_keys_that_come_to_be_the_same_get_numbers() -> None:
    """Otherwise a reader would find one of the values only."""
    found = masked({"ab1": 1, "ab2": 2, "***": 3, "ab3": {"ab4": 4}}, "ab")
    assert found == {"**1": 1, "**2": 2, "***": 3, "**3": {"**4": 4}}
    line = orjson.dumps({"key-a": 1, "key-b": 2, "*****": 3, "x": {"key-c": 4}})
    found = orjson.loads(mask(line, of_pattern(re.compile("key-."))))
    assert found == {"****1": 1, "****2": 2, "*****": 3, "x": {"*****": 4}}


def test_digits_of_numbers_become_ones() -> None:
    assert masked([123, -45.25, 1e21, 0.5, 99], "2") == [113, -45.15, 1e11, 0.5, 99]
    assert masked({"n": 18446744073709551615}, "18446744073709551615") == {"n": 11111111111111111111}


def test_words_of_json_itself_stay() -> None:
    line = b'{"a":true,"b":null,"c":[false,"true"]}'
    assert mask(line, of_text("true")) == b'{"a":true,"b":null,"c":[false,"****"]}'


def test_what_does_not_hold_it_stays_byte_for_byte() -> None:
    line = rb'{"a":"\u00e9 \/ sk","b":1.0e5}'
    assert mask(line, of_text("sk-1")) == line


def test_patterns_find_all_that_they_match_and_no_empty_text() -> None:
    line = orjson.dumps({"a": "AKIA1, AKIA22", "b": "AKI"})
    assert orjson.loads(mask(line, of_pattern(re.compile("AKIA[0-9]+")))) == {"a": "*****, ******", "b": "AKI"}
    with pytest.raises(ValueError, match="everywhere"):
        of_text("")
    with pytest.raises(ValueError, match="everywhere"):
        of_pattern(re.compile("a*"))
    assert mask(b'"abc"', of_pattern(re.compile("(?=b)"))) == b'"abc"'


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec="utf-8"), max_size=8),
    lambda below: (
        st.lists(below, max_size=4)
        | st.dictionaries(st.text(st.sampled_from('ab"\\\nsé'), max_size=4), below, max_size=4)
    ),
    max_leaves=10,
)


@given(JSON, st.text(st.sampled_from('ab"\\\nsé1'), min_size=1, max_size=3), st.integers(0, 2))
def test_what_is_masked_has_the_same_form_and_length(value: Any, secret: str, levels: int) -> None:
    for _ in range(levels):
        value = [json.dumps(value), value]
    line = orjson.dumps(value)
    result = mask(line, of_text(secret))
    assert len(result) == len(line)
    before, after = orjson.loads(line), orjson.loads(result)
    assert_same_form(before, after, secret)
    if result != line:
        assert Sieve(secret).may_hold(line)


def assert_same_form(before: Any, after: Any, secret: str) -> None:
    if isinstance(before, dict):
        assert len(before) == len(after) or len(secret) == 1  # a key of one byte has room for ten
        if len(before) == len(after):
            for (_, one), (_, other) in zip(before.items(), after.items(), strict=True):
                assert_same_form(one, other, secret)
    elif isinstance(before, list):
        assert isinstance(after, list)
        for one, other in zip(before, after, strict=True):
            assert_same_form(one, other, secret)
    elif isinstance(before, str):
        assert isinstance(after, str)
        if secret not in before and "\\" not in before:
            assert before == after
        # Of a number in JSON that stands in a text, 1 is what each digit becomes.
        assert secret not in after or secret in "*1" or set(secret) == {"1"}
    elif not isinstance(before, (int, float)) or isinstance(before, bool):
        assert before == after


def test_a_sieve_passes_over_nothing_that_holds_the_text() -> None:
    for secret in SECRETS:
        for value in (
            secret,
            json.dumps(secret),
            json.dumps(json.dumps(secret)),
            json.dumps(secret, ensure_ascii=False),
        ):
            assert Sieve(secret).may_hold(orjson.dumps({"a": value}))
    assert not Sieve("sk-ant-1234").may_hold(b'{"a":"sk-ant"}')
    assert Sieve(None).may_hold(b"")
