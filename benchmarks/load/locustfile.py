"""What learners do: the mobile app's list, the dashboard in a browser, enrolling through the API.

Run by ``make load``; or by hand against any site whose learners ``overview seed --password`` made:
``locust -f benchmarks/load/locustfile.py --host http://127.0.0.1:8000``.
"""

import os
import random
from typing import Any

from locust import HttpUser, between, task

PREFIX = os.environ.get("LOAD_PREFIX", "seed_")
PASSWORD = os.environ.get("LOAD_PASSWORD", "load")
#: How the Enrollment API refuses a course that is closed, full or by invitation; other refusals are faults.
NOT_ENROLLED = "An error occurred while creating the new course enrollment"
LEARNERS = int(os.environ.get("LOAD_LEARNERS", "1000"))


class _Learner(HttpUser):
    """A seeded learner who signs in as a browser does."""

    abstract = True
    wait_time = between(0.5, 2.0)

    def on_start(self) -> None:
        """Sign in; a learner who cannot is reported as a failure and goes on unsigned."""
        number = random.randint(1, LEARNERS)  # noqa: S311 - whom to be, not a secret
        self.username = f"{PREFIX}{number:06d}"
        self.client.get("/login", name="/login")
        self.client.post(
            "/login",
            {
                "username": self.username,
                "password": PASSWORD,
                "csrfmiddlewaretoken": self.client.cookies.get("csrftoken") or "",
            },
            headers={"Referer": f"{self.host}/login"},
            name="/login",
        )

    def _write_headers(self) -> dict[str, str]:
        return {
            "X-CSRFToken": self.client.cookies.get("csrftoken") or "",
            "Referer": f"{self.host}/dashboard",
        }


class MobileLearner(_Learner):
    """Opens the app: the list of courses, page by page, again and again with what the app remembers."""

    weight = 5

    def on_start(self) -> None:
        """Sign in and remember nothing yet."""
        super().on_start()
        self.etag = ""

    @task(4)
    def list_courses(self) -> None:
        """Ask for the first page as the current app does."""
        self.client.get(
            f"/api/mobile/v3/users/{self.username}/course_enrollments/",
            name="/api/mobile/v3/…/course_enrollments/",
        )

    @task(4)
    def list_courses_again(self) -> None:
        """Ask for the whole list with the validator of the last answer: mostly a 304."""
        response = self.client.get(
            f"/api/mobile/v1/users/{self.username}/course_enrollments/",
            headers={"If-None-Match": self.etag} if self.etag else {},
            name="/api/mobile/v1/…/course_enrollments/",
        )
        self.etag = response.headers.get("ETag", self.etag)

    @task(1)
    def look_at_states(self) -> None:
        """Ask which courses have been active."""
        self.client.get(
            f"/api/mobile/v1/users/{self.username}/enrollments_status/",
            name="/api/mobile/v1/…/enrollments_status/",
        )


class DashboardLearner(_Learner):
    """Looks at the dashboard, sorts it, opens a course."""

    weight = 4

    @task(5)
    def dashboard(self) -> None:
        """Open the dashboard."""
        self.client.get("/dashboard", name="/dashboard")

    @task(1)
    def learner_home(self) -> None:
        """Load what a separate front end loads."""
        self.client.get("/api/learner_home/init/", name="/api/learner_home/init/")

    @task(1)
    def course_list(self) -> None:
        """Look for another course."""
        self.client.get("/api/courses/v1/courses/?page_size=20", name="/api/courses/v1/courses/")


class EnrollingLearner(_Learner):
    """Enrols in a course, looks at the enrolments, leaves the course again."""

    weight = 1
    wait_time = between(7.0, 10.0)  # the Enrollment API takes 40 calls a minute from a person

    @task
    def enrol_and_leave(self) -> None:
        """Enrol, read, unenrol; a course that the learner had is kept."""
        courses = self._results("/api/courses/v1/courses/?page_size=20", "/api/courses/v1/courses/")
        mine = {each["course_details"]["course_id"] for each in self._enrolments()}
        others = [each["course_id"] for each in courses if each["course_id"] not in mine]
        if not others:
            return
        course_id = random.choice(others)  # noqa: S311 - which course, not a secret
        if self._enrol(course_id):
            self._enrolments()
            self._leave(course_id)

    def _results(self, path: str, name: str) -> list[dict[str, Any]]:
        listed = self.client.get(path, name=name)
        found: list[dict[str, Any]] = listed.json()["results"] if listed.ok else []
        return found

    def _enrolments(self) -> list[dict[str, Any]]:
        listed = self.client.get(
            "/api/enrollment/v1/enrollment", name="/api/enrollment/v1/enrollment"
        )
        found: list[dict[str, Any]] = listed.json() if listed.ok else []
        return found

    def _enrol(self, course_id: str) -> bool:
        """Return whether it was done. A course that is closed or full is an answer, and no failure."""
        with self.client.post(
            "/api/enrollment/v1/enrollment",
            json={"course_details": {"course_id": course_id}},
            headers=self._write_headers(),
            name="/api/enrollment/v1/enrollment (POST)",
            catch_response=True,
        ) as response:
            if response.status_code == 400 and NOT_ENROLLED in response.text:
                response.success()
            return bool(response.status_code == 200)

    def _leave(self, course_id: str) -> None:
        self.client.post(
            "/change_enrollment",
            {"enrollment_action": "unenroll", "course_id": course_id},
            headers=self._write_headers(),
            name="/change_enrollment (unenroll)",
        )
