import pytest
from grpc import StatusCode

from deploy.server.budget import Budget
from deploy.server.errors import ServingError


def test_what_others_have_is_free_again_when_they_are_answered() -> None:
    budget = Budget(100, "bytes")
    with budget.share() as take:
        with budget.share() as take_other:
            take_other(60)
            with pytest.raises(ServingError, match="60 bytes are being answered") as busy:
                take(60)
            take(40)
        take(60)
    assert busy.value.code is StatusCode.RESOURCE_EXHAUSTED


def test_more_than_there_is_at_all_is_never_taken() -> None:
    budget = Budget(100, "pixels")
    with budget.share() as take:
        take(60)
        with pytest.raises(ServingError, match="101 pixels; at most 100") as too_many:
            take(41)
        take(40)
    assert too_many.value.code is StatusCode.INVALID_ARGUMENT
