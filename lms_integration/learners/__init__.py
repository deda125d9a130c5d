"""What a learner has and may: enrolments with their overviews, roles, prerequisites, access rules."""
