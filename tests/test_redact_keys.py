"""The option `redact`, and the patterns of keys that come with the package: what they find, and what they leave."""

from __future__ import annotations

import base64
import json
import random
import string
from pathlib import Path
from typing import Any

import pytest
from hooks.calls import stored
from test_custom_storage import DictStorage, manage

from coda_fs_session import ConfigError, PendingSave, Redact, Session, SessionManager
from coda_fs_session.patterns import KEYS

ALL = string.ascii_letters + string.digits
HEX = "0123456789abcdef"
URL_SAFE = ALL + "-_"


def some(alphabet: str, length: int, seed: int = 1) -> str:
    """Return a text of random signs with a digit in it; made here, so that no file has what looks like a key."""
    return "".join(random.Random(seed).choices(alphabet, k=length - 1)) + "7"


def private_key(kind: str = "RSA ", lines: int = 12, end: str = "\n") -> str:
    body = end.join(some(ALL + "+/", 64, line) for line in range(lines)) + end + some(ALL, 30) + "=="
    return f"-----BEGIN {kind}PRIVATE KEY-----{end}{body}{end}-----END {kind}PRIVATE KEY-----"


FOUND: dict[str, str] = {
    "OpenAI": "sk-" + some(ALL, 48),
    "OpenAI, of a project": "sk-proj-" + some(ALL, 40) + "_" + some(ALL, 30) + "-" + some(ALL, 40),
    "Anthropic": "sk-ant-api03-" + some(ALL, 40) + "-" + some(ALL, 50) + "-AA",
    "OpenRouter": "sk-or-v1-" + some(HEX, 64),
    "DeepSeek": "sk-" + some(HEX, 32),
    "Groq": "gsk_" + some(ALL, 52),
    "xAI": "xai-" + some(ALL, 80),
    "Hugging Face": "hf_" + some(ALL, 34),
    "LangSmith": "lsv2_pt_" + some(HEX, 32) + "_" + some(HEX, 10),
    "AWS": "AKIA" + some(string.ascii_uppercase, 16),
    "Google": "AIza" + some(URL_SAFE, 35),
    "GitHub": "ghp_" + some(ALL, 36),
    "GitHub, fine-grained": "github_pat_" + some(ALL, 22) + "_" + some(ALL, 59),
    "GitLab": "glpat-" + some(ALL, 20),
    "npm": "npm_" + some(ALL, 36),
    "PyPI": "pypi-" + "AgEIcHlwaS5vcmc" + some(URL_SAFE, 120),
    "Slack": "xoxb-" + some(string.digits, 12) + "-" + some(string.digits, 12) + "-" + some(ALL, 24),
    "Stripe": "sk_" + "live_" + some(ALL, 24),
    "SendGrid": "SG." + some(ALL, 22) + "." + some(ALL, 43),
    "a JSON web token": "eyJ" + some(ALL, 30) + "." + "eyJ" + some(ALL, 60) + "." + some(URL_SAFE, 43),
    "RSA": private_key(),
    "EC": private_key("EC "),
    "OpenSSH": private_key("OPENSSH ", 30),
    "without a kind": private_key(""),
    "in JSON": private_key(end="\\n"),
    "in the source of a program": private_key(end='\\n"\n    "'),
    "with a header": private_key().replace(
        "KEY-----\n", "KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00FF\n\n", 1
    ),
    "PGP": private_key("PGP ").replace("PRIVATE KEY", "PRIVATE KEY BLOCK"),
    "age": "AGE-SECRET-KEY-1" + some(string.ascii_uppercase, 58),
}
AROUND = [
    "{}",
    "key: {}",
    "KEY={}",
    '"{}"',
    "({})",
    "at {}.",
    "<{}>",
    "a\n{}\nb",
    "--token={}",
    "Bearer {}",
    "`{}`,",
    "{};",
]


def redacted(text: str) -> str:
    result = Redact(KEYS).message_added(Session("chat"), {"content": text})["content"]
    assert isinstance(result, str)
    return result


@pytest.mark.parametrize("kind", FOUND)
def test_keys_are_found(kind: str) -> None:
    """A key is taken out whole, whatever stands around it, and what stands there stays."""
    for around in AROUND:
        assert redacted(around.format(FOUND[kind])) == around.format("[redacted]")


