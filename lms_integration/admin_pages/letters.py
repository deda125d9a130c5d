"""Dead letters: the list, one letter, Replay and Discard.

Both are those of ``dead_letter_desk``, which reach no broker: the sweeper finds what was marked
within seconds.
"""

from collections import Counter
from collections.abc import Callable

from django.contrib import admin, messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse

from lms_integration.admin_pages.read_only import (
    ReadOnlyAdmin,
    explain_link,
    folded,
    may,
    shortened,
)
from lms_integration.dead_letter_desk import (
    DeskOutcome,
    DeskReport,
    body_text,
    discard_dead_letter,
    replay_dead_letter,
    replay_sentence,
)
from lms_integration.log_lines import one_line
from lms_integration.models import DeadLetter

#: Most letters that one click replays or discards; the command line takes any number.
MAX_LETTERS = 1000
#: Letters that cannot be replayed and whose reasons are told one by one.
TOLD_REASONS = 10


class DeadLetterAdmin(ReadOnlyAdmin):
    """Dead letters, with the actions Replay and Discard."""

    list_display = (
        *("id", "origin", "course", "short_reason"),
        *("seen_count", "first_seen_at", "last_seen_at"),
    )
    list_filter = ("origin", "last_seen_at")
    search_fields = ("course_key", "reason")
    ordering = ("-last_seen_at", "-id")
    actions = ("replay", "discard")
    fields = (
        *("origin", "course", "reason_text", "seen_count", "first_seen_at", "last_seen_at"),
        *("content_type_text", "body_bytes", "kept_bytes", "body_as_text", "what_replay_does"),
    )
    readonly_fields = fields

    def get_queryset(self, request: HttpRequest) -> QuerySet[DeadLetter]:
        """Leave the bodies to the page of one letter."""
        return super().get_queryset(request).defer("body")

    @admin.display(description="course", ordering="course_key")
    def course(self, letter: DeadLetter) -> str:
        """The course, linked to its story."""
        return explain_link(letter.course_key)

    @admin.display(description="reason", ordering="reason")
    def short_reason(self, letter: DeadLetter) -> str:
        """The reason, cut short."""
        return shortened(letter.reason)

    @admin.display(description="reason")
    def reason_text(self, letter: DeadLetter) -> str:
        """The whole reason."""
        return folded(one_line(letter.reason))

    @admin.display(description="content type")
    def content_type_text(self, letter: DeadLetter) -> str:
        """What its sender called it."""
        return one_line(letter.content_type) or "-"

    @admin.display(description="bytes kept")
    def kept_bytes(self, letter: DeadLetter) -> int:
        """How much of the message is kept."""
        return len(letter.body)

    @admin.display(description="body")
    def body_as_text(self, letter: DeadLetter) -> str:
        """What is kept of the message, shown and never obeyed."""
        return folded(body_text(letter)) if letter.body else "-"

    @admin.display(description="replay")
    def what_replay_does(self, letter: DeadLetter) -> str:
        """What replaying it would do."""
        return replay_sentence(letter)

    def has_replay_permission(self, request: HttpRequest) -> bool:
        """Whether the person may replay."""
        return may(request, "replay_deadletter")

    def has_discard_permission(self, request: HttpRequest) -> bool:
        """Whether the person may discard."""
        return may(request, "delete_deadletter")

    @admin.action(description="Replay selected dead letters", permissions=["replay"])
    def replay(self, request: HttpRequest, letters: QuerySet[DeadLetter]) -> None:
        """Mark the letters' courses and remove the letters; what cannot be replayed stays."""
        self._deal_with(request, letters, replay_dead_letter)

    @admin.action(description="Discard selected dead letters", permissions=["discard"])
    def discard(self, request: HttpRequest, letters: QuerySet[DeadLetter]) -> HttpResponse | None:
        """Ask whether to remove the letters for good, and do so when told yes."""
        if request.POST.get("confirmed") == "yes":
            chosen = list(letters[:MAX_LETTERS])
            self.log_deletions(request, chosen)  # type: ignore[arg-type]  # it only iterates
            self._deal_with(request, letters, discard_dead_letter)
            return None
        context = {
            **self.admin_site.each_context(request),
            "title": "Discard dead letters?",
            "opts": self.opts,
            "letters": [(each.pk, shortened(str(each))) for each in letters[:MAX_LETTERS]],
            "checkbox_name": ACTION_CHECKBOX_NAME,
            "media": self.media,
        }
        return TemplateResponse(request, "admin/lms_integration/discard_letters.html", context)

    def _deal_with(
        self,
        request: HttpRequest,
        letters: QuerySet[DeadLetter],
        deal_with: Callable[..., DeskReport],
    ) -> None:
        by = f"admin user {request.user.get_username()}"
        ids = list(letters.order_by("id").values_list("id", flat=True)[: MAX_LETTERS + 1])
        reports = [deal_with(letter_id, by=by) for letter_id in ids[:MAX_LETTERS]]
        counts = Counter(report.outcome for report in reports)
        for outcome in (DeskOutcome.REPLAYED, DeskOutcome.DISCARDED, DeskOutcome.GONE):
            if counts[outcome]:
                text = f"{counts[outcome]} {outcome.value}"
                self.message_user(request, text, messages.SUCCESS)
        stay = [report for report in reports if report.outcome is DeskOutcome.STAYS]
        for report in stay[:TOLD_REASONS]:
            text = f"{report.letter_id} stays, it cannot be replayed: {one_line(report.reason)}"
            self.message_user(request, text, messages.WARNING)
        if len(stay) > TOLD_REASONS:
            self.message_user(
                request, f"{len(stay) - TOLD_REASONS} more cannot be replayed", messages.WARNING
            )
        if len(ids) > MAX_LETTERS:
            text = f"There are more: {MAX_LETTERS} at a time here, any number with overview dead-letters"
            self.message_user(request, text, messages.WARNING)
