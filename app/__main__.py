"""`python -m app` from a checkout, and what the packaged program starts."""

from app.cli import main

if __name__ == "__main__":
    main()
