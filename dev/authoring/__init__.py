"""Writes courses into a Split modulestore as Studio does: for the demo, the tests and the benchmarks.

Read ``author.py`` first (what one can do), then ``bulk_edit.py`` (what an edit changes) and
``documents.py`` (what is stored).
"""
