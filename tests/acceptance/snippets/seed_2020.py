"""The 2020 edition of "Capture data", its snippets as printed, for SageMaker SDK 1.72.1.

What the page leaves out is marked `# not printed`. What it prints and cannot run is marked
`# printed without` (contract §0.4). Run in a folder with `model/` and `test_data/`.
"""

# not printed: imports and the model
import os
import subprocess
from time import gmtime, strftime

from sagemaker.model import Model

# step 1
import boto3
import re
import json
from sagemaker import get_execution_role, session

region= boto3.Session().region_name

role = get_execution_role()
print("RoleArn: {}".format(role))

# You can use a different bucket, but make sure the role you chose for this notebook
# has s3:PutObject permissions. This is the bucket into which the data is captured
bucket =  session.Session(boto3.Session()).default_bucket()
print("Demo Bucket: {}".format(bucket))
prefix = 'sagemaker/DEMO-ModelMonitor'

data_capture_prefix = '{}/datacapture'.format(prefix)
s3_capture_upload_path = 's3://{}/{}'.format(bucket, data_capture_prefix)
reports_prefix = '{}/reports'.format(prefix)
s3_report_path = 's3://{}/{}'.format(bucket,reports_prefix)
code_prefix = '{}/code'.format(prefix)
s3_code_preprocessor_uri = 's3://{}/{}/{}'.format(bucket,code_prefix, 'preprocessor.py')
s3_code_postprocessor_uri = 's3://{}/{}/{}'.format(bucket,code_prefix, 'postprocessor.py')

print("Capture path: {}".format(s3_capture_upload_path))
print("Report path: {}".format(s3_report_path))
print("Preproc Code path: {}".format(s3_code_preprocessor_uri))
print("Postproc Code path: {}".format(s3_code_postprocessor_uri))

# step 2
model_file = open("model/your-prediction-model.tar.gz", 'rb')
s3_key = os.path.join(prefix, 'your-prediction-model.tar.gz')
boto3.Session().resource('s3').Bucket(bucket).Object(s3_key).upload_fileobj(model_file)

# step 3
from sagemaker.model_monitor import DataCaptureConfig

endpoint_name = 'your-pred-model-monitor-' + strftime("%Y-%m-%d-%H-%M-%S", gmtime())
print("EndpointName={}".format(endpoint_name))

data_capture_config=DataCaptureConfig(
                        enable_capture = True,
                        sampling_percentage=100,
                        destination_s3_uri=s3_capture_upload_path)

# not printed: the model (its image is the one of AWS's notebook)
model = Model(
    image=os.environ["IMAGE"],
    model_data='s3://{}/{}'.format(bucket, s3_key),
    role=role,
)

# step 4; printed without the comma after endpoint_name
predictor = model.deploy(initial_instance_count=1,
                instance_type='ml.m4.xlarge',
                endpoint_name=endpoint_name,
                data_capture_config=data_capture_config)

# step 5; the shell line is IPython's
from sagemaker.predictor import RealTimePredictor
import time

predictor = RealTimePredictor(endpoint=endpoint_name,content_type='text/csv')

# get a subset of test data for a quick test
subprocess.run("head -120 test_data/test-dataset-input-cols.csv > test_data/test_sample.csv", shell=True, check=True)
print("Sending test traffic to the endpoint {}. \nPlease wait...".format(endpoint_name))

with open('test_data/test_sample.csv', 'r') as f:
    for row in f:
        payload = row.rstrip('\n')
        response = predictor.predict(data=payload)
        time.sleep(float(os.environ["PAUSE"]))  # printed: 0.5

print("Done!")

# not printed: "the delivery … can require a couple of minutes"
time.sleep(float(os.environ["DELIVERY"]))

# step 6
s3_client = boto3.Session().client('s3')
current_endpoint_capture_prefix = '{}/{}'.format(data_capture_prefix, endpoint_name)
result = s3_client.list_objects(Bucket=bucket, Prefix=current_endpoint_capture_prefix)
capture_files = [capture_file.get("Key") for capture_file in result.get('Contents')]
print("Found Capture Files:")
print("\n ".join(capture_files))

# not printed: what the test judges
print("\nRESULT " + json.dumps({"role": role, "bucket": bucket, "endpoint": endpoint_name, "files": capture_files, "last": response.decode()}))
