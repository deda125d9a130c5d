"""The programs of the environment that runs the tests: nobody has to have activated it."""

import sys
from pathlib import Path

#: ``overview`` as an operator calls it.
OVERVIEW = str(Path(sys.executable).parent / "overview")
