"""Desired state → actions: what was asked for in `state`, made so by the hands.

lifecycle.py   the endpoint life cycle, one table (pure)
fleets.py      what an endpoint runs: its own copy of a config and its models (pure)
endpoints.py   an endpoint, and the plan from what is to what was asked (pure)
launching.py   one instance: artifact, environment, launch
watch.py       who answers its pings
publish.py     the routing table's file, and what the gateways say of it
reconcile.py   the loop
"""
