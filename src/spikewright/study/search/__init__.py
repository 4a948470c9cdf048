"""Search over settings for an objective that is given: space, study, search, certification."""
