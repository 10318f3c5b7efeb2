"""Bring a Kafka cluster, and the embedded databases, to what the contracts say."""
