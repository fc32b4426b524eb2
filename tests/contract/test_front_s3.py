"""The embedded buckets as unmodified boto3 sees them, over HTTP and HTTPS."""

import io
import random
from collections.abc import Iterator
from itertools import count
from typing import Any

import pytest
from boto3.s3.transfer import TransferConfig
from botocore.exceptions import ClientError
from store_process import Store, running

NUMBERS = count()
PART = 5 * 1024 * 1024


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    with running(tmp_path_factory.mktemp("home")) as store:
        yield store


@pytest.fixture(params=["http", "https"])
def client(request: pytest.FixtureRequest, served: Store) -> Any:
    return served.client(secure=request.param == "https")


@pytest.fixture
def bucket(client: Any) -> str:
    name = f"bucket-{next(NUMBERS)}"
    client.create_bucket(Bucket=name)
    return name


def refusal(call: Any, **params: Any) -> tuple[str, int]:
    """Give the code and status of the error that a call must end in."""
    with pytest.raises(ClientError) as caught:
        call(**params)
    response = caught.value.response
    return response["Error"]["Code"], response["ResponseMetadata"]["HTTPStatusCode"]


def noise(size: int, seed: int = 0) -> bytes:
    return random.Random(seed).randbytes(size)


# ---------------------------------------------------------------- buckets


def test_buckets_are_made_listed_and_removed(client: Any, bucket: str) -> None:
    assert bucket in [each["Name"] for each in client.list_buckets()["Buckets"]]
    assert client.head_bucket(Bucket=bucket)["BucketRegion"] == "us-east-1"
    assert client.get_bucket_location(Bucket=bucket)["LocationConstraint"] is None
    assert "Status" not in client.get_bucket_versioning(Bucket=bucket)
    client.create_bucket(Bucket=bucket)  # one's own again: no error in us-east-1
    client.put_object(Bucket=bucket, Key="k", Body=b"")
    assert refusal(client.delete_bucket, Bucket=bucket) == ("BucketNotEmpty", 409)
    client.delete_object(Bucket=bucket, Key="k")
    client.delete_bucket(Bucket=bucket)
    assert refusal(client.head_bucket, Bucket=bucket) == ("404", 404)


def test_buckets_are_listed_in_pages(client: Any) -> None:
    names = [f"paged-{next(NUMBERS):03}" for _ in range(5)]
    for name in names:
        client.create_bucket(Bucket=name)
    pages = client.get_paginator("list_buckets").paginate(
        Prefix="paged-", PaginationConfig={"PageSize": 2}
    )
    seen = [each["Name"] for page in pages for each in page["Buckets"]]
    assert [name for name in seen if name in names] == names
    assert len(seen) == len(set(seen))


def test_a_bucket_of_no_valid_name_or_of_elsewhere_is_refused(client: Any) -> None:
    for name in ("UPPER", "a.b..c", "10.0.0.1", "xn--a"):
        assert refusal(client.create_bucket, Bucket=name) == ("InvalidBucketName", 400)
    elsewhere = {"LocationConstraint": "eu-west-1"}
    assert refusal(
        client.create_bucket, Bucket="elsewhere", CreateBucketConfiguration=elsewhere
    ) == ("IllegalLocationConstraintException", 400)


def test_another_owner_is_refused(client: Any, bucket: str) -> None:
    client.head_bucket(Bucket=bucket, ExpectedBucketOwner="000000000000")
    assert refusal(client.head_bucket, Bucket=bucket, ExpectedBucketOwner="111122223333") == (
        "403",
        403,
    )
    assert refusal(
        client.put_object, Bucket=bucket, Key="k", Body=b"x", ExpectedBucketOwner="111122223333"
    ) == ("AccessDenied", 403)


# ---------------------------------------------------------------- objects


@pytest.mark.parametrize("size", [0, 5, 65_537, 3_000_000])
def test_what_is_put_is_got(client: Any, bucket: str, size: int) -> None:
    body = noise(size)
    put = client.put_object(Bucket=bucket, Key="k", Body=body)
    got = client.get_object(Bucket=bucket, Key="k")  # boto3 verifies the CRC32 that we echo
    assert got["Body"].read() == body
    assert got["ETag"] == put["ETag"] and got["ContentLength"] == size
    assert got["ChecksumCRC32"] == put["ChecksumCRC32"]


