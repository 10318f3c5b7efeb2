"""The departments' rooms; none imports another."""
