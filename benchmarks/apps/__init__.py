"""What runs inside the contenders' own environments; nothing here is imported by the benchmark."""