def test_what_stands_beside_the_bytes_is_kept(client: Any, bucket: str) -> None:
    kept = {
        "ContentType": "text/csv; charset=utf-8",
        "CacheControl": "no-store",
        "ContentDisposition": "attachment",
        "ContentLanguage": "de",
        "ContentEncoding": "gzip",
        "Metadata": {"one": "1", "two": "zwei"},
    }
    client.put_object(Bucket=bucket, Key="k", Body=b"x", **kept)
    head = client.head_object(Bucket=bucket, Key="k")
    assert {name: head[name] for name in kept} == kept
    assert "Metadata" in head and "ServerSideEncryption" not in head
    got = client.get_object(Bucket=bucket, Key="k", ResponseContentType="text/plain")
    assert got["ContentType"] == "text/plain"


def test_an_override_does_not_break_out_of_its_header(client: Any, bucket: str) -> None:
    client.put_object(Bucket=bucket, Key="k", Body=b"x")
    smuggled = "text/plain\r\nSet-Cookie: a=b"
    assert refusal(client.get_object, Bucket=bucket, Key="k", ResponseContentType=smuggled) == (
        "InvalidArgument",
        400,
    )


def test_an_upload_without_a_type_is_binary(client: Any, bucket: str) -> None:
    client.put_object(Bucket=bucket, Key="k", Body=b"x")
    head = client.head_object(Bucket=bucket, Key="k")
    assert head["ContentType"] == "binary/octet-stream"
    assert "ContentEncoding" not in head  # aws-chunked is of the transport


def test_encryption_is_not_claimed(client: Any, bucket: str) -> None:
    put = client.put_object(
        Bucket=bucket, Key="k", Body=b"x", ServerSideEncryption="aws:kms", SSEKMSKeyId="alias/k"
    )
    assert "ServerSideEncryption" not in put
    assert "SSEKMSKeyId" not in client.head_object(Bucket=bucket, Key="k")


@pytest.mark.parametrize(
    "params",
    [
        {"ACL": "public-read"},
        {"Tagging": "a=b"},
        {"ObjectLockMode": "GOVERNANCE"},
        {"SSECustomerAlgorithm": "AES256", "SSECustomerKey": "k" * 32},
    ],
)
def test_what_is_not_done_is_refused(served: Store, params: dict[str, str]) -> None:
    client = served.client(secure=True)
    client.create_bucket(Bucket="refusals")
    refused = refusal(client.put_object, Bucket="refusals", Key="k", Body=b"x", **params)
    assert refused == ("NotImplemented", 501)
    assert "Contents" not in client.list_objects(Bucket="refusals")


def test_ranges(client: Any, bucket: str) -> None:
    body = noise(1000)
    client.put_object(Bucket=bucket, Key="k", Body=body)
    for header, part, told in (
        ("bytes=0-9", body[:10], "bytes 0-9/1000"),
        ("bytes=990-", body[990:], "bytes 990-999/1000"),
        ("bytes=-5", body[-5:], "bytes 995-999/1000"),
        ("bytes=900-5000", body[900:], "bytes 900-999/1000"),
    ):
        got = client.get_object(Bucket=bucket, Key="k", Range=header)
        assert got["Body"].read() == part
        assert got["ContentRange"] == told
        assert got["ResponseMetadata"]["HTTPStatusCode"] == 206
        assert "ChecksumCRC32" not in got  # it is of the whole
    assert refusal(client.get_object, Bucket=bucket, Key="k", Range="bytes=1000-") == (
        "InvalidRange",
        416,
    )


def test_reads_on_conditions(client: Any, bucket: str) -> None:
    etag = client.put_object(Bucket=bucket, Key="k", Body=b"x")["ETag"]
    client.get_object(Bucket=bucket, Key="k", IfMatch=etag)
    assert refusal(client.get_object, Bucket=bucket, Key="k", IfMatch='"other"') == (
        "PreconditionFailed",
        412,
    )
    assert refusal(client.get_object, Bucket=bucket, Key="k", IfNoneMatch=etag)[1] == 304
    modified = client.head_object(Bucket=bucket, Key="k")["LastModified"]
    assert refusal(client.head_object, Bucket=bucket, Key="k", IfModifiedSince=modified)[1] == 304


def test_writes_on_conditions(client: Any, bucket: str) -> None:
    key = {"Bucket": bucket, "Key": "k"}
    assert refusal(client.put_object, **key, Body=b"0", IfMatch='"e"') == ("NoSuchKey", 404)
    etag = client.put_object(**key, Body=b"1", IfNoneMatch="*")["ETag"]
    taken = refusal(client.put_object, **key, Body=b"2", IfNoneMatch="*")
    assert taken == ("PreconditionFailed", 412)
    client.put_object(**key, Body=b"3", IfMatch=etag)
    stale = refusal(client.put_object, **key, Body=b"4", IfMatch=etag)
    assert stale == ("PreconditionFailed", 412)
    assert client.get_object(**key)["Body"].read() == b"3"


