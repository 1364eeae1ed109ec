"""`python -m bassdiff` is `bassdiff`."""

import sys

from bassdiff.cli.main import main

sys.exit(main())
