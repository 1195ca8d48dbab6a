"""The embedded model server: TensorFlow Serving's REST and gRPC APIs in one Python process.

`python -m deploy.server` takes the flags of `tensorflow_model_server`, so that either can be
started where the other is expected. `versions` picks and verifies a version directory, `servable`
runs its signatures, `messages` and `json_tensors` translate, `grpc_service` and `rest` answer.
"""
