"""`python -m app` from a checkout, and what the packaged program starts.

With ``--worker`` it is a child process of the window (`app.worker`): a package has no other program to start for that.
"""

import sys

if __name__ == "__main__":
    if sys.argv[1:] == ["--worker"]:
        from app.worker.main import main as work

        sys.exit(work())
    from app.cli import main

    main()
