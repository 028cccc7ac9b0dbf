"""Files of callers and of their runs: metadata in the store, bytes in a folder or in S3."""
