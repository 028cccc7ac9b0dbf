"""AG-UI 1.0 (https://docs.ag-ui.com): its run input as a request for a response, and a response's events as its own."""
