"""The table of a database URL. Its driver is imported when it is needed, because the drivers are optional."""

from cometify.command.relay.table import DatabaseUnusable, OutboxTable

_FORMS = "postgresql://USER:PASSWORD@HOST/DATABASE, mysql://USER:PASSWORD@HOST/DATABASE or sqlite:///PATH"


def open_table(url: str) -> OutboxTable:
    """Open the outbox of a database. Raises `DatabaseAway` or `DatabaseUnusable`, which never repeat a password."""
    scheme, separator, rest = url.partition("://")
    table: OutboxTable
    match scheme.partition("+")[0] if separator else "":
        case "postgresql" | "postgres":
            from cometify.command.relay.postgresql import PostgresTable  # noqa: PLC0415 - see above

            table = PostgresTable(f"postgresql://{rest}")
        case "mysql" | "mariadb":
            from cometify.command.relay.mysql import MySQLTable  # noqa: PLC0415 - see above

            table = MySQLTable(f"mysql://{rest}")
        case "sqlite":
            from cometify.command.relay.sqlite import SQLiteTable  # noqa: PLC0415 - see above

            table = SQLiteTable(rest.removeprefix("/"))
        case _:
            raise DatabaseUnusable(f"The URL of the database must be {_FORMS}.")
    try:
        table.check()
    except BaseException:
        table.close()
        raise
    return table
