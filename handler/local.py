"""The same app under uvicorn, on this machine only: `make run`."""

from agency_lambda import serve

if __name__ == "__main__":
    serve("handler.app:app")
