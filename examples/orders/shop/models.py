"""Orders. Whatever saves one also pushes it: the page, the admin site and the command."""

from cometify.django import outbox
from django.conf import settings
from django.db import models, transaction


class Order(models.Model):
    """`version` grows with each change. By it a page recognises a repeat."""

    class State(models.TextChoices):
        NEW = "new"
        PAID = "paid"
        SENT = "sent"
        CANCELLED = "cancelled"

    customer = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE)
    item = models.CharField(max_length=100)
    state = models.CharField(max_length=10, choices=State, default=State.NEW)
    version = models.PositiveBigIntegerField(default=0, editable=False)

    def __str__(self):
        return f"{self.item} for {self.customer}"

    def as_dict(self):
        return {"id": self.pk, "version": self.version, "item": self.item, "state": self.state}

    def save(self, **options):
        """Save the order and its push in one transaction."""
        with transaction.atomic():
            self.version = 1 if self._state.adding else models.F("version") + 1
            super().save(**options)
            self.refresh_from_db()
            outbox.add(f"user_{self.customer_id}", data=self.as_dict(), secret=True)
