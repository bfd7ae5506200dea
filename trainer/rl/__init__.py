"""Reinforcement learning of the reader: DAPO over independent-context conversations, on one machine.

    recipe -> tasks -> rollouts (the engine's own loop) -> rewards -> advantages -> packing -> loss -> step

Source: MemAgent (arXiv 2507.02259) for the algorithm over several conversations, DAPO (arXiv 2503.14476) for the
objective. docs/training.md tells what is done and how it is used.
"""
