"""What runs inside a model's own process: it loads one model and answers frames on one socket.

The annex imports nothing from the house: only the standard library and, inside a model's virtual
environment, that model's framework. The house imports `frames` and `socketpath` from here, so that
both ends of the link share one codec.
"""
