"""What AWS is asked for, with constructs of src/agency_lambda_cdk."""
