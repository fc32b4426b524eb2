"""Talks to instances: in frames to a model's worker, over HTTP/1.1 to a user's own container.

`post.py` posts to an address of the user's own, the webhook.
"""
