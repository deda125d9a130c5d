"""What a learner sees and does, in a real browser on the real web process."""
