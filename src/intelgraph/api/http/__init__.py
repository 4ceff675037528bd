"""Our HTTP/1.1 server for the data plane: connections, requests, answers, bodies. Nothing else uses it."""
