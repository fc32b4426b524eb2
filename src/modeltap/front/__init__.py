"""The AWS dialects: one ASGI border (`app`), one module per service with an explicit table."""
