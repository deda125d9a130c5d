"""Asking for a rebuild run: the form, the page that says what it will take, and "Rebuild selected".

Nothing here reaches a broker: a run is a row, and the workers find it within seconds.
"""

import logging
import secrets
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import reverse

from lms_integration.admin_pages.read_only import may
from lms_integration.admin_pages.run_words import comparing_command, estimate_words, scope_words
from lms_integration.course_keys import is_course_key
from lms_integration.data import COURSE_OVERVIEW_VERSION
from lms_integration.log_lines import one_line
from lms_integration.models import OverviewRebuildRun, RunDepth, RunOrigin, RunScope
from lms_integration.rebuild_desk import (
    MAX_NAMED_COURSES,
    AlreadyAsked,
    RunRefused,
    RunRequest,
    ask_for_run,
    organisations,
    recent_full_run,
    run_of_token,
)
from lms_integration.run_estimates import estimate

audit_logger = logging.getLogger("overview_audit")

#: Within so long of one run of all courses another one has to be confirmed twice.
FULL_RUN_PAUSE_SECONDS = 600
#: Characters of what makes two clicks on a confirmation page one run.
TOKEN_LENGTH = 32
#: Named courses that the confirmation page lists.
SHOWN_COURSES = 20

if TYPE_CHECKING:
    _ModelAdmin = admin.ModelAdmin[Any]
else:  # at run time Django's classes take no type parameters
    _ModelAdmin = admin.ModelAdmin


