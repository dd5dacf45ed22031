"""Creates the outbox."""

from django.db import migrations, models
from django.db.models.functions import Now

from cometify.django.tables import CreateOutbox


class Migration(migrations.Migration):
    """The table is that of `cometify.client.outbox`."""

    initial = True
    dependencies = []
    operations = [
        CreateOutbox(
            name="OutboxPush",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("idempotency_key", models.TextField(unique=True)),
                ("identifier", models.TextField()),
                ("text", models.TextField(null=True)),
                ("data", models.TextField(null=True)),
                ("secret", models.SmallIntegerField(default=0)),
                ("event", models.TextField(null=True)),
                ("except_listener", models.TextField(null=True)),
                ("created_at", models.DateTimeField(db_default=Now())),
                ("tries", models.IntegerField(default=0)),
                ("first_tried_at", models.BigIntegerField(null=True)),
                ("next_try_at", models.BigIntegerField(null=True)),
                ("sent_at", models.DateTimeField(null=True)),
                ("error", models.TextField(null=True)),
                ("dead_at", models.DateTimeField(null=True)),
            ],
            options={
                "verbose_name": "push of the outbox",
                "verbose_name_plural": "pushes of the outbox",
                "db_table": "cometify_outbox",
            },
        )
    ]
