"""AG-UI 1.0 (https://docs.ag-ui.com/spec/1.0): its run input, and the events of responses as its own."""
