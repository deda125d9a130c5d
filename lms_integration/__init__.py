"""The side that Studio and the LMS install: events out, overview tables in.

Knows Django and kombu; never Celery, never pymongo, never ``overview_worker``.
"""
