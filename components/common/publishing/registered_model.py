"""The model as MLflow's registry has it: this file, and the version folder that is served.

MLflow keeps a copy of the file beside the folder and runs it where the model is loaded, so that
nothing is pickled ("models from code"). It must import nothing of this project.
"""

from pathlib import Path

import mlflow
import tensorflow as tf


class ServedModel(mlflow.pyfunc.PythonModel):
    """Asks the SavedModel's `serving_default`, as a server does."""

    def load_context(self, context: mlflow.pyfunc.PythonModelContext) -> None:
        """Loads the SavedModel."""
        folder = Path(context.artifacts["version"])
        self._labels = (folder / "assets" / "labels.txt").read_text().splitlines()
        self._model = tf.saved_model.load(str(folder))

    def predict(
        self, context: mlflow.pyfunc.PythonModelContext, model_input: list[bytes]
    ) -> list[dict[str, float]]:
        """The probability of each class, by label, for encoded pictures of faces."""
        answer = self._model.signatures["serving_default"](image_bytes=tf.constant(model_input))
        rows = answer["probabilities"].numpy().tolist()
        return [dict(zip(self._labels, row, strict=True)) for row in rows]


mlflow.models.set_model(ServedModel())
