"""The memory agent: prompts, replies, the reading loop, evidence, coverage, provenance."""
