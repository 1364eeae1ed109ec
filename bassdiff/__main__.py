"""`python -m bassdiff` is `bassdiff`."""

import sys

from bassdiff.cli import main

sys.exit(main())
