"""The trace store: documents, prompts, replies, memories and answers in one file."""
