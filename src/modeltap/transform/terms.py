"""A CreateTransformJob request, ready to be obeyed: AWS's defaults filled in, its members named.

`MaxConcurrentTransforms` is AWS's to choose where it is 0 or not given: by what the container says
of itself, else 1. Here it is 2, so that a model does not wait while its answer is written.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import BinaryIO

from modeltap.nouns import Document
from modeltap.transform.paths import parse
from modeltap.transform.records import Batch, batches, by_lines, one_batch, whole
from modeltap.transform.shaping import Shaping, format_of

MIB = 1024 * 1024
PAYLOAD_MB_DEFAULT = 6
CONCURRENT_DEFAULT = 2
SECONDS_DEFAULT = 600
RETRIES_DEFAULT = 3


@dataclass(frozen=True, slots=True)
class Terms:
    """What a job is to do; sizes in bytes, times in seconds."""

    source: Document  # an S3DataSource
    output: str  # s3://bucket/prefix without a trailing slash
    instances: int
    content_type: str | None
    accept: str | None
    gzip: bool
    split: bool  # by lines; else an object is one payload
    single: bool  # one record a request; else as many as fit
    payload_bytes_max: int
    concurrent: int  # requests at once to an instance
    seconds_max: float
    retries: int
    assembles_lines: bool
    shaping: Shaping
    kms_key_id: str | None
    capture: Document | None  # a BatchDataCaptureConfig

    def batches(self, file: BinaryIO) -> Iterator[Batch]:
        """Read an object, as requests. Raise `RecordRefused` where it cannot be sent."""
        ask, bytes_max = self.shaping.sent, self.payload_bytes_max
        if not self.split:
            return one_batch(whole(file, bytes_max), ask, lines=self.shaping.by_lines)
        return batches(by_lines(file, bytes_max), ask, bytes_max, single=self.single)

    @property
    def variables(self) -> Mapping[str, str]:
        """Tell a model's container of its job (contract §3.1)."""
        return {
            "SAGEMAKER_BATCH": "true",
            "SAGEMAKER_MAX_PAYLOAD_IN_MB": str(self.payload_bytes_max // MIB),
            "SAGEMAKER_BATCH_STRATEGY": "SINGLE_RECORD" if self.single else "MULTI_RECORD",
            "SAGEMAKER_MAX_CONCURRENT_TRANSFORMS": str(self.concurrent),
        }


def terms_of(request: Document) -> Terms:
    """Read a request. Raise `PathRefused` for a filter that is none."""
    given, output = request["TransformInput"], request["TransformOutput"]
    client = request.get("ModelClientConfig", {})
    payload_mb = request.get("MaxPayloadInMB", PAYLOAD_MB_DEFAULT)
    return Terms(
        source=given["DataSource"]["S3DataSource"],
        output=output["S3OutputPath"].rstrip("/"),
        instances=request["TransformResources"]["InstanceCount"],
        content_type=given.get("ContentType") or None,
        accept=output.get("Accept") or None,
        gzip=given.get("CompressionType") == "Gzip",
        split=given.get("SplitType") == "Line",
        single=request.get("BatchStrategy") == "SingleRecord",
        payload_bytes_max=payload_mb * MIB,
        concurrent=request.get("MaxConcurrentTransforms") or CONCURRENT_DEFAULT,
        seconds_max=float(client.get("InvocationsTimeoutInSeconds", SECONDS_DEFAULT)),
        retries=client.get("InvocationsMaxRetries", RETRIES_DEFAULT),
        assembles_lines=output.get("AssembleWith") == "Line",
        shaping=_shaping(request),
        kms_key_id=output.get("KmsKeyId") or None,
        capture=request.get("DataCaptureConfig"),
    )


def _shaping(request: Document) -> Shaping:
    asked = request.get("DataProcessing", {})
    return Shaping(
        given=format_of(request["TransformInput"].get("ContentType")),
        input_filter=parse(asked.get("InputFilter") or "$"),
        join=asked.get("JoinSource") == "Input",
        output_filter=parse(asked.get("OutputFilter") or "$"),
        ids=request.get("DataCaptureConfig", {}).get("GenerateInferenceId", False),
    )
