"""The workers: publish events in, CourseOverview rows out.

Reading order: ``intake`` → ``tasks`` → ``rebuild`` → ``modulestore`` → ``builder`` → ``store``.
"""
