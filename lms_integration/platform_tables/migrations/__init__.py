"""Migrations of Open edX's tables, for databases of our own."""
