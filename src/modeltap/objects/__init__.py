"""Objects: the port to any object store, real stores behind it, and the embedded buckets."""
