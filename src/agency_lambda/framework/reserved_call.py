"""One model call within a budget."""

from typing import Any

from agents import Model

from agency_lambda.framework import worst_case
from agency_lambda.framework.models.calls import ModelRequest
from agency_lambda.framework.models.client import Tries, reserved_tries
from agency_lambda.framework.spending import Reservation, Spending


class ReservedCall:
    """reservation: None where nothing limits the call."""

    def __init__(self, spending: Spending | None) -> None:
        self._spending, self._tries = spending, Tries()
        self.reservation: Reservation | None = None

    async def reserve(self, model: Model, request: ModelRequest, *args: Any, **server_state: Any) -> ModelRequest:
        """Return the request with a limit of its output.

        Raises:
            BudgetExceeded, UnboundedCost: it may not be made.
            StoreUnavailable: nobody knows whether it may.
        """
        reserved_tries.set(None)  # of a call before
        if self._spending is None or not await self._spending.update():
            return request
        request = worst_case.limited(request, self._spending)
        worst = worst_case.of_call(self._spending, model, request, *args, **server_state)
        self.reservation = await self._spending.reserve(worst)
        reserved_tries.set(self._tries)
        return request

    async def release_if_free(self) -> None:
        """Give back what is reserved if errors answered every try."""
        if self.reservation and self._tries.are_free:
            await self.reservation.release()
