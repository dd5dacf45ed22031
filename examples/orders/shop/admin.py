"""The site for the staff. Orders are cancelled and not deleted, so that every change is pushed."""

from django.contrib import admin

from .models import Order


@admin.register(Order)
class OrderAdmin(admin.ModelAdmin):
    list_display = ["item", "customer", "state"]

    def has_delete_permission(self, request, obj=None):
        return False
