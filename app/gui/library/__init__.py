"""The left column: documents, search over all of them, watched folders."""
