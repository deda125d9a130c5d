"""Makes Open edX's configuration of image sets where there is no Open edX."""

import django.core.validators
import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

_SIDE = [
    django.core.validators.MinValueValidator(1),
    django.core.validators.MaxValueValidator(4096),
]


class Migration(migrations.Migration):
    dependencies = [
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
        ("platform_tables", "0002_platform_history"),
    ]

    operations = [
        migrations.CreateModel(
            name="CourseOverviewImageConfig",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("change_date", models.DateTimeField(auto_now_add=True)),
                ("enabled", models.BooleanField(default=False)),
                ("small_width", models.IntegerField(default=375, validators=_SIDE)),
                ("small_height", models.IntegerField(default=200, validators=_SIDE)),
                ("large_width", models.IntegerField(default=750, validators=_SIDE)),
                ("large_height", models.IntegerField(default=400, validators=_SIDE)),
                (
                    "changed_by",
                    models.ForeignKey(
                        editable=False,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
            options={
                "verbose_name": "course image configuration",
                "db_table": "course_overviews_courseoverviewimageconfig",
            },
        ),
    ]
