"""Palimpsest's engine: documents, memory agent, backends, traces, models, evaluation.

The engine knows neither Qt nor the command line nor the trainer, and imports neither torch nor transformers.
"""
