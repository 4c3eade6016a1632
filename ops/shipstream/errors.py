"""Explains ShipStream's refusals: for each documented code a sentence that says what to do.

General codes: https://docs.shipstream.io/merchant-api/introduction; those of login and of sessions:
https://docs.shipstream.io/merchant-api/authentication; from 100 on: https://docs.shipstream.io/merchant-api/webhook
"""

from typing import Literal

from schemas.errors import DropstreamError

SESSION_EXPIRED = 5

# `undone`: the call has surely changed nothing. `unknown`: it may have, or may still.
CallOutcome = Literal["undone", "unknown"]

# On the wire a code stands as -32000 - code, so JSON-RPC's own -32700 is 700 here.
WHAT_TO_DO = {
    2: "access denied: check username and api_key of the account, and that its API user may manage webhooks",
    3: "it does not know the API path: check url, and whether the instance is old",
    4: "this API user may not call it, or the instance is old: check the user's rights",
    5: 'the session has expired: run it again; authentication = "basic" does without sessions',
    6: "it misses a parameter: check that username and api_key are complete",
    100: "it did not change the status: its own words say why, and its page can switch it too",
    101: "it takes what was given for invalid: check the topics and the URL",
    102: "it failed while making the webhook: look with dropstream shipstream webhooks list before trying again",
    103: "it has no such webhook: dropstream shipstream webhooks list shows which there are",
    104: "it failed while deleting the webhook: look with dropstream shipstream webhooks list before trying again",
    105: "it did not delete the webhook: its own words say why",
    106: "it did not make the webhook: is there one with this URL already? See dropstream shipstream webhooks list",
    600: "it takes the request for malformed: check that url leads to ShipStream itself",
    601: "it does not know the procedure: check that url leads to ShipStream itself",
    602: "it takes the parameters for invalid: the instance may be older or newer than its documentation",
    603: "it failed inside: try again later, and ask ShipStream's support if it stays so",
    700: "it could not read the request: check that nothing between here and ShipStream alters it",
}
INVALID_FILTERS = 101
_UNDOCUMENTED = "the code is not documented; its own words say what there is to know"
_FILTERS = "it takes the filters for invalid: its own words say which"
# https://docs.shipstream.io/merchant-api/order, .../shipment, .../stock-movement and .../inventory
_OF_METHOD = {
    ("order.search", INVALID_FILTERS): _FILTERS,
    ("shipment.search", INVALID_FILTERS): _FILTERS,
    ("stock_movement.list", INVALID_FILTERS): _FILTERS,
    ("inventory.list", 102): "it takes the SKUs or the time for invalid: its own words say why",
}
_UNKNOWN_OUTCOMES = frozenset({102, 104, 603})


class ShipstreamError(DropstreamError):
    """A call that failed; the text is for a person and holds no secret."""

    def __init__(self, sentence: str, *, outcome: CallOutcome, code: int | None = None) -> None:
        self.outcome = outcome
        self.code = code
        super().__init__(sentence)


def refusal(method: str, code: int, words: str) -> ShipstreamError:
    """The error for an error object; `words` are ShipStream's own, already harmless to show."""
    sentence = _OF_METHOD.get((method, code)) or WHAT_TO_DO.get(code, _UNDOCUMENTED)
    if 100 <= code < 600 and not method.startswith("webhook.") and (method, code) not in _OF_METHOD:
        sentence = _UNDOCUMENTED  # From 100 on, codes are each resource's own.
    said = f"\nShipStream says: {words}" if words else ""
    outcome: CallOutcome = "unknown" if code in _UNKNOWN_OUTCOMES or code not in WHAT_TO_DO else "undone"
    return ShipstreamError(f"ShipStream refused {method} (code {code}): {sentence}{said}", outcome=outcome, code=code)