def test_what_is_known_by_what_is_around() -> None:
    """Of what has no form of its own, only what a well-known name or header of HTTP stands before."""
    secret = some(ALL, 40)
    assert secret not in redacted(f"aws_secret_access_key = {secret}\n")
    assert secret not in redacted(f'"AWS_SECRET_ACCESS_KEY": "{secret}"')
    assert secret not in redacted(f"curl -H 'Authorization: Bearer {secret}' https://example.org")
    assert secret not in redacted(f'{{"Authorization": "Basic {secret}=="}}')
    assert secret not in redacted(f"bot12345678:AA{secret[:33]}")
    assert redacted(f"https://hooks.slack.com/services/T0123456/B0123456/{secret[:24]} ok") == "https://[redacted] ok"


def test_a_key_that_is_cut_off() -> None:
    """Of a private key whose end is missing all full lines are taken out; what follows in words is left."""
    cut = private_key().split("\n-----END")[0].rsplit("\n", 2)[0]
    assert redacted(f"{cut}\n\nand then some words") == "[redacted]\n\nand then some words"


LEFT: dict[str, str] = {
    "UUIDs": "123e4567-e89b-12d3-a456-426614174000 urn:uuid:123e4567e89b12d3a456426614174000",
    "hashes": f"commit {some(HEX, 40)} sha256:{some(HEX, 64)} md5 {some(HEX, 32)} key-{some(HEX, 32)}",
    "ids": "call_"
    + some(ALL, 24)
    + " toolu_01"
    + some(ALL, 22)
    + " chatcmpl-"
    + some(ALL, 29)
    + " msg_"
    + some(ALL, 24),
    "code": """
        token = get_token(user, secret=SECRET_KEY)
        max_tokens: int = 4096; token_counter = len; tokenizer.pad_token_id
        api_key = os.environ["OPENAI_API_KEY"]  # sk-...
        headers = {"Authorization": f"Bearer {token}"}
        AUTHORIZATION = "Authorization: Bearer <YOUR_API_TOKEN_HERE>"
        curl -H "Authorization: Bearer $OPENAI_API_KEY" -H "Authorization: token ${GITHUB_TOKEN}"
        password = "correct horse battery staple"
        npm_config_registry, hf_hub_download, sk_test_mode, ghp_, AKIA, eyJ, xoxb-
        assert key.startswith("-----BEGIN PRIVATE KEY-----") and "-----END PRIVATE KEY-----" in key
        pattern = r"-----BEGIN [A-Z ]+ PRIVATE KEY-----.*"
    """,
    "classes of CSS": '<div class="sk-cube-grid sk-cube-grid-loading-spinner-2023-01 sk-folding-cube-container">',
    "names with hyphens": "task-force-of-many-words risk-based-approach-2024-with-words-12 desk-1234567890abcdefghijkl",
    "a public key": private_key().replace("PRIVATE", "PUBLIC") + " ssh-ed25519 " + some(ALL, 68),
    "placeholders": "sk-xxxxxxxxxxxxxxxxxxxxxxxxxxxx sk-your-api-key-goes-right-here ghp_xxx AKIA...",
    "versions": "v1.2.3-rc.1+build.5 2024-05-01T10:00:00.000000+00:00 10.0.0.200 /usr/lib/python3.11",
    "prose": "The bearer of this token is to be let in. Basic authorization: see the chapter on keys.",
}


@pytest.mark.parametrize("kind", LEFT)
def test_what_only_looks_like_a_key(kind: str) -> None:
    """Hashes, ids, code that names keys, and words are left as they are."""
    assert redacted(LEFT[kind]) == LEFT[kind]


def test_base64_is_left() -> None:
    """Images and files keep their bytes, in whichever alphabet, alone and in a data URL."""
    for seed in range(4):
        data = random.Random(seed).randbytes(600_000)
        for text in (
            base64.b64encode(data).decode(),
            base64.urlsafe_b64encode(data).decode(),
            base64.encodebytes(data).decode(),
        ):
            assert redacted(text) == text
        url = f"data:image/png;base64,{base64.b64encode(data).decode()}"
        assert redacted(url) == url


def test_real_conversations_are_left() -> None:
    """In conversations that have no secrets nothing is found."""
    hook, count = Redact(KEYS), 0
    for file in (Path(__file__).parents[1] / "fixtures" / "conversations").glob("*.jsonl"):
        for line in file.read_text(encoding="utf-8").split("\n")[:10]:
            if not line:
                continue
            for message in json.loads(line)["messages"]:
                assert hook.message_added(Session("chat"), message) == message
                count += 1
    assert count > 100


