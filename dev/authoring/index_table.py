"""The SQL table of Open edX's course index, for a database where the platform has not made it.

Columns, types and collations are those of ``split_modulestore_django`` on MariaDB; its foreign key
to the users and its second, identical unique key are left out.
"""

TABLE = "split_modulestore_django_splitmodulestorecourseindex"

COLUMNS = (
    "id",
    "objectid",
    "course_id",
    "org",
    "draft_version",
    "published_version",
    "library_version",
    "wiki_slug",
    "base_store",
    "edited_on",
    "last_update",
    "edited_by_id",
)

_MYSQL = f"""
CREATE TABLE {TABLE} (
  id int NOT NULL AUTO_INCREMENT,
  objectid varchar(24) NOT NULL,
  course_id varchar(255) CHARACTER SET utf8mb3 COLLATE utf8mb3_bin NOT NULL,
  org varchar(255) NOT NULL,
  draft_version varchar(24) NOT NULL,
  published_version varchar(24) NOT NULL,
  library_version varchar(24) NOT NULL,
  wiki_slug varchar(255) NOT NULL,
  base_store varchar(20) NOT NULL,
  edited_on datetime(6) NOT NULL,
  last_update datetime(6) NOT NULL,
  edited_by_id int DEFAULT NULL,
  PRIMARY KEY (id),
  UNIQUE KEY objectid (objectid),
  UNIQUE KEY course_id (course_id),
  KEY split_modulestore_django_sp_org_47b4a2ef (org),
  KEY split_modulestore_django_sp_wiki_slug_20040736 (wiki_slug)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci
"""

_SQLITE = (
    f"""
CREATE TABLE {TABLE} (
  id integer NOT NULL PRIMARY KEY AUTOINCREMENT,
  objectid varchar(24) NOT NULL UNIQUE,
  course_id varchar(255) NOT NULL UNIQUE,
  org varchar(255) NOT NULL COLLATE NOCASE,
  draft_version varchar(24) NOT NULL,
  published_version varchar(24) NOT NULL,
  library_version varchar(24) NOT NULL,
  wiki_slug varchar(255) NOT NULL COLLATE NOCASE,
  base_store varchar(20) NOT NULL,
  edited_on datetime NOT NULL,
  last_update datetime NOT NULL,
  edited_by_id integer NULL
)
""",
    f"CREATE INDEX split_modulestore_django_sp_org_47b4a2ef ON {TABLE} (org)",
    f"CREATE INDEX split_modulestore_django_sp_wiki_slug_20040736 ON {TABLE} (wiki_slug)",
)


def create_table_statements(vendor: str) -> tuple[str, ...]:
    """Return the statements for Django's ``connection.vendor``, ``mysql`` or ``sqlite``.

    Raises:
        ValueError: another vendor.
    """
    if vendor == "mysql":
        return (_MYSQL,)
    if vendor == "sqlite":
        return _SQLITE
    raise ValueError(f"no course index table for {vendor}: MySQL, MariaDB or SQLite expected")
