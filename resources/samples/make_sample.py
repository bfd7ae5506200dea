# ruff: noqa: E501 - text of the report
"""Makes the sample document: ``python resources/samples/make_sample.py``.

The same sources give the same bytes: fixed date, fixed seed, no clock, no font of the machine. The report is set
twice, since the list of contents and the index need the page numbers of the first pass. Then the quote of every
question in questions.jsonl is looked up on the finished pages and its page number written back.
"""

import argparse
import json
import re
import sys
from collections import defaultdict
from pathlib import Path

import pypdfium2
from forms import DISTRICTS
from register import Entry, entries, short_place
from tables import DUES, EXPENDITURE, FIGURES, REVENUE, TABLES, goods_total, tide_rows
from typesetter import BOLD, ITALIC, Press, Style

HERE = Path(__file__).resolve().parent
TITLE = "Annual Report and Register of Works, 1935 to 1936"
BOARD = "Harbour Board of Kestrelmouth"
CENTRE = Style(align="centre")
BODY = Style(first=14, after=0)
OPENING = Style(after=0)
CHAPTER = Style(size=20, leading=25, font=BOLD, align="left", after=22)
SECTION = Style(size=12.2, leading=16, font=BOLD, align="left", before=12, after=4, keep_with_next=True)
ENTRY_HEAD = Style(size=10, leading=13.4, font=BOLD, align="left", before=9, after=1, keep_with_next=True)
ENTRY = Style(size=10, leading=13.2, after=1)
SMALL = Style(size=9, leading=12, after=4)

MEMBERS = (
    ("Mr. Lucas Farthingdale", "Chairman, for the Borough"),
    ("Mrs. Honor Treskerby", "Deputy Chairman, for the Merchants"),
    ("Mr. Ivor Cadwallen", "for the Borough"),
    ("Alderman Piers Hollowmay", "for the Borough"),
    ("Miss Septima Lorrimel", "for the County"),
    ("Mr. Gideon Marrack", "for the Merchants"),
    ("Captain Bram Oldacre", "for the Shipowners"),
    ("Mr. Tobias Quenell", "for the Shipowners"),
    ("Mr. Jabez Annear", "for the Fishermen"),
)
OFFICERS = (
    ("Miss Edith Kinvig", "Secretary"),
    ("Mr. Noel Stobbart", "Treasurer"),
    ("Captain Silas Ormandy", "Harbour Master"),
    ("Mr. Jory Penwarrick", "Deputy Harbour Master"),
    ("Captain Jonas Skerrow", "Pilot Master"),
    ("Mr. Callum Esterhay", "Chief Engineer"),
    ("Mr. Wilfred Brannock", "Surveyor"),
    ("Mr. Hugh Mossender", "Manager of the Repair Yard"),
    ("Dr. Mabel Ludlam", "Medical Officer"),
)
NOTICE = (
    "This report is fiction. It was written as a sample document for the program Palimpsest. The port of "
    "Kestrelmouth, the Board, the ships, the firms and all persons named in it were invented, and any likeness is "
    "chance. The text, the tables and the drawings may be copied, changed and used by anybody for any purpose (CC0 "
    "1.0)."
)
LETTER = (
    "To the Mayor, Aldermen and Councillors of the Borough of Kestrelmouth",
    "I have the honour to lay before you, by order of the Board, its report for the year ended 31 March 1936, "
    "together with the accounts of the Treasurer as audited, and the Register of Works which you asked for by your "
    "resolution of 12 November 1934.",
    "The report was adopted by the Board on 16 June 1936 by eight votes, one member being absent. A draft had lain "
    "for inspection at the Harbour Office during the month of May. Seven observations were received from ratepayers, "
    "of which four concerned the ferry, two the smell of the Timber Pond, and one the spelling of the word "
    "_knuckle_. All of them have been answered.",
    "The Register was drawn up from the day-books of the engineer's department. Sums are those of the contracts, "
    "unless the entry says otherwise. Where a work was done by the Board's own men the sum is the cost of wages and "
    "materials, without any charge for plant.",
    "Copies of this volume may be had at the Harbour Office at two crowns. The plans to which it refers may be seen "
    "there by any person on any working day between ten and four.",
)
REGISTER_NOTE = (
    "The entries that follow account for all works begun between 1 April 1933 and 31 December 1935. They stand in five "
    "districts, and within each district by quay, dock or building, in the order in which the works were begun. A "
    "number once given to an entry is not used again.",
    "Under each number the reader will find what was done, who did it, what was paid, when it was begun and finished, "
    "and such circumstances as the resident engineer thought worth setting down. The engineers were told to be brief "
    "and to leave nothing out. They have done one or the other.",
    "The same kind of work was as a rule let separately for each place, since firms that are well able to drive the "
    "piles of one quay have been found unable to drive those of two. The reader is therefore warned that entries which "
    "look alike are not the same. The sum of all entries is {register_sum} crowns.",
)


