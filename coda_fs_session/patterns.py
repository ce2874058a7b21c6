"""Patterns of what is taken out of messages: checked, and a list of what secrets look like."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

REPLACEMENT = "[redacted]"
_ALL_KEYS = "keys"
"""What stands for `KEYS` in the option ``redact``."""


def of_option(value: Any) -> list[str]:
    """Return the patterns that the option ``redact`` stands for.

    Raises:
        ValueError: it is neither "keys" nor a list of texts.
    """
    given = [value] if isinstance(value, str) and value == _ALL_KEYS else value
    if not isinstance(given, (list, tuple)) or not all(isinstance(each, str) for each in given):
        raise ValueError
    return [pattern for each in given for pattern in (KEYS if each == _ALL_KEYS else (each,))]


def compiled(patterns: Iterable[str | re.Pattern[str]], replacement: str = REPLACEMENT) -> list[re.Pattern[str]]:
    """Compile patterns.

    Raises:
        ValueError: there is none, one is no regular expression or matches empty text, or one matches the replacement.
    """
    found: list[re.Pattern[str]] = []
    for pattern in patterns:
        try:
            found.append(re.compile(pattern))
        except (re.error, OverflowError, RecursionError) as error:
            raise ValueError(f"{pattern!r} is no regular expression: {error}") from error
    if not found:
        raise ValueError("at least one pattern is needed")
    for each in found:
        if each.search("") or each.search(replacement):
            what = "empty text" if each.search("") else f"the replacement {replacement!r}"
            raise ValueError(f"the pattern {each.pattern!r} matches {what}: replacing would never end")
    return found


def _key(prefix: str, rest: str, *, before: str = r"\w+/-") -> str:
    """Return the pattern of a key that begins with a fixed text, and that stands alone.

    The text comes first, and then the look at what is before it: so most places are passed over at the speed of a
    search for a text. Base64 has none of these in the middle.
    """
    return rf"{prefix}(?<![{before}]{prefix}){rest}(?![\w-])"


# Twelve letters and digits without a break, one of them a digit: no words joined by hyphens.
_DENSE = r"(?=[\w-]{0,200}?(?=[A-Za-z]{0,11}[0-9])[A-Za-z0-9]{12})"
# As the lines stand in a file, in JSON, or in the source of a program.
_BREAK = r"(?:\\[nr]|[\s\"',])"
_PRIVATE_KEY = (
    r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----"
    rf"(?:{_BREAK}++(?:Proc-Type|DEK-Info|Version|Comment): [^\n\\]{{0,200}}){{0,5}}"
    rf"(?:{_BREAK}++[A-Za-z0-9+/=]{{16,}}+)++"
    # Its end; but it may be cut off before.
    rf"(?:{_BREAK}*+[A-Za-z0-9+/=]*+{_BREAK}*+-----END [A-Z0-9 ]{{0,40}}PRIVATE KEY(?: BLOCK)?-----)?"
)
_HEADER = (
    r"uthorization[\"']?\s{0,4}[:=]\s{0,4}[\"']?(?:Basic|[Bb]earer|[Tt]oken)\s{1,4}"
    r"(?=[A-Za-z_.~+/-]{0,200}[0-9])[\w.~+/=-]{12,}"
)

KEYS: tuple[str, ...] = (
    # OpenAI, Anthropic, DeepSeek, OpenRouter and others that took over the form.
    _key("sk-", _DENSE + r"[\w-]{20,}"),
    _key("gsk_", r"[A-Za-z0-9]{40,}"),
    _key("xai-", r"[A-Za-z0-9]{40,}"),
    _key("pplx-", r"[A-Za-z0-9]{40,}"),
    _key("tvly-", _DENSE + r"[\w-]{24,}"),
    _key("hf_", r"[A-Za-z0-9]{30,}"),
    _key("r8_", r"[A-Za-z0-9]{30,}"),
    _key("lsv2_", r"(?:pt|sk)_[0-9a-f]{32}_[0-9a-f]{10}"),
    # Clouds.
    *(_key(prefix, r"[A-Z0-9]{16}") for prefix in ("AKIA", "ASIA")),
    r"(?i:aws_?secret_?access_?key)[\"'\s:=]{1,8}[A-Za-z0-9/+]{40}(?![A-Za-z0-9/+=])",
    _key("AIza", r"[\w-]{35}"),
    _key(r"ya29\.", r"[\w-]{20,}"),
    _key("GOCSPX-", r"[\w-]{28}"),
    r"AccountKey=[A-Za-z0-9+/]{86}==",
    _key("dop_v1_", r"[0-9a-f]{64}"),
    _key("dapi", r"[0-9a-f]{32}"),
    _key(r"hvs\.", r"[\w-]{24,}"),
    # Where code is kept, and packages.
    *(_key(f"gh{kind}_", r"[A-Za-z0-9]{36,}") for kind in "pousr"),
    _key("github_pat_", r"\w{22,}"),
    _key("glpat-", r"[\w-]{20,}"),
    _key("npm_", r"[A-Za-z0-9]{36}"),
    _key("pypi-", r"AgE[\w-]{50,}"),
    _key("dckr_pat_", r"[\w-]{20,}"),
    # Services.
    *(_key(f"xox{kind}-", r"[0-9][A-Za-z0-9-]{20,}") for kind in "abeoprs"),
    _key("xapp-", r"[0-9]-[A-Za-z0-9-]{20,}"),
    r"hooks\.slack\.com/services/T\w{6,}/B\w{6,}/\w{16,}",
    *(_key(f"{kind}_{stage}_", r"[A-Za-z0-9]{16,}") for kind in ("sk", "rk") for stage in ("live", "test")),
    _key("whsec_", r"[A-Za-z0-9+/]{24,}=*"),
    _key(r"SG\.", r"[\w-]{16,32}\.[\w-]{16,64}"),
    _key("shpat_", r"[0-9a-f]{32}"),
    _key("lin_api_", r"[A-Za-z0-9]{32,}"),
    _key("ntn_", r"[A-Za-z0-9]{40,}"),
    # The bot's number before it stays.
    r":AA(?<=[0-9]{8}:AA)[\w-]{33}(?![\w-])",
    # A token that tells what it is by its beginning: two parts of JSON in base64, and a signature.
    _key("eyJ", r"[\w-]{8,}\.eyJ[\w-]{8,}\.[\w-]{16,}"),
    # What a header of HTTP carries.
    _HEADER,
    _PRIVATE_KEY,
    _key("AGE-SECRET-KEY-1", r"[0-9A-Z]{58}"),
)
"""What keys, tokens and private keys look like that tell by their form what they are.

Nothing is guessed from the words around a text: a hash, a UUID, base64 or code that names a token is no secret by
itself. So a password, or a key without a form of its own, is not found.
"""
