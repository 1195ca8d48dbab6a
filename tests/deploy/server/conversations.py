"""The conversations that TF Serving's documentation shows, or says in words.

The pages indent one and the same answer in three ways. Bytes are as the server's own writers give
them, which the page shows for status and regress:
https://github.com/tensorflow/serving/blob/master/tensorflow_serving/util/json_tensor.cc, and a
recorded answer in https://github.com/alexellis/tensorflow-serving-openfaas/blob/master/README.md
"""

from typing import NamedTuple

API = "https://www.tensorflow.org/tfx/serving/api_rest"
DOCKER = "https://www.tensorflow.org/tfx/serving/docker"
CONFIG = "https://www.tensorflow.org/tfx/serving/serving_config"


class Conversation(NamedTuple):
    """What is asked and what is answered.

    Attributes:
        source: the page.
        path: below `/v1/models/`.
        body: that is posted; "" for a GET.
        status: of HTTP.
        shown: the answer as the page shows it, or says it in words.
        answer: its bytes, "" where no whitespace is known.
    """

    source: str
    path: str
    body: str
    status: int
    shown: str
    answer: str = ""


def as_shown(source: str, path: str, body: str, shown: str) -> Conversation:
    """One whose bytes the page shows."""
    return Conversation(source, path, body, 200, shown, shown)


