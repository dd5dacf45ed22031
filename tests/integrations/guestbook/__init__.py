"""The app of docs/django.md."""
