"""One page that sends the same transaction to two running services and shows both answers side by side."""
