"""Documents: what was read from a file, one reader a format; `reader.open_document` chooses the reader."""
