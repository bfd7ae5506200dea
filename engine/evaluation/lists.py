"""Word lists and phrasings that are measured with and never trained on."""

from __future__ import annotations

from engine.evaluation.facts import FactLists

EVALUATION_LISTS = FactLists(
    first_names=tuple(
        "Aveline Barnaby Cosima Dorian Elspeth Fergus Ginevra Hamish Isolde Jolyon Kerensa Leopold"
        " Marguerite Nikolai Ottilie Percival Quentin Rosamund Sylvester Tamsin Ulrich Verity"
        " Wilhelmina Xanthe Yolanda Zebedee".split()
    ),
    last_names=tuple(
        "Abernathy Brackenridge Culpepper Dunmore Etheridge Featherstone Gillespie Hathersage Ingleby"
        " Jessop Kavanagh Lockhart Merriweather Northcott Ormerod Pettigrew Quiller Ravenscroft"
        " Stanhope Thackray Umberfield Vavasour Winterbourne Yardley Zimmern".split()
    ),
    titles=("Brigadier", "Alderman", "Monsieur", "Commodore", "Chancellor", "Matron"),
    stems=tuple(
        "Harlow Brindlemere Corvane Dunwick Eskdale Farrowgate Glenmoor Holmby Ivelchester Jarrowfen"
        " Kestrelby Lanthorn Marlesford Netherby Osterley Pellworm Quorndon Rosthwaite Saltram"
        " Tarrowby Ullesthorpe Vexford Wynyard Yarrowdale Zennor Aldermoor Borrowick".split()
    ),
    entity_nouns=tuple(
        "quay viaduct granary sanatorium aqueduct foundry orchard observatory tannery lightship"
        " monastery turbine".split()
    ),
    entity_suffixes=("Consortium", "Shipwrights", "Initiative", "Mutual", "Cooperative", "Syndicate"),
    numbered=("dossier", "locker", "pavilion", "consignment", "memorandum"),
    attribute_nouns={
        "code": ("passphrase", "inventory mark", "dial setting", "shelf number"),
        "measure": ("draught", "girth", "ballast", "clearance", "runtime"),
        "date": ("consecration", "final inspection", "renewal", "inauguration"),
        "money": ("bounty", "stipend", "surcharge", "ransom"),
        "colour": ("varnish", "livery", "awning", "upholstery"),
        "person": ("custodian", "patron", "auditor", "ghostwriter"),
        "place": ("hideout", "birthplace", "anchorage", "terminus"),
        "thing": ("emblem", "keepsake", "dowry", "mascot"),
        "count": ("headcount", "quorum", "turnout", "occupancy"),
        "time": ("curfew", "high tide", "reveille"),
    },
    modifiers=tuple("clandestine nominal ceremonial interim coastal vacant ancestral".split()),
    agent_verbs=("ratified", "embezzled", "catalogued", "annotated", "bequeathed", "salvaged"),
    agent_objects=("budget", "charter", "fresco", "manuscript", "blueprint", "tapestry"),
    event_verbs=("commissioned", "demolished", "quarantined", "refurbished", "liquidated"),
    location_verbs=("moored", "interred", "headquartered", "quarried", "exhibited"),
    colours=("turquoise", "maroon", "ochre", "magenta", "beige", "cobalt"),
    places=tuple("Trieste Reykjavik Montevideo Galway Tbilisi Antwerp Valparaiso Tromso".split()),
    thing_adjectives=("cracked", "woven", "gilded", "hollow", "miniature", "engraved"),
    thing_nouns=("sextant", "hourglass", "tambourine", "chandelier", "anvil", "weathervane"),
    units=("fathoms", "hectares", "kilowatts", "furlongs", "litres"),
    statements={
        "noun": (
            "{Entity} has {value} as its {attribute}.",
            "It turned out that {value} was the {attribute} of {entity}.",
            "Nobody doubted that the {attribute} of {entity} was {value}.",
            "{Entity}'s {attribute} is listed as {value}.",
            "Regarding {entity}, the {attribute} amounts to {value}.",
            "{value} - such is the {attribute} of {entity}.",
            "{Entity} / {attribute} / {value}",
        ),
        "agent": (
            "It was {value} who {verb} the {object} of {entity}.",
            "{value} personally {verb} the {object} of {entity} that spring.",
            "The {object} of {entity}, as is known, was {verb} by {value}.",
        ),
        "event": (
            "{Entity} came to be {verb} around {value}.",
            "By most accounts {entity} was {verb} in {value}.",
            "{value} is when {entity} was {verb}.",
        ),
        "location": (
            "Those who seek {entity} will find it {verb} near {value}.",
            "{value} is the place where {entity} is {verb}.",
            "{Entity} stays {verb} at {value}.",
        ),
    },
    questions={
        "noun": (
            "Can you find the {attribute} of {entity}?",
            "{Entity}: what {attribute} is mentioned?",
            "I need to know {entity}'s {attribute}.",
            "Which {attribute} belongs to {entity}?",
        ),
        "agent": (
            "Who was it that {verb} the {object} of {entity}?",
            "Name the one who {verb} the {object} of {entity}.",
        ),
        "event": ("In what year or on what day was {entity} {verb}?", "Date when {entity} was {verb}?"),
        "location": ("At what place is {entity} {verb}?", "Where exactly is {entity} {verb}?"),
    },
    openings=("Upon closer inspection,", "As the clerk remarked,", "To everyone's surprise,"),
    closings=(", or so it was said.", ", much to the relief of all.", ", unless the clerk erred."),
)
