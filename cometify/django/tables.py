"""The operation of the migration that creates the outbox."""

from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.migrations.operations import CreateModel
from django.db.migrations.state import ProjectState

from cometify.client.outbox import DIALECTS, statements


class CreateOutbox(CreateModel):
    """Creates the table by the statements of `cometify.client.outbox`, because the relay relies on its defaults and indexes.

    Django knows the table by the fields of the model. A database that cannot have an outbox, such as Oracle, gets none.
    """

    def database_forwards(
        self,
        app_label: str,
        schema_editor: BaseDatabaseSchemaEditor,
        from_state: ProjectState,
        to_state: ProjectState,
    ) -> None:
        """Create the table, if a router allows it in this database."""
        model = to_state.apps.get_model(app_label, self.name)
        connection = schema_editor.connection
        if connection.vendor in DIALECTS and self.allow_migrate_model(connection.alias, model):
            for statement in statements(connection.vendor):
                schema_editor.execute(statement, params=None)

    def database_backwards(
        self,
        app_label: str,
        schema_editor: BaseDatabaseSchemaEditor,
        from_state: ProjectState,
        to_state: ProjectState,
    ) -> None:
        """Drop the table, if a router allows it in this database."""
        if schema_editor.connection.vendor in DIALECTS:
            super().database_backwards(app_label, schema_editor, from_state, to_state)
