"""What a model's layers do on data, layer by layer and channel by channel."""
