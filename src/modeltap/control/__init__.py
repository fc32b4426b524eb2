"""Desired state → actions: what was asked for in `state`, made so by the hands.

lifecycle.py   the endpoint life cycle, one table (pure)
fleets.py      what an endpoint runs: its own copy of a config and its models (pure)
endpoints.py   an endpoint, and the plan from what is to what was asked (pure)
launching.py   one instance: artifact, environment, launch
watch.py       who answers its pings
publish.py     the routing table's file, and what the gateways say of it
reconcile.py   the loop
jobs.py        a processing job: life cycle, plan, outcome (pure)
job_config.py  the documents that its program finds (pure)
staging.py     its inputs: from S3 to files
delivery.py    its outputs: from files to S3
patience.py    waiting for a store that is away
job_steps.py   one job: prepare, attend, finish
job_loop.py    the loop
definitions.py      what a schedule runs, in one form (pure)
cron.py             AWS's cron expressions (pure)
windows.py          which records a run looks at (pure)
schedules.py        a schedule: life cycle, which runs are due, names (pure)
monitor_jobs.py     the processing job of a run (pure)
schedule_states.py  schedules as `state` has them
execution_steps.py  one run: wait for its window, create its job, follow it
schedule_loop.py    the loop
notices.py          what the webhook is told, how signed, when again (pure)
webhook.py          the loop that posts it
"""
