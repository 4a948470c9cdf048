"""One run of a lowered network: values in, step by step, outputs and spike counts out."""
