"""Which courses the demo shows."""

from dev.authoring.catalogue import sample_catalogue
from dev.demo.cast import choose_cast


def test_each_part_has_a_course_of_its_own():
    cast = choose_cast(sample_catalogue())

    keys = [course.course_key for course in cast.courses]
    assert len(set(keys)) == len(keys) == 11


def test_the_same_courses_are_chosen_at_every_run():
    assert choose_cast(sample_catalogue()) == choose_cast(sample_catalogue())


def test_courses_that_have_no_start_or_read_from_the_right_are_left_out():
    cast = choose_cast(sample_catalogue())

    assert all("start" in course.settings for course in cast.courses)
    assert all(course.settings["language"] != "ar" for course in cast.courses)
