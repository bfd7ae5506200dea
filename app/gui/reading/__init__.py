"""The third column: asking, live memory, evidence, answer; drawn from one `ReadingState`, live or from the trace."""
