"""aiokafka's batch, closed when the client takes it.

The client counts the records of a batch in the moment in which it takes it, for the sequence numbers of the next batch,
and encodes them a turn of the event loop later. A record that was appended in between would be sent without a number of
its own, and the broker would refuse the next batch.
"""

from aiokafka.producer.message_accumulator import BatchBuilder


class Builder(BatchBuilder):  # type: ignore[misc] # aiokafka ships no types
    """A batch to which nothing can be appended once the client has it."""

    def _set_producer_state(self, producer_id: int, producer_epoch: int, base_sequence: int) -> None:
        self.close()
        super()._set_producer_state(producer_id, producer_epoch, base_sequence)
