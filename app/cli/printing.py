"""How results look on a terminal."""

from rich.console import Console
from rich.text import Text

from app.cli.console import seconds_for_people
from engine.agent.result import Result


def print_result(result: Result, console: Console | None = None) -> None:
    """Answer, quotes with their pages, coverage and cost; on standard output by default."""
    console = console or Console(highlight=False, soft_wrap=True)
    console.print()
    console.print(Text(result.answer.text, style="bold"))
    for claim in result.answer.claims:
        found = claim.evidence
        if found is None:
            console.print(Text(f"  unverified: {claim.text}", style="yellow"))
            continue
        place = (
            f"page {found.label}" if found.label == str(found.page) else f"page {found.label} ({found.page})"
        )
        if len(result.documents) > 1:
            place = f"{result.documents[found.document]}, {place}"
        quote = " ".join(found.quote.split())
        console.print(Text.assemble("  ", (f"“{quote}”", "italic"), f"  {place}, verified"))
    console.print()
    console.print(Text(f"Coverage: {result.coverage.sentence}.", style="dim"))
    for page in result.coverage.skipped[:10]:
        console.print(Text(f"  {page.document}, page {page.label}: {page.reason}", style="dim"))
    if len(result.coverage.skipped) > 10:
        console.print(
            Text(f"  and {len(result.coverage.skipped) - 10} more; see `palimpsest show`", style="dim")
        )
    timings = result.timings
    cost = f"{timings.prefill_tokens:,} tokens read, {timings.decode_tokens:,} written"
    console.print(
        Text(
            f"{cost}, {seconds_for_people(timings.wall_s)}. Run {result.run_id}, {result.mode}, {result.model}.",
            "dim",
        )
    )
