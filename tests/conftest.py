from hypothesis import settings

# Hypothesis picks a derandomised profile of its own in CI; ours searches afresh there as well, and
# has no deadline because a busy machine is not a bug.
settings.register_profile("stompcore", derandomize=False, deadline=None, print_blob=True)
settings.load_profile("stompcore")