CONVERSATIONS = [
    as_shown(
        f"{API}#make_rest_api_calls_to_modelserver",
        "half_plus_three",
        "",
        """{
 "model_version_status": [
  {
   "version": "123",
   "state": "AVAILABLE",
   "status": {
    "error_code": "OK",
    "error_message": ""
   }
  }
 ]
}
""",
    ),
    Conversation(
        f"{API}#make_rest_api_calls_to_modelserver",
        "half_plus_three:predict",
        '{"instances": [1.0,2.0,5.0]}',
        200,
        """{
    "predictions": [3.5, 4.0, 5.5]
}""",
        """{
    "predictions": [3.5, 4.0, 5.5
    ]
}""",
    ),
    as_shown(
        f"{API}#make_rest_api_calls_to_modelserver",
        "half_plus_three:regress",
        '{"signature_name": "tensorflow/serving/regress", "examples": [{"x": 1.0}, {"x": 2.0}]}',
        """{
    "results": [3.5, 4.0]
}""",
    ),
    Conversation(
        f"{API}#make_rest_api_calls_to_modelserver",
        "half:predict",
        '{"instances": [1.0,5.0]}',
        404,
        '{ "error": "Servable not found for request: Latest(half)" }',
        """{
    "error": "Servable not found for request: Latest(half)"
}""",
    ),
    Conversation(
        f"{DOCKER}#serving_example",
        "half_plus_two:predict",
        '{"instances": [1.0, 2.0, 5.0]}',
        200,
        '{ "predictions": [2.5, 3.0, 4.5] }',
        """{
    "predictions": [2.5, 3.0, 4.5
    ]
}""",
    ),
    Conversation(
        f"{API}#response_format_4",
        "half_plus_two:predict",
        '{"inputs": [1.0, 2.0, 5.0]}',
        200,
        '{"outputs": [2.5, 3.0, 4.5]}',
        """{
    "outputs": [
        2.5,
        3.0,
        4.5
    ]
}""",
    ),
    Conversation(
        f"{API}#response_format_3",
        "half_plus_two:classify",
        '{"signature_name": "classify_x_to_y", "examples": [{"x": 1.0}, {"x": 2.0}]}',
        200,
        '{"results": [[["", 2.5]], [["", 3.0]]]}',
        """{
    "results": [[["", 2.5]], [["", 3.0]]
    ]
}""",
    ),
    Conversation(
        f"{API}#request_format",
        "half_plus_two:regress",
        '{"signature_name": "tensorflow/serving/regress", "context": {"x": 2.0}, '
        '"examples": [{"y": 1}]}',
        200,
        '{"results": [3.0]}',
        """{
    "results": [3.0]
}""",
    ),
    Conversation(
        f"{API}#specifying_input_tensors_in_row_format",
        "formats:predict",
        '{"signature_name": "strings", "instances": [ "foo", "bar", "baz" ]}',
        200,
        '{"predictions": [ "foo", "bar", "baz" ]}',
        """{
    "predictions": ["foo", "bar", "baz"
    ]
}""",
    ),
    Conversation(
        f"{API}#specifying_input_tensors_in_row_format",
        "formats:predict",
        '{"signature_name": "tensors", "instances": [ [[1, 2]], [[3, 4]] ]}',
        200,
        '{"predictions": [ [[1, 2]], [[3, 4]] ]}',
        """{
    "predictions": [[[1, 2]], [[3, 4]]
    ]
}""",
    ),
    Conversation(
        f"{API}#specifying_input_tensors_in_row_format",
        "formats:predict",
        """{"signature_name": "named",
 "instances": [
   {
     "tag": "foo",
     "signal": [1, 2, 3, 4, 5],
     "sensor": [[1, 2], [3, 4]]
   },
   {
     "tag": "bar",
     "signal": [3, 4, 1, 2, 5],
     "sensor": [[4, 5], [6, 8]]
   }
 ]
}""",
        200,
        """{"predictions": [
   {
     "sensor": [[1, 2], [3, 4]],
     "signal": [1, 2, 3, 4, 5],
     "tag": "foo"
   },
   {
     "sensor": [[4, 5], [6, 8]],
     "signal": [3, 4, 1, 2, 5],
     "tag": "bar"
   }
 ]
}""",
        """{
    "predictions": [
        {
            "sensor": [[1, 2], [3, 4]],
            "signal": [1, 2, 3, 4, 5],
            "tag": "foo"
        },
        {
            "sensor": [[4, 5], [6, 8]],
            "signal": [3, 4, 1, 2, 5],
            "tag": "bar"
        }
    ]
}""",
    ),
    Conversation(
        f"{API}#specifying_input_tensors_in_column_format",
        "formats:predict",
        """{"signature_name": "named",
 "inputs": {
   "tag": ["foo", "bar"],
   "signal": [[1, 2, 3, 4, 5], [3, 4, 1, 2, 5]],
   "sensor": [[[1, 2], [3, 4]], [[4, 5], [6, 8]]]
 }
}""",
        200,
        """{"outputs": {
   "sensor": [[[1, 2], [3, 4]], [[4, 5], [6, 8]]],
   "signal": [[1, 2, 3, 4, 5], [3, 4, 1, 2, 5]],
   "tag": ["foo", "bar"]
 }
}""",
    ),
    Conversation(
        f"{API}#json_mapping",
        "formats:predict",
        '{"signature_name": "bools", "inputs": [true, false]}',
        200,
        '{"outputs": [true, false]}',
    ),
    Conversation(
        f"{API}#json_mapping",
        "formats:predict",
        '{"signature_name": "floats", "instances": [1.1, -10.0, 0, 1e-5, 2E+7]}',
        200,
        '{"predictions": [1.1, -10.0, 0.0, 1e-05, 2e+07]}',
    ),
    Conversation(
        f"{API}#floating_point_precision",  # 1435774336, in nine digits
        "formats:predict",
        '{"signature_name": "floats", "instances": [1435774380]}',
        200,
        '{"predictions": [1.43577434e+09]}',
    ),
    Conversation(
        f"{API}#encoding_binary_values",
        "formats:predict",
        '{"signature_name": "binary", "instances": [{ "b64": "aW1hZ2UgYnl0ZXM=" }]}',
        200,
        '{"predictions": [{ "b64": "aW1hZ2UgYnl0ZXM=" }]}',
        """{
    "predictions": [{
            "b64": "aW1hZ2UgYnl0ZXM="
        }
    ]
}""",
    ),
    Conversation(
        f"{API}#encoding_binary_values",
        "formats:classify",
        """{
  "signature_name": "classify_objects",
  "examples": [
    {
      "image": { "b64": "aW1hZ2UgYnl0ZXM=" },
      "caption": "seaside"
    },
    {
      "image": { "b64": "YXdlc29tZSBpbWFnZSBieXRlcw==" },
      "caption": "mountains"
    }
  ]
}""",
        200,
        '{"results": [[["seaside", 11.0]], [["mountains", 19.0]]]}',
    ),
    Conversation(
        f"{API}#json_conformance",
        "formats:predict",
        '{"signature_name": "floats", "instances": [ 1.0, -3.14, NaN, Infinity, -Infinity ]}',
        200,
        '{"predictions": [1.0, -3.14, NaN, Infinity, -Infinity]}',
    ),
    *(
        Conversation(
            f"{CONFIG}#assigning_string_labels_to_model_versions_to_simplify_canary_and_rollback",
            f"my_model/{version}:predict",
            '{"instances": [1.0]}',
            200,
            f'{{"predictions": [{answer}]}}',
        )
        for version, answer in (
            ("labels/stable", 2.5),
            ("labels/canary", 3.5),
            ("versions/42", 2.5),
            ("versions/43", 3.5),
        )
    ),
]
