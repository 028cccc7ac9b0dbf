"""The least that a Lambda in Python can be."""


def handler(event, context):
    return {"statusCode": 200, "body": '{"echo": "hello"}'}
