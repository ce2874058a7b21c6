"""Messages and names that want to be more than text; each would change the title of the page if it ran."""

from __future__ import annotations

from typing import Any

RUNS = "document.title='pwned'"
SCRIPT = f"<script>{RUNS}</script>"
PIXEL = (
    "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk"
    "+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
TEXTS = [
    SCRIPT,
    f'<img src=x onerror="{RUNS}">',
    f"```html\n</script>{SCRIPT}\n```",
    f"    </pre>{SCRIPT}",
    f"`</code>{SCRIPT}`",
    f"[a](javascript:{RUNS}) [b](JaVaScRiPt:{RUNS}) [c](&#106;avascript:{RUNS}) [d](java\tscript:{RUNS})",
    f"[e](data:text/html,{SCRIPT}) ![f](data:text/html;base64,PHNjcmlwdD4=) [g](vbscript:x) [h](file:///etc/passwd)",
    f"<javascript:{RUNS}> <https://ok.example/a> https://ok.example/b \"https://ok.example/c'",
    "![remote](https://tracker.example/p.gif) ![svg](data:image/svg+xml;base64,PHN2Zz48L3N2Zz4=)",
    f"![dot]({PIXEL})",
    f'<svg onload="{RUNS}"></svg> <iframe srcdoc="{SCRIPT}"></iframe> <base href="https://x.example/">',
    "&lt;script&gt; &#60;b&#62; &amp;lt; \x00 \x1b[31m",
    "[local](/s/other) [up](../..) [query](?q=1) ![local](/sessions.json) [slash](//x.example/a) [back](https:\\\\x)",
    "of entities: &#8238;gnp &#x202e; [in &#8238; a link](https://ok.example/&#8238;) ![&#8238;](https://ok.example/d)",
    "from right to left: \u202egnp.exe\u202c \u2066isolated\u2069 \u200bnothing \u2028line",
    f"| a | b |\n|:--|--:|\n| {SCRIPT} | [x](javascript:1) |",
    f"<!-- {SCRIPT} --> <![CDATA[{SCRIPT}]]> <?xml {SCRIPT}?>",
    '"><b title="\' onmouseover=x>',
]
NAME = f'a/b?c#d%2e&"{SCRIPT}'
TITLE = f"</title>{SCRIPT}"


def messages() -> list[dict[str, Any]]:
    """Return the texts as messages, in every part of one."""
    found: list[dict[str, Any]] = [{"role": "user", "content": text} for text in TEXTS]
    for text in TEXTS:
        call = {"id": text, "type": "function", "function": {"name": text, "arguments": text}}
        found += [
            {"role": "assistant", "content": None, "reasoning_content": text, "tool_calls": [call], "model": text},
            {"role": "tool", "content": text, "name": text, "tool_call_id": text},
            {"role": f'user" {text}', "content": [{"type": "image_url", "image_url": {"url": text}}]},
            {"role": "system", "content": text, "timestamp": text},
            {"role": "user", "content": [{"type": text, "what": text}, {"type": "file", "filename": text}]},
        ]
    return found
