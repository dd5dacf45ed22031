from django.db import models

class Entry(models.Model):
    id: int
    text: models.CharField[str, str]
