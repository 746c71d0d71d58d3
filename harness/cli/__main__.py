"""``python -m harness.cli`` is ``netpol``."""

import sys

from harness.cli import main

sys.exit(main())
