"""Single message transforms and predicates of Kafka Connect and Debezium, equal to the Java classes."""

from cdc.transforms.base import Surroundings
from cdc.transforms.chain import Chain, compile_chain

__all__ = ["Chain", "Surroundings", "compile_chain"]
