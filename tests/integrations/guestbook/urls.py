"""The URLs of the project. The tests fill them with those of docs/django.md."""

urlpatterns = []
