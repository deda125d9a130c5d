"""What the pipeline costs and gains, measured; run with `make bench`."""
