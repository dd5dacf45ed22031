"""The page of a customer, and its orders as JSON."""

import logging

from cometify.client import CometifyError
from cometify.django import client, with_position
from django.contrib.auth import logout
from django.contrib.auth.decorators import login_required
from django.http import HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_POST

from .models import Order


def orders_of(user):
    return [order.as_dict() for order in Order.objects.filter(customer=user).order_by("pk")]


@with_position
@login_required
def page(request):
    return render(request, "orders.html", {"orders": orders_of(request.user)})


@login_required
def orders(request):
    return JsonResponse({"orders": orders_of(request.user)})


@require_POST
@login_required
def add(request):
    Order.objects.create(customer=request.user, item=request.POST["item"][:100])
    return HttpResponse(status=204)


def identifiers_of(request):
    return [f"user_{request.user.pk}"]


@require_POST
def leave(request):
    """Log out, and then end the connections of the other pages of this customer."""
    customer = f"user_{request.user.pk}"
    logout(request)
    try:
        client().disconnect(subject=customer)
    except CometifyError as error:  # they end with their token, in ten minutes at most
        logging.getLogger(__name__).warning("The pages of a customer still listen: %s", error)
    return redirect("/")
