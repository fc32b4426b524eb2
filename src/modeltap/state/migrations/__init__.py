"""The history of the tables, read by Alembic; shipped in the package and run at every start."""
