"""What the user prefers, and the dialog that asks for it."""
