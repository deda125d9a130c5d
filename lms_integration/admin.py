"""The admin: rebuild runs, dead letters to replay or discard, the story of every course's row,
and what changed of it.

Nothing else can be changed here: the tables are the pipeline's.
"""

from django.contrib import admin

from lms_integration.admin_pages.changes import OverviewChangeAdmin
from lms_integration.admin_pages.letters import DeadLetterAdmin
from lms_integration.admin_pages.rows import (
    CourseOverviewAdmin,
    OverviewMarkAdmin,
    OverviewStateAdmin,
)
from lms_integration.admin_pages.runs import RebuildRunAdmin
from lms_integration.admin_pages.thumbnails import OverviewThumbnailsAdmin
from lms_integration.models import (
    CourseOverview,
    DeadLetter,
    OverviewChange,
    OverviewMark,
    OverviewRebuildRun,
    OverviewState,
    OverviewThumbnails,
)

admin.site.register(DeadLetter, DeadLetterAdmin)
admin.site.register(OverviewMark, OverviewMarkAdmin)
admin.site.register(OverviewState, OverviewStateAdmin)
admin.site.register(CourseOverview, CourseOverviewAdmin)
admin.site.register(OverviewRebuildRun, RebuildRunAdmin)
admin.site.register(OverviewChange, OverviewChangeAdmin)
admin.site.register(OverviewThumbnails, OverviewThumbnailsAdmin)
