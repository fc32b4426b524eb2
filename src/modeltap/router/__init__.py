"""Which instance answers an invocation: table, pick, gate, and the one call that walks them."""
