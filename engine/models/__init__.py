"""Models on this machine: the bundled one, the user's own, and how one is opened."""
