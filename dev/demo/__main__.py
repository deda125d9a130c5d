"""``python -m dev.demo``."""

import sys
from importlib import import_module

from dev.demo.interrupts import expect_interrupts


def main() -> int:
    """Run the command line; it is imported late, so that Ctrl-C is heard from the beginning."""
    expect_interrupts()
    try:
        code: int = import_module("dev.demo.cli").main()
    except KeyboardInterrupt:
        return 130
    return code


if __name__ == "__main__":
    sys.exit(main())
