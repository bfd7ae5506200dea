"""How a document is read: one dataclass, from which help texts and settings pages come."""

import dataclasses
from enum import StrEnum


class Mode(StrEnum):
    """Reading mode: what the reply to one chunk is."""

    FAITHFUL = "faithful"
    GATED = "gated"
    EXTRACTIVE = "extractive"
