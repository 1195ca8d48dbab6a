"""Parameters as they come out of KFP."""

from typing import Any


def plain(value: Any) -> Any:
    """Gives back the integers: KFP sends a dict as a protobuf Struct, all numbers as floats.

    A float that was meant, such as 1.0, becomes 1, which Python counts as the same.
    """
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [plain(item) for item in value]
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value
