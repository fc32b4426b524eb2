"""S3 as modeltap serves it, on the embedded buckets: one explicit table of operations.

Path style, and virtual-host style for the hosts of AWS that the proxy detour brings. What S3's
model knows and we do not do is refused by name (`refusals`), never silently dropped: an object
that claims a lock, a version or a key of the customer's would be a lie about how it is kept.
"""

from modeltap.front.s3.service import s3_service

__all__ = ["s3_service"]
