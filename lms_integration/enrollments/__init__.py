"""Open edX's Enrollment API: enrolments read, made and ended."""
