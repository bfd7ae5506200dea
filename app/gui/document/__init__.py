"""The document column: pages and texts with exact highlights, and the strip of the whole document."""
