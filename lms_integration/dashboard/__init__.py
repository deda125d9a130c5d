"""The pages of a learner: dashboard, one course, signing in; and the learner home as JSON."""
