"""The search that tests vary: two small trials of an epoch each."""

from tuning.sweep.job import Job

JOB = Job(
    hypermodel="emoji_cnn",
    image_shape=(22, 22, 1),
    classes=2,
    oracle="random",
    objective="val_loss",
    max_trials=2,
    minutes=None,
    epochs=1,
    patience=None,
    batch_size=8,
    precision="float32",
    seed=0,
)