def read_blocks(name: str, values: dict[str, str]) -> list[tuple[str, str]]:
    """Blocks of a text file as (kind, text); kinds "#", "##", "!" and "" for a paragraph."""
    blocks = []
    for raw in (HERE / name).read_text("utf-8").split("\n\n"):
        text = raw.strip().format_map(values)
        match = re.match(r"(##?|!)\s*", text)
        blocks.append((match[1] if match else "", text[match.end() :] if match else text))
    return [block for block in blocks if block[1]]


class Report:
    """One pass over the whole report; the second pass knows the page labels of the first."""

    def __init__(self, labels: dict[str, tuple[int, str]], quotes: list[str]) -> None:
        self._known = labels
        self.press = Press(
            title=f"{BOARD}: {TITLE}", author=BOARD, subject="A sample document for Palimpsest"
        )
        self.press.keep_whole(quotes)
        self._register = entries()
        revenue, expenditure = (sum(value for _, value in rows) for rows in (REVENUE, EXPENDITURE))
        self._values = {
            "goods": f"{goods_total():,}",
            "revenue": f"{revenue:,}",
            "expenditure": f"{expenditure:,}",
            "surplus": f"{revenue - expenditure:,}",
            "entries": str(len(self._register)),
            "register_sum": f"{sum(entry.sum_crowns for entry in self._register):,}",
        }
        self._report = read_blocks("report.txt", self._values)
        self._appendix = read_blocks("appendix.txt", self._values)

    def build(self) -> bytes:
        """The PDF."""
        self._front()
        self.press.start_arabic()
        self._part("part-1", "Part One", "The Report")
        self._chapters(self._report, numbered=True)
        self._part("part-2", "Part Two", "The Register of Works")
        self._works()
        self._part("part-3", "Part Three", "Appendices and Index")
        self._dues()
        self._tides()
        self._chapters(self._appendix, numbered=False)
        self._index()
        return self.press.finish()

    # -- front matter ------------------------------------------------------------------------------------------

    def _front(self) -> None:
        press = self.press
        press.new_page(bare=True)
        press.mark("title", outline="Title page")
        press.space(90)
        press.paragraph(BOARD.upper(), Style(size=15, leading=20, align="centre", after=8))
        press.ornament(60)
        press.paragraph("ANNUAL REPORT", Style(size=25, leading=34, font=BOLD, align="centre", before=22))
        press.paragraph("and", Style(size=13, leading=20, font=ITALIC, align="centre"))
        press.paragraph("REGISTER OF WORKS", Style(size=25, leading=34, font=BOLD, align="centre", after=20))
        press.paragraph(
            "for the year ended 31 March 1936", Style(size=13, leading=18, align="centre", after=6)
        )
        press.paragraph(
            "with the Schedule of Dues, the Tables of Tides and an Index", Style(font=ITALIC, align="centre")
        )
        press.space(150)
        press.paragraph("KESTRELMOUTH", Style(size=11, leading=15, align="centre"))
        press.paragraph("Printed for the Board at the Harbour Office, 1936", Style(size=10, align="centre"))
        press.new_page(bare=True)
        press.space(420)
        press.paragraph(NOTICE, SMALL)
        press.header = (BOARD, "Front Matter")
        press.new_page()
        press.mark("letter", outline="Letter to the Council")
        press.paragraph("Letter to the Council", CHAPTER)
        for index, text in enumerate(LETTER):
            press.paragraph(text, Style(font=ITALIC, after=10) if index == 0 else BODY)
        self._signature("Edith Kinvig, Secretary|Harbour Office, 18 June 1936")
        self._contents()
        press.new_page()
        press.mark("board", outline="The Board and its officers")
        press.paragraph("The Board and its Officers", CHAPTER)
        for title, people in (("Members on 31 March 1936", MEMBERS), ("Officers", OFFICERS)):
            press.table(title, ("Name", "Office"), people, (0.5, -0.5), size=9.6)

    def _contents(self) -> None:
        press = self.press
        press.new_page()
        press.mark("contents", outline="Contents")
        press.paragraph("Contents", CHAPTER)
        for name, title, level in self._headings():
            font = (BOLD, "Times-Roman", ITALIC)[level]
            press.space((6, 0, -2)[level])
            press.leader(
                title, self._label(name), indent=(0, 0, 16)[level], font=font, size=(11, 10.4, 9.6)[level]
            )
        press.new_page()
        press.mark("lists", outline="Tables and figures")
        press.paragraph("Tables and Figures", CHAPTER)
        for key, table in TABLES.items():
            press.leader(self._short(table.caption), self._label(f"table-{key}"), size=9.8)
        press.space(10)
        for key, figure in FIGURES.items():
            press.leader(self._short(figure.caption.rstrip(".")), self._label(f"figure-{key}"), size=9.8)

    @staticmethod
    def _short(caption: str) -> str:
        return re.sub(
            r",? (in the year|by months|on 2 September|not to scale|without launches|for the year).*",
            "",
            caption,
        )

    def _headings(self) -> list[tuple[str, str, int]]:
        rows: list[tuple[str, str, int]] = [("part-1", "Part One: The Report", 0)]
        number = 0
        for kind, text in self._report:
            if kind == "#":
                number += 1
                rows.append((f"chapter-{text}", f"{number}. {text}", 1))
            elif kind == "##":
                rows.append((f"section-{number}-{text}", text, 2))
        rows.append(("part-2", "Part Two: The Register of Works", 0))
        rows += [
            (f"district-{index}", f"{'I II III IV V'.split()[index]}. {name}", 1)
            for index, name in enumerate(DISTRICTS)
        ]
        rows.append(("part-3", "Part Three: Appendices and Index", 0))
        rows += [("dues", "Appendix A: Schedule of Dues", 1), ("tides", "Appendix B: Tables of Tides", 1)]
        rows += [(f"chapter-{text}", text, 1) for kind, text in self._appendix if kind == "#"]
        return [*rows, ("index", "Index of Contractors and Places", 1)]

    def _label(self, name: str) -> str:
        return self._known.get(name, (0, "00"))[1]

    # -- body --------------------------------------------------------------------------------------------------

    def _part(self, name: str, number: str, title: str) -> None:
        self.press.new_page(bare=True, right_hand=True)
        self.press.mark(name, outline=f"{number}: {title}")
        self.press.space(190)
        self.press.paragraph(number.upper(), Style(size=13, leading=20, align="centre", after=10))
        self.press.paragraph(title, Style(size=24, leading=30, font=BOLD, align="centre"))
        self.press.ornament(80)

    def _chapters(self, blocks: list[tuple[str, str]], *, numbered: bool) -> None:
        number, style = 0, OPENING
        for index, (kind, text) in enumerate(blocks):
            if kind == "#":
                number += 1
                self._chapter(f"chapter-{text}", f"{number}. {text}" if numbered else text, text)
                style = OPENING
            elif kind == "##":
                follower = blocks[index + 1]
                self.press.require(70 + (self._height(follower[1]) if follower[0] == "!" else 0))
                self.press.mark(f"section-{number}-{text}", outline=text, level=2)
                self.press.paragraph(text, SECTION)
                style = OPENING
            elif kind == "!":
                self._insert(text)
                style = OPENING
            else:
                hanging = not numbered
                self.press.paragraph(text, Style(after=6) if hanging else style)
                style = BODY

    def _chapter(self, name: str, title: str, running: str) -> None:
        self.press.header = ("", "")
        self.press.new_page()
        self.press.header = (BOARD, running)
        self.press.space(24)
        self.press.mark(name, outline=title, level=1)
        self.press.paragraph(title, CHAPTER)

    @staticmethod
    def _height(insert: str) -> float:
        command, _, name = insert.partition(" ")
        return (len(TABLES[name].rows) + 4) * 13.0 if command == "table" else FIGURES[name].height + 44

    def _insert(self, text: str) -> None:
        command, _, rest = text.partition(" ")
        if command == "signature":
            self._signature(rest)
        elif command == "table":
            table = TABLES[rest]
            self.press.require(self._height(text))
            self.press.mark(f"table-{rest}")
            self.press.space(4)
            self.press.table(table.caption, table.head, table.rows, table.widths, total=table.total)
        else:
            figure = FIGURES[rest]
            self.press.require(self._height(text))
            self.press.mark(f"figure-{rest}")
            self.press.figure(figure.caption, figure.height, figure.draw)

    def _signature(self, text: str) -> None:
        self.press.space(18)
        for line in text.split("|"):
            self.press.paragraph(line, Style(align="right", font=ITALIC, after=0))

    def _works(self) -> None:
        press, district, place = self.press, "", ""
        self._chapter("register-note", "How the Register is Arranged", "Register of Works")
        for text in REGISTER_NOTE:
            press.paragraph(text.format_map(self._values), BODY)
        for number, entry in enumerate(self._register, start=1):
            if entry.district != district:
                district, index = entry.district, DISTRICTS.index(entry.district)
                numeral = "I II III IV V".split()[index]
                self._chapter(f"district-{index}", f"{numeral}. {district}", f"Register of Works: {district}")
            if entry.place != place:
                place = entry.place
                press.require(90)
                press.mark(f"place-{place}", outline=short_place(place), level=2)
                press.paragraph(short_place(place), SECTION)
            self._entry(number, entry)

    def _entry(self, number: int, entry: Entry) -> None:
        self.press.require(54)
        self.press.mark(f"entry-{number}")
        title = entry.title.replace("_", "")
        self.press.paragraph(f"{number}. {short_place(entry.place)}: {title}", ENTRY_HEAD)
        self.press.paragraph(entry.text, ENTRY)

    # -- appendices --------------------------------------------------------------------------------------------

    def _dues(self) -> None:
        press = self.press
        self._chapter("dues", "Appendix A: Schedule of Dues", "Schedule of Dues")
        press.paragraph(
            "The dues below are those in force on 31 March 1936, in crowns, and are charged on goods inwards and outwards "
            "alike. Goods landed and shipped again within fourteen days pay once. Goods that are not named pay as those "
            "which they most resemble, and in a case of doubt the Collector decides.",
            OPENING,
        )
        press.space(10)
        rows = [(f"{a[0]}", a[1], f"  {b[0]}", b[1]) for a, b in zip(DUES[::2], DUES[1::2], strict=False)]
        press.table("", ("Article", "Due", "  Article", "Due"), rows, (0.39, 0.1, -0.41, 0.1), size=8.4)

    def _tides(self) -> None:
        press = self.press
        self._chapter("tides", "Appendix B: Tables of Tides", "Tables of Tides")
        press.paragraph(
            "Times and heights of high water at the gauge of the Customs Steps, as predicted for the second half of 1936. "
            "Heights are above the sill of Spindle Lock. A wind that blows strongly from the south-west for a "
            "day raises the water by about a foot; a high barometer lowers it.",
            OPENING,
        )
        day = 182
        for month, days in (
            ("July", 31),
            ("August", 31),
            ("September", 30),
            ("October", 31),
            ("November", 30),
            ("December", 31),
        ):
            press.require(days * 11.6 + 36)
            head = ("Day", "Time", "Height", "Time", "Height")
            press.table(f"{month} 1936", head, tide_rows(day, days), (0.12, 0.2, 0.24, 0.2, 0.24), size=7.4)
            day += days

    def _index(self) -> None:
        press = self.press
        self._chapter("index", "Index of Contractors and Places", "Index")
        press.paragraph("Numbers are those of the pages.", Style(font=ITALIC, after=8))
        pages: dict[str, list[str]] = defaultdict(list)
        for number, entry in enumerate(self._register, start=1):
            for name in filter(None, (entry.contractor, entry.place)):
                label = self._label(f"entry-{number}")
                if label not in pages[short_place(name)]:
                    pages[short_place(name)].append(label)
        letter = ""
        for name in sorted(pages):
            if name[0] != letter:
                letter = name[0]
                press.space(6)
            labels = ", ".join(pages[name])
            press.paragraph(f"{name}, {labels}", Style(size=9.2, leading=12, align="left", after=1))
        press.space(20)
        press.ornament(60)


