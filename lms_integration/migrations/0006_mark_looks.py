from django.db import migrations, models


class Migration(migrations.Migration):
    """Count the looks that found the source behind an announcement apart from the attempts.

    A mark begins the attempts anew; the looks go by the dirty time, so that nobody can postpone for ever
    the moment at which an announcement is disbelieved.
    """

    dependencies = [("lms_integration", "0005_rebuild_runs_and_changes")]

    operations = [
        migrations.AddField(
            model_name="overviewmark",
            name="looks",
            field=models.PositiveIntegerField(db_default=0, default=0),
        ),
    ]
