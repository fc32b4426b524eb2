"""Where a URI leads: to a bucket's name and a key, never to a host (threat S14)."""

import pytest

from modeltap.errors import StoreRefused
from modeltap.objects.remote import split_uri


@pytest.mark.parametrize(
    ("uri", "place"),
    [
        ("s3://bucket/a/b.tar.gz", ("bucket", "a/b.tar.gz")),
        ("s3://bucket/prefix/", ("bucket", "prefix/")),
        ("s3://bucket/", ("bucket", "")),
        ("s3://bucket", ("bucket", "")),
        ("s3://bucket/a?b#c", ("bucket", "a?b#c")),
        ("https://bucket.s3.amazonaws.com/a/b%20c", ("bucket", "a/b c")),
        ("https://bucket.s3.eu-west-1.amazonaws.com/k", ("bucket", "k")),
        ("https://bucket.s3-eu-west-1.amazonaws.com/k", ("bucket", "k")),
        ("https://s3.amazonaws.com/bucket/k", ("bucket", "k")),
        ("https://s3.eu-west-1.amazonaws.com/bucket/k", ("bucket", "k")),
        ("https://s3-eu-west-1.amazonaws.com/bucket/k", ("bucket", "k")),
    ],
)
def test_forms_of_s3(uri: str, place: tuple[str, str]) -> None:
    assert split_uri(uri) == place


@pytest.mark.parametrize(
    "uri",
    [
        "",
        "bucket/key",
        "s3://",
        "s3:///key",
        "s3://x@169.254.169.254/latest",
        "s3://bucket:80/k",
        "s3://UPPER/k",
        "s3://[::1]/k",
        "http://bucket.s3.amazonaws.com/k",
        "https://169.254.169.254/bucket/k",
        "https://localhost/bucket/k",
        "https://bucket.s3.amazonaws.com.evil.example/k",
        "https://evil.example/bucket.s3.amazonaws.com/k",
        "https://bucket.s3.amazonaws.com:8443/k",
        "https://user@bucket.s3.amazonaws.com/k",
        "https://bucket.s3.amazonaws.com/k?versionId=1",
        "https://bucket.s3.amazonaws.com\n.evil.example/k",
        "https://bucket.s3.amazonaws.com/%ff",
        "file:///etc/passwd",
        "ftp://bucket/k",
        "https://[bad/k",
    ],
)
def test_whatever_else_is_refused(uri: str) -> None:
    with pytest.raises(StoreRefused):
        split_uri(uri)
