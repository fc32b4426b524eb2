"""modeltap: model endpoints that AWS clients cannot tell from Amazon SageMaker.

Start reading at `docs/architecture.md`; import contracts in `pyproject.toml` hold the floors.
"""