def test_what_is_not_there(client: Any, bucket: str) -> None:
    assert refusal(client.get_object, Bucket=bucket, Key="k") == ("NoSuchKey", 404)
    assert refusal(client.head_object, Bucket=bucket, Key="k") == ("404", 404)
    assert refusal(client.get_object, Bucket="no-such-bucket", Key="k") == ("NoSuchBucket", 404)
    assert refusal(client.list_objects_v2, Bucket="no-such-bucket") == ("NoSuchBucket", 404)
    large = b"x" * 3_000_000
    assert refusal(client.put_object, Bucket="no-such-bucket", Key="k", Body=large) == (
        "NoSuchBucket",
        404,
    )
    client.delete_object(Bucket=bucket, Key="k")


def test_many_are_deleted_at_once(client: Any, bucket: str) -> None:
    for key in ("a", "b", "c"):
        client.put_object(Bucket=bucket, Key=key, Body=b"x")
    named = {"Objects": [{"Key": "a"}, {"Key": "b & b"}, {"Key": "c"}]}
    deleted = client.delete_objects(Bucket=bucket, Delete=named)["Deleted"]
    assert [each["Key"] for each in deleted] == ["a", "b & b", "c"]
    assert [each["Key"] for each in client.list_objects(Bucket=bucket)["Contents"]] == ["b"]


def test_copies(client: Any, bucket: str) -> None:
    source = {"Bucket": bucket, "Key": "dir/a +ü"}
    client.put_object(**source, Body=b"copied", Metadata={"m": "1"}, ContentType="text/plain")
    made = client.copy_object(Bucket=bucket, Key="plain", CopySource=source)
    client.copy_object(
        Bucket=bucket,
        Key="replaced",
        CopySource=source,
        MetadataDirective="REPLACE",
        Metadata={"n": "2"},
    )
    plain = client.get_object(Bucket=bucket, Key="plain")
    assert (plain["Body"].read(), plain["Metadata"]) == (b"copied", {"m": "1"})
    assert plain["ETag"] == made["CopyObjectResult"]["ETag"]
    assert client.head_object(Bucket=bucket, Key="replaced")["Metadata"] == {"n": "2"}
    assert refusal(client.copy_object, **source, CopySource=source) == ("InvalidRequest", 400)
    missing = {"Bucket": bucket, "Key": "nothing"}
    assert refusal(client.copy_object, Bucket=bucket, Key="k", CopySource=missing) == (
        "NoSuchKey",
        404,
    )


@pytest.mark.parametrize("algorithm", ["CRC32", "CRC32C", "SHA1", "SHA256"])
def test_checksums_are_verified_and_echoed(client: Any, bucket: str, algorithm: str) -> None:
    member = f"Checksum{algorithm}"
    if algorithm == "CRC32C":
        pytest.importorskip("awscrt", reason="boto3 computes CRC32C with the AWS CRT alone")
    put = client.put_object(Bucket=bucket, Key="k", Body=b"hello", ChecksumAlgorithm=algorithm)
    got = client.get_object(Bucket=bucket, Key="k", ChecksumMode="ENABLED")
    assert got[member] == put[member]
    assert got["Body"].read() == b"hello"


def test_a_wrong_checksum_is_refused_and_nothing_is_stored(client: Any, bucket: str) -> None:
    wrong = {"ChecksumCRC32": "AAAAAA=="}
    assert refusal(client.put_object, Bucket=bucket, Key="k", Body=b"hello", **wrong) == (
        "BadDigest",
        400,
    )
    md5 = {"ContentMD5": "1B2M2Y8AsgTpgAmY7PhCfg=="}  # of nothing
    assert refusal(client.put_object, Bucket=bucket, Key="k", Body=b"hello", **md5) == (
        "BadDigest",
        400,
    )
    assert "Contents" not in client.list_objects(Bucket=bucket)


# ---------------------------------------------------------------- listings

ODD_KEYS = sorted(
    [
        "a",
        "a/",
        "a/1",
        "a/b",
        "a-b",
        "a//c",
        "../up",
        "./x",
        "ä/ö",
        "sp ace",
        "p+q",
        "p%20q",
        "&<>'\"",
        "x" * 1024,
        "a/" + "y" * 300,
        "tab\tnew\nline",
        "😀",
        "z\x01",
    ],
    key=str.encode,
)