@pytest.mark.parametrize(
    "piece",
    [
        "sk-",
        "sk-1",
        "sk-a-",
        "eyJ",
        "eyJaaaaaaaa.",
        ".eyJ",
        "ghp_",
        "AKIA",
        "A",
        "-",
        "1",
        ":AA",
        "12345678:AA",
        "xoxb-1-",
        "SG.",
        "SG.aaaaaaaaaaaaaaaaaaaaa.",
        "uthorization: Bearer ",
        "aws_secret_access_key =",
        "-----BEGIN PRIVATE KEY-----",
        "\n\"'",
        "-----BEGIN PRIVATE KEY-----\nVersion: ",
        "\nABCDEFGHIJKLMNOPQRSTUVWXYZ",
    ],
)
def test_no_text_takes_long(piece: str) -> None:
    """A text of one piece many times over is gone through in time that its length tells: this ends."""
    for text in (piece * 20_000, "-----BEGIN PRIVATE KEY-----" + piece * 20_000, "sk-" + piece * 20_000 + "!"):
        redacted(text)


SECRET = "sk-" + some(ALL, 48)


def manager_of(kind: str, folder: Path, **options: Any) -> SessionManager:
    if kind == "custom":
        return manage(DictStorage(), **options)
    if kind == "toml":
        file = folder / "settings.toml"
        file.write_text(f'[session]\nstorage_path = "{(folder / "store").as_posix()}"\nredact = "keys"\n')
        return SessionManager.from_toml(file)
    return SessionManager(
        {"session": {"backend": kind, "storage_path": str(folder / "store"), "autosave_interval": 0, **options}}
    )


@pytest.mark.parametrize("kind", ["files", "sqlite", "memory", "custom", "toml"])
def test_the_option(kind: str, tmp_path: Path) -> None:
    """Every manager with the option keeps keys out, whichever way they come in, and after all hooks of the program."""
    manager = manager_of(kind, tmp_path, redact="keys")

    class Leaks:
        def message_added(self, session: Session, message: dict[str, Any]) -> None:
            message["from"] = SECRET

        def before_save(self, session: Session, pending: PendingSave) -> None:
            pending.metadata["from"] = SECRET

    remove = manager.use(Leaks())
    session = manager.create_session("chat")
    session.add_message({"content": f"use {SECRET}"})
    assert session.get_messages() == [{"content": "use [redacted]", "from": "[redacted]"}]
    session.messages.append({"content": SECRET})
    session.metadata["key"] = SECRET
    manager.save_session(session)
    remove()
    branch = manager.create_session("branch", branch_from="chat")
    branch.add_message({"content": SECRET})
    manager.save_session(branch)
    made = Session("made", [{"content": SECRET}])
    manager.save_session(made)
    manager.templates.register("with a key", system=SECRET)
    manager.templates.create("with a key", "begun")
    for name in ("chat", "branch", "made", "begun"):
        messages, metadata = stored(manager, name)
        assert "[redacted]" in str(messages)
        assert SECRET not in str(messages) + str(metadata)
    assert stored(manager, "chat")[1] == {"key": "[redacted]", "from": "[redacted]"}
    manager.close()
    for file in (tmp_path / "store").rglob("*"):
        assert not file.is_file() or SECRET.encode() not in file.read_bytes()


def test_patterns_of_ones_own(tmp_path: Path) -> None:
    """A list has regular expressions, and "keys" in it stands for the keys; without the option nothing is taken out."""
    for redact, expected in (
        (["PIN [0-9]+"], f"[redacted] {SECRET}"),
        (["PIN [0-9]+", "keys"], "[redacted] [redacted]"),
        ([], f"PIN 123 {SECRET}"),
        (None, f"PIN 123 {SECRET}"),
    ):
        session = manager_of("memory", tmp_path, redact=redact).create_session("chat")
        session.add_message({"content": f"PIN 123 {SECRET}"})
        assert session.get_messages()[0]["content"] == expected


@pytest.mark.parametrize(
    ("redact", "said"),
    [
        (["("], "no regular expression"),
        (["a*"], "empty text"),
        (["[a-z]+"], "the replacement"),
        ("sk-.*", "or a list"),
        ([1], "or a list"),
        (["a{99999999999}"], "no regular expression"),
    ],
)
def test_a_bad_pattern_is_refused_at_once(redact: Any, said: str, tmp_path: Path) -> None:
    """A manager with a pattern that cannot work is not made, and nothing is written."""
    with pytest.raises(ConfigError, match=said):
        manager_of("files", tmp_path, redact=redact)
    assert not (tmp_path / "store").exists()
