"""What others read in their own form. So far: Prometheus (prometheus.py)."""
