"""Which columns a rebuild changes, told from digests."""

from dataclasses import replace

from overview_worker.builder.overview import build_overview
from overview_worker.builder.settings import BuilderSettings
from overview_worker.column_changes import changed_columns, column_differences, column_digests_of
from overview_worker.documents import BuiltOverview, PublishedCourse
from overview_worker.testing import InMemoryModulestore

KEY = "course-v1:TestX+Columns+R1"


def built(**settings) -> BuiltOverview:
    modulestore = InMemoryModulestore()
    read = modulestore.read_published([modulestore.publish(KEY, **settings)])[KEY]
    assert isinstance(read, PublishedCourse)
    return build_overview(read, settings=BuilderSettings())


def changed(new: BuiltOverview, old: BuiltOverview):
    return changed_columns(new, digests=column_digests_of(new), old=column_digests_of(old))


def test_only_what_differs_is_told_with_its_new_value():
    told = changed(built(display_name="Dunes", self_paced=True), built(display_name="Tides"))

    assert told == {"display_name": "Dunes", "self_paced": "True"}


def test_the_same_overview_changes_nothing():
    assert changed(built(display_name="Tides"), built(display_name="Tides")) == {}


def test_tabs_and_the_about_page_are_told_like_columns():
    one = built(tabs=[{"type": "courseware", "name": "Course"}])
    two = built(tabs=[{"type": "courseware", "name": "C"}, {"type": "progress", "name": "P"}])
    page = replace(two, projection=replace(two.projection, overview_html="<p>x</p>"))

    assert changed(two, one) == {"tabs": "2 of them"}
    assert changed(page, two) == {"overview_html": "<p>x</p>"}


def test_long_values_are_cut_and_line_breaks_written_out():
    told = changed(built(display_name="a\nb" * 1000), built())

    assert told is not None
    assert told["display_name"].startswith(r"a\nba\nb")
    assert len(told["display_name"]) <= 61


def test_what_cannot_be_compared_is_not_told():
    new = built(display_name="Tides")
    digests = column_digests_of(new)

    assert changed_columns(new, digests=digests, old="") is None
    assert changed_columns(new, digests=digests, old=digests[6:]) is None


def test_the_digests_fit_their_column():
    assert len(column_digests_of(built())) <= 1000 - 300  # columns will be added


def test_values_that_python_takes_for_equal_differ_where_their_json_does():
    differences = column_differences(
        {"textbooks": [1], "pdf_textbooks": [], "tabs": [{"name": "Course"}]},
        {"textbooks": [True], "pdf_textbooks": [], "tabs": [{"name": "Course"}]},
    )

    assert differences == {"textbooks": [[1], [True]]}
