"""Open edX's Courses API: lists of courses, and one course."""
