"""Statistics of a model's layers on data, layer by layer and channel by channel."""
