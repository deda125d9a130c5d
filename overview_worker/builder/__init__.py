"""Published course in, overview out: pure functions, no clock, no settings lookup, no I/O."""
