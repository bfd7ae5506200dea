"""A run as one HTML file, without scripts and without anything from elsewhere."""

from html import escape
from typing import Any

from app.export.bundle import coverage_line
from engine.agent.provenance import diff_words

_STYLE = """
:root { color-scheme: light dark }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 46rem; margin: 2rem auto; padding: 0 1rem }
blockquote { border-left: 3px solid #2f6f8f; margin: 1rem 0; padding: 0 1rem }
.place, footer { opacity: .7; font-size: .9em }
ins { background: #2e9e5b33; text-decoration: none } del { background: #c0392b33 }
.unverified { border-color: #c98a1b }
"""


def render(bundle: dict[str, Any]) -> str:
    """Question, answer, quotes, coverage, memory timeline with differences marked, forgotten items."""
    question = escape(bundle["question"])
    parts = [
        f"<h1>{question}</h1>",
        f"<p>{escape(bundle['answer'] or '(no answer: ' + bundle['status'] + ')')}</p>",
    ]
    parts += [_claim(claim) for claim in bundle["evidence"]]
    cover = bundle["coverage"]
    parts.append(f"<h2>Coverage</h2><p>{coverage_line(cover)}</p>")
    gaps = [
        f"<li>{escape(g['document'])}, page {escape(g['label'])}: {escape(g['reason'])}</li>"
        for g in cover["skipped"]
    ]
    parts.append(f"<ul>{''.join(gaps)}</ul>" if gaps else "")
    parts.append("<h2>Memory</h2>")
    parts += [_step(step) for step in bundle["steps"] if step["memory"] != step["memory_before"]]
    if bundle["forgotten"]:
        lost = "".join(f"<li>{escape(life['text'])}</li>" for life in bundle["forgotten"])
        parts.append(f"<h2>Forgotten</h2><ul>{lost}</ul>")
    model = f"{escape(bundle['model']['name'])} {bundle['model']['fingerprint'][:12]}"
    parts.append(f"<footer>Run {bundle['run_id']}, {escape(bundle['settings']['mode'])}, {model}</footer>")
    head = f'<!doctype html><html><head><meta charset="utf-8"><title>{question}</title><style>{_STYLE}</style></head>'
    return f"{head}<body>{''.join(parts)}</body></html>\n"


def _claim(claim: dict[str, Any]) -> str:
    if not claim["verified"]:
        return f'<blockquote class="unverified">{escape(claim["quote"])}<p class="place">unverified</p></blockquote>'
    place = f"{escape(claim['document'])}, page {escape(claim['label'])}"
    return f'<blockquote>{escape(claim["quote"])}<p class="place">{place}</p></blockquote>'


def _step(step: dict[str, Any]) -> str:
    tags = {"same": "{}", "added": "<ins>{}</ins>", "removed": "<del>{}</del>"}
    pieces = diff_words(step["memory_before"], step["memory"])
    text = "".join(tags[change].format(escape(piece)) for change, piece in pieces).replace("\n", "<br>")
    return f"<h3>Chunk {step['chunk']}, page {escape(step['pages'])}</h3><p>{text}</p>"
