"""Alembic's entry: run the migrations on the connection that `state.store` hands over."""

from alembic import context

from modeltap.state.schema import METADATA

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=METADATA,
    render_as_batch=True,  # SQLite alters a table by copying it
)
with context.begin_transaction():
    context.run_migrations()
