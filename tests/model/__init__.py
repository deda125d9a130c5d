"""The protocol as a model that a small checker explores, and that traces of the real code must fit."""
