"""Coverage-guided fuzzing of what reads foreign bytes. ``make fuzz`` runs it for a minute."""
