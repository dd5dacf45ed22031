import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    initial = True
    dependencies = [migrations.swappable_dependency(settings.AUTH_USER_MODEL)]
    operations = [
        migrations.CreateModel(
            name="Order",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("item", models.CharField(max_length=100)),
                (
                    "state",
                    models.CharField(
                        choices=[("new", "New"), ("paid", "Paid"), ("sent", "Sent"), ("cancelled", "Cancelled")],
                        default="new",
                        max_length=10,
                    ),
                ),
                ("version", models.PositiveBigIntegerField(default=0, editable=False)),
                (
                    "customer",
                    models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, to=settings.AUTH_USER_MODEL),
                ),
            ],
        )
    ]