def test_odd_keys_are_listed_in_the_order_of_their_bytes(client: Any, bucket: str) -> None:
    for key in ODD_KEYS:
        client.put_object(Bucket=bucket, Key=key, Body=key.encode())
    for operation in ("list_objects", "list_objects_v2"):
        pages = client.get_paginator(operation).paginate(
            Bucket=bucket, PaginationConfig={"PageSize": 4}
        )
        assert [each["Key"] for page in pages for each in page["Contents"]] == ODD_KEYS
    for key in ODD_KEYS:
        assert client.get_object(Bucket=bucket, Key=key)["Body"].read() == key.encode()


@pytest.mark.parametrize("operation", ["list_objects", "list_objects_v2"])
@pytest.mark.parametrize("size", [1, 2, 1000])
def test_delimiters_roll_up(client: Any, bucket: str, operation: str, size: int) -> None:
    for key in ("p/a", "p/b/1", "p/b/2", "p/c", "p/d/1", "q/1"):
        client.put_object(Bucket=bucket, Key=key, Body=b"x")
    pages = client.get_paginator(operation).paginate(
        Bucket=bucket, Prefix="p/", Delimiter="/", PaginationConfig={"PageSize": size}
    )
    keys, prefixes = [], []
    for page in pages:
        keys += [each["Key"] for each in page.get("Contents", [])]
        prefixes += [each["Prefix"] for each in page.get("CommonPrefixes", [])]
    assert (keys, prefixes) == (["p/a", "p/c"], ["p/b/", "p/d/"])


def test_an_empty_listing_has_no_contents(client: Any, bucket: str) -> None:
    assert "Contents" not in client.list_objects(Bucket=bucket)
    page = client.list_objects_v2(Bucket=bucket, Prefix="nothing")
    assert "Contents" not in page and page["KeyCount"] == 0 and not page["IsTruncated"]
    assert client.list_objects_v2(Bucket=bucket, MaxKeys=0)["IsTruncated"] is False
    bad = refusal(client.list_objects_v2, Bucket=bucket, ContinuationToken="é")
    assert bad == ("InvalidArgument", 400)


def test_start_after(client: Any, bucket: str) -> None:
    for key in ("a", "b", "b0"):
        client.put_object(Bucket=bucket, Key=key, Body=b"x")
    page = client.list_objects_v2(Bucket=bucket, StartAfter="b", FetchOwner=True)
    assert [each["Key"] for each in page["Contents"]] == ["b0"]
    assert page["Contents"][0]["Owner"]["DisplayName"] == "modeltap"


# ---------------------------------------------------------------- multipart


def test_a_file_of_20_mib_goes_up_in_parts_and_comes_down_whole(client: Any, bucket: str) -> None:
    body = noise(20 * 1024 * 1024 + 1)
    client.upload_fileobj(io.BytesIO(body), bucket, "big", ExtraArgs={"Metadata": {"m": "1"}})
    head = client.head_object(Bucket=bucket, Key="big")
    assert head["ETag"].endswith('-3"') and head["Metadata"] == {"m": "1"}
    down = io.BytesIO()
    client.download_fileobj(bucket, "big", down)
    assert down.getvalue() == body
    across = client.get_object(Bucket=bucket, Key="big", Range="bytes=8388600-16777300")
    assert across["Body"].read() == body[8388600:16777301]


def test_parts_are_listed_replaced_and_completed(client: Any, bucket: str) -> None:
    key = {"Bucket": bucket, "Key": "k"}
    upload = client.create_multipart_upload(**key, ContentType="text/plain")["UploadId"]
    place = key | {"UploadId": upload}
    listed = client.list_multipart_uploads(Bucket=bucket)["Uploads"]
    assert [(each["Key"], each["UploadId"]) for each in listed] == [("k", upload)]
    bodies = {3: noise(100, 3), 1: noise(PART, 1), 2: noise(PART, 2)}
    client.upload_part(**place, PartNumber=2, Body=b"to be replaced")
    etags = {
        n: client.upload_part(**place, PartNumber=n, Body=b)["ETag"] for n, b in bodies.items()
    }
    pages = client.get_paginator("list_parts").paginate(**place, PaginationConfig={"PageSize": 2})
    parts = [part for page in pages for part in page["Parts"]]
    assert [(each["PartNumber"], each["ETag"]) for each in parts] == sorted(etags.items())
    assert client.list_parts(**place, MaxParts=0)["IsTruncated"] is False  # or it would never end
    named = {"Parts": [{"PartNumber": n, "ETag": etags[n]} for n in (1, 3)]}  # 2 is left out
    done = client.complete_multipart_upload(**place, MultipartUpload=named)
    again = client.complete_multipart_upload(**place, MultipartUpload=named)
    assert done["ETag"] == again["ETag"]
    got = client.get_object(**key)
    assert got["Body"].read() == bodies[1] + bodies[3]
    assert got["ContentType"] == "text/plain"
    assert "Uploads" not in client.list_multipart_uploads(Bucket=bucket)


