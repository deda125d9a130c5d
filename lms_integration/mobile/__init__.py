"""Open edX's mobile API: a learner's enrolments as the apps list them."""
