"""The 2022 edition of "Capture data", its SageMaker SDK 2 snippets as printed, placeholders filled.

Printed and unable to run, so mended and marked (contract §0.4): the list of dictionaries in
`capture_options`, the undefined `baseline_file`, the undefined `capture_file`.
Run in a folder with `model/` and `test_data/`; IMAGE, PAUSE, DELIVERY come from the environment.
"""

# not printed: the session, the upload, the model
import json
import os
import time

import boto3
import sagemaker
from sagemaker.model import Model

role = sagemaker.get_execution_role()
bucket = sagemaker.Session().default_bucket()
model_data = sagemaker.Session().upload_data("model/your-prediction-model.tar.gz", bucket, "seed-2022-sdk")
model = Model(image_uri=os.environ["IMAGE"], model_data=model_data, role=role)

from sagemaker.model_monitor import DataCaptureConfig

# Set to True to enable data capture
enable_capture = True

# Optional - Sampling percentage. Choose an integer value between 0 and 100
sampling_percentage = 100 
# sampling_percentage = 30 # Example 30%

# Optional - The S3 URI of where to store captured data in S3
s3_capture_upload_path = f's3://{bucket}/seed-2022-sdk/capture'

# Specify either Input, Output or both. 
capture_modes = ['REQUEST','RESPONSE'] # In this example, we specify both
# capture_mode = ['REQUEST'] # Example - If you want to only capture input.

# Configuration object passed in when deploying Models to SM endpoints
data_capture_config = DataCaptureConfig(
    enable_capture = enable_capture, 
    sampling_percentage = sampling_percentage, # Optional
    destination_s3_uri = s3_capture_upload_path, # Optional
    capture_options = [{"CaptureMode": capture_mode} for capture_mode in capture_modes]
)

# not printed: the client calls .upper() on each item when it deploys, so the list above cannot run
try:
    data_capture_config._to_request_dict()
except AttributeError as error:
    assert "upper" in str(error)
    data_capture_config.capture_options = capture_modes

from datetime import datetime

endpoint_name = f"DEMO-{datetime.utcnow():%Y-%m-%d-%H%M}"
print("EndpointName =", endpoint_name)

initial_instance_count=1
# initial_instance_count=1 # Example

instance_type='ml.m4.xlarge'
# instance_type='ml.m4.xlarge' # Example

# Uncomment if you did not define this variable in the previous step
#data_capture_config = <name-of-data-capture-configuration>

model.deploy(
    initial_instance_count=initial_instance_count,
    instance_type=instance_type,
    endpoint_name=endpoint_name,
    data_capture_config=data_capture_config
)

from sagemaker.predictor import Predictor
from sagemaker.serializers import CSVSerializer
from sagemaker.deserializers import JSONDeserializer

predictor = Predictor(endpoint_name=endpoint_name,
                      serializer = CSVSerializer(),
                      deserializer = JSONDeserializer())

from time import sleep

validate_dataset = "validation_with_predictions.csv"

# Cut off threshold of 80%
cutoff = 0.8

limit = 200  # Need at least 200 samples to compute standard deviations
i = 0
with open(f"test_data/{validate_dataset}", "w") as validation_file:
    baseline_file = validation_file  # not printed
    validation_file.write("probability,prediction,label\n")  # CSV header
    with open("test_data/validation.csv", "r") as f:
        for row in f:
            (label, input_cols) = row.split(",", 1)
            probability = float(predictor.predict(input_cols))
            prediction = "1" if probability > cutoff else "0"
            baseline_file.write(f"{probability},{prediction},{label}\n")
            i += 1
            if i > limit:
                break
            print(".", end="", flush=True)
            sleep(float(os.environ["PAUSE"]))  # printed: 0.5
print()
print("Done!")

# not printed: delivery "can require a couple of minutes", and how capture_file is read
time.sleep(float(os.environ["DELIVERY"]))
s3 = boto3.client("s3")
keys = [each["Key"] for each in s3.list_objects(Bucket=bucket, Prefix=f"seed-2022-sdk/capture/{endpoint_name}")["Contents"]]
capture_file = "".join(s3.get_object(Bucket=bucket, Key=key)["Body"].read().decode() for key in keys).split("\n")

print("\n".join(capture_file[-3:-1]))

# The capture_file object is a list. Index the first element to view a single inference request  
print(json.dumps(json.loads(capture_file[0]), indent=2))

# not printed: the rest of the list, and what the test judges
from sagemaker.deserializers import BytesDeserializer

plain = Predictor(endpoint_name=endpoint_name, serializer=CSVSerializer(), deserializer=BytesDeserializer())
statuses = {}
client = boto3.client("sagemaker")


def described(name):
    endpoint = client.describe_endpoint(EndpointName=endpoint_name)
    statuses[name] = {"config": endpoint["EndpointConfigName"], "capture": endpoint.get("DataCaptureConfig")}


described("deployed")
plain.disable_data_capture()
described("disabled")
plain.enable_data_capture()
described("enabled")
plain.update_data_capture_config(DataCaptureConfig(enable_capture=True, sampling_percentage=50, destination_s3_uri=s3_capture_upload_path, capture_options=["REQUEST"]))
described("updated")
after_update = plain.predict(input_cols).decode()
plain.delete_model()
plain.delete_endpoint()
while True:
    try:
        client.describe_endpoint(EndpointName=endpoint_name)
        time.sleep(0.2)
    except client.exceptions.ClientError as error:
        gone = str(error)
        break
print("\nRESULT " + json.dumps({
    "role": role, "bucket": bucket, "endpoint": endpoint_name, "keys": keys, "count": i,
    "lines": capture_file, "statuses": statuses, "after_update": after_update, "gone": gone,
}))
