"""``overview_signals``: what an LMS runs beside its own processes."""
