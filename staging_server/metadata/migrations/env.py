"""Alembic's entry: runs the steps on the connection that `migrate` holds, inside its transaction and lock."""

from alembic import context

from staging_server.metadata.tables import schema

context.configure(connection=context.config.attributes["connection"], target_metadata=schema)
context.run_migrations()
