"""Run in an environment with the SageMaker SDK 2: one processor, as AWS's notebooks use it.

`sdk_jobs.py IMAGE INPUT`: IMAGE is an image URI (`ScriptProcessor`) or a version of scikit-learn's
(`SKLearnProcessor`). The last line that is printed is JSON.
"""

import json
import sys
from pathlib import Path
from typing import Any

import sagemaker
from sagemaker.processing import ProcessingInput, ProcessingOutput, ScriptProcessor
from sagemaker.s3 import S3Downloader
from sagemaker.sklearn.processing import SKLearnProcessor

SCRIPT = """
import pathlib, sys
output = pathlib.Path("/opt/ml/processing/output")
found = {path.name: path.read_text() for path in pathlib.Path(sys.argv[1]).iterdir()}
(output / "upper.txt").write_text("".join(found.values()).upper())
try:
    import sklearn, pandas
    (output / "sklearn.txt").write_text(sklearn.__version__)
except ImportError:
    pass
pathlib.Path("/opt/ml/output/message").write_text(f"{len(sys.argv)} words")
"""
IN, OUT = "/opt/ml/processing/input/data", "/opt/ml/processing/output"


def processor(image: str) -> Any:
    role = sagemaker.get_execution_role()
    host = {"instance_count": 1, "instance_type": "ml.m5.xlarge"}
    if "/" in image:
        return ScriptProcessor(role=role, image_uri=image, command=["python3"], **host)
    return SKLearnProcessor(framework_version=image, role=role, **host)


def main(image: str, source: str) -> None:
    Path("script.py").write_text(SCRIPT)
    processing = processor(image)
    processing.run(
        code="script.py",
        inputs=[ProcessingInput(source=source, destination=IN)],
        outputs=[ProcessingOutput(source=OUT, output_name="o")],
        arguments=[IN, "another"],
        wait=True,
        logs=True,
    )
    told = processing.latest_job.describe()
    target = processing.latest_job.outputs[0].destination
    found = {
        uri.rpartition("/")[2]: S3Downloader.read_file(uri) for uri in S3Downloader.list(target)
    }
    result = {
        "status": told["ProcessingJobStatus"],
        "message": told["ExitMessage"],
        "output": found["upper.txt"],
        "sklearn": found.get("sklearn.txt"),
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main(*sys.argv[1:])
