"""python3 manage.py set_state ORDER STATE"""

from django.core.management.base import BaseCommand

from shop.models import Order


class Command(BaseCommand):
    help = "Change the state of an order, such as: set_state 7 paid"

    def add_arguments(self, parser):
        parser.add_argument("order", type=int)
        parser.add_argument("state", choices=Order.State.values)

    def handle(self, *, order, state, **_options):
        changed = Order.objects.get(pk=order)
        changed.state = state
        changed.save()
