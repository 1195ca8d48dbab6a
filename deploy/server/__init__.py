"""The embedded model server: TensorFlow Serving's REST and gRPC APIs in one Python process.

`python -m deploy.server` takes the flags of `tensorflow_model_server`, so that either can be
started where the other is expected. `configs` says what is served, `versions` finds and verifies
version directories, `models` loads and swaps them, `servable` runs one's signatures, `batching`
merges requests, `messages`, `json_tensors` and `kserve` translate, `grpc_service` and `rest`
answer.
"""
