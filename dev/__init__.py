"""Tools of a developer's machine: bootstrap, private servers, demo. Not part of the installed package."""
