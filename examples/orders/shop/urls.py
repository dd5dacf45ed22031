from cometify.django.views import TokenView
from django.contrib import admin
from django.contrib.auth.views import LoginView
from django.urls import path

from . import views

urlpatterns = [
    path("", views.page),
    path("orders", views.orders),
    path("add", views.add),
    path("leave", views.leave),
    path("push-token", TokenView.as_view(identifiers_of=views.identifiers_of)),
    path("accounts/login/", LoginView.as_view(), name="login"),
    path("admin/", admin.site.urls),
]
