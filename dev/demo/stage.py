"""The second process of the demo: it plays. ``python -m dev.demo.stage FOLDER``, started by ``cli``.

The servers run, and the environment says where they are. What needs time is imported late, so that
Ctrl-C is heard from the beginning; Django's models can be imported only after its set-up anyway.
"""

import os
import sys
from importlib import import_module
from pathlib import Path

from dev.demo.interrupts import expect_interrupts, ignore_interrupts

EXIT_INTERRUPTED = 130


def main() -> int:
    """Set Django up and play; return the exit code."""
    expect_interrupts()
    os.environ["DJANGO_SETTINGS_MODULE"] = "lms_integration.settings"
    os.environ["OVERVIEW_COURSE_INDEX"] = "mongodb"
    os.environ["OVERVIEW_LOG_LEVEL"] = "WARNING"
    folder, *flags = sys.argv[1:]
    try:
        import_module("django").setup()
        play = import_module("dev.demo.play").play
        code: int = play(Path(folder), stay="--stay" in flags, verbose="--verbose" in flags)
    except KeyboardInterrupt:
        sys.stdout.write("\nInterrupted; everything that was started is being stopped.\n")
        return EXIT_INTERRUPTED
    finally:
        ignore_interrupts()
    return code


if __name__ == "__main__":
    sys.exit(main())
