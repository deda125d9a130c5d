"""A Django app of the tests alone: sees to what is in the tables before each test."""
