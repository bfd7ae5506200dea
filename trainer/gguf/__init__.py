"""Checkpoint folders as GGUF files that are proven equal.

`importing.import_checkpoint` puts it together: `checkpoint` opens the folder, `writer` writes its tensors
one by one, `quantise` lets llama.cpp shrink the file, `parity` holds every step against transformers, and only a
file that passes gets its name (`output`).
"""
