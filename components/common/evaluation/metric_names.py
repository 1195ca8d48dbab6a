"""What the metrics are called and mean, for tables; without scikit-learn, which takes seconds."""

TITLES = {
    "accuracy": "Accuracy",
    "majority_accuracy": "Accuracy of the most common class",
    "balanced_accuracy": "Balanced accuracy",
    "macro_f1": "Macro F1",
    "top_2": "Top-2 accuracy",
    "cohen_kappa": "Cohen's kappa",
    "roc_auc": "ROC AUC",
    "log_loss": "Log loss",
    "ece": "Expected calibration error",
}
"""Of the Evaluator's metrics, in the order of a table."""

MEANINGS = {
    "accuracy": "share of images whose most probable class is right",
    "majority_accuracy": "always said, without a look",
    "balanced_accuracy": "mean of the classes' recalls",
    "macro_f1": "mean of the classes' F1",
    "top_2": "the right class is one of the two most probable",
    "cohen_kappa": "agreement beyond chance; 0 is chance, 1 is perfect",
    "roc_auc": "one class against the rest, mean over classes",
    "log_loss": "of the probabilities; less is better",
    "ece": "probability against accuracy; less is better",
}

LOWER_IS_BETTER = frozenset({"log_loss", "ece"})