def test_a_big_object_is_copied_in_parts(client: Any, bucket: str) -> None:
    """As boto3's `copy` and `aws s3 cp` copy what has more than 8 MiB."""
    body = noise(2 * PART + 1)
    client.put_object(Bucket=bucket, Key="from a+b", Body=body)
    source = {"Bucket": bucket, "Key": "from a+b"}
    config = TransferConfig(multipart_threshold=PART, multipart_chunksize=PART)
    client.copy(source, bucket, "to", Config=config)
    told = client.get_object(Bucket=bucket, Key="to")
    assert told["Body"].read() == body
    assert told["ETag"].endswith('-3"')


def test_a_part_is_copied_from_what_is_there(client: Any, bucket: str) -> None:
    client.put_object(Bucket=bucket, Key="from", Body=b"0123456789")
    key = {"Bucket": bucket, "Key": "to"}
    place = key | {"UploadId": client.create_multipart_upload(**key)["UploadId"], "PartNumber": 1}
    source = {"Bucket": bucket, "Key": "from"}
    for span in ("bytes=3-10", "bytes=5-3", "bytes=3-", "bytes=-3", "3-5"):
        refused = refusal(client.upload_part_copy, **place, CopySource=source, CopySourceRange=span)
        assert refused == ("InvalidArgument", 400)
    gone = source | {"Key": "gone"}
    assert refusal(client.upload_part_copy, **place, CopySource=gone) == ("NoSuchKey", 404)
    elsewhere = place | {"UploadId": "none"}
    assert refusal(client.upload_part_copy, **elsewhere, CopySource=source)[0] == "NoSuchUpload"
    etag = client.put_object(Bucket=bucket, Key="other", Body=b"other")["ETag"]
    refused = refusal(client.upload_part_copy, **place, CopySource=source, CopySourceIfMatch=etag)
    assert refused == ("PreconditionFailed", 412)
    copied = client.upload_part_copy(**place, CopySource=source, CopySourceRange="bytes=3-5")
    named = {"Parts": [{"PartNumber": 1, "ETag": copied["CopyPartResult"]["ETag"]}]}
    place.pop("PartNumber")
    client.complete_multipart_upload(**place, MultipartUpload=named)
    assert client.get_object(**key)["Body"].read() == b"345"


def test_a_completion_that_is_not_true_is_refused(client: Any, bucket: str) -> None:
    key = {"Bucket": bucket, "Key": "k"}
    place = key | {"UploadId": client.create_multipart_upload(**key)["UploadId"]}
    etags = [client.upload_part(**place, PartNumber=n, Body=b"small")["ETag"] for n in (1, 2)]
    one, two = ({"PartNumber": n, "ETag": etag} for n, etag in enumerate(etags, 1))
    for parts, code in (
        ([two, one], "InvalidPartOrder"),
        ([one, two], "EntityTooSmall"),
        ([one | {"ETag": '"other"'}], "InvalidPart"),
        ([one | {"ChecksumCRC32": "AAAAAA=="}], "InvalidPart"),
        ([{"PartNumber": 9, "ETag": etags[0]}], "InvalidPart"),
    ):
        named = {"Parts": parts}
        refused = refusal(client.complete_multipart_upload, **place, MultipartUpload=named)
        assert refused == (code, 400)
    client.abort_multipart_upload(**place)
    assert refusal(client.abort_multipart_upload, **place) == ("NoSuchUpload", 404)
    assert refusal(client.upload_part, **place, PartNumber=1, Body=b"x") == ("NoSuchUpload", 404)
    client.delete_bucket(Bucket=bucket)


# ---------------------------------------------------------------- who may, and where


def test_a_wrong_secret_and_an_unknown_key_are_refused(served: Store) -> None:
    for secure in (False, True):
        stranger = served.client(secure=secure, secret="no such secret")
        assert refusal(stranger.list_buckets) == ("SignatureDoesNotMatch", 403)
        assert refusal(stranger.put_object, Bucket="b-b", Key="k", Body=b"x" * 70_000) == (
            "SignatureDoesNotMatch",
            403,
        )


def test_an_operation_that_is_not_served_names_those_that_are(client: Any, bucket: str) -> None:
    with pytest.raises(ClientError, match=r"does not serve GetBucketAcl; it serves .*PutObject"):
        client.get_bucket_acl(Bucket=bucket)
