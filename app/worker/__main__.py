"""`python -m app.worker`: a job for the window; see `app.worker.protocol`."""

import sys

from app.worker.main import main

if __name__ == "__main__":
    sys.exit(main())
