"""`python -m aigw.extproc`."""

import sys

from aigw.extproc.server import main

if __name__ == "__main__":
    sys.exit(main())
