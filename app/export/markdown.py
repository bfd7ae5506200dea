"""A run as Markdown."""

import re
from typing import Any

from app.export.bundle import coverage_line

_SPECIAL = re.compile(r"([\\`*_{}\[\]<>#+\-!|])")


def render(bundle: dict[str, Any]) -> str:
    """Question, answer, quotes, coverage, memory timeline, forgotten items."""
    lines = [
        f"# {_plain(bundle['question'])}",
        "",
        _plain(bundle["answer"] or f"(no answer: {bundle['status']})"),
        "",
    ]
    for claim in bundle["evidence"]:
        lines.append(f"> {_plain(claim['quote'])}")
        place = (
            f"{_plain(claim['document'])}, page {_plain(claim['label'])}"
            if claim["verified"]
            else "unverified"
        )
        lines += [">", f"> — {place}", ""]
    cover = bundle["coverage"]
    lines += ["## Coverage", ""]
    lines.append(coverage_line(cover))
    lines += [
        f"- {_plain(gap['document'])}, page {_plain(gap['label'])}: {gap['reason']}"
        for gap in cover["skipped"]
    ]
    lines += ["", "## Memory", ""]
    for step in bundle["steps"]:
        if step["memory"] != step["memory_before"]:
            lines += [f"After chunk {step['chunk']} (page {_plain(step['pages'])}):", ""]
            lines += [f"- {_plain(line)}" for line in step["memory"].splitlines()]
            lines.append("")
    if bundle["forgotten"]:
        lines += ["## Forgotten", ""]
        lines += [f"- {_plain(life['text'])} (chunk {life['entered_chunk']})" for life in bundle["forgotten"]]
        lines.append("")
    documents = ", ".join(
        f"{_plain(row['name'])} ({row['content_hash'][:12]})" for row in bundle["documents"]
    )
    model = f"{_plain(bundle['model']['name'])} ({bundle['model']['fingerprint'][:12]})"
    lines += ["---", "", f"Run {bundle['run_id']}; {documents}; {model}; {bundle['settings']['mode']}.", ""]
    return "\n".join(lines)


def _plain(text: str) -> str:
    """Text on one line that Markdown shows as it is: documents are untrusted."""
    return _SPECIAL.sub(r"\\\1", " ".join(str(text).split()))
