"""`spikewright.best_rule`: rule, neurons, correction and readout for a number of steps."""
