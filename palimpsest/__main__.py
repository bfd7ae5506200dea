"""`python -m palimpsest`: the command line."""

from palimpsest import main

main()
