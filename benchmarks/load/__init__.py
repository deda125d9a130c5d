"""Load from many learners at once: a Locust file and the command that runs it on private servers."""
