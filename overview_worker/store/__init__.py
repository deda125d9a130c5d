"""The SQL side of a rebuild, and the only code that writes overview rows.

MariaDB, MySQL (READ COMMITTED) and, for the embedded mode, SQLite, whose write transactions exclude
each other as a whole. Reading order: ``overview_store`` → ``transaction`` → ``locking`` → ``rows`` →
``mark_statements``.
"""
