"""The version folders that servers read, MLflow's registry of them, the model card."""
