# ruff: noqa: E501 - figures of the report
"""Figures and tables of the sample report; the sums that the text names are computed from them."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from reportlab.pdfgen.canvas import Canvas

GOODS = (
    ("Gannet Quay", 431210, 238470),
    ("Grain Quay", 163420, 8960),
    ("Coal Quay", 21400, 302750),
    ("Clay Wharf", 3110, 231900),
    ("Slate Wharf", 1870, 58340),
    ("Petrel Jetty", 127650, 6120),
    ("Ropewalk Wharf", 74930, 41260),
    ("Saltcote Wharf", 38220, 19450),
    ("Cinder Wharf", 27340, 33590),
    ("Timber Pond", 71800, 2340),
    ("Fishmarket Quay", 14320, 0),
)
ARRIVALS = (
    ("Apr.", 251), ("May", 264), ("June", 278), ("July", 291), ("Aug.", 302), ("Sept.", 296),
    ("Oct.", 288), ("Nov.", 269), ("Dec.", 244), ("Jan.", 221), ("Feb.", 229), ("Mar.", 251),
)  # fmt: skip
REVENUE = (
    ("Dues on goods", 548300),
    ("Dues on ships", 301450),
    ("Pilotage dues", 148320),
    ("Rents of sheds, land and offices", 96730),
    ("Work done for other owners at the Repair Yard", 71200),
    ("Cranes and hoists", 52480),
    ("Graving dock", 38400),
    ("Ferry", 16940),
    ("Interest and sundries", 10880),
)
EXPENDITURE = (
    ("Maintenance of quays, docks and buildings", 420800),
    ("Dredging", 149860),
    ("Interest on loans", 141720),
    ("Pilots and pilot cutters", 119400),
    ("Tugs and other craft", 92330),
    ("Office, police and inquiries", 68240),
    ("Work done for other owners at the Repair Yard", 48910),
    ("Insurance", 26300),
    ("Ferry", 22060),
    ("Cranes and hoists", 17730),
)
DAMAGE = (
    ("North Mole, closing of the breach", 52400),
    ("West Transit Shed, roof", 11730),
    ("Fishmarket Quay, landing steps", 8150),
    ("Tug Bellwether, rudder and stern frame", 6480),
    ("Timber Pond, boom", 6240),
    ("Repair Yard, chimney", 4980),
    ("Buoys and lights", 3440),
    ("Sundries", 380),
)
PROPOSED = (
    ("Petrel Jetty, second berth", 168000),
    ("Grain Quay, silo of 12,000 tons", 146500),
    ("Coal Quay, electric power in place of hydraulic", 74300),
    ("North Mole, permanent repair", 61500),
    ("Hopper barge with oil engines", 57900),
    ("Saltcote Dock, electric pumps", 38600),
    ("Fishmarket Quay, landing steps in granite", 12800),
    ("Widow's Slip, lengthening", 9400),
    ("South Mole, engine of the fog siren", 4350),
    ("Small works", 10650),
)
CRAFT = (
    ("Patient Mole", "bucket dredger", "1906", "780", "268"),
    ("Ploughman", "suction dredger", "1922", "1,140", "193"),
    ("Hopper No. 1", "hopper barge", "1894", "310", "201"),
    ("Hopper No. 2", "hopper barge", "1894", "310", "214"),
    ("Hopper No. 3", "hopper barge", "1907", "420", "249"),
    ("Hopper No. 4", "hopper barge", "1912", "450", "252"),
    ("Hopper No. 5", "hopper barge", "1921", "480", "238"),
    ("Sturdy", "tug", "1909", "196", "244"),
    ("Bellwether", "tug", "1924", "228", "297"),
    ("Ploverdale", "tug", "1898", "141", "62"),
    ("Sandpiper", "pilot cutter", "1913", "88", "341"),
    ("Whimbrel", "pilot cutter", "1926", "94", "338"),
    ("Corncrake", "buoy tender", "1917", "132", "74"),
    ("Old Patience", "floating crane", "1887", "360", "118"),
    ("Maid of Saltcote", "ferry steamer", "1899", "117", "339"),
)
_DUES = """Ale, beer and cider, a cask|0.12;Anchors and chain, a ton|0.40;Apples and pears, a ton|0.35;Asphalt, a ton|0.22
Bark for tanning, a ton|0.31;Barley, a ton|0.27;Bicycles, each|0.03;Bones and bone ash, a ton|0.18;Bricks, a thousand|0.66
Butter and cheese, a ton|0.72;Candles, a ton|0.64;Carriages with four wheels, each|1.20;Carriages with two wheels, each|0.70
Cattle, a head|0.14;Cement, a ton|0.25;Chalk, a ton|0.09;China clay, a ton|0.13;Cider apples, a ton|0.19;Coal, a ton|0.10
Coke, a ton|0.11;Copper ore, a ton|0.34;Cordage, a ton|0.58;Cork, a ton|0.90;Earthenware, a crate|0.16;Eggs, a thousand|0.05
Feathers, a hundredweight|0.09;Felspar, a ton|0.14;Fish, fresh, a ton|0.28;Fish, salted, a ton|0.24;Flax and hemp, a ton|0.52
Flour, a ton|0.30;Furniture, a ton|0.95;Glass, a crate|0.21;Grain not named elsewhere, a ton|0.27;Granite, dressed, a ton|0.20
Granite, rough, a ton|0.12;Guano, a ton|0.33;Gunpowder, a ton|4.00;Hay and straw, a ton|0.26;Hides, a ton|0.61;Horses, a head|0.30
Ice, a ton|0.06;Iron, pig, a ton|0.17;Iron, wrought, a ton|0.29;Lead, a ton|0.36;Lime, a ton|0.13;Linseed, a ton|0.29
Machinery, a ton|0.75;Maize, a ton|0.27;Manure, a ton|0.08;Marble, a ton|0.60;Meat, a ton|0.68;Oats, a ton|0.25;Oil cake, a ton|0.28
Onions, a ton|0.33;Paint, a ton|0.57;Paper, a ton|0.49;Petroleum, a ton|0.44;Pianos, each|0.80;Pitch and tar, a ton|0.30
Potatoes, a ton|0.17;Rags, a ton|0.20;Rails, a ton|0.26;Rice, a ton|0.38;Salt, a ton|0.10;Sand and gravel, a ton|0.05
Sheep and pigs, a head|0.05;Slates, a thousand|0.42;Soap, a ton|0.56;Spirits, a cask|0.60;Sugar, a ton|0.47;Sulphur, a ton|0.27
Tea, a chest|0.08;Tiles, a thousand|0.50;Timber, hewn, a load|0.45;Timber, sawn, a load|0.39;Tin, a ton|0.70;Tobacco, a ton|1.90
Vegetables not named elsewhere, a ton|0.22;Wheat, a ton|0.27;Wine, a cask|0.48;Wool, a ton|0.77;Zinc, a ton|0.41"""
DUES = tuple(tuple(item.split("|")) for line in _DUES.splitlines() for item in line.split(";"))


@dataclass(frozen=True, slots=True)
class Table:
    """A table as it is printed: caption, head, rows, shares of the measure (negative = left aligned)."""

    caption: str
    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    widths: Sequence[float]
    total: bool = True


def _money(
    rows: Sequence[tuple[str, int]], head: str
) -> tuple[Sequence[str], Sequence[Sequence[str]], Sequence[float]]:
    body = [(name, f"{value:,}") for name, value in rows]
    return (head, "Crowns"), [*body, ("Total", f"{sum(value for _, value in rows):,}")], (0.78, 0.22)


def goods_total() -> int:
    """Tons landed and shipped."""
    return sum(inwards + outwards for _, inwards, outwards in GOODS)


TABLES: dict[str, Table] = {
    "goods": Table(
        "Table 1. Goods landed and shipped in the year ended 31 March 1936, in tons",
        ("Quay", "Inwards", "Outwards", "Together"),
        [
            *[(name, f"{a:,}", f"{b:,}" if b else "–", f"{a + b:,}") for name, a, b in GOODS],
            (
                "Total",
                f"{sum(a for _, a, _ in GOODS):,}",
                f"{sum(b for _, _, b in GOODS):,}",
                f"{goods_total():,}",
            ),
        ],
        (0.37, 0.21, 0.21, 0.21),
    ),
    "damage": Table("Table 2. Damage done by the storm of 9 January 1936", *_money(DAMAGE, "Work")),
    "craft": Table(
        "Table 3. Craft of the Board, without launches and lighters",
        ("Name", "Kind", "Built", "Tons", "Days at work"),
        CRAFT,
        (0.3, -0.28, 0.12, 0.12, 0.18),
        total=False,
    ),
    "revenue": Table("Table 4. Revenue of the year ended 31 March 1936", *_money(REVENUE, "Head")),
    "expenditure": Table(
        "Table 5. Expenditure of the year ended 31 March 1936", *_money(EXPENDITURE, "Head")
    ),
    "proposed": Table("Table 6. Works proposed for the year 1936 to 1937", *_money(PROPOSED, "Work")),
}


def draw_arrivals(canvas: Canvas, width: float, height: float) -> None:
    """Bars, one a month."""
    top, step = 320.0, (width - 30) / len(ARRIVALS)
    canvas.setFont("Times-Roman", 7.5)
    canvas.setLineWidth(0.3)
    for mark in (0, 100, 200, 300):
        y = 14 + (height - 20) * mark / top
        canvas.line(24, y, width, y)
        canvas.drawRightString(20, y - 2.5, str(mark))
    for index, (month, value) in enumerate(ARRIVALS):
        x = 30 + index * step
        canvas.setFillGray(0.72)
        canvas.rect(x, 14, step * 0.6, (height - 20) * value / top, fill=1, stroke=1)
        canvas.setFillGray(0)
        canvas.drawCentredString(x + step * 0.3, 4, month)


def draw_plan(canvas: Canvas, width: float, height: float) -> None:
    """A sketch of the harbour: river, basins, moles, quays."""
    x, y = width / 100, height / 100
    canvas.setLineWidth(0.9)
    canvas.setFillGray(0.93)
    river = canvas.beginPath()
    river.moveTo(0, 34 * y)
    river.curveTo(20 * x, 44 * y, 34 * x, 20 * y, 52 * x, 22 * y)
    river.curveTo(70 * x, 24 * y, 80 * x, 44 * y, 100 * x, 52 * y)
    river.lineTo(100 * x, 34 * y)
    river.curveTo(82 * x, 26 * y, 72 * x, 6 * y, 52 * x, 4 * y)
    river.curveTo(34 * x, 2 * y, 20 * x, 24 * y, 0, 8 * y)
    river.close()
    canvas.drawPath(river, fill=1, stroke=1)
    canvas.setFillGray(0.86)
    for left, bottom, wide, high in ((24, 38, 24, 26), (56, 54, 20, 24)):
        canvas.rect(left * x, bottom * y, wide * x, high * y, fill=1, stroke=1)
    canvas.rect(50 * x, 57 * y, 5 * x, 3 * y, fill=1, stroke=1)
    canvas.setFillGray(0.4)
    canvas.setLineWidth(2.2)
    canvas.line(22 * x, 33 * y, 34 * x, 27 * y)
    canvas.line(40 * x, 25 * y, 48 * x, 30 * y)
    canvas.setLineWidth(0.5)
    canvas.setFillGray(0)
    canvas.setFont("Times-Italic", 8)
    for label, left, bottom in (
        ("River Anner", 8, 21), ("Outer Basin", 31, 50), ("Inner Basin", 61, 65), ("Spindle Lock", 50, 47),
        ("Gannet Quay", 29, 66), ("North Mole", 9, 48), ("South Mole", 47, 33), ("Ropewalk Wharf", 57, 80),
        ("Hollow Reach", 84, 57), ("Saltcote", 74, 3), ("Signal Hill", 6, 72), ("The Island", 45, 84),
    ):  # fmt: skip
        canvas.drawString(left * x, bottom * y, label)
    canvas.setLineWidth(0.3)
    canvas.line(49 * x, 83 * y, 52 * x, 68 * y)
    canvas.line(15 * x, 47 * y, 27 * x, 31 * y)
    for ring in (5.5, 4.0, 2.5):
        canvas.ellipse((10 - ring) * x, (64 - ring) * y, (10 + ring) * x, (64 + ring) * y)
    canvas.setLineWidth(0.8)
    canvas.line(93 * x, 76 * y, 93 * x, 92 * y)
    canvas.line(93 * x, 92 * y, 91.6 * x, 88 * y)
    canvas.line(93 * x, 92 * y, 94.4 * x, 88 * y)
    canvas.drawCentredString(93 * x, 94 * y, "N")


def draw_depths(canvas: Canvas, width: float, height: float) -> None:
    """Depth along the approach channel before and after dredging."""
    canvas.setFont("Times-Roman", 7.5)
    canvas.setLineWidth(0.3)
    for mark in (16, 20, 24, 28):
        y = height - 12 - (mark - 14) * (height - 26) / 16
        canvas.line(26, y, width, y)
        canvas.drawRightString(22, y - 2.5, f"{mark} ft")
    for dash, shallow, thick in (((3, 2), 3.6, 0.7), ((), 0.0, 1.3)):
        path = canvas.beginPath()
        for step in range(61):
            mile = step / 60 * 4
            depth = 24.6 + 0.7 * math.sin(mile * 5.1) + 0.4 * math.sin(mile * 13)
            depth -= shallow * math.exp(-(((mile - 2.3) / 0.35) ** 2)) + shallow * 0.25
            x, y = 26 + (width - 26) * step / 60, height - 12 - (depth - 14) * (height - 26) / 16
            if step:
                path.lineTo(x, y)
            else:
                path.moveTo(x, y)
        canvas.setDash(*dash) if dash else canvas.setDash()
        canvas.setLineWidth(thick)
        canvas.drawPath(path)
    canvas.setDash()
    for mile in range(5):
        canvas.drawCentredString(26 + (width - 34) * mile / 4, 3, f"{mile} m.")


def draw_wall(canvas: Canvas, width: float, height: float) -> None:
    """Section of the quay wall."""
    left = width * 0.3
    canvas.setLineWidth(0.8)
    canvas.setFillGray(0.8)
    wall = canvas.beginPath()
    for index, (x, y) in enumerate(
        ((0, 0.3), (0, 0.92), (34, 0.92), (40, 0.72), (52, 0.5), (70, 0.36), (70, 0.3))
    ):
        (wall.lineTo if index else wall.moveTo)(left + x, height * y)
    wall.close()
    canvas.drawPath(wall, fill=1, stroke=1)
    for pile in range(4):
        edge = left + 6 + pile * 17
        canvas.rect(edge, 6, 6, height * 0.3 - 6, fill=0, stroke=1)
    canvas.setFillGray(0)
    canvas.line(0, height * 0.78, left, height * 0.78)
    canvas.line(0, height * 0.46, left, height * 0.46)
    canvas.line(left + 34, height * 0.92, width, height * 0.92)
    canvas.setFont("Times-Italic", 8)
    canvas.drawString(4, height * 0.8, "High water of springs")
    canvas.drawString(4, height * 0.48, "Low water of springs")
    canvas.drawString(left + 84, height * 0.6, "Filling of rubble")
    canvas.drawString(left + 84, height * 0.14, "Piles of reinforced concrete, 52 feet")
    canvas.drawString(left + 44, height * 0.955, "Crane road")


@dataclass(frozen=True, slots=True)
class Figure:
    """A figure as it is printed."""

    caption: str
    height: float
    draw: Callable[[Canvas, float, float], None]


FIGURES: dict[str, Figure] = {
    "plan": Figure("Figure 1. Sketch of the harbour, not to scale.", 190, draw_plan),
    "arrivals": Figure("Figure 2. Vessels that entered the port, by months, April 1935 to March 1936.", 130, draw_arrivals),
    "depths": Figure(
        "Figure 3. Depth of the approach channel from the bar upwards, on 2 September (broken line) "
        "and on 30 September 1935 (full line).", 120, draw_depths,
    ),
    "wall": Figure("Figure 4. Section of the new wall at the first berth of Gannet Quay.", 170, draw_wall),
}  # fmt: skip


def tide_rows(first_day: int, days: int) -> list[tuple[str, ...]]:
    """High waters of some days, from a lunar and a solar wave; day 0 is 1 January 1936."""
    rows = []
    for day in range(first_day, first_day + days):
        age = (day - 8.6) % 29.53
        time = (5.1 + age * 0.8127) % 12.42
        spring = math.cos(2 * math.pi * (age - 1.5) / 14.765)
        cells = [str(day - first_day + 1)]
        for half in range(2):
            hours = time + half * 12.42
            height = 15.9 + 2.15 * spring + 0.25 * math.sin(day * 1.7 + half * 2.9)
            feet, inches = divmod(round(height * 12), 12)
            clock = f"{int(hours):02d}.{int(hours % 1 * 60):02d}" if hours < 24 else "–"
            cells += [clock, f"{feet} ft {inches} in" if hours < 24 else "–"]
        rows.append(tuple(cells))
    return rows
