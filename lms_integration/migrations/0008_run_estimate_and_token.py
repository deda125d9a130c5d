"""What a run was expected to take, what it has rebuilt, and a token that makes asking twice one run."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("lms_integration", "0007_runs_of_a_release_and_told_receivers"),
    ]

    operations = [
        migrations.AddField(
            model_name="overviewrebuildrun",
            name="request_token",
            field=models.CharField(editable=False, max_length=64, null=True, unique=True),
        ),
        migrations.AddField(
            model_name="overviewrebuildrun",
            name="rebuilt_count",
            field=models.PositiveIntegerField(default=0),
        ),
        migrations.AddField(
            model_name="overviewrebuildrun",
            name="estimated_count",
            field=models.PositiveIntegerField(null=True),
        ),
        migrations.AddField(
            model_name="overviewrebuildrun",
            name="estimated_seconds",
            field=models.FloatField(null=True),
        ),
    ]
