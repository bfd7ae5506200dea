"""The trace store: every document, prompt, reply, memory and answer in one SQLite file, so that a run can be resumed,
replayed and checked."""
