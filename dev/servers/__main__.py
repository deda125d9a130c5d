"""`python -m dev.servers`."""

import sys

from dev.servers.cli import main

sys.exit(main())
