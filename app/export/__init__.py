"""Runs as files: one bundle of plain values, and renderings of it."""
