"""An index for what a learner has completed lately, where there is no Open edX."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("platform_tables", "0003_image_config")]

    operations = [
        migrations.AddIndex(
            model_name="blockcompletion",
            index=models.Index(
                fields=["user", "course_key", "created"], name="completion_user_lately"
            ),
        ),
    ]
