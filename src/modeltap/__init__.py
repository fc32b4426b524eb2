"""modeltap: model endpoints that AWS clients cannot tell from Amazon SageMaker.

Start reading at `docs/architecture.md`; the floors are held by import contracts in `pyproject.toml`.
"""
