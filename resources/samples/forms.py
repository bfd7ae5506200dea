# ruff: noqa: E501 - a sentence stands on one line
"""Places, firms and sentence forms of the Register of Works.

In a form, ``[3..9]`` draws a number, ``[#3..9]`` the same in words, ``[a|b]`` one of the choices.
"""

import datetime as dt
from dataclasses import dataclass

Forms = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of work: title, as it reads in a sentence, places it suits, firms, range of cost, details."""

    title: str
    doing: str
    classes: str
    firms: tuple[str, ...]
    cost: tuple[int, int]
    details: tuple[str, ...]


_RIVER, _OUTER, _INNER, _SALTCOTE, _UPPER = (
    "The River Quays",
    "The Outer Basin and the Moles",
    "The Inner Basin and the Island",
    "Saltcote and the Ferry",
    "Hollow Reach and the Upper Harbour",
)
DISTRICTS = (_RIVER, _OUTER, _INNER, _SALTCOTE, _UPPER)

# place, district, classes: q quay, m mole or jetty, b building, l lock or dock, s shore, y yard, f hill
PLACES = (
    ("Coal Quay", _RIVER, "q"),
    ("Cinder Wharf", _RIVER, "q"),
    ("Fishmarket Quay", _RIVER, "qb"),
    ("the Customs Steps", _RIVER, "m"),
    ("the Pilot House", _RIVER, "b"),
    ("Signal Hill", _RIVER, "f"),
    ("the first berth of Gannet Quay", _OUTER, "q"),
    ("the second berth of Gannet Quay", _OUTER, "q"),
    ("the third berth of Gannet Quay", _OUTER, "q"),
    ("Grain Quay", _OUTER, "q"),
    ("the North Mole", _OUTER, "m"),
    ("the South Mole", _OUTER, "m"),
    ("Lantern Pier", _OUTER, "m"),
    ("Petrel Jetty", _OUTER, "m"),
    ("the East Transit Shed", _OUTER, "b"),
    ("the West Transit Shed", _OUTER, "b"),
    ("Spindle Lock", _INNER, "l"),
    ("Ropewalk Wharf", _INNER, "q"),
    ("Shed No. 4", _INNER, "b"),
    ("the Harbour Office", _INNER, "b"),
    ("the bonded warehouse", _INNER, "b"),
    ("Saltcote Dock", _SALTCOTE, "l"),
    ("the Saltcote landing", _SALTCOTE, "m"),
    ("Saltcote Wharf", _SALTCOTE, "q"),
    ("the Widow's Slip", _SALTCOTE, "s"),
    ("the Repair Yard", _SALTCOTE, "by"),
    ("the foundry", _SALTCOTE, "y"),
    ("the Timber Pond", _UPPER, "s"),
    ("Slate Wharf", _UPPER, "q"),
    ("Clay Wharf", _UPPER, "q"),
    ("the Hollow Reach embankment", _UPPER, "s"),
    ("the upper power house", _UPPER, "by"),
)

_TIMBER = ("the Lanyard Timber Company", "Pellow Brothers", "Carrick and Sons")
_STONE = ("the Tolvaddon Stone Company", "Strake and Mundy", "Penrow and Gale")
_IRON = ("the Hessary Iron Works", "the Bassenet Engineering Works", "Vennor & Dole")
_CURRENT = ("the Gossan Electric Company", "Orrin and Lusk", "the Varnhythe Cable Company")
_TRADE = ("Pascoe and Thrale", "Ludd Brothers", "Widdon & Kay", "Penrow and Gale")

KINDS = (
    Kind(
        "fender piles",
        "renewing the fender piles",
        "qm",
        _TIMBER,
        (3200, 14800),
        (
            "[#21..64] piles of [pitch pine|greenheart|Danzig fir] were driven at {place}, each [34..52] feet long.",
            "The old piles at {place} had been eaten by the ship-worm to [a third|a half|two thirds] of their section.",
            "The rubbing pieces were bolted on with [310..890] galvanised bolts.",
            "The heads of the piles were tarred and capped with [lead|zinc|sheet iron].",
            "The pile frame was lent to the contractor by the Board at [9..22] crowns a day.",
        ),
    ),
    Kind(
        "bollards",
        "setting new mooring bollards",
        "qml",
        _IRON,
        (900, 5200),
        (
            "[#6..24] bollards of cast [iron|steel] were set at {place}, each tested to [25..60] tons.",
            "The bollards stand [44..78] feet apart and are painted white.",
            "Each bollard is held by [four|six] bolts that pass through [5..9] feet of concrete.",
            "Two of the old bollards, [guns of the last century|granite posts], were given to the Borough Museum.",
        ),
    ),
    Kind(
        "paving",
        "relaying the paving",
        "qmly",
        _STONE,
        (2100, 9800),
        (
            "Some [1,100..4,900] square yards of granite setts were taken up at {place} and laid again on concrete.",
            "About [one in eight|one in eleven|one in fourteen] of the old setts was too worn to be used again.",
            "The joints were run with [pitch|cement grout] and the surface was given a fall of one in [48..80].",
            "The rails of the crane road were packed up by [2..4] inches at the same time.",
        ),
    ),
    Kind(
        "crane road",
        "renewing the crane rails",
        "q",
        _IRON,
        (4300, 17200),
        (
            "In all [620..1,940] yards of rail of [80..110] pounds to the yard were laid at {place}.",
            "The gauge at {place} was found to be [half an inch|five eighths of an inch|an inch] too wide and was corrected.",
            "The rails rest on longitudinal [sleepers of jarrah|beams of concrete] in place of the old iron chairs.",
            "Crane No. [3..29] was [twice|once|three times] moved out of the way by the floating crane.",
        ),
    ),
    Kind(
        "electric lighting",
        "installing electric lighting",
        "qmb",
        _CURRENT,
        (1400, 7600),
        (
            "[#14..58] lamps of [200..500] candle-power were put up at {place}.",
            "The lamps at {place} are switched from [a locked cupboard|the watchman's hut|the gate-keeper's box].",
            "The cable is laid in [earthenware|iron|fibre] pipes at a depth of [2..4] feet.",
            "The gas brackets were left in their places until the [end of the winter|following spring|first quarter's account].",
            "A meter was fitted for each tenant, and [one|two|none] of them has disputed a reading.",
        ),
    ),
    Kind(
        "drains",
        "renewing the surface drains",
        "qby",
        _TRADE,
        (1100, 6900),
        (
            "About [240..980] yards of [nine-inch|twelve-inch|six-inch] pipe were laid at {place}.",
            "The outfall at {place} was fitted with a flap of [gun-metal|cast iron] so that spring tides can no longer come up it.",
            "[#5..16] catch-pits were built, each of which holds [a cart-load|half a cart-load] of grit.",
            "The old drain proved to have been laid uphill for [30..90] feet.",
        ),
    ),
    Kind(
        "water main",
        "laying a new water main",
        "qmby",
        _TRADE,
        (1900, 8400),
        (
            "The main to {place} has a bore of [4..8] inches and a length of [380..1,460] yards.",
            "[#4..12] hydrants and [#2..5] meters for ships were connected.",
            "The main at {place} was tested to [140..220] pounds on the square inch and lost [nothing|two pounds] in an hour.",
            "It passes under the railway in a culvert that had been built for the purpose in [1896|1902|1909] and forgotten.",
        ),
    ),
    Kind(
        "roof",
        "renewing the roof",
        "b",
        _TRADE,
        (2600, 12900),
        (
            "The roof of {place} was covered with [slates from the upper wharf|corrugated asbestos|boards and bitumen felt] over [740..3,300] square yards.",
            "[#3..18] of the principals had to be scarfed where rain had rotted their feet.",
            "The roof-lights of {place} were glazed with wired glass in [64..280] panes.",
            "The gutters were enlarged to [nine|ten|twelve] inches, as the old ones had overflowed in every thunderstorm.",
            "Goods were kept dry under [sails hired from a breaker's yard|tarpaulins lent by the railway] while the work went on.",
        ),
    ),
    Kind(
        "painting",
        "painting all ironwork",
        "qmblysf",
        _TRADE,
        (420, 3900),
        (
            "The ironwork of {place} was chipped, scraped and given [two coats of red lead and one of grey|three coats of bitumen paint|two coats of grey paint].",
            "No less than [64..390] gallons of paint were used at {place}.",
            "The painters worked from [stages hung on the chains|a raft|ladders] and lost [5..26] days to rain.",
            "A trial strip of aluminium paint was left at the [northern|southern|landward] end and will be looked at after two winters.",
        ),
    ),
    Kind(
        "fire hoses and hydrants",
        "renewing the fire hoses and hydrants",
        "mby",
        _TRADE,
        (600, 2800),
        (
            "[#6..20] lengths of hose and [#3..9] stand-pipes were supplied for {place}.",
            "In a drill held at {place} water was on in [2..5] minutes and [10..50] seconds.",
            "The hoses hang in [glazed cupboards|teak boxes], of which the Secretary holds the second key.",
            "The chemical extinguishers, which had been filled last in [1924|1926|1929], were emptied and filled.",
        ),
    ),
    Kind(
        "ladders and chains",
        "renewing the quay ladders and life chains",
        "qml",
        _IRON,
        (340, 2200),
        (
            "[#7..22] ladders of galvanised iron were fixed at {place}, none of them more than [70..120] feet from the next.",
            "Some [180..640] yards of life chain were hung at {place} one foot above high water.",
            "The lowest rungs are of [gun-metal|oak], as iron ones had rusted through in [five|six|seven] years.",
            "Each ladder is marked at the coping with a white band that can be found by lantern.",
        ),
    ),
    Kind(
        "underwater repairs",
        "repairing the face under water",
        "qml",
        ("Saunder and Clegg", "the Anner Diving Company", *_STONE[:1]),
        (2400, 15600),
        (
            "Divers worked at {place} for [140..620] hours at depths of [18..36] feet.",
            "[#8..37] cavities were found in the face of {place}, the largest of which took [3..14] bags of cement.",
            "The joints below low water were raked out and stopped with [quick cement|oakum and cement].",
            "The divers could see no farther than [one foot|eighteen inches|two feet] and worked for the most part by touch.",
            "A [pair of spectacles|silver watch|wedding ring|set of false teeth] dropped overboard in [1929|1930|1931|1932] was found and returned.",
        ),
    ),
    Kind(
        "gates and sluices",
        "overhauling the gates and sluices",
        "l",
        _IRON,
        (5400, 21800),
        (
            "The sluices at {place} were lifted out one by one and faced with new [greenheart|gun-metal].",
            "Each of the [four|six|eight] sluices weighs [3..9] tons.",
            "The anchor straps at {place} were found to be sound, except one, which had been repaired with [a fish-plate|wire].",
            "The hauling chains were shortened by [2..7] links and turned end for end.",
        ),
    ),
    Kind(
        "capstans",
        "overhauling the capstans",
        "qlm",
        _IRON,
        (800, 4600),
        (
            "[#2..7] capstans at {place} were fitted with new pawls and bushes.",
            "The capstans at {place} now pull [5..11] tons at [25..60] feet a minute.",
            "One barrel was found to be cracked and was cast again at the [foundry|Hessary works].",
            "The foot valves, which had been the cause of [two|three] accidents, were given guards.",
        ),
    ),
    Kind(
        "stone pitching",
        "pitching the slope with stone",
        "sm",
        _STONE,
        (3300, 18700),
        (
            "Some [1,900..8,800] tons of stone were tipped at {place} and set by hand above low water.",
            "The stones for {place} weigh between [3..6] and [12..30] hundredweight.",
            "The slope was trimmed to [one in two|two in three|one in one and a half].",
            "A trench [4..7] feet deep was dug at the toe and filled with the largest blocks.",
            "The stone came in [34..180] barge-loads, of which one was refused as shale.",
        ),
    ),
    Kind(
        "fencing",
        "putting up iron fencing",
        "qbsyf",
        _IRON,
        (480, 3100),
        (
            "In all [260..1,340] yards of fence, [6..9] feet high, were put up at {place}.",
            "There are [two|three|four] gates at {place}, of which one is wide enough for a loaded dray.",
            "The standards were cut from rails of the old crane road.",
            "The fence was wanted by the [customs|underwriters|railway company], who paid [a quarter|a third|one half] of its cost.",
        ),
    ),
    Kind(
        "weighbridge",
        "building a weighbridge",
        "qy",
        _IRON,
        (1800, 5400),
        (
            "The weighbridge at {place} takes [15..40] tons on a table of [18..30] feet.",
            "The weighbridge at {place} was stamped by the inspector of weights on [{day}].",
            "The pit is drained by a pump that is worked by the table itself each time a cart goes over it.",
            "The hut has a stove and a window on [two|three] sides.",
        ),
    ),
    Kind(
        "boiler",
        "supplying and setting a boiler",
        "ly",
        _IRON,
        (6200, 19400),
        (
            "The boiler for {place} is [16..28] feet long and was tested to [160..280] pounds.",
            "The boiler was drawn to {place} by [#12..28] horses, as the traction engine was judged too heavy for the culvert.",
            "The old boiler, made in [1889|1893|1897|1901], was cut up on the spot.",
            "In the first month the consumption of coal fell by [11..24] per cent.",
            "The chimney was heightened by [8..20] feet after neighbours had complained about their washing.",
        ),
    ),
    Kind(
        "heating",
        "installing hot-water heating",
        "b",
        _TRADE,
        (900, 4700),
        (
            "[#9..34] radiators were fitted at {place} in place of stoves.",
            "The furnace at {place} burns [coke|small coal] and is fed [once|twice|three times] a day.",
            "On the coldest day of the winter the rooms stood at [57..64] degrees.",
            "The pipes were hidden behind a skirting of [deal|oak], to which the insurers afterwards objected.",
        ),
    ),
    Kind(
        "telephones",
        "installing telephones",
        "bmlyf",
        _CURRENT,
        (310, 1900),
        (
            "[#3..14] instruments were installed at {place}, with a bell that can be heard on the quay.",
            "The line to {place} runs on [18..64] poles, which it shares with the [railway|Post Office].",
            "The exchange at the Harbour Office was enlarged by [10..30] lines for the purpose.",
            "The first call made from {place} was a wrong number.",
        ),
    ),
    Kind(
        "dolphins",
        "driving new dolphins",
        "ms",
        _TIMBER,
        (4100, 13300),
        (
            "The new dolphins at {place} are of [7..19] piles each, bound with chain.",
            "The piles were driven to a set of [one inch|an inch and a half|three quarters of an inch] in ten blows.",
            "A vessel of [1,400..4,200] tons was warped against the dolphins at {place} as a test, and the heads gave [2..9] inches.",
            "The old piles were drawn with a lighter on the rising tide, [4..8] in a tide.",
        ),
    ),
    Kind(
        "clock",
        "supplying a clock",
        "bm",
        ("Ludd Brothers", "Widdon & Kay", "Treleven the clockmaker"),
        (160, 980),
        (
            "The clock at {place} has [one dial|two dials|four dials] of [3..6] feet.",
            "The clock was set going on [{day}] and has since lost [4..50] seconds a month.",
            "It strikes the hours only between [six|seven] in the morning and [nine|ten] at night.",
            "The weights fall through the office of the [wharfinger|dock master|foreman], who has moved his desk.",
        ),
    ),
    Kind(
        "dry rot",
        "cutting out dry rot",
        "b",
        _TRADE,
        (700, 5600),
        (
            "The rot at {place} had started from a leaking [down-pipe|cistern|gutter] and had gone through [two|three] floors.",
            "[#14..60] joists and [380..1,900] feet of boarding were burnt.",
            "The walls of {place} were scorched with blow-lamps and washed with [copper sulphate|carbolic acid].",
            "Air-bricks were let in on the [north|south|river] side, where there had been none.",
        ),
    ),
    Kind(
        "timber decking",
        "renewing the timber decking",
        "m",
        _TIMBER,
        (2800, 11700),
        (
            "Some [4,100..16,000] feet of planking, [3..5] inches thick, were laid at {place}.",
            "The planks at {place} are laid with gaps of [three eighths of an inch|half an inch], so that water and sixpences can fall through.",
            "Of the bearers [one in five|one in seven|one in nine] was renewed.",
            "The old planks were cut up for [staging|blocks for the dry dock|the poor of the parish].",
        ),
    ),
    Kind(
        "cargo platform",
        "building a covered cargo platform",
        "qb",
        _TIMBER,
        (3600, 10900),
        (
            "The platform at {place} is [120..340] feet long and [14..26] feet wide.",
            "The covering of the platform at {place} stands on [#8..26] columns from the exhibition hall pulled down in [1932|1933].",
            "Its floor is level with the floor of a railway wagon.",
            "The tenants have been asked to keep [the middle third|one end] free for the porters.",
        ),
    ),
    Kind(
        "hydraulic pipes",
        "renewing the hydraulic pipes",
        "ql",
        _IRON,
        (2900, 9900),
        (
            "Some [190..760] yards of five-inch pipe were renewed at {place}.",
            "[#11..43] joints were made with rings of [gutta-percha|leather].",
            "Before the work {place} lost [900..3,600] gallons of water a day, and after it [70..300].",
            "The old pipes were of unequal thickness, having been cast on their sides.",
        ),
    ),
    Kind(
        "landing stage",
        "repairing the landing stage",
        "ms",
        _TIMBER,
        (1500, 7800),
        (
            "The pontoons at {place} were beached, tarred, and given new [zinc plates|bungs|manhole doors].",
            "The brow at {place} is now [46..82] feet long, so that its slope at low water is one in [4..7].",
            "[#4..13] mooring chains were turned, and [#2..6] of them renewed.",
            "During the repairs passengers were landed [by launch|on the beach|at the next quay].",
        ),
    ),
    Kind(
        "shear-legs",
        "overhauling the shear-legs",
        "yq",
        _IRON,
        (1200, 6100),
        (
            "The shear-legs at {place} were tested with [22..48] tons after the repair.",
            "The back leg was shortened by [2..4] feet to cut out a bend that nobody could account for.",
            "The screw of the back leg at {place} was turned in the yard's long lathe in [6..15] days.",
            "New wire of [four|five|six] inches was rove in place of chain.",
        ),
    ),
    Kind(
        "mess room",
        "building a mess room",
        "qby",
        _TRADE,
        (1300, 4400),
        (
            "The mess room at {place} has seats for [28..84] men, a range, and a row of hooks.",
            "The walls are of [brick|concrete blocks|brick and slate], and the floor is of [red tiles|asphalt].",
            "The mess room at {place} was opened on [{day}], and tea was served by the members of the Board.",
            "A drying closet takes [20..60] suits of oilskins.",
        ),
    ),
    Kind(
        "tide gauge",
        "setting up a tide gauge",
        "lms",
        ("Treleven the clockmaker", "the Varnhythe Cable Company"),
        (240, 1300),
        (
            "The gauge at {place} draws its curve on a drum that is changed every [Monday|Saturday].",
            "The float works in a tube of [14..24] inches, which has to be cleared of mussels.",
            "The zero of the gauge at {place} was levelled from the bench mark on Signal Hill and lies [7..15] feet below it.",
            "Its readings agreed with those of the Customs Steps to within [half an inch|an inch].",
        ),
    ),
    Kind(
        "brickwork",
        "repointing the brickwork",
        "by",
        _TRADE,
        (520, 3700),
        (
            "The brickwork of {place} was raked out to a depth of [half an inch|an inch] and pointed in cement over [600..2,800] square yards.",
            "Some [1,200..6,400] bricks had perished and were cut out.",
            "An iron tie was put through {place} at the level of the [first|second] floor to check a bulge of [2..5] inches.",
            "The scaffold was of [fir poles|steel tubes|ship's spars].",
        ),
    ),
)

AWARD: Forms = (
    "The contract for {doing} at {place} was awarded to {firm} for {sum} crowns.",
    "The tender of {firm} for {doing} at {place}, at {sum} crowns, was the lowest of [three|four|five|six] and was accepted.",
    "{Firm} undertook the work of {doing} at {place} for {sum} crowns.",
    "For {doing} at {place} the Board paid {firm} a sum of {sum} crowns.",
    "The Board accepted the offer of {firm} to carry out the work of {doing} at {place} for {sum} crowns.",
    "The work of {doing} at {place} was let to {firm} at a price of {sum} crowns.",
)
DIRECT: Forms = (
    "The work of {doing} at {place} was done by the Board's own men at a cost of {sum} crowns.",
    "No tender was called for, and {doing} at {place} by direct labour cost {sum} crowns.",
    "The engineer's department undertook the work of {doing} at {place} itself and spent {sum} crowns on it.",
)
TIME: Forms = (
    "Work was begun on {begun} and completed on {done}.",
    "The work was in hand from {begun} to {done}.",
    "A start was made on {begun}, and the work was taken over on {done}.",
    "The men came on the ground on {begun} and left it on {done}.",
    "Begun on {begun}, the work was certified as complete on {done}.",
    "It was begun on {begun}, [two|three|five] weeks late, and finished on {done}.",
)
STAFF: Forms = (
    "The resident engineer was {engineer}.",
    "{Engineer} had charge of the work.",
    "The drawings were made by {engineer}, who also measured up the work.",
    "{Engineer} certified the accounts.",
)
ENGINEERS = ("Mr. Denzil Copplestone", "Miss Ottoline Varrick", "Mr. Reuben Talland", "Mr. Alban Cordery")
ACCOUNT: Forms = (
    "The final account came to {final} crowns.",
    "With extras the sum paid in the end was {final} crowns.",
    "The account was settled at {final} crowns after [two|three|four] letters.",
    "Extras allowed by the engineer brought the total to {final} crowns.",
    "A deduction for delay reduced the sum paid to {final_less} crowns.",
)
ASIDES: Forms = (
    "[#2..6] men were put off for smoking, and were taken on again a [week|month] later.",
    "The Harbour Master asked for a day's notice of every stoppage, and was given it on all occasions but [one|two].",
    "No accident was reported.",
    "One man broke a [finger|toe|collar-bone], and was paid in full until he came back.",
    "The Borough Museum took charge of [a pewter jug|a stone shot|an anchor stock|a shoe of the last century] that was found on {aside}.",
    "The underwriters' surveyor visited the work on {aside} and made no remarks.",
    "The work was done at night, as the place could not be spared by day.",
    "A model of the work in [cork|lime wood] was made by the foreman and stands in the Harbour Office.",
    "Two of the tenants asked for a reduction of rent, which was not granted.",
    "The work was inspected by the Works Committee on {aside} in heavy rain.",
    "The old material was sold for [18..460] crowns.",
    "Drawing No. [1,100..2,950] shows the work as it was carried out.",
    "The guarantee runs for [three|five|seven] years.",
    "The engineer recommends that the work be looked at again after [two|three|four] winters.",
)
HEAVY_ASIDES: Forms = (
    "Work was stopped for [4..16] days by [frost|gales|fog|a strike of carters].",
    "A crane of [3..7] tons was hired from the railway for [5..30] days.",
    "A dog belonging to the watchman gave the alarm when a [lamp|brazier] was upset on {aside}.",
    "An [old|unrecorded] drain was met with at a depth of [4..11] feet and had to be led round the work.",
    "The cement was tested in the Board's own laboratory, and [two|three] casks in [forty|sixty|ninety] were returned.",
    "Traffic was led past the work on a gangway [90..240] feet long.",
    "The watchman's wages came to [34..96] crowns.",
    "The timber was measured again on arrival, and [40..310] cubic feet were found to be wanting.",
    "[#3..9] apprentices were lent by the Repair Yard for the lighter parts of the work.",
    "The pumps were kept going for [60..480] hours.",
    "Half of the work had to be done twice, the first half having been set out from the wrong mark.",
    "A ship's boiler was lent as a store for [powder|oil|tools].",
    "A stone bears the [date|initials of the Chairman], cut by an apprentice in his dinner hours.",
    "Some [30..120] cart-loads of rubbish were taken to the Island.",
    "It was found necessary to move [a lamp standard|the weighing machine|a letter box] by [5..19] feet.",
)
WET_ASIDES: Forms = (
    "The tug _[Sturdy|Bellwether]_ touched the staging on {aside} and carried away [9..40] feet of it.",
    "The material was landed by the floating crane in [2..9] lifts.",
    "Complaints were received from [two|three|four] shipmasters about noise before six in the morning.",
    "Spring tides allowed no more than [three|four] hours' work in the day during [9..25] days.",
    "The January storm did no harm to the new work.",
)
RENEWED: Forms = (
    "It had last been done in [1909|1911|1914|1919|1920|1922|1924].",
    "The work was overdue by [two|three|six|nine] years.",
    "The foreman, who had done the same work in [1908|1911|1913], had kept his notes.",
)
VOTED: Forms = (
    "The need for the work was reported by the [dock master|foreman|Surveyor|tenants] in [1930|1931|1932].",
    "The estimate had been {estimate} crowns.",
    "The Chief Engineer had put the cost at {estimate} crowns.",
    "The money had been voted in the estimates for {voted}.",
)
LIGHT = {"clock", "telephones", "tide gauge", "painting", "fire hoses and hydrants", "ladders and chains"}
NEW = ("building", "installing", "laying", "setting", "supplying", "putting", "driving")

FIXED = (
    (_INNER, "the Inner Basin", "dredging, 1935 to 1945", dt.date(1935, 7, 1), "Marlow & Finch", 412600,
     "The contract for the dredging of the Inner Basin runs for ten years from 1 July 1935 and is held by Marlow & "
     "Finch. Tenders from five firms were opened on 3 December 1934. The contractors keep one bucket dredger and two "
     "hoppers in the basin from April to October. The depth to be kept in the Inner Basin is 25 feet below the sill "
     "of Spindle Lock. For each foot that is wanting at the end of a quarter the Board may keep back 1,200 crowns, "
     "and in the third quarter of 1935 it did so once."),
    (_OUTER, "the Outer Basin", "dredging, 1935 to 1945", dt.date(1935, 7, 1), "the Quillan Dredging Company", 386200,
     "The contract for the dredging of the Outer Basin runs for ten years from 1 July 1935 and is held by the Quillan "
     "Dredging Company. Tenders from four firms were received. The depth to be kept in the Outer Basin is 28 feet "
     "below low water of ordinary spring tides. The company works with a suction dredger, which is sent away when "
     "drifters are waiting to come in. Nothing was kept back in the year."),
    (_OUTER, "the first berth of Gannet Quay", "quay wall", dt.date(1933, 5, 8), "Strake and Mundy", 268400,
     "The quay wall at the first berth of Gannet Quay was rebuilt by Strake and Mundy under a contract of 268,400 "
     "crowns. The work was begun on 8 May 1933 and finished on 28 February 1936. The wall is 486 feet long and "
     "stands on 214 piles of reinforced concrete. An old timber groyne was cut away under water between March and "
     "June 1934. The final account for the quay wall came to 274,150 crowns. Miss Ottoline Varrick was resident "
     "engineer until November 1934, and Mr. Reuben Talland after her."),
    (_OUTER, "the second berth of Gannet Quay", "foundations of the electric cranes", dt.date(1935, 9, 16), "Penrow and Gale", 16850,
     "The contract for the foundations of the electric cranes at the second berth of Gannet Quay was awarded to Penrow "
     "and Gale for 16,850 crowns. The work was begun on 16 September 1935 and completed on 30 January 1936. The "
     "beams are of reinforced concrete, 4 feet deep, and rest on 36 piles. The work lay still for eight days after "
     "the January storm, as the pile frame had been blown over."),
    (_SALTCOTE, "Saltcote Dock", "plates of the caisson", dt.date(1935, 8, 6), "the Bassenet Engineering Works", 12280,
     "The caisson of Saltcote Dock was taken out on 6 August 1935 and put back on 21 September. New plates below the "
     "water-line were riveted on by the Bassenet Engineering Works for 12,280 crowns. The plates weigh 38 tons and "
     "needed 21,000 rivets. While the caisson was away the dock was closed with a dam of clay and sleepers, which "
     "leaked less than the caisson."),
    (_RIVER, "Fishmarket Quay", "electric lighting of the market hall", dt.date(1935, 9, 2), "the Gossan Electric Company", 4870,
     "The lighting of the market hall at Fishmarket Quay was installed by the Gossan Electric Company for 4,870 "
     "crowns. The hall was first lit on 1 November 1935. There are 72 fittings, which were changed in December for "
     "others with a warmer light at the cost of the makers."),
    (_RIVER, "Fishmarket Quay", "ice crusher", dt.date(1935, 6, 3), "Vennor & Dole", 7320,
     "The ice crusher at the southern end of Fishmarket Quay was supplied and put up by Vennor & Dole for 7,320 "
     "crowns. It crushes nine tons of ice an hour and is driven by a gas engine of 14 horse-power. It was begun on 3 "
     "June 1935 and handed over on 18 July. The drifters take their ice down a shoot and pay 0.30 crowns a "
     "hundredweight."),
    (_OUTER, "Lantern Pier", "pitch pine deck", dt.date(1935, 2, 11), "the Lanyard Timber Company", 9460,
     "The deck of Lantern Pier was renewed in pitch pine by the Lanyard Timber Company for 9,460 crowns. It was begun "
     "on 11 February 1935 and completed on 26 April. The new deck of Lantern Pier is 320 feet long and 24 feet wide. "
     "The old planks fetched 190 crowns."),
    (_OUTER, "Petrel Jetty", "fire main to the outer dolphin", dt.date(1935, 4, 8), "Pascoe and Thrale", 3270,
     "The fire main of Petrel Jetty was extended to the outer dolphin by Pascoe and Thrale for 3,270 crowns. It was "
     "begun on 8 April 1935 and completed on 31 May. The main is of copper, as iron had rusted through in seven "
     "years. Sea water for it is pumped by a steam pump on the shore end, and the jetty is washed down with it twice a "
     "day."),
    (_UPPER, "the Hollow Reach embankment", "toe of the embankment", dt.date(1935, 10, 1), "the Tolvaddon Stone Company", 27900,
     "The toe of the Hollow Reach embankment was covered with stone by the Tolvaddon Stone Company for 27,900 crowns. "
     "The work was begun on 1 October 1935, after the freshets of the summer had cut into the bank, and completed on "
     "14 February 1936. It took 6,150 tons of stone. The Surveyor measures the foot of the bank on the first day of "
     "each month, and has found no further loss."),
    (_RIVER, "Signal Hill", "signal mast", dt.date(1935, 3, 4), "the Hessary Iron Works", 5640,
     "The signal mast on Signal Hill was made and put up by the Hessary Iron Works for 5,640 crowns. It is 96 feet "
     "high and was brought into use on 1 June 1935. The old mast was cut into gate-posts. The winch is worked from a "
     "cabin, into which, on 13 February 1936, a jackdaw had found its way."),
    (_RIVER, "Signal Hill", "leading lights", dt.date(1935, 5, 20), "", 2180,
     "The leading lights on Signal Hill were moved forty feet to the east by the Board's own men at a cost of 2,180 "
     "crowns. The work was done between 20 May and 28 June 1935. Temporary lamps were hung on the signal mast while "
     "the towers were taken down."),
    (_SALTCOTE, "the Repair Yard", "boiler of the tug _Sturdy_", dt.date(1935, 4, 15), "", 23640,
     "The tug _Sturdy_ was given a new boiler at the Repair Yard by the Board's own men at a cost of 23,640 crowns. "
     "She was laid up on 15 April 1935 and steamed again on 26 July. The boiler was made by the Bassenet Engineering "
     "Works and came by rail. Her funnel was lengthened by three feet."),
    (_SALTCOTE, "the Repair Yard", "fourth hearth and roof of the smithy", dt.date(1934, 10, 8), "Carrick and Sons", 3910,
     "The smithy of the Repair Yard was given a fourth hearth and a new roof by Carrick and Sons for 3,910 crowns. The "
     "work was begun on 8 October 1934 and completed on 1 February 1935. The smiths worked under a sail for five "
     "weeks and said that the old roof had let in more."),
    (_INNER, "Spindle Lock", "staves on the outer gates", dt.date(1935, 10, 28), "", 1460,
     "Temporary staves were fixed to the outer gates of Spindle Lock by the Board's own men at a cost of 1,460 crowns. "
     "The heel post of the northern leaf had been found by a diver to be worn by two and a quarter inches. The work "
     "was done at slack water between 28 October and 22 November 1935. The staves will serve for about two years."),
)  # fmt: skip

# What the questions ask for in vain, and what the fixed entries cover.
EXCLUDED = {
    ("Lantern Pier", "timber decking"),
    ("Lantern Pier", "electric lighting"),
    ("Fishmarket Quay", "electric lighting"),
    ("Petrel Jetty", "fire hoses and hydrants"),
    ("the Timber Pond", "tide gauge"),
    ("Cinder Wharf", "weighbridge"),
    ("the Hollow Reach embankment", "stone pitching"),
    ("Spindle Lock", "gates and sluices"),
    ("Saltcote Dock", "boiler"),
}
