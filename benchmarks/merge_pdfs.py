"""Makes one very long PDF out of several long ones, for measuring what a window does with thousands of pages.

    python -m benchmarks.merge_pdfs OUT.pdf [--pages 3000] FILE.pdf...

The files are appended in turns, each with its own outline entry, until there are enough pages; the last one is
cut off there. Pages are numbered i, ii, iii ... for the first ten and 1, 2, 3 ... from then on, so that printed
and physical numbers differ as they do in reports.
"""

import argparse
from collections.abc import Sequence
from itertools import cycle
from pathlib import Path

import pypdf
from pypdf.constants import PageLabelStyle

NUM_FRONT_PAGES = 10


def merge(files: Sequence[Path], out: Path, num_pages: int) -> None:
    """Write `out` with `num_pages` pages taken from `files`, again and again in their order.

    Raises:
        ValueError: no file has a page.
    """
    readers = {file: pypdf.PdfReader(file) for file in files}
    if not any(len(reader.pages) for reader in readers.values()):
        raise ValueError("the files have no pages")
    writer = pypdf.PdfWriter()
    for turn, (file, reader) in enumerate(cycle(readers.items())):
        missing = num_pages - len(writer.pages)
        if missing <= 0:
            break
        num_taken = min(missing, len(reader.pages))
        part = f"Part {turn + 1}: {file.stem}"
        writer.append(reader, outline_item=part, pages=(0, num_taken), import_outline=False)
    last_front = min(NUM_FRONT_PAGES, num_pages) - 1
    writer.set_page_label(0, last_front, style=PageLabelStyle.LOWERCASE_ROMAN)
    if num_pages > NUM_FRONT_PAGES:
        writer.set_page_label(NUM_FRONT_PAGES, num_pages - 1, style=PageLabelStyle.DECIMAL)
    writer.write(out)


def main() -> None:
    """Read the arguments and write the file."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("out", type=Path, help="the file to write")
    parser.add_argument("files", type=Path, nargs="+", help="what it is made of")
    parser.add_argument("--pages", type=int, default=3000, help="how many pages; default %(default)s")
    values = parser.parse_args()
    merge(values.files, values.out, values.pages)
    print(f"{values.out}: {values.pages} pages, {values.out.stat().st_size / 2**20:.1f} MiB")


if __name__ == "__main__":
    main()
