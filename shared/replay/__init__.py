"""Past transactions streamed through a `FeatureState` and running services, as if they happened now."""
