"""The data plane's face: strict HTTP, invocations, and the pass-through to control and store."""
