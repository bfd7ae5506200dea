"""Child processes that read for the window. No Qt, and no web framework, in here."""
