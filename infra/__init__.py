"""What AWS is asked for. It imports neither handler nor agents; the constructs are in src/agency_lambda_cdk."""
