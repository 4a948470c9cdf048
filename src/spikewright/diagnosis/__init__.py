"""Diagnosis of lost accuracy, layer by layer and part by part, and changes that win it back."""
