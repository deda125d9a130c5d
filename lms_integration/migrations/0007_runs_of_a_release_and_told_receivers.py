"""Which release an upgrade's run is for, lanes that ran out of time, receivers that were told."""

from django.db import migrations, models


class Migration(migrations.Migration):
    """New columns, each NULL or with a default of the database's."""

    dependencies = [
        ("lms_integration", "0006_mark_looks"),
    ]

    operations = [
        migrations.AddField(
            model_name="overviewrebuildrun",
            name="builder_version",
            field=models.PositiveIntegerField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name="overviewrebuildrun",
            name="schema_version",
            field=models.PositiveIntegerField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name="overviewrebuildlane",
            name="timeout_count",
            field=models.PositiveSmallIntegerField(db_default=0, default=0),
        ),
        migrations.AddField(
            model_name="overviewchange",
            name="signal_told",
            field=models.JSONField(null=True),
        ),
    ]
