"""What the two services share: the wire contract, the model package, serving and telemetry."""

__version__ = "0.1.0"
