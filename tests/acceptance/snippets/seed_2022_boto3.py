"""The 2022 edition of "Capture data", its boto3 snippets as printed, placeholders filled.

Run in a folder with `model/` and `test_data/`; IMAGE and DELIVERY come from the environment.
"""

# not printed: imports, the client, the upload and the model
import json
import os
import time

import boto3

sagemaker_client = boto3.client("sagemaker")
boto3.client("s3").create_bucket(Bucket="boto3-seed")
boto3.client("s3").upload_file("model/your-prediction-model.tar.gz", "boto3-seed", "model.tar.gz")
sagemaker_client.create_model(
    ModelName="seed-2022",
    ExecutionRoleArn="arn:aws:iam::000000000000:role/ModeltapExecutionRole",
    PrimaryContainer={"Image": os.environ["IMAGE"], "ModelDataUrl": "s3://boto3-seed/model.tar.gz"},
)

# Create an endpoint config name.
endpoint_config_name = 'seed-2022-config'

# The name of the production variant.
variant_name = 'AllTraffic'                   
  
# The name of the model that you want to host. 
# This is the name that you specified when creating the model.
model_name = 'seed-2022'

instance_type = 'ml.m5.xlarge'
#instance_type='ml.m5.xlarge' # Example    

# Number of instances to launch initially.
initial_instance_count = 1

# Sampling percentage. Choose an integer value between 0 and 100
initial_sampling_percentage = 100                                                                                                                                                                                                                        

# The S3 URI of where to store captured data in S3
s3_capture_upload_path = 's3://boto3-seed/capture'

# Specify either Input, Output, or both
capture_modes = [ "Input",  "Output" ] 
#capture_mode = [ "Input"] # Example - If you want to capture input only
                            
endpoint_config_response = sagemaker_client.create_endpoint_config(
    EndpointConfigName=endpoint_config_name, 
    # List of ProductionVariant objects, one for each model that you want to host at this endpoint.
    ProductionVariants=[
        {
            "VariantName": variant_name, 
            "ModelName": model_name, 
            "InstanceType": instance_type, # Specify the compute instance type.
            "InitialInstanceCount": initial_instance_count # Number of instances to launch initially.
        }
    ],
    DataCaptureConfig= {
        'EnableCapture': True, # Whether data should be captured or not.
        'InitialSamplingPercentage' : initial_sampling_percentage,
        'DestinationS3Uri': s3_capture_upload_path,
        'CaptureOptions': [{"CaptureMode" : capture_mode} for capture_mode in capture_modes] # Example - Use list comprehension to capture both Input and Output
    }
)

# The name of the endpoint. The name must be unique within an AWS Region in your AWS account.
endpoint_name = 'Seed-2022-Boto3' 

# The name of the endpoint configuration associated with this endpoint.
endpoint_config_name='seed-2022-config'

create_endpoint_response = sagemaker_client.create_endpoint(
                                            EndpointName=endpoint_name, 
                                            EndpointConfigName=endpoint_config_name)

# not printed: waiting, invoking, reading back
sagemaker_client.get_waiter("endpoint_in_service").wait(
    EndpointName=endpoint_name, WaiterConfig={"Delay": 1, "MaxAttempts": 120}
)
runtime = boto3.client("sagemaker-runtime")
with open("test_data/test-dataset-input-cols.csv") as rows:
    sent = [next(rows) for _ in range(5)]
answers = [
    runtime.invoke_endpoint(EndpointName=endpoint_name, ContentType="text/csv", Body=row)["Body"].read().decode()
    for row in sent
]
time.sleep(float(os.environ["DELIVERY"]))
s3 = boto3.client("s3")
listed = s3.list_objects_v2(Bucket="boto3-seed", Prefix=f"capture/{endpoint_name}/")["Contents"]
lines = [
    json.loads(line)
    for each in listed
    for line in s3.get_object(Bucket="boto3-seed", Key=each["Key"])["Body"].read().splitlines()
]
print("\nRESULT " + json.dumps({
    "config": endpoint_config_response["EndpointConfigArn"],
    "endpoint": create_endpoint_response["EndpointArn"],
    "sent": sent, "answers": answers, "keys": [each["Key"] for each in listed], "lines": lines,
}))
