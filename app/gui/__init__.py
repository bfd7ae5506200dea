"""The window. Qt is imported here and nowhere else."""

from app.gui.singletons import protect

protect()
