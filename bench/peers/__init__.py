"""The same work, done with other people's engines: each as its documentation recommends.

Per series, one-minute tumbling windows of event time: count, errors, sum of latency, p50, p95 and p99 to
within 1 %; state that survives a restart; for every window a JSON result in `<prefix>.peer.<name>`.
"""
