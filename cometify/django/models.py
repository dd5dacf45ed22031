"""The table of the outbox, for queries. `cometify.django.outbox` writes to it, and `cometify relay` sends its rows."""

from django.db import models
from django.db.models.functions import Now


class OutboxPush(models.Model):
    """A push that is still to be made, or was made, or is a dead letter: `dead_at` and `error` tell of it."""

    id = models.BigAutoField(primary_key=True)
    idempotency_key = models.TextField(unique=True)
    identifier = models.TextField()
    text = models.TextField(null=True)  # noqa: DJ001 - an empty text is a text
    data = models.TextField(null=True)  # noqa: DJ001 - the JSON as it is sent
    secret = models.SmallIntegerField(default=0)
    event = models.TextField(null=True)  # noqa: DJ001
    except_listener = models.TextField(null=True)  # noqa: DJ001
    created_at = models.DateTimeField(db_default=Now())
    tries = models.IntegerField(default=0)
    first_tried_at = models.BigIntegerField(null=True)
    next_try_at = models.BigIntegerField(null=True)
    sent_at = models.DateTimeField(null=True)
    error = models.TextField(null=True)  # noqa: DJ001
    dead_at = models.DateTimeField(null=True)

    class Meta:
        """The table is that of `cometify.client.outbox`."""

        db_table = "cometify_outbox"
        verbose_name = "push of the outbox"
        verbose_name_plural = "pushes of the outbox"

    def __str__(self) -> str:
        return f"push {self.pk} to {self.identifier}"
