"""Run in an environment with the SageMaker SDK 2: a batch transform, as AWS's notebooks make it.

`sdk_transform.py IMAGE MODEL_DATA INPUT OUTPUT CAPTURE`; the last line that is printed is JSON.
"""

import json
import sys

import sagemaker
from sagemaker.inputs import BatchDataCaptureConfig
from sagemaker.model import Model
from sagemaker.s3 import S3Downloader


def main(image: str, model_data: str, source: str, target: str, captured: str) -> None:
    model = Model(image_uri=image, model_data=model_data, role=sagemaker.get_execution_role())
    transformer = model.transformer(
        instance_count=1,
        instance_type="ml.m5.xlarge",
        strategy="MultiRecord",
        assemble_with="Line",
        accept="text/csv",
        output_path=target,
        max_payload=1,
    )
    transformer.transform(
        data=source,
        content_type="text/csv",
        split_type="Line",
        input_filter="$[1:]",
        join_source="Input",
        output_filter="$[0,-1]",
        batch_data_capture_config=BatchDataCaptureConfig(
            destination_s3_uri=captured, generate_inference_id=True
        ),
        wait=True,
        logs=True,
    )
    client = transformer.sagemaker_session.sagemaker_client
    told = client.describe_transform_job(TransformJobName=transformer.latest_transform_job.name)
    result = {
        "status": told["TransformJobStatus"],
        "outputs": {uri: S3Downloader.read_file(uri) for uri in S3Downloader.list(target)},
        "captured": {uri: S3Downloader.read_file(uri) for uri in S3Downloader.list(captured)},
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main(*sys.argv[1:])