class RunForm(forms.Form):
    """Which courses, how thoroughly, how fast and why."""

    scope = forms.ChoiceField(
        label="Which courses", choices=RunScope.choices[:2], widget=forms.RadioSelect, initial="all"
    )
    org = forms.ChoiceField(label="Organisation", required=False)
    course_keys = forms.CharField(widget=forms.HiddenInput, required=False)
    depth = forms.ChoiceField(label="How thoroughly", choices=RunDepth.choices, initial="stale")
    rate = forms.FloatField(
        label="At most so many courses a second",
        required=False,
        min_value=0.01,
        help_text="Empty: as fast as the workers can while no publish waits.",
    )
    reason = forms.CharField(
        label="Why", required=False, max_length=500, help_text="For whoever reads the list of runs."
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.label_suffix = ""
        keys = self["course_keys"].value()
        if keys:
            label = f"{len(keys.split())} selected"
            self.fields["scope"].choices = [("courses", label)]  # type: ignore[attr-defined]
            del self.fields["org"]
            return
        orgs = [(org, one_line(org)) for org in organisations()]
        self.fields["org"].choices = [("", "---------"), *orgs]  # type: ignore[attr-defined]

    def clean(self) -> dict[str, Any]:
        """Refuse an organisation that is not named, and course keys that are none."""
        found = super().clean() or {}
        if found.get("scope") == RunScope.ORG and not found.get("org"):
            self.add_error("org", "Choose the organisation whose courses are to be rebuilt.")
        keys = found.get("course_keys", "").split()
        wrong = next((key for key in keys if not is_course_key(key)), None)
        if wrong is not None:
            self.add_error(None, f"{one_line(wrong)} is not a course key.")
        if len(keys) > MAX_NAMED_COURSES:
            self.add_error(None, too_many_words())
        return found

    def run_request(self, *, asked_by: str) -> RunRequest:
        """Return what a valid form asks for."""
        found = self.cleaned_data
        depth, scope = RunDepth(found["depth"]), RunScope(found["scope"])
        return RunRequest(
            scope=scope,
            org=found["org"] if scope == RunScope.ORG else "",
            course_keys=sorted(set(found["course_keys"].split())),
            depth=depth,
            version_below=COURSE_OVERVIEW_VERSION if depth == RunDepth.OLD else None,
            rate=found["rate"],
            reason=found["reason"],
            asked_by=asked_by,
            asked_from=RunOrigin.ADMIN,
        )


class OffersRebuild(_ModelAdmin):
    """A list with buttons that lead to the form, for those who may ask for runs."""

    change_list_template = "admin/lms_integration/list_with_rebuild.html"

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Say whether there are buttons; a list narrowed to an organisation offers to rebuild that."""
        offers = {
            "may_rebuild": may(request, "run_rebuild"),
            "narrowed_to": request.GET.get("org", ""),
        }
        return super().changelist_view(request, {**offers, **(extra_context or {})})

    def has_rebuild_permission(self, request: HttpRequest) -> bool:
        """Whether the person may ask for runs."""
        return may(request, "run_rebuild")


class RebuildsSelected(OffersRebuild):
    """A list of courses by key, with the action "Rebuild selected"."""

    actions = ("rebuild_selected",)

    @admin.action(description="Rebuild selected courses", permissions=["rebuild"])
    def rebuild_selected(self, request: HttpRequest, rows: QuerySet[Any]) -> HttpResponse | None:
        """Show what rebuilding them will take, and ask whether to."""
        found = rows.order_by("pk").values_list("pk", flat=True)[: MAX_NAMED_COURSES + 1]
        keys = [str(key) for key in found]
        if len(keys) > MAX_NAMED_COURSES:
            self.message_user(request, too_many_words(), messages.ERROR)
            return None
        chosen = {"scope": "courses", "course_keys": " ".join(keys), "depth": "build"}
        return preview(self, request, RunForm(chosen))


def ask(model_admin: _ModelAdmin, request: HttpRequest) -> HttpResponse:
    """Answer the form's address: the form, then the preview, then the run.

    Raises:
        PermissionDenied: the person may not ask for runs.
    """
    if not may(request, "run_rebuild"):
        raise PermissionDenied
    step = request.POST.get("step")
    if step is None:
        wanted = {name: request.GET[name] for name in ("scope", "org") if name in request.GET}
        return _form_page(model_admin, request, RunForm(initial=wanted))
    if step == "change":
        return _form_page(model_admin, request, RunForm(initial=request.POST.dict()))
    form = RunForm(request.POST)
    if step != "begin" or not form.is_valid():
        return preview(model_admin, request, form)
    return _begin(model_admin, request, form)


def preview(model_admin: _ModelAdmin, request: HttpRequest, form: RunForm) -> HttpResponse:
    """Show what a run will take, before anything is done; the form again if it cannot be one."""
    if not form.is_valid():
        return _form_page(model_admin, request, form)
    return _confirm_page(model_admin, request, form)


def too_many_words() -> str:
    """Return why so many courses cannot be named one by one, and what to do."""
    return (
        f"At most {MAX_NAMED_COURSES} courses at a time: rebuild an organisation, or all courses."
    )


def _begin(model_admin: _ModelAdmin, request: HttpRequest, form: RunForm) -> HttpResponse:
    wanted = form.run_request(asked_by=request.user.get_username())
    wanted = replace(wanted, token=_token_of(request))
    first = run_of_token(wanted.token)
    if first is not None:  # before it is said that there is a run already
        return _at_the_run(first)
    if request.POST.get("again") != "yes" and _recent(wanted) is not None:
        problem = "Nothing has begun: say below that you want another run of all courses so soon."
        return _confirm_page(model_admin, request, form, problem=problem)
    try:
        with transaction.atomic():
            run = ask_for_run(wanted)
            model_admin.log_addition(request, run, f"Asked for: {_all_words(wanted)}")
    except AlreadyAsked as twice:
        return _at_the_run(twice.run)
    except RunRefused as refused:
        return _confirm_page(model_admin, request, form, problem=f"Refused: {refused}.")
    audit_logger.warning(
        "run %d of %s asked for by admin user %s", run.pk, scope_words(run), wanted.asked_by
    )
    model_admin.message_user(
        request, f"Run {run.pk} is planned; the workers begin within seconds.", messages.SUCCESS
    )
    return _at_the_run(run)


def _at_the_run(run: OverviewRebuildRun) -> HttpResponse:
    return redirect("admin:lms_integration_overviewrebuildrun_change", run.pk)


def _token_of(request: HttpRequest) -> str | None:
    """Return what the confirmation page has given this request; two clicks send the same."""
    return request.POST.get("token", "")[:TOKEN_LENGTH] or None


def _recent(wanted: RunRequest) -> OverviewRebuildRun | None:
    if wanted.scope != RunScope.ALL:
        return None
    return recent_full_run(within_seconds=FULL_RUN_PAUSE_SECONDS)


def _all_words(wanted: RunRequest) -> str:
    words = f"{scope_words(wanted)}; {RunDepth(wanted.depth).label}"
    if wanted.rate is not None:
        words += f"; at most {wanted.rate:g} a second"
    return f"{words}; {one_line(wanted.reason)}" if wanted.reason else words


def _form_page(model_admin: _ModelAdmin, request: HttpRequest, form: RunForm) -> HttpResponse:
    context = _context(model_admin, request, title="Rebuild courses")
    return TemplateResponse(
        request, "admin/lms_integration/ask_for_run.html", {**context, "form": form}
    )


def _confirm_page(
    model_admin: _ModelAdmin, request: HttpRequest, form: RunForm, *, problem: str = ""
) -> HttpResponse:
    wanted = form.run_request(asked_by=request.user.get_username())
    keys = wanted.course_keys
    context = {
        **_context(model_admin, request, title=f"Rebuild {scope_words(wanted)}?"),
        "form": form,
        "problem": problem,
        "depth": RunDepth(wanted.depth).label,
        "wanted": wanted,
        "shown_keys": keys[:SHOWN_COURSES],
        "more_count": max(0, len(keys) - SHOWN_COURSES),
        "estimate": estimate_words(estimate(wanted)),
        "command": comparing_command(wanted) if len(keys) <= SHOWN_COURSES else "",
        "recent": _recent(wanted),
        "token": secrets.token_hex(TOKEN_LENGTH // 2),
    }
    return TemplateResponse(request, "admin/lms_integration/confirm_run.html", context)


def _context(model_admin: _ModelAdmin, request: HttpRequest, *, title: str) -> dict[str, Any]:
    return {
        **model_admin.admin_site.each_context(request),
        "title": title,
        "opts": OverviewRebuildRun._meta,
        "media": model_admin.media,
        "ask_address": reverse("admin:lms_integration_ask_for_run"),
    }
