"""What Alembic runs: the steps, on the connection and inside the transaction that `schema` gives it."""

from alembic import context

from data.store.tables import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
with context.begin_transaction():
    context.run_migrations()
