"""The table of the guestbook."""

from django.db import models


class Entry(models.Model):
    """An entry of the guestbook."""

    text = models.TextField()

    def __str__(self):
        return self.text
