"""What control remembers: resources and their tags, in one SQL database.

A resource is `(kind, name) → spec document + status document`. The spec is the request as the
service model validated it, verbatim, so that Describe can echo it; the status is control's own.
Executions, alerts, notices, points of metrics and alarms have tables of their own. All statements
stand in `store.py`, `executions.py`, `alerts.py`, `outbox.py`, `points.py` and `alarms.py`, the
tables in `schema.py`, their history in `migrations/`.
"""