def read_questions(path: Path) -> list[dict[str, object]]:
    """Questions, one JSON object a line."""
    return [json.loads(line) for line in path.read_text("utf-8").splitlines() if line.strip()]


def page_texts(data: bytes) -> list[str]:
    """The text of each page as PDFium extracts it, white space collapsed."""
    document = pypdfium2.PdfDocument(data)
    try:
        return [
            " ".join(document[index].get_textpage().get_text_range().split())
            for index in range(len(document))
        ]
    finally:
        document.close()


def locate(questions: list[dict[str, object]], texts: list[str]) -> None:
    """Write the page of each quote into its question.

    Raises:
        SystemExit: a quote stands on no page, or on several.
    """
    for question in questions:
        quote = str(question["quote"])
        if not quote:
            continue
        found = [number for number, text in enumerate(texts, start=1) if quote in text]
        if len(found) != 1:
            raise SystemExit(f"{question['id']}: the quote is on pages {found}: {quote}")
        question["page"] = found[0]


def main() -> None:
    """Make the PDF, and bring the page numbers of the questions up to date."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--output", type=Path, default=HERE / "kestrelmouth-report.pdf", help="the PDF to write"
    )
    parser.add_argument(
        "--questions", type=Path, default=HERE / "questions.jsonl", help="questions to locate"
    )
    options = parser.parse_args()
    questions = read_questions(options.questions) if options.questions.exists() else []
    quotes = [str(question["quote"]) for question in questions if question["quote"]]
    draft = Report({}, quotes)
    draft.build()
    report = Report(draft.press.labels, quotes)
    data = report.build()
    if report.press.labels != draft.press.labels:
        raise SystemExit("The page numbers of the two passes differ.")
    texts = page_texts(data)
    locate(questions, texts)
    options.output.write_bytes(data)
    if questions:
        lines = [json.dumps(question, ensure_ascii=False) for question in questions]
        options.questions.write_text("\n".join(lines) + "\n", "utf-8")
    sys.stderr.write(
        f"{options.output.name}: {len(texts)} pages, {len(data):,} bytes, {len(quotes)} quotes found\n"
    )


if __name__ == "__main__":
    main()
