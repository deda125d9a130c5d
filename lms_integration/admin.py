"""The admin: dead letters to replay or discard, and the story of every course's row.

Nothing else can be changed here: the tables are the pipeline's.
"""

from django.contrib import admin

from lms_integration.admin_pages.letters import DeadLetterAdmin
from lms_integration.admin_pages.rows import (
    CourseOverviewAdmin,
    OverviewMarkAdmin,
    OverviewStateAdmin,
)
from lms_integration.models import CourseOverview, DeadLetter, OverviewMark, OverviewState

admin.site.register(DeadLetter, DeadLetterAdmin)
admin.site.register(OverviewMark, OverviewMarkAdmin)
admin.site.register(OverviewState, OverviewStateAdmin)
admin.site.register(CourseOverview, CourseOverviewAdmin)
