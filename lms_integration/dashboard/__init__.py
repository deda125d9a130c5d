"""The learner's dashboard: pages made of HTML alone, and the JSON that Open edX's front end asks for.

Reading order: ``views`` answers requests, ``queries`` reads, ``cards`` and ``words`` say what is shown,
``pages`` and ``templates`` (in ``jinja2/overview``) make the HTML;
``course_page`` and ``about_html`` are one course's page, ``learner_home`` is the front end's JSON.
"""
