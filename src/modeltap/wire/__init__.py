"""The tongue: AWS's four wire protocols, both ways, driven by botocore's own service models.

Pure functions over `HttpRequest`, `HttpResponse` and documents: no sockets, no clock; only
`catalog` reads files, once. A request walks `catalog` (which operation) → `parse` → `validate`; its
answer walks `serialize`, or `fault`. One module a format holds reading beside writing: `json_body`,
`xml_body`, `form_body`, and `bindings` for what stands outside the body. `chunked` and `checksum`
take S3 uploads apart as they stream. `shortcut` is the quick way for the one operation that is hot.

No shape, limit, pattern or enum is transcribed: they are read from the model at run time
(`house.md`, decision 1). The few tables here hold what the models do not say.
"""
