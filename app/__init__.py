"""The program: command line, later the window. Both call the same engine."""
